//! `detector alerts`: found, read, marked and exported, from the database.

use std::io::{self, BufWriter, Write};

use anyhow::{Context as _, bail};

use super::audited::{record, who, write_down};
use super::control::ask;
use super::database::open;
use super::listing::{Column, Listing, ago, json};
use crate::alerts::expected::{Scope, exception, lasts_secs};
use crate::alerts::export::{write_csv, write_lines};
use crate::alerts::search::AlertQuery;
use crate::alerts::{Resolution, Status, StoredAlert, facts};
use crate::audit::{Action, Record};
use crate::cli::control::Reach;
use crate::cli::store::{
    Alerts, AlertsCommand, AlertsExpect, AlertsMark, ExpectedScope, Page, Wanted,
};
use crate::cli::{Format, LiveFormat};
use crate::clock;
use crate::config::Config;
use crate::control::{Answer, Request};
use crate::store::Store;
use crate::store::alerts::{self, Detail, Found};
use crate::text::clean;
use crate::units;
use crate::verdict::AlertId;
use crate::verdict::allow::Entry;

pub fn run(args: Alerts, config: &Config) -> anyhow::Result<()> {
    let store = open(&args.database, config)?;
    match args.command {
        AlertsCommand::List(list) => found(&store, list.wanted, Vec::new(), &list.page),
        AlertsCommand::Search(search) => found(&store, search.wanted, search.words, &search.page),
        AlertsCommand::Show(show) => {
            let detail = find(&store, &show.id)?;
            let mut output = BufWriter::new(io::stdout().lock());
            match show.format {
                LiveFormat::Json => json(&mut output, [&detail])?,
                LiveFormat::Table => shown(&mut output, &detail)?,
            }
            Ok(output.flush()?)
        }
        AlertsCommand::Ack(marked) => mark(&store, config, &marked, Status::Acknowledged),
        AlertsCommand::Close(marked) => mark(&store, config, &marked, Status::Closed),
        AlertsCommand::Expect(expected) => expect(&store, config, expected),
        AlertsCommand::Confirm(marked) => {
            let resolved = resolve(&store, config, &marked, Resolution::Confirmed)?;
            let what = units::counted(resolved, "alert");
            writeln!(io::stdout().lock(), "{what} confirmed; kept for training")?;
            Ok(())
        }
        AlertsCommand::Export(export) => {
            let filter = query(export.wanted, Vec::new(), None).filter()?;
            let mut output = BufWriter::new(io::stdout().lock());
            let mut is_first = true;
            alerts::search_all(&store, &filter, |rows| {
                let is_first = std::mem::take(&mut is_first);
                match export.format {
                    Format::Csv => write_csv(&mut output, rows, is_first),
                    Format::Json => write_lines(&mut output, rows),
                    Format::Table => Ok(listed(&mut output, rows)?),
                }
            })?;
            Ok(output.flush()?)
        }
    }
}

fn query(wanted: Wanted, words: Vec<String>, limit: Option<&str>) -> AlertQuery {
    let Wanted { address, src, dst, port, protocol, technique, severity, status, name, from, to } =
        wanted;
    AlertQuery {
        address,
        src,
        dst,
        port,
        protocol,
        technique,
        severity,
        status,
        name,
        from,
        to,
        q: (!words.is_empty()).then(|| words.join(" ")),
        limit: limit.map(str::to_owned),
        ..AlertQuery::default()
    }
}

fn found(store: &Store, wanted: Wanted, words: Vec<String>, page: &Page) -> anyhow::Result<()> {
    let query = query(wanted, words, Some(&page.limit));
    let (filter, limit) = (query.filter()?, query.limit()?);
    let found = store.read(|connection| alerts::search(connection, &filter, None, limit))?;
    let mut output = BufWriter::new(io::stdout().lock());
    if page.format == LiveFormat::Json {
        json(&mut output, &found.rows)?;
        return Ok(output.flush()?);
    }
    let Found { rows, total, total_exact, .. } = found;
    if rows.is_empty() {
        writeln!(output, "no alerts")?;
        return Ok(output.flush()?);
    }
    listed(&mut output, &rows)?;
    if rows.len() < total {
        let more = if total_exact { "" } else { "at least " };
        writeln!(output, "\n{} of {more}{total} alerts: use --limit to show more", rows.len())?;
    }
    Ok(output.flush()?)
}

fn listed(output: &mut impl Write, rows: &[StoredAlert]) -> io::Result<()> {
    let now_ns = clock::now_ns();
    let mut listing = Listing::new([
        Column::Left("ID"),
        Column::Left("SEVERITY"),
        Column::Left("STATUS"),
        Column::Left("WHEN"),
        Column::Right("SCORE"),
        Column::Left("ACTION"),
        Column::Left("ALERT"),
    ]);
    for row in rows {
        listing.row([
            row.alert.id.to_string(),
            row.alert.severity.name().to_owned(),
            row.status.name().to_owned(),
            ago(&row.alert.time.to_string(), now_ns),
            format!("{:.2}", row.alert.score),
            row.alert.action.name().to_owned(),
            row.headline.clone(),
        ]);
    }
    listing.write(output)
}

