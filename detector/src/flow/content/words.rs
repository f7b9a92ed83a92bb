//! Words that reports of stolen credentials are made of.
//!
//! What password stealers write about the host they run on, by public analyses: Agent Tesla (User
//! Name, Computer Name, OSFullName, CPU, RAM, Password), Snake and VIP Keylogger (Pc Name, Country,
//! Recovered), HawkEye (Keystrokes, Clipboard), RedLine and Vidar (HWID, Cookies, Autofill,
//! Wallet); MITRE ATT&CK S0331, S0447, S1240. A login form has two of them, a report many.

/// In lower case, each once in whatever spelling.
const WORDS: [&[u8]; 32] = [
    b"password",
    b"username",
    b"user name",
    b"computer name",
    b"pc name",
    b"machine name",
    b"osfullname",
    b"os version",
    b"operating system",
    b"cpu",
    b"ram:",
    b"ram size",
    b"processor",
    b"keylog",
    b"keystroke",
    b"clipboard",
    b"screenshot",
    b"recovered",
    b"recovery",
    b"stealer",
    b"browser",
    b"cookies",
    b"autofill",
    b"credit card",
    b"wallet",
    b"hwid",
    b"ip address",
    b"public ip",
    b"country",
    b"victim",
    b"application:",
    b"url:",
];

/// Words from which on a text is a report. Measured on the labelled captures, ordinary requests and
/// mails have at most two.
pub const REPORT_WORDS: u32 = 4;

/// The words found: a set, so that the parts of one text can be joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Words(u32);

impl Words {
    /// In a text, whatever the case; a word that the end cuts is not found.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        let lower = text.to_ascii_lowercase();
        let found = WORDS.iter().enumerate().filter(|(_, word)| contains(&lower, word));
        Self(found.fold(0, |set, (index, _)| set | 1 << index))
    }

    pub fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    #[must_use]
    pub fn count(self) -> u32 {
        self.0.count_ones()
    }
}

/// Whether `needle` is somewhere in `bytes`.
#[must_use]
pub fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len().max(1)).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_told_from_forms() {
        let check = |text: &str, expected: u32| {
            assert_eq!(Words::of(text.as_bytes()).count(), expected, "{text}");
        };
        check("", 0);
        check("username=ada&password=lovelace", 2);
        check("Computer Name: PC<br>OSFullName: W<br>CPU: i5<br>RAM: 8 GB<hr>Password: x", 5);
        check("PASSWORD Password password", 1);
        check("passwor", 0);
    }

    #[test]
    fn parts_of_a_text_add_up() {
        let mut words = Words::of(b"Computer Name: x");
        words.add(Words::of(b"HWID: 1, computer name"));
        assert_eq!(words.count(), 2);
    }
}
