//! `detector db`: a copy of the database, whether it is sound, and making it smaller.

use std::fs;
use std::io::{self, Write as _};

use anyhow::bail;

use super::database::path;
use crate::cli::store::{Db, DbCommand};
use crate::config::Config;
use crate::store::upkeep;
use crate::units;

/// # Errors
///
/// A database that is not there, damaged or in use; a copy that cannot be written.
pub fn run(args: &Db, config: &Config) -> anyhow::Result<()> {
    let path = path(&args.database, config);
    if !path.exists() {
        bail!("there is no database {}: `detector run` makes one", path.display());
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
                    "{} is damaged: stop the detector, put the file aside and start again, or put a \
                     backup in its place",
                    path.display()
                );
            }
            writeln!(output, "{} is sound", path.display())?;
        }
        DbCommand::Vacuum => {
            let before = size();
            upkeep::vacuum(&path)?;
            writeln!(output, "{} before, {} now", units::bytes(before), units::bytes(size()))?;
        }
    }
    Ok(())
}
