//! Uploads that can be read on the wire: mail, file transfer, web.

mod mail;
mod services;
mod web;

use crate::features::Sample;
use crate::flow::Side;
use crate::flow::content::file::FileName;
use crate::units;

use super::super::Technique;
use super::super::services::is_under;
use super::{Found, Rule};
use services::{DROP_SERVICES, Kind};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "ftp_upload",
        meaning: "a file is uploaded over unencrypted FTP",
        source: "RFC 959: the control connection names the data connection; MITRE ATT&CK T1048.003",
        may_block: true,
        excused_by_baseline: false,
        find: ftp_upload,
    },
    Rule {
        name: "mail_self_addressed",
        meaning: "an unencrypted mail from a workstation to its own sender only",
        source: "MITRE ATT&CK T1048.003; analyses of Agent Tesla (S0331) and Snake",
        may_block: true,
        excused_by_baseline: false,
        find: mail::self_addressed,
    },
    Rule {
        name: "mail_credentials",
        meaning: "an unencrypted mail with the words of a credential stealer's report",
        source: "MITRE ATT&CK S0331, S0447; analyses of Agent Tesla, Snake, HawkEye",
        may_block: true,
        excused_by_baseline: false,
        find: mail::credentials,
    },
    Rule {
        name: "http_drop",
        meaning: "an unencrypted upload of the kind that stealers send to their panels and scripts",
        source: "MITRE ATT&CK T1041, S0447 Lokibot, S0453 Pony, S0344 Azorult; analyses of Vidar",
        may_block: true,
        excused_by_baseline: false,
        find: web::http_drop,
    },
    Rule {
        name: "drop_service",
        meaning: "an upload to a service that accepts files from anybody",
        source: "MITRE ATT&CK T1567.002 and T1567.004; 32 kB is more than a form",
        may_block: true,
        excused_by_baseline: false,
        find: drop_service,
    },
];

/// Payload below which an upload is a notice: a page of credentials has more. What is named like
/// them may be shorter.
const FTP_MIN_BYTES: u64 = 1_000;
const FTP_LOOT_MIN_BYTES: u64 = 200;
/// Payload below which an upload to a service is a page's request.
const DROP_MIN_BYTES: u64 = 32_000;
/// The same where programs alone go: a message is no file.
const BOT_MIN_BYTES: u64 = 8_000;
/// Sent over received from which on a session with a service is an upload.
const DROP_RATIO: u64 = 4;

fn ftp_upload(sample: &Sample<'_>) -> Option<Found> {
    let upload = sample.session.first_payloads.ftp_upload?;
    let uploads = upload.by_client == (sample.sender == Side::Client);
    let (sent, received) = (sample.sent.payload_bytes(), sample.received.payload_bytes());
    let enough = if upload.file == FileName::Loot { FTP_LOOT_MIN_BYTES } else { FTP_MIN_BYTES };
    if !uploads || sent < enough || sent <= received {
        return None;
    }
    let certainty = match upload.file {
        FileName::Loot => 0.95,
        FileName::Archive | FileName::Document => 0.85,
        FileName::Other => 0.8,
        // What cameras and scanners do all day, and who publishes a site.
        FileName::Image => 0.45,
        FileName::Page => 0.3,
    };
    let text =
        format!("sent {}, {}, over unencrypted FTP", upload.file.words(), units::bytes(sent));
    Some(Found { certainty, technique: Technique::ClearUpload, text })
}

