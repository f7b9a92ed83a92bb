//! Texts that people read use the field's words. This file has the words that are refused, each with
//! the word to write instead, and the few places where a stored name is one of them.
//!
//! It reads string literals of the programs, help and API texts in doc comments, the documents, the
//! configuration file, the description of the API, and the dashboard without its comments. It does
//! not read tests, nor other comments.

use std::path::Path;

use super::{before_tests, files, literal_or_comment, root, words};

/// Words and phrases in lower case, and what to write instead. A star stands for any ending.
const REFUSED: &[(&str, &str)] = &[
    ("accus*", "flag, or block request"),
    ("anew", "again"),
    ("as much as", "up to, or the figure itself"),
    ("bulletin", "status publisher"),
    ("go on", "continue"),
    ("goes on", "continues"),
    ("habit", "baseline"),
    ("habits", "baseline"),
    ("heads", "payload samples"),
    ("it is none", "it is not, and what it must be"),
    ("judg*", "score, or verdict"),
    ("lookout", "peer scanner"),
    ("none any more", "expired"),
    ("readable on the wire", "unencrypted"),
    ("speaks", "the protocol that is used, or the evidence"),
    ("spoke", "the protocol that was used, or the evidence"),
    ("spoken", "the protocol that was used, or the evidence"),
    ("stand", "be, or be active"),
    ("stands", "is, or is active"),
    ("such as there is", "the number, or what there is"),
    ("surroundings", "protected peers"),
    ("tell", "report, show or notify"),
    ("telling", "reporting, showing or notifying"),
    ("tells", "reports, shows or notifies"),
    ("that is none", "that is not, and what it must be"),
    ("theft", "exfiltration"),
    ("thefts", "exfiltration"),
    ("thief", "suspected sender"),
    ("thieves", "suspected senders"),
    ("told", "reported, alerted or notified"),
];

/// Stored names that are one of these words: a place, the word and the reason.
const STORED: &[(&str, &str, &str)] = &[
    (
        "detector/src/config/refusal.rs",
        "heads",
        "the former name of a section, to name the new one",
    ),
    ("detector/src/store/alerts/detail.rs", "habit", "a column of databases that exist"),
    ("detector/src/store/alerts/detail.rs", "heads", "a column of databases that exist"),
    ("detector/src/store/models.rs", "habit", "a column of databases that exist"),
    ("docs/detection.md", "habit", "an option of `cargo xtask lab`"),
    ("docs/threat-model.md", "heads", "the name of a fuzz target"),
    ("detector/src/store/outbox/mod.rs", "told", "a table of databases that exist"),
    ("detector/src/store/rules.rs", "told", "a table of databases that exist"),
];

/// Where every line is read.
const DOCUMENTS: &[&str] = &[
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/",
    "packaging/",
    "detector/ui/openapi.json",
];
/// Where names are read, too: a page's text is between its tags, and no quote marks it.
const PAGES: &str = "detector/ui/src/";
/// Where string literals are read.
const PROGRAMS: &[&str] = &["detector/src/", "detector/build.rs", "xtask/src/"];
/// Where doc comments become help or the description of the API.
const DESCRIBED: &[&str] = &["detector/src/cli/", "detector/src/api/"];

/// The parts of a file that people read, each with the number of its first line.
fn read_by_people(path: &str, text: &str) -> Vec<(usize, String)> {
    let is_in = |places: &[&str]| places.iter().any(|place| path.starts_with(place));
    if is_in(DOCUMENTS) {
        return vec![(1, text.to_owned())];
    }
    if path.starts_with(PAGES) && (path.ends_with(".ts") || path.ends_with(".tsx")) {
        return vec![(1, without_comments(text))];
    }
    let is_test = path.ends_with("tests.rs") || path.contains("/tests/");
    if !path.ends_with(".rs") || is_test || !is_in(PROGRAMS) {
        return Vec::new();
    }
    let text = before_tests(text);
    let mut parts = literals(text);
    if is_in(DESCRIBED) {
        let lines = text.lines().enumerate();
        let comments = lines.filter(|(_, line)| line.trim_start().starts_with("///"));
        parts.extend(comments.map(|(line, text)| (line + 1, text.to_owned())));
    }
    parts
}

/// String literals, escapes made blanks, each with the number of its first line.
fn literals(text: &str) -> Vec<(usize, String)> {
    let (mut literals, mut rest, mut previous, mut line) = (Vec::new(), text, ' ', 1);
    while let Some(character) = rest.chars().next() {
        let length = literal_or_comment(rest, previous);
        let (part, after) = rest.split_at(length.max(character.len_utf8()));
        if length != 0 && (part.starts_with('"') || part.starts_with('r')) {
            let plain = part.replace("\\\n", "\n").replace("\\n", " ");
            literals.push((line, plain));
        }
        line += part.matches('\n').count();
        previous = if length == 0 { character } else { ' ' };
        rest = after;
    }
    literals
}

