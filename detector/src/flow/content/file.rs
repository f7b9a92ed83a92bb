//! What a file is, by its name and by its first bytes.

use super::entropy::ByteProfile;
use super::words::{REPORT_WORDS, Words};

/// What kind of file a name promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileName {
    /// Named like a stealer's loot: see [`is_loot`].
    Loot,
    Archive,
    /// Office documents, tables, databases, mailboxes, keys.
    Document,
    Image,
    /// What a web site is made of: people publish it this way.
    Page,
    #[default]
    Other,
}

impl FileName {
    /// In words, with an article.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Loot => "a file with a name of stolen credentials",
            Self::Archive => "an archive",
            Self::Document => "a document",
            Self::Image => "an image",
            Self::Page => "a part of a web site",
            Self::Other => "a file",
        }
    }

    /// By a path as it was sent, with `/` or `\` between folders.
    #[must_use]
    pub fn of(path: &[u8]) -> Self {
        let name = path.rsplit(|byte| matches!(byte, b'/' | b'\\')).next().unwrap_or(path);
        let name = name.trim_ascii().to_ascii_lowercase();
        if is_loot(&name) {
            return Self::Loot;
        }
        match name.rsplit(|byte| *byte == b'.').next().unwrap_or_default() {
            b"zip" | b"rar" | b"7z" | b"gz" | b"tgz" | b"bz2" | b"xz" | b"tar" | b"cab"
            | b"zst" => Self::Archive,
            b"doc" | b"docx" | b"xls" | b"xlsx" | b"ppt" | b"pptx" | b"pdf" | b"csv" | b"sql"
            | b"db" | b"sqlite" | b"mdb" | b"accdb" | b"bak" | b"pst" | b"ost" | b"kdbx"
            | b"pem" | b"key" | b"pfx" | b"ovpn" => Self::Document,
            b"jpg" | b"jpeg" | b"png" | b"bmp" | b"gif" => Self::Image,
            b"html" | b"htm" | b"css" | b"js" | b"mjs" | b"svg" | b"ico" | b"webp" | b"woff"
            | b"woff2" | b"map" | b"php" | b"xml" => Self::Page,
            _ => Self::Other,
        }
    }
}

/// Agent Tesla's `PW_user-HOST_date.html` and its siblings for keys, screens and cookies, and names
/// that say it (MITRE ATT&CK S0331, S1240).
fn is_loot(name: &[u8]) -> bool {
    let coded = [&b"pw_"[..], b"kl_", b"sc_", b"co_"];
    let spoken: [&[u8]; 8] = [
        b"passwords",
        b"keylog",
        b"screenshot",
        b"cookies",
        b"credential",
        b"stealer",
        b"autofill",
        b"wallet",
    ];
    (coded.iter().any(|start| name.starts_with(start)) && name.contains(&b'-'))
        || spoken.iter().any(|word| super::words::contains(name, word))
}

/// What the first bytes of a body are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    Archive,
    Image,
    /// A text with several words of [`super::words`].
    Report,
    /// As random as encrypted bytes.
    Encrypted,
    /// The fields of a form: a name and an equals sign first.
    Fields,
    Text,
    Other,
}

/// Bytes from which on randomness can be distinguished from text and base64, and the entropy that
/// neither reaches: base64 has at most 6 bits a byte.
const RANDOM_MIN_BYTES: usize = 128;
const RANDOM_MIN_BITS: f64 = 6.2;

