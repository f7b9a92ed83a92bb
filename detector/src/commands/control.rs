//! What the commands that talk to the agent share: asking it, and showing what it answers.

use std::io::{self, BufWriter, StdoutLock, Write};

use anyhow::Context as _;

use super::listing::json;
use crate::cli::LiveFormat;
use crate::cli::control::{Listed, Reach};
use crate::clock;
use crate::config::Config;
use crate::control::{Answer, Pending, Request, client};
use crate::units;

/// Where answers are written to.
pub(super) type Output = BufWriter<StdoutLock<'static>>;

/// How a command shows its answers to people, at a time in nanoseconds.
pub(super) type Table = fn(&mut Output, &Answer, u64) -> io::Result<()>;

/// Asks the agent that is meant and shows its answer.
pub(super) fn show(
    reach: &Reach,
    config: &Config,
    request: &Request,
    listed: Listed,
    table: Table,
) -> anyhow::Result<()> {
    present(&ask(reach, config, request)?, listed, table)
}

/// Shows an answer.
pub(super) fn present(answer: &Answer, listed: Listed, table: Table) -> anyhow::Result<()> {
    let mut output = BufWriter::new(io::stdout().lock());
    match listed.format {
        LiveFormat::Json => lines(&mut output, answer),
        LiveFormat::Table => table(&mut output, answer, clock::now_ns()),
    }
    .and_then(|()| output.flush())
    .context("failed to write the answer")
}

pub(super) fn ask(reach: &Reach, config: &Config, request: &Request) -> anyhow::Result<Answer> {
    let choice = client::choose(reach.socket.as_deref(), &config.runtime_dir)?;
    if let Some(name) = &choice.elsewhere {
        tracing::info!("no agent runs in this network namespace: asking the one in {name}");
    }
    client::ask(&choice.path, request)
}

/// Lists as one object for each thing, everything else as one object.
fn lines(output: &mut impl Write, answer: &Answer) -> io::Result<()> {
    match answer {
        Answer::Blocks { blocks } => json(output, blocks),
        Answer::Verified { blocks } => json(output, blocks),
        Answer::Domains { domains } => json(output, domains),
        Answer::Allow { allow } => json(output, allow),
        Answer::Budgets { budgets, .. } => json(output, budgets),
        Answer::Confirmed { confirmed } => json(output, confirmed),
        other => json(output, [other]),
    }
}

/// An answer of an agent of another version.
pub(super) fn unexpected() -> io::Result<()> {
    Err(io::Error::other(
        "the agent's answer is of an unknown kind: restart the agent after an upgrade",
    ))
}

/// That a change is undone by itself, and how to keep it.
pub(super) fn waiting(output: &mut impl Write, pending: Option<&Pending>) -> io::Result<()> {
    let Some(Pending { id, in_secs, .. }) = pending else { return Ok(()) };
    writeln!(
        output,
        "the agent undoes this in {} unless you run: detector confirm {id}",
        units::seconds(*in_secs as f64)
    )
}

/// The changes that are undone by themselves.
pub(super) fn all_waiting(output: &mut impl Write, pending: &[Pending]) -> io::Result<()> {
    if pending.is_empty() {
        return Ok(());
    }
    writeln!(output, "changes that wait for confirmation:")?;
    for Pending { id, what, in_secs } in pending {
        let left = units::seconds(*in_secs as f64);
        writeln!(output, "  {what}, in {left}: detector confirm {id}")?;
    }
    Ok(())
}
