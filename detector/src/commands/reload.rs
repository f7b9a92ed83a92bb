//! `detector reload`: has the running agent read its configuration, model and allowlist again.
//!
//! Which agent is meant is in a file that may be the very one that is broken: that much is read
//! from it all the same, so that the agent says what is wrong, and notes it.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use super::control::{Output, show, unexpected};
use crate::cli::control::ReloadArgs;
use crate::config::reload::runtime_dir_of_broken;
use crate::config::{Config, DEFAULT_PATH};
use crate::control::{Answer, KeptKey, Reloaded, Request};
use crate::refusal::{Refusal, RefusalKind};

pub fn run(args: &ReloadArgs) -> anyhow::Result<()> {
    let named = args.reach.config.as_deref();
    let config = match Config::load(named) {
        Ok(config) => config,
        Err(error) => {
            let config = meant(named.unwrap_or(Path::new(DEFAULT_PATH)));
            return match show(&args.reach, &config, &Request::Reload {}, args.listed, table) {
                // No agent reads the file: it is what there is to say something about.
                Err(said) if !is_of_agent(&said) => Err(error),
                answered => answered,
            };
        }
    };
    show(&args.reach, &config, &Request::Reload {}, args.listed, table)
}

/// Whether an agent has read the file and says what is wrong.
fn is_of_agent(said: &anyhow::Error) -> bool {
    let refusal = said.downcast_ref::<Refusal>();
    refusal.is_some_and(|refusal| refusal.kind != RefusalKind::Unavailable)
}

/// Where to find the agent of a file that has something wrong with it.
fn meant(path: &Path) -> Config {
    let text = fs::read(path).unwrap_or_default();
    let mut config = Config::default();
    if let Some(runtime_dir) = runtime_dir_of_broken(&String::from_utf8_lossy(&text)) {
        config.runtime_dir = runtime_dir;
    }
    config
}

fn table(output: &mut Output, answer: &Answer, _now_ns: u64) -> io::Result<()> {
    match answer {
        Answer::Reloaded(reloaded) => shown(output, reloaded),
        _ => unexpected(),
    }
}

fn shown(output: &mut impl Write, reloaded: &Reloaded) -> io::Result<()> {
    let Reloaded { file, changed, needs_restart, model } = reloaded;
    if changed.is_empty() && model.is_none() {
        writeln!(output, "reloaded {file}: no key changed that can change at run time")?;
    } else {
        writeln!(output, "reloaded {file}")?;
    }
    for key in changed {
        writeln!(output, "  {key} changed")?;
    }
    if let Some(hash) = model {
        writeln!(output, "  model {hash} now scores live traffic")?;
    }
    for KeptKey { key, kept } in needs_restart {
        writeln!(output, "  {key} needs a restart and stays {kept}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::example::text;

    #[test]
    fn what_changed_and_what_could_not_is_named() {
        let mut reloaded = Reloaded {
            file: "/etc/detector/detector.toml".into(),
            changed: vec!["allow".into(), "block.ttl_secs".into()],
            needs_restart: vec![KeptKey { key: "kernel.max_flows".into(), kept: "1024".into() }],
            model: Some("0123abcd".into()),
        };
        let expected = "\
reloaded /etc/detector/detector.toml
  allow changed
  block.ttl_secs changed
  model 0123abcd now scores live traffic
  kernel.max_flows needs a restart and stays 1024
";
        assert_eq!(text(|output| shown(output, &reloaded)), expected);
        (reloaded.changed, reloaded.model) = (Vec::new(), None);
        let said = text(|output| shown(output, &reloaded));
        assert!(said.contains("no key changed") && said.contains("max_flows needs a restart"));
    }
}
