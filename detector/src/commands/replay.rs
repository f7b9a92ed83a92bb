//! `detector replay`: an alert's score, computed again.

use std::io::{self, Write as _};

use anyhow::bail;

use super::database::open;
use crate::builtin_models::replay_alert;
use crate::cli::LiveFormat;
use crate::cli::store::Replay;
use crate::config::Config;

pub fn run(args: &Replay, config: &Config) -> anyhow::Result<()> {
    let id = args.id.parse().map_err(anyhow::Error::msg)?;
    let replayed = open(&args.database, config)?.read(|connection| replay_alert(connection, id))?;
    let mut output = io::stdout().lock();
    match args.format {
        LiveFormat::Json => super::listing::json(&mut output, [&replayed])?,
        LiveFormat::Table => writeln!(output, "{}", replayed.text)?,
    }
    if !replayed.identical {
        bail!("the score of alert {} differs from the stored one", args.id);
    }
    Ok(())
}
