//! What the commands that talk to the agent share: asking it, and showing what it answers.

use std::io::{self, BufWriter, Write};

use anyhow::Context as _;

use super::listing::json;
use super::{allow, blocks, budgets, explain, mode, reload, status};
use crate::cli::LiveFormat;
use crate::cli::control::{Listed, Reach};
use crate::clock;
use crate::config::Config;
use crate::control::{Answer, Pending, Request, client};
use crate::units;

/// Asks the agent that is meant and shows its answer.
///
/// # Errors
///
/// Those of [`ask`], and an output that cannot be written to.
pub(super) fn show(
    reach: &Reach,
    config: &Config,
    request: &Request,
    listed: Listed,
) -> anyhow::Result<()> {
    present(&ask(reach, config, request)?, listed)
}

/// Shows an answer.
///
/// # Errors
///
/// An output that cannot be written to.
pub(super) fn present(answer: &Answer, listed: Listed) -> anyhow::Result<()> {
    let mut output = BufWriter::new(io::stdout().lock());
    write(&mut output, answer, listed.format, clock::now_ns())
        .and_then(|()| output.flush())
        .context("failed to write the answer")
}

/// # Errors
///
/// No agent, one that must not be asked, and whatever it refuses.
pub(super) fn ask(reach: &Reach, config: &Config, request: &Request) -> anyhow::Result<Answer> {
    let choice = client::choose(reach.socket.as_deref(), &config.runtime_dir)?;
    if let Some(name) = &choice.elsewhere {
        tracing::info!("no detector runs in this network namespace: asking the one of {name}");
    }
    client::ask(&choice.path, request)
}

fn write(
    output: &mut impl Write,
    answer: &Answer,
    format: LiveFormat,
    now_ns: u64,
) -> io::Result<()> {
    match format {
        LiveFormat::Json => lines(output, answer),
        LiveFormat::Table => table(output, answer, now_ns),
    }
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

pub(super) fn table(output: &mut impl Write, answer: &Answer, now_ns: u64) -> io::Result<()> {
    match answer {
        Answer::Blocks { blocks } => blocks::list(output, blocks, now_ns),
        Answer::Placed { block, pending } => blocks::placed(output, block, pending.as_ref()),
        Answer::Removed { blocks, pending } => blocks::removed(output, blocks, pending.as_ref()),
        Answer::Verified { blocks } => blocks::verified(output, blocks),
        Answer::Domains { domains } => blocks::rpz::write(output, domains, now_ns).map(drop),
        Answer::Allow { allow } => allow::list(output, allow),
        Answer::Allowed { .. } | Answer::Disallowed { .. } => allow::changed(output, answer),
        Answer::Mode(state) => mode::shown(output, state, now_ns),
        Answer::Confirmed { confirmed } => mode::confirmed(output, confirmed),
        Answer::Explanation(explanation) => explain::shown(output, explanation, now_ns),
        Answer::Budgets { budgets, more } => budgets::list(output, budgets, *more),
        Answer::Raised { budget } => budgets::raised(output, budget),
        Answer::Status(status) => status::shown(output, status),
        Answer::Reloaded(reloaded) => reload::shown(output, reloaded),
        // Asked for by the API alone, which has a page for each.
        Answer::Sessions { .. }
        | Answer::Baselines { .. }
        | Answer::Interfaces { .. }
        | Answer::Model { .. } => Ok(()),
    }
}

/// That a change is undone by itself, and how to keep it.
pub(super) fn waiting(output: &mut impl Write, pending: Option<&Pending>) -> io::Result<()> {
    let Some(Pending { id, in_secs, .. }) = pending else { return Ok(()) };
    writeln!(
        output,
        "undone in {} unless you confirm it: detector confirm {id}",
        units::seconds(*in_secs as f64)
    )
}

/// The changes that are undone by themselves.
pub(super) fn all_waiting(output: &mut impl Write, pending: &[Pending]) -> io::Result<()> {
    if pending.is_empty() {
        return Ok(());
    }
    writeln!(output, "undone unless you confirm it:")?;
    for Pending { id, what, in_secs } in pending {
        let left = units::seconds(*in_secs as f64);
        writeln!(output, "  {what}, in {left}: detector confirm {id}")?;
    }
    Ok(())
}
