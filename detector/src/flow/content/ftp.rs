//! What an FTP control connection says about its data connections (RFC 959, RFC 2428).

use std::net::{IpAddr, Ipv4Addr};

/// What is read of a reply: the numbers follow a few words.
const LINE_BYTES: usize = 96;

/// Where one end waits for the data connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// None where it is the end that sends.
    pub address: Option<IpAddr>,
    pub port: u16,
}

/// A client's command that matters for data connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// STOR, STOU or APPE with the name of the file; STOU has none.
    Upload(&'a [u8]),
    /// PORT or EPRT: the client waits there.
    Active(Endpoint),
    /// Another transfer: the data connection is not an upload's.
    Download,
}

impl<'a> Command<'a> {
    /// Of a line without its end.
    #[must_use]
    pub fn of(line: &'a [u8]) -> Option<Self> {
        let verb = line.get(..4)?.to_ascii_uppercase();
        let value = line.get(4..)?.trim_ascii();
        match verb.as_slice() {
            b"STOR" | b"STOU" | b"APPE" => Some(Self::Upload(value)),
            b"RETR" | b"LIST" | b"NLST" | b"MLSD" => Some(Self::Download),
            b"PORT" => numbers(value).map(Self::Active),
            b"EPRT" => extended(value).map(Self::Active),
            _ => None,
        }
    }
}

/// The endpoint that a server's reply names: 227 to PASV, 229 to EPSV.
#[must_use]
pub fn passive(line: &[u8]) -> Option<Endpoint> {
    let inner = line.split(|byte| *byte == b'(').nth(1);
    match line.get(..4)? {
        b"227 " => numbers(inner.or_else(|| line.get(4..))?.trim_ascii()),
        b"229 " => extended(inner?),
        _ => None,
    }
}

/// `h1,h2,h3,h4,p1,p2`, and whatever follows the last number.
fn numbers(text: &[u8]) -> Option<Endpoint> {
    let text = str::from_utf8(text.get(..text.len().min(LINE_BYTES))?).ok()?;
    let start = text.find(|letter: char| letter.is_ascii_digit())?;
    let mut parts = text.get(start..)?.splitn(6, ',').map(|part| {
        let digits = part.trim_end_matches(|letter: char| !letter.is_ascii_digit());
        digits.trim().parse::<u8>().ok()
    });
    let mut next = || parts.next().flatten();
    let address = Ipv4Addr::new(next()?, next()?, next()?, next()?);
    let port = u16::from_be_bytes([next()?, next()?]);
    (port != 0).then_some(Endpoint { address: Some(IpAddr::V4(address)), port })
}

/// `|family|address|port|` with any delimiter; a server leaves out all but the port.
fn extended(text: &[u8]) -> Option<Endpoint> {
    let (delimiter, _) = text.split_first()?;
    let mut fields = text.split(|byte| byte == delimiter).skip(1);
    let mut next = || fields.next().and_then(|field| str::from_utf8(field).ok());
    let (_family, address, port) = (next()?, next()?, next()?);
    let port = port.parse().ok().filter(|port| *port != 0)?;
    Some(Endpoint { address: address.parse().ok(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(address: Option<&str>, port: u16) -> Endpoint {
        Endpoint { address: address.map(|text| text.parse().expect("an address")), port }
    }

    #[test]
    fn data_connections_are_named() {
        let check = |line: &[u8], expected| {
            assert_eq!(passive(line), expected, "{line:?}");
            for end in 0..line.len() {
                let _cut = passive(&line[..end]);
            }
        };
        let named = Some(endpoint(Some("172.16.16.121"), 49_166));
        check(b"227 Entering Passive Mode (172,16,16,121,192,14).", named);
        check(b"227 Entering Passive Mode 172,16,16,121,192,14", named);
        check(b"229 Entering Extended Passive Mode (|||49166|)", Some(endpoint(None, 49_166)));
        check(b"229 Entering Extended Passive Mode (|||0|)", None);
        check(b"227 Entering Passive Mode (1,2,3)", None);
        check(b"227 Entering Passive Mode (1,2,3,4,999,1)", None);
        check(b"226 Transfer complete", None);
        check(b"", None);
    }

    #[test]
    fn commands_are_told_apart() {
        let check = |line: &[u8], expected| {
            assert_eq!(Command::of(line), expected, "{line:?}");
            for end in 0..line.len() {
                let _cut = Command::of(&line[..end]);
            }
        };
        check(b"STOR a b.csv", Some(Command::Upload(b"a b.csv")));
        check(b"stou", Some(Command::Upload(b"")));
        check(b"RETR x", Some(Command::Download));
        check(b"PORT 10,0,0,7,4,1", Some(Command::Active(endpoint(Some("10.0.0.7"), 1_025))));
        let six = Some(Command::Active(endpoint(Some("2001:db8::1"), 1_025)));
        check(b"EPRT |2|2001:db8::1|1025|", six);
        check(b"NOOP", None);
        check(b"", None);
    }
}
