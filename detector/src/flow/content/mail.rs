//! The mail that a session's client handed over in clear.
//!
//! Addresses and accounts are compared by hash and kept no longer than their message; passwords are
//! never looked at.

use super::distinct;
use super::file::FileName;
use super::smtp::{self, Line, Mechanism};
use super::words::Words;

/// The mail of a session, summed over its connections.
#[derive(Clone, Debug, Default)]
pub struct Mail {
    /// EHLO and HELO, and those of them with a name without a dot: a computer's, no mail server's.
    pub hellos: u32,
    pub short_hellos: u32,
    pub starttls: bool,
    /// Logins that could be read.
    pub clear_logins: u32,
    pub messages: u32,
    /// Recipients of all messages.
    pub recipients: u32,
    /// Messages to nobody but who sent them.
    pub to_self: u32,
    /// Most words of a credential report in one message.
    pub report_words: u32,
    /// A subject was that of a stealer's report.
    pub report_subject: bool,
    /// What an attached file is by its name; of several, the most conclusive.
    pub attachment: Option<FileName>,
    stage: Stage,
    account: Option<u64>,
    from: Option<u64>,
    /// Recipients of the message being handed over, and those that are its sender.
    to: u32,
    to_sender: u32,
    words: Words,
}

/// What a client's next line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Command,
    Account,
    Password,
    Message,
}

impl Mail {
    /// Takes in a payload of the client. True where it was a command or a message in clear.
    pub(crate) fn learn(&mut self, bytes: &[u8]) -> bool {
        let starts_over = matches!(Line::of(first(bytes)), Line::Hello(_) | Line::From(_));
        if self.stage == Stage::Message && !starts_over {
            return self.learn_message(bytes);
        }
        if starts_over {
            self.stage = Stage::Command;
        }
        let mut told = false;
        for line in smtp::lines(bytes) {
            told |= self.learn_line(line);
        }
        told
    }

    fn learn_line(&mut self, line: &[u8]) -> bool {
        match (self.stage, Line::of(line)) {
            (Stage::Account, _) => self.log_in(Mechanism::Login, line),
            (Stage::Password, _) => self.stage = Stage::Command,
            (Stage::Message, _) => return self.learn_message(line),
            (Stage::Command, Line::Hello(name)) => {
                self.hellos += 1;
                self.short_hellos += u32::from(!name.contains(&b'.') && !name.contains(&b':'));
            }
            (Stage::Command, Line::StartTls) => self.starttls = true,
            (Stage::Command, Line::Auth(mechanism, initial)) => {
                self.authenticate(mechanism, initial)
            }
            (Stage::Command, Line::From(address)) => {
                self.from = Some(hash(address));
                (self.to, self.to_sender) = (0, 0);
            }
            (Stage::Command, Line::To(address)) => self.address(hash(address)),
            (Stage::Command, Line::Data) => self.begin_message(),
            (Stage::Command, Line::Quit | Line::Other(_)) => return false,
        }
        true
    }

    fn authenticate(&mut self, mechanism: Mechanism, initial: &[u8]) {
        match (mechanism, initial) {
            (Mechanism::Login, b"") => self.stage = Stage::Account,
            // The one line after it has account and password.
            (Mechanism::Plain, b"") => {
                self.clear_logins += 1;
                self.stage = Stage::Password;
            }
            _ => self.log_in(mechanism, initial),
        }
    }

    fn log_in(&mut self, mechanism: Mechanism, encoded: &[u8]) {
        self.clear_logins += 1;
        self.account = smtp::account(mechanism, encoded).map(|account| hash(&account));
        self.stage = if mechanism == Mechanism::Login { Stage::Password } else { Stage::Command };
    }

    fn address(&mut self, recipient: u64) {
        self.recipients += 1;
        self.to += 1;
        let sender = self.from == Some(recipient) || self.account == Some(recipient);
        self.to_sender += u32::from(sender);
    }

    fn begin_message(&mut self) {
        self.messages += 1;
        self.to_self += u32::from(self.to != 0 && self.to_sender == self.to);
        self.words = Words::default();
        self.stage = Stage::Message;
    }

    fn learn_message(&mut self, bytes: &[u8]) -> bool {
        self.words.add(smtp::words(bytes));
        self.report_words = self.report_words.max(self.words.count());
        self.report_subject |= smtp::subject(bytes).is_some_and(|s| smtp::is_report_subject(&s));
        if let Some(name) = smtp::attachment(bytes) {
            let name = FileName::of(name);
            self.attachment = Some(self.attachment.map_or(name, |known| most_telling(known, name)));
        }
        if bytes.ends_with(b"\r\n.\r\n") || bytes == b".\r\n" {
            self.stage = Stage::Command;
        }
        true
    }
}

fn most_telling(a: FileName, b: FileName) -> FileName {
    if (a as u8) < b as u8 { a } else { b }
}

fn first(bytes: &[u8]) -> &[u8] {
    smtp::lines(bytes).next().unwrap_or_default()
}

/// Local parts may be spelled in either case, and are so by nobody.
fn hash(address: &[u8]) -> u64 {
    distinct::hash(address.iter().map(u8::to_ascii_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(packets: &[&[u8]]) -> Mail {
        let mut mail = Mail::default();
        for packet in packets {
            mail.learn(packet);
        }
        mail
    }

    #[test]
    fn a_report_to_oneself_is_told() {
        let mail = learned(&[
            b"EHLO DESKTOP-1\r\n",
            b"AUTH login QUBiLmV4YW1wbGU=\r\n",
            b"c2VjcmV0\r\n",
            b"MAIL FROM:<A@b.example>\r\n",
            b"RCPT TO:<a@b.example>\r\n",
            b"DATA\r\n",
            b"Subject: PW_ada/DESKTOP-1\r\n\r\n",
            b"User Name: ada<br>Computer Name: X<br>OSFullName: Y<br>CPU: Z<hr>Password: x\r\n.\r\n",
            b"QUIT\r\n",
        ]);
        assert_eq!((mail.hellos, mail.short_hellos, mail.clear_logins), (1, 1, 1));
        assert_eq!((mail.messages, mail.recipients, mail.to_self), (1, 1, 1));
        assert!(mail.report_subject && mail.report_words >= 5);
    }

    #[test]
    fn a_mail_to_others_is_none() {
        let mail = learned(&[
            b"EHLO mail.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n",
            b"RCPT TO:<a@b.example>\r\nDATA\r\n",
            b"Subject: lunch\r\n\r\nShall we?\r\n.\r\n",
            b"MAIL FROM:<a@b.example>\r\nRCPT TO:<x@d.example>\r\nDATA\r\n",
        ]);
        assert_eq!((mail.messages, mail.recipients, mail.to_self), (2, 3, 0));
        assert_eq!((mail.short_hellos, mail.report_words, mail.report_subject), (0, 0, false));
    }

    #[test]
    fn the_account_counts_as_the_sender() {
        let mail = learned(&[
            b"AUTH PLAIN AGFAYi5leGFtcGxlAHNlY3JldA==\r\n",
            b"MAIL FROM:<>\r\n",
            b"RCPT TO:<a@b.example>\r\n",
            b"DATA\r\n",
            b"Content-Disposition: attachment;\r\n filename=\"x.zip\"\r\n",
        ]);
        assert_eq!((mail.to_self, mail.attachment), (1, Some(FileName::Archive)));
    }
}
