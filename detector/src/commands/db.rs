//! `detector db`: a copy of the database, whether it is sound, and making it smaller.

use std::fs;
use std::io::{self, Write as _};

use anyhow::bail;

use super::database::path;
use crate::cli::store::{Db, DbCommand};
use crate::config::Config;
use crate::store::upkeep;
use crate::units;

pub fn run(args: &Db, config: &Config) -> anyhow::Result<()> {
    let path = path(&args.database, config);
    if !path.exists() {
        bail!("there is no database {}: `detector run` creates it", path.display());
    }
    let size = || fs::metadata(&path).map_or(0, |file| file.len());
    let mut output = io::stdout().lock();
    match &args.command {
        DbCommand::Backup { to } => {
            upkeep::backup(&path, to)?;
            writeln!(output, "copied {} to {}", units::bytes(size()), to.display())?;
        }
        DbCommand::Check => {
            let damage = upkeep::check(&path)?;
            for line in &damage {
                writeln!(output, "{line}")?;
            }
            if !damage.is_empty() {
                bail!(
                    "{} is damaged: stop the agent, then move the file away or replace it with a \
                     backup, and start again",
                    path.display()
                );
            }
            writeln!(output, "{} is not damaged", path.display())?;
        }
        DbCommand::Vacuum => {
            let before = size();
            upkeep::vacuum(&path)?;
            writeln!(
                output,
                "the database had {} and now has {}",
                units::bytes(before),
                units::bytes(size())
            )?;
        }
    }
    Ok(())
}