/// A page without its comments. One of a line follows a blank, which `//` in an address does not.
fn without_comments(text: &str) -> String {
    let (mut kept, mut rest, mut previous) = (String::new(), text, ' ');
    while let Some(character) = rest.chars().next() {
        let is_comment =
            rest.starts_with("/*") || (rest.starts_with("//") && previous.is_whitespace());
        let length =
            if is_comment { literal_or_comment(rest, previous) } else { character.len_utf8() };
        let (part, after) = rest.split_at(length);
        kept.extend(part.chars().filter(|one| !is_comment || *one == '\n'));
        previous = character;
        rest = after;
    }
    kept
}

/// The refused words of a part, each with its line in the part and as it is in the table.
fn refused(text: &str) -> Vec<(usize, &'static str, &'static str)> {
    let text = text.to_lowercase();
    let words: Vec<(usize, &str)> = words(&text).collect();
    let mut found = Vec::new();
    for (phrase, instead) in REFUSED {
        let wanted: Vec<&str> = phrase.split(' ').collect();
        let is_there = |window: &&[(usize, &str)]| {
            window.iter().zip(&wanted).all(|((_, word), wanted)| match wanted.strip_suffix('*') {
                Some(beginning) => word.starts_with(beginning),
                None => word == wanted,
            })
        };
        found.extend(words.windows(wanted.len()).filter(is_there).map(|window| {
            let line = text[..window[0].0].matches('\n').count();
            (line, *phrase, *instead)
        }));
    }
    found
}

fn complaints(path: &str, text: &str) -> Vec<String> {
    let is_stored =
        |word: &str| STORED.iter().any(|(place, stored, _)| *place == path && *stored == word);
    let parts = read_by_people(path, text).into_iter();
    parts
        .flat_map(|(line, part)| {
            let found = refused(&part).into_iter();
            found.map(move |(below, word, instead)| (line + below, word, instead))
        })
        .filter(|(_, word, _)| !is_stored(word))
        .map(|(line, word, instead)| format!("{path}:{line}: `{word}`: write {instead}"))
        .collect()
}

#[test]
fn texts_use_the_fields_words() {
    let broken = [
        ("README.md", "The agent judges a session."),
        ("docs/a.md", "Alerts are\nTold to people."),
        ("docs/a.md", "The session goes\non."),
        ("detector/ui/openapi.json", "{\"description\": \"The habits of a host\"}"),
        ("detector/ui/src/shell.tsx", "<p>\n  The block\n  stands.\n</p>"),
        ("detector/ui/src/shell.tsx", "<p title=\"told\">https://example.org</p>"),
        ("detector/ui/src/words/names.ts", "const text = `a theft of ${bytes}`;"),
        ("packaging/detector.toml", "# a block stands"),
        ("detector/src/agent/mod.rs", r#"info!("a theft of {bytes}")"#),
        ("detector/src/agent/mod.rs", "info!(\"the session goes \\\n    on\")"),
        ("detector/src/agent/mod.rs", r##"let text = r#"a "habit""#;"##),
        ("xtask/src/demo/mod.rs", r#"println!("\nstands")"#),
        ("detector/src/cli/store.rs", "    /// What the thief sent"),
        ("detector/src/api/mod.rs", "/// Read the file anew"),
    ];
    for (path, text) in broken {
        assert_ne!(complaints(path, text), [""; 0], "not caught in {path}:\n{text}");
    }
    let sound = [
        ("README.md", "The agent scores a session. I understand standard habitats."),
        ("detector/src/agent/mod.rs", "// told\nlet told = \"sent\"; /* judge */"),
        ("detector/src/agent/mod.rs", "/// The habits of a host.\nstruct Host;"),
        ("detector/ui/src/shell.tsx", "// told\n/** It\nstands. */ const a = 1; // told"),
        ("detector/ui/src/styles/base.css", "a::before { content: \"told\" }"),
        ("detector/src/agent/tests.rs", r#"check("told")"#),
        (
            "detector/src/agent/mod.rs",
            "#[cfg(test)]\nmod tests {\n    const A: &str = \"told\";\n}",
        ),
        ("detector/src/store/rules.rs", r#"const SQL: &str = "SELECT time_ns FROM told";"#),
    ];
    for (path, text) in sound {
        assert_eq!(complaints(path, text), [""; 0], "{text}");
    }
    let found: Vec<String> =
        texts().iter().flat_map(|(path, text)| complaints(path, text)).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// An exemption whose name is gone would let the word back in.
#[test]
fn every_stored_name_is_there() {
    for (place, word, _) in STORED {
        let texts = texts();
        let text = texts.iter().find(|(path, _)| path == place).map(|(_, text)| text);
        let parts = text.map(|text| read_by_people(place, text)).unwrap_or_default();
        let mut found = parts.iter().flat_map(|(_, part)| refused(part));
        let is_there = found.any(|(_, found, _)| found == *word);
        assert!(is_there, "{place} has no `{word}`: take it off STORED");
    }
}

fn texts() -> Vec<(String, String)> {
    let root = root();
    let paths = files(&root).into_iter();
    let texts: Vec<(String, String)> = paths
        .filter_map(|path| {
            let text = std::fs::read_to_string(&path).ok()?;
            Some((path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned(), text))
        })
        .collect();
    assert!(texts.iter().any(|(path, _)| Path::new(path) == Path::new("README.md")));
    texts
}
