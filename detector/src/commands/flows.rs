//! `detector flows`: what sessions carried, minute by minute.

use std::io;

use super::database::open;
use super::listing::{Column, Listing, json};
use crate::cli::LiveFormat;
use crate::cli::store::Flows;
use crate::config::Config;
use crate::store::traffic::{self, SessionFilter};
use crate::units;
use crate::values;

pub fn run(args: &Flows, config: &Config) -> anyhow::Result<()> {
    let limit = values::limit(Some(&args.page.limit))?;
    let filter = SessionFilter {
        address: values::network("address", args.address.as_deref())?,
        port: values::number("port", args.port.as_deref())?,
        name: args.name.clone(),
        ..SessionFilter::default()
    };
    let rows = open(&args.database, config)?
        .read(|connection| traffic::sessions(connection, &filter, None, limit))?;
    let mut output = io::stdout().lock();
    if args.page.format == LiveFormat::Json {
        json(&mut output, &rows)?;
        return Ok(());
    }
    let mut listing = Listing::new([
        Column::Left("START"),
        Column::Left("FROM"),
        Column::Left("TO"),
        Column::Left("PROTOCOL"),
        Column::Right("OUT"),
        Column::Right("IN"),
        Column::Right("SCORE"),
        Column::Left("NAME"),
    ]);
    for row in rows {
        listing.row([
            row.start,
            row.src,
            row.dst,
            format!("{} {}", row.protocol, row.dst_port),
            units::bytes(row.bytes_out),
            units::bytes(row.bytes_in),
            format!("{:.2}", row.score),
            row.name.unwrap_or_default(),
        ]);
    }
    listing.write(&mut output)?;
    Ok(())
}