fn find(store: &Store, id: &str) -> anyhow::Result<Detail> {
    let public: AlertId = id.parse().map_err(anyhow::Error::msg)?;
    let detail = store.read(|connection| alerts::detail(connection, public))?;
    Ok(detail.ok_or_else(|| alerts::unknown(id))?)
}

fn shown(output: &mut impl Write, detail: &Detail) -> io::Result<()> {
    let Detail { stored, .. } = detail;
    let alert = &stored.alert;
    writeln!(output, "{}", clean(&stored.headline))?;
    writeln!(output)?;
    let more = [
        ("Status", stored.status.name().to_owned()),
        ("Origin", stored.origin.name().to_owned()),
        ("Model", format!("{} {}", alert.model, detail.model_hash)),
        ("Configuration", detail.config_hash.clone()),
    ];
    for (name, text) in facts::all(alert).chain(more) {
        writeln!(output, "{name:<15}{}", clean(&text))?;
    }
    writeln!(output, "\nwhy")?;
    for reason in &alert.reasons {
        writeln!(output, "  {:>7}  {}", reason.weight(), clean(&reason.text))?;
    }
    writeln!(output, "\ntimeline")?;
    for point in &detail.timeline {
        let sent = units::bytes(point.bytes_out);
        writeln!(
            output,
            "  {}  {:<13}{sent:>9} sent, score {:.2}",
            point.time, point.what, point.score
        )?;
    }
    for note in &detail.notes {
        writeln!(output, "\n{} · {}\n  {}", note.time, clean(&note.who), clean(&note.text))?;
    }
    Ok(())
}

/// The exception comes first: without it the alert stays open.
fn expect(store: &Store, config: &Config, expected: AlertsExpect) -> anyhow::Result<()> {
    let AlertsExpect { id, scope, ttl, note, label_only, socket } = expected;
    let detail = find(store, &id)?;
    let scope = match scope {
        ExpectedScope::Pair => Scope::Pair,
        ExpectedScope::Service => Scope::Service,
        ExpectedScope::Destination => Scope::Destination,
        ExpectedScope::Name => Scope::Name,
    };
    let entry = exception(&detail.stored.alert, scope)?;
    let ttl_secs = Some(lasts_secs(Some(ttl))?);
    let made = if label_only {
        "no exception".to_owned()
    } else {
        let Entry { source, destination, name, port, reason, .. } = entry;
        let confirm_within_secs = None;
        let request = Request::AllowAdd {
            source,
            destination,
            name,
            port,
            reason,
            ttl_secs,
            confirm_within_secs,
        };
        let answer = ask(&Reach { socket, config: None }, config, &request)
            .context("failed to make the exception; --label-only makes none")?;
        let Answer::Allowed { entry, .. } = answer else { bail!("the agent answered otherwise") };
        format!("exception {}", entry.id)
    };
    let marked = AlertsMark { ids: vec![id], note };
    let resolved = resolve(store, config, &marked, Resolution::Benign)?;
    let what = units::counted(resolved, "alert");
    writeln!(io::stdout().lock(), "{what} benign; {made}; kept for training")?;
    Ok(())
}

/// Says what alerts were, and closes them. Returns how many.
fn resolve(
    store: &Store,
    config: &Config,
    marked: &AlertsMark,
    resolution: Resolution,
) -> anyhow::Result<u64> {
    let ids = ids(marked)?;
    let (who, note, labelled) = (who(), marked.note.clone(), ids.clone());
    store.write(move |connection| {
        let now_ns = clock::now_ns();
        labelled.iter().try_for_each(|id| {
            let key = alerts::key_of(connection, *id)?;
            let key = key.ok_or_else(|| alerts::unknown(&id.to_string()))?;
            if let Some(note) = &note {
                alerts::add_note(connection, key, &who, note, now_ns)?;
            }
            alerts::resolve(connection, key, resolution, &who, now_ns)
        })
    })?;
    let records = ids.iter().map(|id| Record {
        alert: Some(id.to_string()),
        ..record(Action::Alert, format!("closed, {}", resolution.name()))
    });
    write_down(config, records);
    Ok(ids.len() as u64)
}

fn ids(marked: &AlertsMark) -> anyhow::Result<Vec<AlertId>> {
    let ids = marked.ids.iter().map(|id| id.parse());
    ids.collect::<Result<_, _>>().map_err(anyhow::Error::msg)
}

fn mark(store: &Store, config: &Config, marked: &AlertsMark, status: Status) -> anyhow::Result<()> {
    let ids = ids(marked)?;
    let (who, note) = (who(), marked.note.clone());
    let changed = store.write(move |connection| {
        alerts::mark_all(connection, &ids, status, note.as_deref(), &who, clock::now_ns())
    })?;
    writeln!(
        io::stdout().lock(),
        "{} {}",
        units::counted(changed.len() as u64, "alert"),
        status.name()
    )?;
    let records = changed.into_iter().map(|id| Record {
        alert: Some(id.to_string()),
        ..record(Action::Alert, status.name().to_owned())
    });
    write_down(config, records);
    Ok(())
}