fn drop_service(sample: &Sample<'_>) -> Option<Found> {
    let name = sample.session.name.as_deref().filter(|_| sample.sender == Side::Client)?;
    let (sent, received) = (sample.sent.payload_bytes(), sample.received.payload_bytes());
    // Names are compared last: most sessions are no upload.
    if sent < BOT_MIN_BYTES || sent <= received.saturating_mul(DROP_RATIO) {
        return None;
    }
    let (service, kind) = DROP_SERVICES.iter().find(|(service, _)| is_under(name, service))?;
    let enough = if *kind == Kind::Bot { BOT_MIN_BYTES } else { DROP_MIN_BYTES };
    if sent < enough {
        return None;
    }
    let (certainty, words) = match kind {
        Kind::Drop => (0.8, "accepts files from anybody"),
        Kind::Paste => (0.8, "accepts texts from anybody"),
        Kind::Tunnel => (0.8, "forwards to a host behind it"),
        // The interface of programs, which people's own clients do not use.
        Kind::Bot => (0.85, "accepts files from scripts"),
        // What people use every day, too.
        Kind::Chat => (0.4, "accepts files from scripts"),
    };
    let text = format!("sent {} to {service}, which {words}", units::bytes(sent));
    Some(Found { certainty, technique: Technique::BulkUpload, text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::session::example::session;
    use crate::flow::session::transfer::FtpUpload;
    use crate::flow::{Session, SessionKey, Volume};

    fn sent(session: &mut Session, up: u64, down: u64) {
        session.up = Volume { seen_payload_bytes: up, ..Volume::default() };
        session.down = Volume { seen_payload_bytes: down, ..Volume::default() };
    }

    fn certainty(found: Option<Found>) -> Option<f64> {
        found.map(|found| (found.certainty * 100.0).round() / 100.0)
    }

    #[test]
    fn uploads_over_ftp_are_told_by_their_file() {
        let check = |by_client, file, up, down, sender, expected| {
            let mut session = session(SessionKey { protocol: 6, ..SessionKey::default() });
            session.first_payloads.ftp_upload = Some(FtpUpload { by_client, file });
            sent(&mut session, up, down);
            let found = certainty(ftp_upload(&Sample::new(&session, sender, 0)));
            assert_eq!(found, expected, "{by_client} {file:?} {up} {down} {sender:?}");
        };
        check(true, FileName::Document, 20_000, 0, Side::Client, Some(0.85));
        check(true, FileName::Loot, 1_200, 0, Side::Client, Some(0.95));
        check(true, FileName::Other, 1_200, 0, Side::Client, Some(0.8));
        check(true, FileName::Image, 9_000, 0, Side::Client, Some(0.45));
        check(true, FileName::Page, 9_000, 0, Side::Client, Some(0.3));
        check(true, FileName::Other, 900, 0, Side::Client, None);
        check(true, FileName::Other, 20_000, 0, Side::Server, None);
        check(true, FileName::Other, 2_000, 20_000, Side::Client, None);
        check(false, FileName::Archive, 0, 9_000, Side::Server, Some(0.85));
        check(false, FileName::Archive, 9_000, 0, Side::Client, None);
    }

    #[test]
    fn uploads_to_services_are_told_by_name() {
        let check = |name: Option<&str>, up, down, expected| {
            let mut session = session(SessionKey { protocol: 6, ..SessionKey::default() });
            session.name = name.map(Into::into);
            sent(&mut session, up, down);
            let found = certainty(drop_service(&Sample::new(&session, Side::Client, 0)));
            assert_eq!(found, expected, "{name:?} {up} {down}");
        };
        check(Some("transfer.sh"), 100_000, 5_000, Some(0.8));
        check(Some("gfs270n090.userstorage.mega.co.nz"), 9_000_000, 50_000, Some(0.8));
        check(Some("store1.gofile.io"), 100_000, 5_000, Some(0.8));
        check(Some("api.telegram.org"), 100_000, 5_000, Some(0.85));
        check(Some("api.telegram.org"), 9_000, 1_000, Some(0.85));
        check(Some("discord.com"), 100_000, 5_000, Some(0.4));
        check(Some("nottransfer.sh"), 100_000, 5_000, None);
        check(Some("transfer.sh"), 30_000, 5_000, None);
        check(Some("transfer.sh"), 100_000, 50_000, None);
        check(None, 100_000, 5_000, None);
    }
}
