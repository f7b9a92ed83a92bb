//! Lines of a log and elements of a JSON text, with their numbers. What is too long is passed over
//! and not kept: memory does not grow with a line.

use std::io::{self, BufRead, ErrorKind};

/// A record has a few hundred bytes.
const LONGEST: usize = 1 << 20;

pub(super) const TOO_LONG: &str = "it is longer than 1 MiB";

/// What some editors put before UTF-8.
pub(super) const MARK: &[u8] = b"\xef\xbb\xbf";

/// What a log's reader comes upon.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// A line that is not blank, without its end; no text where it is too long.
    Line(u64, Option<&'a [u8]>),
    /// All that has come is read; the next read may wait.
    Drained,
    /// Nothing has come for a while.
    Quiet,
    End,
}

#[derive(Debug)]
pub(super) struct Lines<R> {
    input: R,
    line: u64,
    text: Vec<u8>,
    state: State,
    drained: bool,
}

/// Of the line that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fresh,
    Begun,
    TooLong,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, line: 0, text: Vec::new(), state: State::Fresh, drained: false }
    }

    pub(super) fn next(&mut self) -> io::Result<Next<'_>> {
        loop {
            if std::mem::take(&mut self.drained) {
                return Ok(Next::Drained);
            }
            if self.state == State::Fresh {
                self.text.clear();
            }
            let ended = match self.input.fill_buf() {
                Ok([]) if self.state == State::Fresh => return Ok(Next::End),
                Ok([]) => true,
                Ok(chunk) => {
                    let end = chunk.iter().position(|byte| *byte == b'\n');
                    let taken = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default();
                    if self.state == State::TooLong || self.text.len() + taken.len() > LONGEST {
                        self.state = State::TooLong;
                    } else {
                        self.state = State::Begun;
                        self.text.extend_from_slice(taken);
                    }
                    let used = end.map_or(chunk.len(), |end| end + 1);
                    self.drained = used == chunk.len();
                    self.input.consume(used);
                    end.is_some()
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => false,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Next::Quiet),
                Err(error) => return Err(error),
            };
            if !ended {
                continue;
            }
            self.line += 1;
            let state = std::mem::replace(&mut self.state, State::Fresh);
            if state == State::TooLong {
                self.text = Vec::new();
                return Ok(Next::Line(self.line, None));
            }
            let marked = self.line == 1 && self.text.starts_with(MARK);
            let start = if marked { MARK.len() } else { 0 };
            let is_blank = self.text[start..].trim_ascii().is_empty();
            if !is_blank {
                let text = &self.text[start..];
                let text = text.strip_suffix(b"\r").unwrap_or(text);
                return Ok(Next::Line(self.line, Some(text)));
            }
        }
    }
}

/// A piece of a JSON text with the line that it begins in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) line: u64,
    /// None where it was too long.
    pub(super) text: Option<Vec<u8>>,
}

/// The objects of a JSON text, in a list or one after the other. What is between them is a piece
/// of its own, to the end of its line.
///
/// A broken object costs no other: a line ends every text in quotes, and a brace in the first column
/// begins an object, whatever was open before.
#[derive(Debug)]
pub(super) struct Elements<R> {
    input: R,
    line: u64,
    /// Within a list.
    listed: bool,
    first_column: bool,
}

