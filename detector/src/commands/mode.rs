//! `detector mode`: how far the agent's own blocks go, shown and set.

use std::io::{self, Write};

use super::control::{Output, show, unexpected};
use super::listing::ago;
use crate::cli::control::ModeArgs;
use crate::config::Config;
use crate::control::{Answer, ModeState, Request};
use crate::response::Mode;
use crate::units;

pub fn run(args: ModeArgs, config: &Config) -> anyhow::Result<()> {
    let ModeArgs { reach, mode, change } = args;
    let request = match mode {
        Some(mode) => {
            Request::SetMode { mode: mode.into(), confirm_within_secs: change.confirm_within }
        }
        None => Request::Mode {},
    };
    show(&reach, config, &request, change.listed, table)
}

fn table(output: &mut Output, answer: &Answer, now_ns: u64) -> io::Result<()> {
    match answer {
        Answer::Mode(state) => shown(output, state, now_ns),
        _ => unexpected(),
    }
}

fn shown(output: &mut impl Write, state: &ModeState, now_ns: u64) -> io::Result<()> {
    let meaning = match state.mode {
        Mode::Observe => "the agent reports alerts and blocks nothing",
        Mode::Simulate => "the agent counts what it would block and blocks nothing",
        Mode::Block => "the agent blocks flows that exfiltrate data",
    };
    writeln!(output, "mode {}, since {}: {meaning}", state.mode, ago(&state.since, now_ns))?;
    if let Some(pending) = &state.pending {
        writeln!(
            output,
            "the agent returns to {} in {} unless you run: detector confirm {}",
            pending.returns_to,
            units::seconds(pending.in_secs as f64),
            pending.id
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::example::text;
    use crate::control::Reversion;

    #[test]
    fn a_mode_says_what_it_means_and_when_it_ends() {
        let mut state = ModeState {
            mode: Mode::Block,
            since: units::rfc3339(1_800_000_000_000_000_000),
            pending: Some(Reversion { id: 3, returns_to: Mode::Observe, in_secs: 58 }),
        };
        let now_ns = 1_800_000_002_000_000_000;
        let expected = "\
mode block, since 2.0 s ago: the agent blocks flows that exfiltrate data
the agent returns to observe in 58 s unless you run: detector confirm 3
";
        assert_eq!(text(|output| shown(output, &state, now_ns)), expected);
        state.pending = None;
        assert_eq!(text(|output| shown(output, &state, now_ns)).lines().count(), 1);
    }
}
