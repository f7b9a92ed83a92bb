//! What the demo says, plainly; bold only on a terminal.

#![expect(clippy::print_stdout, reason = "the demo prints for people")]

use std::io::{IsTerminal as _, stdout};

const DIM: &str = "2";
const BOLD: &str = "1";

pub(super) fn heading(text: &str) {
    println!("\n{}", painted(BOLD, text));
}

pub(super) fn say(text: &str) {
    println!("{text}");
}

/// A command that is run.
pub(super) fn command(text: &str) {
    println!("{}", painted(BOLD, &format!("  $ {text}")));
}

/// A line that a program has written.
pub(super) fn quote(line: &str) {
    println!("  {} {line}", painted(DIM, "|"));
}

/// `1.2 MB`.
pub(super) fn bytes(count: u64) -> String {
    match count {
        1_000_000.. => format!("{:.1} MB", count as f64 / 1e6),
        1_000.. => format!("{:.1} kB", count as f64 / 1e3),
        _ => format!("{count} B"),
    }
}

fn painted(code: &str, text: &str) -> String {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if stdout().is_terminal() && !refused {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}
