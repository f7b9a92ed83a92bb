//! `detector confirm`: keeps a change that would otherwise be undone.

use std::io::{self, Write};

use super::control::{Output, show, unexpected};
use crate::cli::control::Confirm;
use crate::config::Config;
use crate::control::{Answer, Pending, Request};

pub fn run(args: &Confirm, config: &Config) -> anyhow::Result<()> {
    show(&args.reach, config, &Request::Confirm { id: args.id }, args.listed, table)
}

fn table(output: &mut Output, answer: &Answer, _now_ns: u64) -> io::Result<()> {
    match answer {
        Answer::Confirmed { confirmed } => kept(output, confirmed),
        _ => unexpected(),
    }
}

fn kept(output: &mut impl Write, confirmed: &[Pending]) -> io::Result<()> {
    if confirmed.is_empty() {
        return writeln!(output, "no change waits for confirmation");
    }
    for Pending { id, what, .. } in confirmed {
        writeln!(output, "confirmed {id}: {what}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::example::text;

    #[test]
    fn what_was_confirmed_is_named() {
        let pending = Pending { id: 3, what: "mode block".into(), in_secs: 10 };
        assert_eq!(text(|output| kept(output, &[pending])), "confirmed 3: mode block\n");
        assert_eq!(text(|output| kept(output, &[])), "no change waits for confirmation\n");
    }
}
