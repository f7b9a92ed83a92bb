//! Arbitrary bytes as the first payload of a flow, through every decoder. Each must end, stay within
//! its bounds and give what it documents, on input cut anywhere.
#![no_main]

use detector::flow::head::dns::{Answer, Message};
use detector::flow::head::entropy::{ByteProfile, entropy};
use detector::flow::head::protocol::{Protocol, is_mail_command, is_upload_command};
use detector::flow::head::file::{Body, FileName};
use detector::flow::head::tls::ClientHello;
use detector::flow::head::words::Words;
use detector::flow::head::{ftp, http, ja4, ping, smtp};
use detector::flow::names::Names;
use libfuzzer_sys::fuzz_target;

/// RFC 1035 section 2.3.4.
const DNS_NAME_MAX_BYTES: usize = 255;
const DNS_LABEL_MAX_BYTES: u8 = 63;

fuzz_target!(|data: &[u8]| {
    dns(data);
    text(data);
    bytes(data);
});

fn dns(data: &[u8]) {
    let Some(message) = Message::decode(data) else { return };
    let name = &message.name;
    assert!(name.as_bytes().len() <= DNS_NAME_MAX_BYTES);
    assert!(name.longest_label <= DNS_LABEL_MAX_BYTES);
    assert!(name.is_same(name));
    // The last record may claim more than the head holds; none after it is believed.
    assert!(message.answer_bytes as usize <= data.len() + usize::from(u16::MAX));

    let mut names = Names::new(4);
    names.learn(&message, 0);
    for answer in &message.answers {
        if let Answer::Address { address, .. } = answer
            && let Some(learned) = names.get(address, 0)
        {
            assert_eq!(**learned, *name.to_lowercase());
        }
    }
}

fn text(data: &[u8]) {
    let within = |part: &str| assert!(part.len() <= data.len());
    if let Some(hello) = ClientHello::decode(data) {
        hello.server_name().map(within);
        assert!(ja4::fingerprint(&hello).is_none_or(|text| text.len() == 36));
    }
    if let Some(request) = http::Request::decode(data) {
        within(request.method);
        if let Some(host) = request.host {
            within(host);
            let _known = http::is_address(host);
        }
        assert!(request.body.len() <= data.len());
    }
    let _known = (is_mail_command(data), is_upload_command(data));
    for line in smtp::lines(data) {
        let _known = (smtp::Line::of(line), ftp::Command::of(line), ftp::passive(line));
    }
    let _known = (smtp::words(data), smtp::attachment(data), FileName::of(data), Words::of(data));
    let _known = smtp::subject(data).is_some_and(|subject| smtp::is_report_subject(&subject));
}

fn bytes(data: &[u8]) {
    for found in [Protocol::of_tcp(data), Protocol::of_udp(data)].into_iter().flatten() {
        assert!(!found.name().is_empty());
    }
    let own = ping::own_bytes(data);
    assert!(own.len() <= data.len());
    let _known = (ping::is_prose(own), ping::has_inner_packet(data), Body::of(data));
    assert!((0.0..=8.0).contains(&entropy(data)));
    let profile = ByteProfile::of(data);
    assert!((0.0..=1.0).contains(&profile.printable_share));
}
