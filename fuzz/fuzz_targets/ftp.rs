//! Arbitrary bytes as an FTP control connection; and every endpoint found in them, written as the
//! protocol writes it, is found again.
#![no_main]

use std::net::IpAddr;

use detector::flow::content::ftp::{Command, Endpoint, passive};
use detector::flow::content::protocol::is_upload_command;
use detector::flow::content::smtp::lines;
use detector_fuzz::is_within;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for line in lines(data) {
        match Command::of(line) {
            Some(Command::Upload(name)) => assert!(is_within(name, data)),
            Some(Command::Active(endpoint)) => again(&endpoint),
            Some(Command::Download) | None => {}
        }
        if let Some(endpoint) = passive(line) {
            again(&endpoint);
        }
    }
    if is_upload_command(data) {
        let first = lines(data).next().and_then(Command::of);
        assert!(matches!(first, Some(Command::Upload(_))), "{first:?}");
    }
});

fn again(endpoint: &Endpoint) {
    let port = endpoint.port;
    assert_ne!(port, 0);
    let extended = match endpoint.address {
        Some(address) => format!("|1|{address}|{port}|"),
        None => format!("|||{port}|"),
    };
    let active = format!("EPRT {extended}");
    assert_eq!(Command::of(active.as_bytes()), Some(Command::Active(*endpoint)), "{active}");
    let reply = format!("229 Entering ({extended})");
    assert_eq!(passive(reply.as_bytes()), Some(*endpoint), "{reply}");
    if let Some(IpAddr::V4(address)) = endpoint.address {
        let [high, low] = port.to_be_bytes();
        let numbers = format!("{},{high},{low}", address.to_string().replace('.', ","));
        let active = format!("port {numbers}");
        assert_eq!(Command::of(active.as_bytes()), Some(Command::Active(*endpoint)), "{active}");
        let reply = format!("227 Entering Passive Mode ({numbers}).");
        assert_eq!(passive(reply.as_bytes()), Some(*endpoint), "{reply}");
    }
}
