//! Lines and elements of a log, with their numbers; a long one is passed over, not kept.

use std::io::{self, BufRead};

/// A record has a few hundred bytes.
const LONGEST: usize = 1 << 20;

/// A piece of the log with the line that it begins in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) line: u64,
    /// None where it was too long.
    pub(super) text: Option<Vec<u8>>,
}

pub(super) const TOO_LONG: &str = "it is longer than 1 MiB";

/// Every line that is not blank.
#[derive(Debug)]
pub(super) struct Lines<R> {
    input: R,
    line: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, line: 0 }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Piece>> {
        loop {
            let Some(text) = self.read()? else { return Ok(None) };
            self.line += 1;
            let blank = text.as_ref().is_some_and(|text| text.trim_ascii().is_empty());
            if !blank {
                return Ok(Some(Piece { line: self.line, text }));
            }
        }
    }

    /// A line without its end; within it none where it is too long.
    fn read(&mut self) -> io::Result<Option<Option<Vec<u8>>>> {
        let mut text = Some(Vec::new());
        let mut any = false;
        loop {
            let chunk = self.input.fill_buf()?;
            if chunk.is_empty() {
                return Ok(any.then_some(text));
            }
            any = true;
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let taken = &chunk[..end.unwrap_or(chunk.len())];
            if let Some(kept) = &mut text {
                kept.extend_from_slice(taken);
            }
            text = text.filter(|kept| kept.len() <= LONGEST);
            let used = end.map_or(chunk.len(), |end| end + 1);
            self.input.consume(used);
            if end.is_some() {
                return Ok(Some(text));
            }
        }
    }
}

/// The values of a JSON text: those of a list, or one after the other.
#[derive(Debug)]
pub(super) struct Elements<R> {
    input: R,
    line: u64,
    /// Within a list.
    listed: bool,
}

impl<R: BufRead> Elements<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, line: 1, listed: false }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Piece>> {
        while let Some(byte) = self.peek()? {
            match byte {
                b'[' if !self.listed => self.listed = true,
                b']' if self.listed => self.listed = false,
                b',' if self.listed => {}
                byte if byte.is_ascii_whitespace() => {}
                _ => return self.value().map(Some),
            }
            self.step(byte);
        }
        Ok(None)
    }

    /// Whether the last list was closed.
    pub(super) fn is_closed(&self) -> bool {
        !self.listed
    }

    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// As far as brackets and quotes go; whether it is JSON is seen later.
    fn value(&mut self) -> io::Result<Piece> {
        let line = self.line;
        let mut text = Some(Vec::new());
        let (mut depth, mut quoted, mut escaped) = (0_u64, false, false);
        let mut begun = false;
        while let Some(byte) = self.peek()? {
            let ends = matches!(byte, b',' | b']' | b'}') || byte.is_ascii_whitespace();
            // A bracket that nothing opened is a piece of its own, or it would be met again.
            if begun && ends && depth == 0 && !quoted {
                break;
            }
            begun = true;
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b'{' | b'[' if !quoted => depth += 1,
                b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
                _ => {}
            }
            if let Some(kept) = &mut text {
                kept.push(byte);
            }
            text = text.filter(|kept| kept.len() <= LONGEST);
            self.step(byte);
            if depth == 0 && !quoted && matches!(byte, b'}' | b']' | b'"') {
                break;
            }
        }
        Ok(Piece { line, text })
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.input.fill_buf()?.first().copied())
    }

    fn step(&mut self, byte: u8) {
        self.line += u64::from(byte == b'\n');
        self.input.consume(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbered_and_long_ones_passed_over() {
        let long = "x".repeat(LONGEST + 1);
        let text = format!("a\n\n  \r\nb\r\n{long}\nc");
        let mut lines = Lines::new(text.as_bytes());
        let mut seen = Vec::new();
        while let Some(piece) = lines.next().unwrap() {
            seen.push((piece.line, piece.text.map(|text| text.len())));
        }
        assert_eq!(seen, [(1, Some(1)), (4, Some(2)), (5, None), (6, Some(1))]);
    }

    #[test]
    fn elements_end_where_their_brackets_do() {
        let check = |text: &str, expected: &[(u64, &str)], closed: bool| {
            let mut elements = Elements::new(text.as_bytes());
            let mut seen = Vec::new();
            while let Some(piece) = elements.next().unwrap() {
                seen.push((piece.line, String::from_utf8(piece.text.unwrap()).unwrap()));
            }
            let seen: Vec<_> = seen.iter().map(|(line, text)| (*line, text.as_str())).collect();
            assert_eq!((seen.as_slice(), elements.is_closed()), (expected, closed), "{text}");
        };
        check(
            "[{\"a\": [1]},\n {\"b\": \"}]\\\"\"}]",
            &[(1, "{\"a\": [1]}"), (2, "{\"b\": \"}]\\\"\"}")],
            true,
        );
        check("{\n\"a\": 1\n}\n{}", &[(1, "{\n\"a\": 1\n}"), (4, "{}")], true);
        check("[1, \"x\", null, [2]]", &[(1, "1"), (1, "\"x\""), (1, "null"), (1, "[2]")], true);
        check("[{\"a\": ", &[(1, "{\"a\": ")], false);
        check("[]", &[], true);
        check("[{}", &[(1, "{}")], false);
        check("} ] {}", &[(1, "}"), (1, "]"), (1, "{}")], true);
        check("", &[], true);
    }
}
