//! Arbitrary bytes as what a mail client says: commands, credentials, a message and its attachment.
#![no_main]

use detector::flow::content::file::FileName;
use detector::flow::content::protocol::is_mail_command;
use detector::flow::content::smtp::{
    self, Line, Mechanism, account, attachment, is_report_subject, subject,
};
use detector::flow::content::words::Words;
use detector_fuzz::is_within;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut lines = 0;
    for line in smtp::lines(data) {
        assert!(!line.is_empty() && !line.contains(&b'\n') && is_within(line, data));
        lines += line.len() + 1;
        check(line, data);
    }
    assert!(lines <= data.len() + 1);
    if is_mail_command(data) {
        let first = smtp::lines(data).next().map(Line::of);
        assert!(matches!(first, Some(Line::From(_) | Line::Data)), "{first:?}");
    }
    message(data);
});

fn check(line: &[u8], data: &[u8]) {
    match Line::of(line) {
        Line::Hello(text) | Line::From(text) | Line::To(text) | Line::Other(text) => {
            assert!(is_within(text, data));
        }
        Line::Auth(mechanism, initial) => {
            assert!(is_within(initial, data));
            named(mechanism, initial);
        }
        Line::StartTls | Line::Data | Line::Quit => {}
    }
    named(Mechanism::Login, line);
    named(Mechanism::Plain, line);
}

fn named(mechanism: Mechanism, encoded: &[u8]) {
    if let Some(account) = account(mechanism, encoded) {
        assert!(!account.is_empty() && account.len() <= encoded.len());
        assert!(!account.iter().any(u8::is_ascii_uppercase));
    }
}

fn message(data: &[u8]) {
    // What is encoded adds to what is said in clear.
    assert!(smtp::words(data).count() >= Words::of(data).count());
    if let Some(subject) = subject(data) {
        assert!(subject.len() <= data.len());
        let _known = is_report_subject(&subject);
    }
    if let Some(name) = attachment(data) {
        assert!(is_within(name, data));
        let _known = FileName::of(name);
    }
}
