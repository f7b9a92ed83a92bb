//! `detector detach`: takes off whatever an agent that no longer runs left in the kernel.

use std::io::{self, Write};

use anyhow::Context as _;

use super::audited::{record, write_down};
use crate::audit::Action;
use crate::cli::LiveFormat;
use crate::cli::control::Detach;
use crate::config::Config;
use crate::source::kernel::{Detached, detach_all};
use crate::units;

pub fn run(args: &Detach, config: &Config) -> anyhow::Result<()> {
    let detached = detach_all(&config.runtime_dir)?;
    if detached != Detached::default() {
        write_down(config, [record(Action::Detached, sentence(&detached))]);
    }
    let text = match args.listed.format {
        LiveFormat::Table => sentence(&detached),
        LiveFormat::Json => json(&detached),
    };
    writeln!(io::stdout(), "{text}").context("failed to write the result")
}

fn sentence(detached: &Detached) -> String {
    let Detached { links, blocks, filters } = *detached;
    if *detached == Detached::default() {
        return "nothing to remove: no program was attached".to_owned();
    }
    let programs = units::counted(links + filters, "program");
    format!("removed {programs} and {}", units::counted(blocks, "block"))
}

fn json(detached: &Detached) -> String {
    let Detached { links, blocks, filters } = *detached;
    serde_json::json!({ "type": "detached", "links": links, "filters": filters, "blocks": blocks })
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_removed_is_told() {
        let detached = Detached { links: 2, blocks: 1, filters: 1 };
        assert_eq!(sentence(&detached), "removed 3 programs and 1 block");
        assert_eq!(json(&detached), r#"{"blocks":1,"filters":1,"links":2,"type":"detached"}"#);
        assert_eq!(sentence(&Detached::default()), "nothing to remove: no program was attached");
    }
}
