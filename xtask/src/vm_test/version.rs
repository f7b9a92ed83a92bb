//! Which of two package versions is the newer, by the rules of deb-version(7).

use std::cmp::Ordering;

/// Compares epoch, then the rest. Revisions compare as part of the rest, which is the same for
/// versions that all have one, as kernels' do.
pub(super) fn compare(left: &str, right: &str) -> Ordering {
    let (left_epoch, mut left) = epoch(left);
    let (right_epoch, mut right) = epoch(right);
    let mut order = left_epoch.cmp(&right_epoch);
    while order == Ordering::Equal && !(left.is_empty() && right.is_empty()) {
        let (left_text, right_text);
        (left_text, left) = split(left, |letter| !letter.is_ascii_digit());
        (right_text, right) = split(right, |letter| !letter.is_ascii_digit());
        order = texts(left_text, right_text);
        if order == Ordering::Equal {
            let (left_number, right_number);
            (left_number, left) = split(left, |letter| letter.is_ascii_digit());
            (right_number, right) = split(right, |letter| letter.is_ascii_digit());
            order = number(left_number).cmp(&number(right_number));
        }
    }
    order
}

fn epoch(version: &str) -> (u64, &str) {
    version.split_once(':').map_or((0, version), |(epoch, rest)| (number(epoch), rest))
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|letter| !belongs(letter)).unwrap_or(text.len()))
}

fn number(digits: &str) -> u64 {
    digits.parse().unwrap_or(0)
}

/// A tilde sorts before everything, even the end; letters before all other signs.
fn texts(left: &str, right: &str) -> Ordering {
    let weight = |text: &str, place: usize| match text.as_bytes().get(place) {
        Some(b'~') => -1,
        None => 0,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(*letter),
        Some(sign) => i32::from(*sign) + 256,
    };
    (0..left.len().max(right.len()))
        .map(|place| weight(left, place).cmp(&weight(right, place)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::compare;
    use std::cmp::Ordering;

    #[test]
    fn versions_sort_as_packages_do() {
        for pair in [
            ("5.10.262-1", "5.10.99-1"),
            ("6.12.117-1~deb12u1", "6.12.90-1~deb12u1"),
            ("6.1.192-2", "6.1.192-2~deb11u1"),
            ("6.12.90.1-1~bpo12+1", "6.12.90-1~bpo12+1"),
            ("7.3.4-1~bpo13+1", "7.2.12-1"),
            ("5.15.0-204.214", "5.15.0-99.109"),
            ("1:1.0", "9.0"),
        ] {
            assert_eq!(compare(pair.0, pair.1), Ordering::Greater, "{pair:?}");
            assert_eq!(compare(pair.1, pair.0), Ordering::Less, "{pair:?}");
            assert_eq!(compare(pair.0, pair.0), Ordering::Equal, "{pair:?}");
        }
    }
}
