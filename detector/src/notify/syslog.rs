//! Syslog: RFC 5424's form, in UDP packets (RFC 5426) or counted over TCP (RFC 6587, section
//! 3.4.1).
//!
//! Neither has receipts. Over TCP the other end's closing after ours says that it has read
//! everything; over UDP all that can be known is that nothing listens there.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::send::Failure;
use crate::config::notify::{Syslog, Transport};
use crate::instance::host_name;
use crate::units;

/// What a receiver should take in one packet (RFC 5426, section 3.2).
const UDP_BYTES: usize = 2_048;
/// How long a host may take to say that nobody listens on a port.
const UNREACHABLE: Duration = Duration::from_millis(100);

/// What of a line is not about the sender.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) severity: u8,
    pub(super) id: &'a str,
    pub(super) elements: &'a str,
    pub(super) text: &'a str,
}

pub(super) fn send(
    config: &Syslog,
    timeout: Duration,
    time_ns: u64,
    line: &Line<'_>,
) -> Result<(), Failure> {
    let line =
        format(config.facility, &host_name().unwrap_or_else(|| "-".to_owned()), time_ns, line);
    let sent = match config.transport {
        Transport::Udp => send_udp(&config.address, &line),
        Transport::Tcp => send_tcp(&config.address, &line, timeout),
    };
    let sent = sent.with_context(|| format!("failed to send to {}", config.address));
    sent.map_err(|error| Failure::channel(&error))
}

/// Section 6 of RFC 5424; the text is UTF-8, as its byte order mark says.
fn format(facility: u8, host: &str, time_ns: u64, line: &Line<'_>) -> String {
    let Line { severity, id, elements, text } = line;
    let priority = u16::from(facility) * 8 + u16::from(*severity);
    let (time, process) = (units::rfc3339(time_ns), std::process::id());
    format!("<{priority}>1 {time} {host} detector {process} {id} {elements} \u{feff}{text}")
}

fn resolve(address: &str) -> anyhow::Result<SocketAddr> {
    let mut found = address.to_socket_addrs().context("its name resolves to no address")?;
    found.next().context("its name resolves to no address")
}

fn send_udp(address: &str, line: &str) -> anyhow::Result<()> {
    let address = resolve(address)?;
    let own: SocketAddr =
        if address.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(own)?;
    socket.connect(address)?;
    let end = line.char_indices().map(|(at, letter)| at + letter.len_utf8());
    let end = end.take_while(|end| *end <= UDP_BYTES).last().unwrap_or(0);
    socket.send(&line.as_bytes()[..end])?;
    // A port where nobody listens answers with ICMP, which is this socket's next error.
    socket.set_read_timeout(Some(UNREACHABLE))?;
    match socket.recv(&mut [0; 1]) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            bail!("nothing listens there")
        }
        _ => Ok(()),
    }
}

fn send_tcp(address: &str, line: &str, timeout: Duration) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect_timeout(&resolve(address)?, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    stream.write_all(format!("{} {line}", line.len()).as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = [0; 512];
    loop {
        match stream.read(&mut answer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // It has taken everything and keeps the connection, for whatever reason.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(());
            }
            // It went away with bytes of ours that it had not read.
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const LINE: Line<'_> = Line { severity: 3, id: "alert", elements: "-", text: "it leaves" };

    fn config(address: SocketAddr, transport: Transport) -> Syslog {
        let address = address.to_string();
        Syslog {
            name: "a".into(),
            per_minute: None,
            address,
            transport,
            facility: 16,
            enterprise_number: 0,
        }
    }

    fn try_send(config: &Syslog) -> Result<(), Failure> {
        send(config, Duration::from_secs(5), 1_800_000_000_000_000_000, &LINE)
    }

    #[test]
    fn a_line_has_rfc_5424s_form() {
        let process = std::process::id();
        let expected = format!(
            "<131>1 2027-01-15T08:00:00.000000Z host detector {process} alert - \u{feff}it leaves"
        );
        assert_eq!(format(16, "host", 1_800_000_000_000_000_000, &LINE), expected);
    }

    #[test]
    fn lines_are_packets_and_counted_bytes() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let udp = config(receiver.local_addr().unwrap(), Transport::Udp);
        try_send(&udp).unwrap();
        let mut packet = [0; 4_096];
        let length = receiver.recv(&mut packet).unwrap();
        assert!(packet[..length].starts_with(b"<131>1 2027"));
        drop(receiver);
        assert!(matches!(try_send(&udp), Err(Failure::Channel { .. })));

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp = config(listener.local_addr().unwrap(), Transport::Tcp);
        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
            text
        });
        try_send(&tcp).unwrap();
        let text = reading.join().unwrap();
        let (count, line) = text.split_once(' ').unwrap();
        assert_eq!(count.parse(), Ok(line.len()));
        assert!(line.starts_with("<131>1 "), "{line}");
        assert!(matches!(try_send(&tcp), Err(Failure::Channel { .. })));
    }

    #[test]
    fn a_receiver_that_goes_away_unread_has_not_taken_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp = config(listener.local_addr().unwrap(), Transport::Tcp);
        let closing = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            std::thread::sleep(Duration::from_millis(200));
            drop(stream);
        });
        assert!(matches!(try_send(&tcp), Err(Failure::Channel { .. })));
        closing.join().unwrap();
    }
}
