//! Mail in clear that carries loot: recognised by to whom it goes and by what it says.

use crate::features::Sample;
use crate::flow::Side;
use crate::flow::content::file::FileName;
use crate::flow::content::mail::Mail;
use crate::flow::content::words::REPORT_WORDS;

use super::super::super::Technique;
use super::super::Found;
use super::super::pieces::Pieces;

/// Weights at which a mail is reported. A person's mail program that logs in without encryption and
/// attaches an archive stays below, a relay has neither login nor a computer's name.
const NEEDED: f64 = 0.5;
/// Recipients of one message beyond which it is a mailing.
const MAILING_RECIPIENTS: u32 = 3;

fn mail<'a>(sample: &Sample<'a>) -> Option<&'a Mail> {
    let mail = sample.session.first_payloads.mail.as_deref().filter(|mail| mail.messages != 0)?;
    (sample.sender == Side::Client).then_some(mail)
}

/// What stealers' mails have in common, whatever they say.
fn circumstances(sample: &Sample<'_>, mail: &Mail) -> Pieces {
    let mut pieces = Pieces::default();
    pieces.add(mail.clear_logins != 0, 0.1, "a login without encryption");
    pieces.add(mail.short_hellos != 0, 0.1, "from a computer that is not a mail server");
    pieces.add(mail.attachment == Some(FileName::Loot), 0.3, FileName::Loot.words());
    pieces.add(mail.attachment == Some(FileName::Archive), 0.2, FileName::Archive.words());
    pieces.add(mail.attachment == Some(FileName::Image), 0.1, FileName::Image.words());
    pieces.add(
        sample.session.asked_own_address,
        0.3,
        "from a host that queried its own public address",
    );
    let mailing = mail.recipients > mail.messages.saturating_mul(MAILING_RECIPIENTS);
    pieces.add(mailing, -0.3, "to many recipients");
    pieces
}

pub(super) fn self_addressed(sample: &Sample<'_>) -> Option<Found> {
    let mail = mail(sample).filter(|mail| mail.to_self != 0)?;
    let mut pieces = circumstances(sample, mail);
    pieces.add(true, 0.35, "to its own sender only");
    pieces.found(NEEDED, Technique::ClearUpload, "an unencrypted mail")
}

pub(super) fn credentials(sample: &Sample<'_>) -> Option<Found> {
    let mail = mail(sample)?;
    let mut pieces = circumstances(sample, mail);
    let report = mail.report_words >= REPORT_WORDS;
    pieces.add(mail.report_subject, 0.5, "with the subject of a stealer's report");
    pieces.add(report, 0.45, "with words of a credential report");
    let loot = mail.attachment == Some(FileName::Loot);
    if !(mail.report_subject || report || loot) {
        return None;
    }
    pieces.found(NEEDED, Technique::ClearUpload, "an unencrypted mail")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::session::example::{say, session};
    use crate::flow::{Session, SessionKey};

    fn mailed(packets: &[&str]) -> Session {
        let mut session =
            session(SessionKey { protocol: 6, server_port: 587, ..SessionKey::default() });
        packets.iter().for_each(|packet| say(&mut session, Side::Client, packet.as_bytes()));
        session
    }

    #[track_caller]
    fn check(what: &str, session: &Session, expected: [bool; 2]) {
        let sample = Sample::new(session, Side::Client, 0);
        let found = [self_addressed(&sample), credentials(&sample)];
        assert_eq!(found.each_ref().map(Option::is_some), expected, "{what}: {found:?}");
    }

    const LOGIN: [&str; 3] =
        ["EHLO DESKTOP-7\r\n", "AUTH login QUBiLmV4YW1wbGU=\r\n", "c2VjcmV0\r\n"];
    const TO_SELF: [&str; 3] =
        ["MAIL FROM:<a@b.example>\r\n", "RCPT TO:<a@b.example>\r\n", "DATA\r\n"];
    const TO_OTHER: [&str; 3] =
        ["MAIL FROM:<a@b.example>\r\n", "RCPT TO:<c@d.example>\r\n", "DATA\r\n"];

    #[test]
    fn stealers_are_found() {
        let tesla = "Subject: PW_ada/DESKTOP-7\r\nContent-Type: text/html\r\n\r\n\
            Time: 01/02/2024 10:00:00<br>User Name: ada<br>Computer Name: DESKTOP-7<br>\
            OSFullName: Windows 10<br>CPU: i5<br>RAM: 8 GB<br><hr>Password: x\r\n.\r\n";
        check("Agent Tesla", &mailed(&[&LOGIN[..], &TO_SELF, &[tesla]].concat()), [true, true]);
        check("to another", &mailed(&[&LOGIN[..], &TO_OTHER, &[tesla]].concat()), [false, true]);
        let snake = "Subject: Pc Name: ada | Snake\r\n\r\nsee files\r\n\
            Content-Disposition: attachment; filename=\"Passwords.txt\"\r\n";
        check("Snake", &mailed(&[&LOGIN[..], &TO_OTHER, &[snake]].concat()), [false, true]);
        let zip = "Subject: x\r\n\r\nContent-Disposition: attachment; filename=\"x.zip\"\r\n";
        check("an archive", &mailed(&[&LOGIN[..], &TO_SELF, &[zip]].concat()), [true, false]);
        let encoded = "Subject: x\r\nContent-Transfer-Encoding: base64\r\n\r\n\
            Q29tcHV0ZXIgTmFtZTogWA0KT1NGdWxsTmFtZTogWQ0KQ1BVOiBaDQpVc2VyIE5hbWU6IGFk\r\n\
            YQ0KUGFzc3dvcmQ6IGINCkhXSUQ6IDEyMzQ1Njc4OQ0KQ29va2llczogMTINCldhbGxldHM6\r\n";
        check("in base64", &mailed(&[&LOGIN[..], &TO_OTHER, &[encoded]].concat()), [false, true]);
    }

    #[test]
    fn ordinary_mail_is_quiet() {
        let letter = "Subject: lunch\r\n\r\nShall we? The password of the door is new.\r\n.\r\n";
        let zip = "Subject: x\r\n\r\nContent-Disposition: attachment; filename=\"x.zip\"\r\n";
        let relay = ["EHLO mail.b.example\r\n"];
        check("a relay", &mailed(&[&relay[..], &TO_OTHER, &[letter]].concat()), [false; 2]);
        check("a system's own", &mailed(&[&relay[..], &TO_SELF, &[letter]].concat()), [false; 2]);
        check("a person", &mailed(&[&LOGIN[..], &TO_OTHER, &[letter]].concat()), [false; 2]);
        check("with a file", &mailed(&[&LOGIN[..], &TO_OTHER, &[zip]].concat()), [false; 2]);
        check("encrypted", &mailed(&["EHLO DESKTOP-7\r\n", "STARTTLS\r\n"]), [false; 2]);
        let many = [TO_SELF[0], TO_SELF[1], "RCPT TO:<c@d.example>\r\n", "DATA\r\n"];
        check("a copy to oneself", &mailed(&[&LOGIN[..], &many, &[letter]].concat()), [false; 2]);
    }
}