impl Body {
    /// Of the first bytes of a body; of a multipart one (RFC 2046 section 5.1), of its most
    /// conclusive part.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        if bytes.starts_with(b"--") {
            let parts = parts(bytes).map(Self::of_part);
            return parts.min_by_key(|part| *part as u8).unwrap_or(Self::Text);
        }
        Self::of_part(bytes)
    }

    fn of_part(bytes: &[u8]) -> Self {
        if is_archive(bytes) {
            return Self::Archive;
        }
        if bytes.starts_with(b"\xff\xd8\xff") || bytes.starts_with(b"\x89PNG\r\n") {
            return Self::Image;
        }
        let profile = ByteProfile::of(bytes);
        if profile.printable_share > 0.9 {
            let report = Words::of(bytes).count() >= REPORT_WORDS;
            return match is_fields(bytes) {
                _ if report => Self::Report,
                true => Self::Fields,
                false => Self::Text,
            };
        }
        let random = bytes.len() >= RANDOM_MIN_BYTES && profile.entropy >= RANDOM_MIN_BITS;
        if random { Self::Encrypted } else { Self::Other }
    }
}

/// Bytes within which the name of a form's first field has ended.
const FIELD_NAME_MAX_BYTES: usize = 64;

/// Whether a text starts as a form's fields do (HTML, application/x-www-form-urlencoded).
fn is_fields(bytes: &[u8]) -> bool {
    let start = bytes.get(..FIELD_NAME_MAX_BYTES).unwrap_or(bytes);
    let name = start.split(|byte| *byte == b'=').next().unwrap_or_default();
    let encoded = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.*+%[]$".contains(byte);
    !name.is_empty() && name.len() < start.len() && name.iter().all(encoded)
}

/// The contents of the parts: what follows each empty line.
fn parts(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let starts = bytes.windows(4).enumerate().filter(|(_, window)| window == b"\r\n\r\n");
    starts.map(|(at, _)| bytes.get(at + 4..).unwrap_or_default())
}

/// The magic numbers of ZIP, RAR, 7-Zip, gzip, bzip2, xz, CAB and zstd files.
fn is_archive(bytes: &[u8]) -> bool {
    let magics: [&[u8]; 8] = [
        b"PK\x03\x04",
        b"Rar!\x1a\x07",
        b"7z\xbc\xaf\x27\x1c",
        b"\x1f\x8b\x08",
        b"BZh",
        b"\xfd7zXZ\0",
        b"MSCF",
        b"\x28\xb5\x2f\xfd",
    ];
    magics.iter().any(|magic| bytes.starts_with(magic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_a_file_is() {
        let check = |path: &str, expected| {
            assert_eq!(FileName::of(path.as_bytes()), expected, "{path}");
        };
        check("PW_ada-DESKTOP-1_2024_01_02.html", FileName::Loot);
        check("/in/Passwords.txt", FileName::Loot);
        check("store4829-03222010.csv", FileName::Document);
        check("C:\\loot\\a.ZIP ", FileName::Archive);
        check("cam/20240101.jpg", FileName::Image);
        check("/pm/A2013.1245+0400_EMS-SHORTPERIOD.mrf", FileName::Other);
        check("", FileName::Other);
    }

    #[test]
    fn first_bytes_tell_what_a_body_is() {
        let mut seed = 1_u32;
        let random: Vec<u8> = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        })
        .take(400)
        .collect();
        let check = |bytes: &[u8], expected| assert_eq!(Body::of(bytes), expected, "{bytes:?}");
        check(b"PK\x03\x04\x14\x00", Body::Archive);
        check(b"\xff\xd8\xff\xe0", Body::Image);
        check(b"{\"a\": 1}", Body::Text);
        check(b"user=ada&token=1", Body::Fields);
        check(b"root:x:0:0:root:/root:/bin/bash", Body::Text);
        check(b"Computer Name: x, CPU: y, HWID: z, password: 1", Body::Report);
        check(&random, Body::Encrypted);
        check(&random[..20], Body::Other);
        check(b"", Body::Other);
        let zip = b"--b\r\nContent-Disposition: form-data; name=\"id\"\r\n\r\n7\r\n--b\r\n\
            Content-Disposition: form-data; name=\"f\"\r\n\r\nPK\x03\x04";
        check(zip, Body::Archive);
        for end in 0..zip.len() {
            let _any = Body::of(&zip[..end]);
        }
    }
}
