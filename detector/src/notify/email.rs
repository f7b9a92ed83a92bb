//! Mail through one SMTP server: encrypted unless it is said otherwise, text and HTML in one
//! message.

use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Message, SmtpTransport, Transport as _};

use super::address::mailbox;
use super::secret::Secret;
use super::send::{Failure, public_id};
use crate::config::notify::{Email, Encryption};
use crate::store::outbox::Outgoing;

/// The port that is configured, or usual.
pub(super) fn port(config: &Email) -> u16 {
    config.port.unwrap_or(match config.encryption {
        Encryption::Starttls => 587,
        Encryption::Tls => 465,
        Encryption::None => 25,
    })
}

pub(super) fn send(
    config: &Email,
    timeout: Duration,
    message: &Outgoing,
    text: String,
    html: String,
) -> Result<(), Failure> {
    let from = mailbox(&config.from).map_err(|error| Failure::channel(&error))?;
    let to = mailbox(&message.recipient).map_err(|error| Failure::Refused(format!("{error:#}")))?;
    let mail = compose(from, to, message, text, html)
        .map_err(|error| Failure::Refused(format!("{error:#}")))?;
    let server = transport(config, timeout).map_err(|error| Failure::channel(&error))?;
    server.send(&mail).map(drop).map_err(|error| assess(config, &message.recipient, &error))
}

fn compose(
    from: Mailbox,
    to: Mailbox,
    message: &Outgoing,
    text: String,
    html: String,
) -> anyhow::Result<Message> {
    // The same each time that it is tried: a server that has it already can tell.
    let id = format!("<{}@{}>", public_id(message), from.email.domain());
    let header = |name, value: &str| {
        HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
    };
    let mail = Message::builder()
        .from(from)
        .to(to)
        .subject(message.subject.clone())
        .date(UNIX_EPOCH + Duration::from_nanos(message.time_ns))
        .message_id(Some(id))
        // RFC 3834, section 5: nobody on holiday answers it.
        .raw_header(header("Auto-Submitted", "auto-generated"))
        .multipart(MultiPart::alternative_plain_html(text, html))?;
    Ok(mail)
}

fn transport(config: &Email, timeout: Duration) -> anyhow::Result<SmtpTransport> {
    let tls = match config.encryption {
        Encryption::Starttls => Tls::Required(tls(config)?),
        Encryption::Tls => Tls::Wrapper(tls(config)?),
        Encryption::None => Tls::None,
    };
    let mut builder = SmtpTransport::builder_dangerous(&config.host)
        .port(port(config))
        .tls(tls)
        .timeout(Some(timeout));
    if let Some(name) = &config.hello_name {
        builder = builder.hello_name(ClientId::Domain(name.clone()));
    }
    let password = Secret::read(config.password_file.as_ref(), config.password_env.as_ref())?;
    if let (Some(user), Some(password)) = (&config.user, password) {
        let password = password.reveal().to_owned();
        builder = builder.credentials(Credentials::new(user.clone(), password));
    }
    Ok(builder.build())
}

fn tls(config: &Email) -> anyhow::Result<TlsParameters> {
    let mut builder = TlsParameters::builder(config.host.clone());
    if let Some(file) = &config.ca_file {
        let text = fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
        let blocks = pem_blocks(&text);
        ensure!(!blocks.is_empty(), "{} contains no certificate", file.display());
        for block in blocks {
            let certificate = Certificate::from_pem(block.as_bytes())
                .with_context(|| format!("{} is not a PEM file", file.display()))?;
            builder = builder.add_root_certificate(certificate);
        }
    }
    Ok(builder.build()?)
}

/// The certificates in a PEM file, each by itself.
fn pem_blocks(text: &[u8]) -> Vec<String> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    let text = String::from_utf8_lossy(text);
    text.split(BEGIN).skip(1).map(|block| format!("{BEGIN}{block}")).collect()
}

fn assess(config: &Email, recipient: &str, error: &Error) -> Failure {
    let text = format!("{}: {}", config.host, with_causes(error));
    // A server without SMTPUTF8 takes mail for all others.
    if error.is_client() && !recipient.is_ascii() {
        return Failure::Refused(text);
    }
    let Some(code) = error.status() else {
        return Failure::Channel { error: text, wait: None };
    };
    match u16::from(code) {
        // RFC 4954, section 6, and RFC 3207: about us, not about the message; and 421, closing.
        421 | 454 | 500..=504 | 521 | 523 | 530 | 534 | 535 | 538 => {
            Failure::Channel { error: text, wait: None }
        }
        500.. => Failure::Refused(text),
        _ => Failure::Later(text),
    }
}

fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(&format!(": {inner_text}"));
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing() -> Outgoing {
        Outgoing {
            id: 1,
            mark: "m".into(),
            time_ns: 1_800_000_000_000_000_000,
            recipient: "Zoë O'Neill <zoe@example.org>".into(),
            subject: "[high] Grüße\r\nBcc: evil@example.org".into(),
            message: String::new(),
            attempts: 0,
        }
    }

    #[test]
    fn mail_has_two_forms_and_one_id() {
        let mail = || {
            let (from, to) = ("detector@example.org", outgoing().recipient);
            let (from, to) = (mailbox(from).unwrap(), mailbox(&to).unwrap());
            let mail = compose(from, to, &outgoing(), "größer".into(), "<b>größer</b>".into());
            String::from_utf8(mail.unwrap().formatted()).unwrap()
        };
        let text = mail();
        for part in [
            "Content-Type: multipart/alternative;",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Type: text/html; charset=utf-8",
            "Auto-Submitted: auto-generated",
            "Date: Fri, 15 Jan 2027 08:00:00 +0000",
            "@example.org>",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!text.contains("\nBcc: "), "{text}");
        let id = |text: &str| {
            text.lines().find(|line| line.starts_with("Message-ID: ")).map(str::to_owned)
        };
        assert!(id(&text).is_some());
        assert_eq!(id(&text), id(&mail()));
    }

    #[test]
    fn a_file_may_have_several_certificates() {
        let one = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
        assert_eq!(pem_blocks(one.repeat(2).as_bytes()), [one, one]);
        assert!(pem_blocks(b"no").is_empty());
    }
}
