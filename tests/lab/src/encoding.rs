//! How bytes become labels of a name: digits, or the two alphabets that carry more.

use super::random::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Hex,
    Base32,
    /// With `-` and `_`, as in RFC 4648 section 5.
    Base64,
}

impl Encoding {
    pub(super) fn draw(random: &mut Random) -> Self {
        *random.pick(&[Self::Hex, Self::Base32, Self::Base64])
    }

    fn alphabet(self) -> &'static [u8] {
        match self {
            Self::Hex => b"0123456789abcdef",
            Self::Base32 => b"abcdefghijklmnopqrstuvwxyz234567",
            Self::Base64 => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
        }
    }

    fn bits(self) -> u32 {
        self.alphabet().len().ilog2()
    }

    /// Whole bytes that a label of this length carries.
    pub(super) fn bytes_in(self, label_length: usize) -> usize {
        label_length * self.bits() as usize / 8
    }

    pub(super) fn encode(self, bytes: &[u8]) -> String {
        let (mut text, mut held, mut bits) = (String::new(), 0_u32, 0);
        for byte in bytes {
            held = (held << 8) | u32::from(*byte);
            bits += 8;
            while bits >= self.bits() {
                bits -= self.bits();
                text.push(self.character(held >> bits));
                held &= (1 << bits) - 1;
            }
        }
        if bits > 0 {
            text.push(self.character(held << (self.bits() - bits)));
        }
        text
    }

    fn character(self, value: u32) -> char {
        char::from(self.alphabet()[value as usize % self.alphabet().len()])
    }

    /// None where a character is not of the alphabet.
    pub(super) fn decode(self, text: &str) -> Option<Vec<u8>> {
        let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
        for character in text.bytes() {
            let value = self.alphabet().iter().position(|known| *known == character)?;
            held = (held << self.bits()) | value as u32;
            bits += self.bits();
            if bits >= 8 {
                bits -= 8;
                bytes.push((held >> bits) as u8);
                held &= (1 << bits) - 1;
            }
        }
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(encoding: Encoding, bytes: &[u8], text: &str) {
        assert_eq!(encoding.encode(bytes), text, "{encoding:?}");
        assert_eq!(encoding.decode(text).as_deref(), Some(bytes), "{encoding:?} {text}");
        assert!(encoding.bytes_in(text.len()) >= bytes.len(), "{encoding:?} {text}");
    }

    #[test]
    fn there_and_back() {
        check(Encoding::Hex, b"", "");
        check(Encoding::Hex, b"\x00\xff", "00ff");
        check(Encoding::Base32, b"foobar", "mzxw6ytboi");
        check(Encoding::Base32, b"f", "my");
        check(Encoding::Base64, b"foob", "Zm9vYg");
        check(Encoding::Base64, b"\xfb\xff", "-_8");
        assert_eq!(Encoding::Base32.decode("1"), None);
    }
}
