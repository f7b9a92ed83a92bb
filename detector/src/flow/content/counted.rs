//! Encrypted datagrams that are recognised by their counters: a VPN that was joined after its handshake,
//! on any port.
//!
//! Each has an identifier of its receiver and a number that counts up, both unencrypted. One datagram
//! alone may look so by chance; the next one of the same direction must continue where it was.

use super::{FirstPayload, Protocol};

/// Datagrams that may be lost between two that were seen.
const MOST_AHEAD: u64 = 4_096;

/// What a datagram counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    protocol: Protocol,
    receiver: u32,
    number: u64,
}

/// The latest count of each direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountedDatagrams {
    latest: [Option<Count>; 2],
}

impl CountedDatagrams {
    /// Takes in a UDP payload. Returns its protocol where it continues the one before.
    pub(crate) fn learn(&mut self, payload: &FirstPayload<'_>) -> Option<Protocol> {
        let count = Count::of(payload)?;
        let latest = self.latest[usize::from(payload.from_client)].replace(count)?;
        let ahead = count.number.checked_sub(latest.number)?;
        let continues = (1..=MOST_AHEAD).contains(&ahead)
            && (latest.protocol, latest.receiver) == (count.protocol, count.receiver);
        continues.then_some(count.protocol)
    }
}

impl Count {
    fn of(payload: &FirstPayload<'_>) -> Option<Self> {
        let (start, rest) = payload.bytes.split_first_chunk::<4>()?;
        let (next, rest) = rest.split_first_chunk::<4>()?;
        let size = payload.payload_bytes;
        Some(match start {
            // A transport message: index, a counter of 64 bits, whole blocks of 16 (WireGuard section 5.4.6).
            [4, 0, 0, 0] if size >= 32 && size.is_multiple_of(16) => Self {
                protocol: Protocol::WireGuard,
                receiver: u32::from_le_bytes(*next),
                number: u64::from_le_bytes(*rest.first_chunk()?),
            },
            // P_DATA_V2: operation and key, peer, packet.
            [0x48..=0x4f, ..] => Self {
                protocol: Protocol::OpenVpn,
                receiver: u32::from_be_bytes(*start),
                number: u64::from(u32::from_be_bytes(*next)),
            },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use detector_common::parse::protocol;

    /// The protocol of the last of some datagrams of 1,360 bytes.
    #[track_caller]
    fn check(samples: &[&[u8]], expected: Option<Protocol>) {
        let mut counted = CountedDatagrams::default();
        let mut found = None;
        for sample in samples {
            let mut bytes = sample.to_vec();
            bytes.resize(512, 0xa5);
            let payload = FirstPayload {
                bytes: &bytes,
                payload_bytes: 1_360,
                offset: 0,
                sequence: 0,
                from_client: true,
                from_home: true,
                is_first: true,
                is_sample: true,
                protocol: protocol::UDP,
                server_port: 443,
                echo: None,
            };
            found = counted.learn(&payload);
            for end in 0..32 {
                let payload_bytes = u32::try_from(end).expect("short");
                let cut = FirstPayload { bytes: &bytes[..end], payload_bytes, ..payload };
                let _ = CountedDatagrams::default().learn(&cut);
            }
        }
        assert_eq!(found, expected, "{samples:02x?}");
    }

    #[test]
    fn two_datagrams_in_a_row_are_recognised() {
        let wireguard = |number: u8| [4, 0, 0, 0, 1, 2, 3, 4, number, 0, 0, 0, 0, 0, 0, 0];
        check(&[&wireguard(7), &wireguard(9)], Some(Protocol::WireGuard));
        check(&[&wireguard(7)], None);
        check(&[&wireguard(7), &wireguard(7)], None);
        check(&[&wireguard(9), &wireguard(7)], None);
        let openvpn = |number: u8| [0x48, 0, 0, 3, 0, 0, 1, number];
        check(&[&openvpn(1), &openvpn(4)], Some(Protocol::OpenVpn));
        check(&[&openvpn(1), &[0x48, 0, 0, 4, 0, 0, 1, 4]], None);
        check(&[&[0x17; 8], &[0x17; 8]], None);
    }
}
