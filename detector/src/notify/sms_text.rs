//! Text of short messages: what fits into one, and how more is cut or split.
//!
//! A message has 160 letters of GSM's own alphabet (3GPP TS 23.038, section 6.2.1), of which some
//! count twice, or 70 UTF-16 units where any letter is not in it.

const GSM_UNITS: usize = 160;
const UTF16_UNITS: usize = 70;

const GSM: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
                   ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// These count twice.
const GSM_EXTENSION: &str = "^{}\\[~]|€";

/// What marks a text that was cut.
const CUT: &str = "...";

/// How letters are counted in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alphabet {
    Gsm,
    Utf16,
}

impl Alphabet {
    fn of(text: &str) -> Self {
        let known = |letter| GSM.contains(letter) || GSM_EXTENSION.contains(letter);
        if text.chars().all(known) { Self::Gsm } else { Self::Utf16 }
    }

    fn limit(self) -> usize {
        match self {
            Self::Gsm => GSM_UNITS,
            Self::Utf16 => UTF16_UNITS,
        }
    }

    fn units_of(self, letter: char) -> usize {
        match self {
            Self::Gsm => 1 + usize::from(GSM_EXTENSION.contains(letter)),
            Self::Utf16 => letter.len_utf16(),
        }
    }

    fn units(self, text: &str) -> usize {
        text.chars().map(|letter| self.units_of(letter)).sum()
    }

    /// As much of the text as has room.
    fn start(self, text: &str, room: usize) -> &str {
        let mut units = 0;
        let end = text.char_indices().find(|(_, letter)| {
            units += self.units_of(*letter);
            units > room
        });
        end.map_or(text, |(at, _)| &text[..at])
    }
}

/// The messages that tell `text` and then `link`, at most `most` of them. What has no room is cut
/// from the text, not from the link.
pub(super) fn parts(text: &str, link: &str, most: usize) -> Vec<String> {
    let text = simplified(text);
    let alphabet = Alphabet::of(&format!("{text}{link}"));
    let whole = join(&text, link);
    if alphabet.units(&whole) <= alphabet.limit() {
        return vec![whole];
    }
    if most <= 1 {
        return vec![cut(alphabet, &text, link, alphabet.limit())];
    }
    // `2/3 ` before each; there are at most ten.
    let room = alphabet.limit() - "10/10 ".len();
    let mut words: Vec<&str> = text.split(' ').collect();
    let mut tail = link.to_owned();
    let mut split = pack(alphabet, &words, &tail, room);
    while split.len() > most && words.pop().is_some() {
        tail = join(CUT, link);
        split = pack(alphabet, &words, &tail, room);
    }
    let count = split.len().min(most);
    let numbered = split.into_iter().take(most).zip(1..);
    numbered.map(|(part, number)| format!("{number}/{count} {part}")).collect()
}

/// One message with as much of the text as the link leaves room for.
fn cut(alphabet: Alphabet, text: &str, link: &str, limit: usize) -> String {
    let link_units = alphabet.units(link) + 1;
    // A link that would leave no text is worth no more than the text.
    let link = if link_units + limit / 4 > limit { "" } else { link };
    let taken = if link.is_empty() { 0 } else { link_units };
    let start = alphabet.start(text, limit - taken - CUT.len());
    join(&format!("{}{CUT}", start.trim_end()), link)
}

/// Words in as few parts of so much room as they need, the tail last and in one piece where it
/// fits.
fn pack(alphabet: Alphabet, words: &[&str], tail: &str, room: usize) -> Vec<String> {
    let mut parts = vec![String::new()];
    for word in words.iter().chain(std::iter::once(&tail)).filter(|word| !word.is_empty()) {
        let mut rest = *word;
        let fits = |part: &String| alphabet.units(&join(part, rest)) <= room;
        if !parts.last().is_some_and(fits) {
            parts.push(String::new());
        }
        while alphabet.units(rest) > room {
            let start = alphabet.start(rest, room);
            parts.push(start.to_owned());
            rest = &rest[start.len()..];
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            *part = join(part, rest);
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

fn join(text: &str, link: &str) -> String {
    let blank = if text.is_empty() || link.is_empty() { "" } else { " " };
    format!("{text}{blank}{link}")
}

/// Without letters that GSM lacks and that mean no more than others do.
fn simplified(text: &str) -> String {
    text.replace(['\u{2018}', '\u{2019}', '`'], "'")
        .replace(['\u{201c}', '\u{201d}'], "\"")
        .replace(['\u{2013}', '\u{2014}'], "-")
        .replace('\u{2026}', CUT)
        .replace('\u{2192}', "->")
        .replace('\u{fffd}', "?")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "https://detector.example/alerts/00000000000000ab";

    fn check(text: &str, most: usize, expected_parts: usize) -> Vec<String> {
        let parts = parts(text, LINK, most);
        assert_eq!(parts.len(), expected_parts, "{parts:?}");
        for part in &parts {
            let alphabet = Alphabet::of(part);
            assert!(alphabet.units(part) <= alphabet.limit(), "{part}");
        }
        assert!(parts.last().unwrap().ends_with(LINK), "{parts:?}");
        parts
    }

    #[test]
    fn what_fits_is_one_message() {
        assert_eq!(check("it leaves", 1, 1), [format!("it leaves {LINK}")]);
        check(&"x".repeat(160 - LINK.len() - 1), 1, 1);
        check("ü", 3, 1);
    }

    #[test]
    fn what_does_not_is_cut_before_the_link() {
        let cut = check(&"x".repeat(400), 1, 1);
        assert_eq!(Alphabet::Gsm.units(&cut[0]), 160);
        assert!(cut[0].contains("x... https"));
        // A letter beyond GSM's alphabet leaves 70 units for all, and each pair counts two.
        let cut = parts(&"😀".repeat(100), "https://a.example/1", 1);
        assert_eq!(cut[0].encode_utf16().count(), 69);
        // Letters that count twice.
        let cut = check(&"€".repeat(160), 1, 1);
        assert!(cut[0].chars().filter(|letter| *letter == '€').count() <= 55, "{cut:?}");
    }

    #[test]
    fn or_split_at_words() {
        let text = "10.0.0.7 sent 48 MB in 40 s to a place it never spoke to, at a rate unlike it, \
                    and some more words that make it longer than one message can be";
        let split = check(text, 3, 2);
        assert!(split[0].starts_with("1/2 10.0.0.7 sent"), "{split:?}");
        let words: Vec<&str> = split.iter().flat_map(|part| part.split(' ').skip(1)).collect();
        assert_eq!(words.join(" "), format!("{text} {LINK}"));
        let cut = check(&text.repeat(5), 3, 3);
        assert!(cut[2].contains(&format!("{CUT} {LINK}")), "{cut:?}");
        check(&"x".repeat(1_000), 10, 7);
    }

    #[test]
    fn the_alphabet_is_gsms() {
        assert_eq!(GSM.chars().count(), 127);
        assert_eq!(Alphabet::of("Grüße @ 5 £ {}"), Alphabet::Gsm);
        assert_eq!(Alphabet::of("ç"), Alphabet::Utf16);
        assert_eq!(parts("a \u{2192} b\u{2026}", "", 1), ["a -> b..."]);
    }
}