impl<R: BufRead> Elements<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, line: 1, listed: false, first_column: true }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Piece>> {
        while let Some(byte) = self.peek()? {
            match byte {
                b'[' if !self.listed => self.listed = true,
                b']' if self.listed => self.listed = false,
                b',' if self.listed => {}
                byte if byte.is_ascii_whitespace() => {}
                b'{' => return self.object().map(Some),
                _ => return self.junk().map(Some),
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
    fn object(&mut self) -> io::Result<Piece> {
        let line = self.line;
        let mut text = Some(Vec::new());
        let (mut depth, mut quoted, mut escaped) = (0_u64, false, false);
        while let Some(byte) = self.peek()? {
            let begins_another = byte == b'{' && self.first_column && depth != 0;
            let is_broken = byte == b'\n' && (quoted || text.is_none());
            if begins_another || is_broken {
                break;
            }
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b'{' | b'[' if !quoted => depth += 1,
                b'}' | b']' if !quoted => depth -= 1,
                _ => {}
            }
            self.keep(&mut text, byte);
            if depth == 0 {
                break;
            }
        }
        Ok(Piece { line, text })
    }

    /// To the end of the line, or to where an object begins.
    fn junk(&mut self) -> io::Result<Piece> {
        let line = self.line;
        let mut text = Some(Vec::new());
        while let Some(byte) = self.peek()? {
            if matches!(byte, b'\n' | b'{') || byte == b']' && self.listed {
                break;
            }
            self.keep(&mut text, byte);
        }
        Ok(Piece { line, text })
    }

    fn keep(&mut self, text: &mut Option<Vec<u8>>, byte: u8) {
        match text {
            Some(kept) if kept.len() < LONGEST => kept.push(byte),
            _ => *text = None,
        }
        self.step(byte);
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.input.fill_buf() {
                Ok(chunk) => return Ok(chunk.first().copied()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn step(&mut self, byte: u8) {
        self.line += u64::from(byte == b'\n');
        self.first_column = byte == b'\n';
        self.input.consume(1);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Read};

    use super::*;

    #[test]
    fn lines_are_numbered_and_long_ones_passed_over() {
        let long = "x".repeat(3 * LONGEST);
        let text = format!("a\n\n  \r\nb\r\n{long}\nc");
        let mut lines = Lines::new(BufReader::new(text.as_bytes()));
        let mut seen = Vec::new();
        loop {
            match lines.next().unwrap() {
                Next::Line(line, text) => seen.push((line, text.map(<[u8]>::len))),
                Next::Drained | Next::Quiet => {}
                Next::End => break,
            }
            assert!(lines.text.capacity() <= 2 * LONGEST, "{}", lines.text.capacity());
        }
        assert_eq!(seen, [(1, Some(1)), (4, Some(1)), (5, None), (6, Some(1))]);
    }

    /// Gives one piece a read, and an error where there is none yet.
    struct Pieces(Vec<Option<&'static str>>);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let piece = self.0.remove(0).ok_or(ErrorKind::WouldBlock)?;
            buffer[..piece.len()].copy_from_slice(piece.as_bytes());
            Ok(piece.len())
        }
    }

    #[test]
    fn a_line_is_told_before_the_next_read_waits() {
        let input = Pieces(vec![Some("a\nb\nc"), None, Some("d\n"), None]);
        let mut lines = Lines::new(BufReader::new(input));
        let mut seen = Vec::new();
        loop {
            match lines.next().unwrap() {
                Next::Line(_, text) => seen.push(String::from_utf8(text.unwrap().into()).unwrap()),
                Next::Drained => seen.push("drained".into()),
                Next::Quiet => seen.push("quiet".into()),
                Next::End => break,
            }
        }
        assert_eq!(seen, ["a", "b", "drained", "quiet", "cd", "drained", "quiet"]);
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
        check("[1, \"x\", null, {}]", &[(1, "1, \"x\", null, "), (1, "{}")], true);
        check("[{\"a\": ", &[(1, "{\"a\": ")], false);
        check("[]", &[], true);
        check("[{}", &[(1, "{}")], false);
        check("} ] {}", &[(1, "} ] "), (1, "{}")], true);
        check("", &[], true);
    }

    #[test]
    fn a_broken_element_costs_no_other() {
        let check = |broken: &str, pieces: usize| {
            let text = format!("[\n{{\"a\":1}},\n{broken}\n{{\"a\":2}},\n{{\"a\":3}}\n]");
            let mut elements = Elements::new(text.as_bytes());
            let (mut sound, mut seen) = (Vec::new(), 0);
            while let Some(piece) = elements.next().unwrap() {
                let text = piece.text.unwrap_or_default();
                match serde_json::from_slice::<serde_json::Value>(&text) {
                    Ok(value) => sound.push(value["a"].as_u64().unwrap()),
                    Err(_) => seen += 1,
                }
            }
            assert_eq!(
                (sound, seen, elements.is_closed()),
                (vec![1, 2, 3], pieces, true),
                "{broken}"
            );
        };
        check("{\"a\": \"x},", 1);
        check("{\"a\": ", 1);
        check("{\"a\": {\"b\": [1, 2", 1);
        check("x\", \"a\": 1},", 1);
        check("\"", 1);
        check(&format!("{{\"a\": \"{}\"}},", "x".repeat(3 * LONGEST)), 1);
        check(&format!("{{\"a\": \"{}", "x".repeat(3 * LONGEST)), 1);
    }
}
