//! `detector synth`: labelled records of nothing that ever happened, to try the record model on.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::cli::Synth;
use crate::features::RECORD_FIELDS;
use crate::model::synth::{Profile, records};

use crate::analysis::vectors::LABEL;

pub fn run(args: &Synth) -> Result<()> {
    let profile = Profile::named(&args.profile)?;
    let failed = || format!("failed to write records to {}", args.out.display());
    write(&args.out, profile, args.rows, args.seed).with_context(failed)
}

fn write(path: &Path, profile: Profile, rows: u64, seed: u64) -> Result<()> {
    // Before the file: what cannot be made leaves none.
    let records = records(profile, rows, seed)?;
    let mut file = csv::Writer::from_path(path)?;
    file.write_record(RECORD_FIELDS.iter().chain([&LABEL]))?;
    for (record, theft) in records {
        let label = if theft { "1" } else { "0" };
        file.write_record(record.fields().iter().map(String::as_str).chain([label]))?;
    }
    file.flush()?;
    Ok(())
}
