//! Labelled captures as rows to learn from: the very vectors that the engine would score, at the
//! very checkpoints. Labelled files of vectors and records stand beside them.

mod files;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::cli::HoldOut;
use crate::config::Config;
use crate::features::{Kind, Sample, vector};
use crate::flow::{FlowRecord, FlowView, Session, SessionCheckpoint, SessionKey, Side, Visitor};
use crate::model::{RowKey, Table};
use crate::network::ip;
use crate::verdict::evidence;

use super::labels::{self, Entry, Labelled, Origin, Truth};
use super::recordings::Recordings;

/// What is counted once: one sender towards one service of one host, in one capture.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub(super) file: String,
    pub(super) origin: Origin,
    pub(super) technique: String,
    pub(super) theft: bool,
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) protocol: u8,
    pub(super) server_port: u16,
    /// IP bytes sent over the whole capture; 0 where a file does not say.
    pub(super) bytes_out: u64,
}

/// Rows with what is known about them.
#[derive(Debug, Default)]
pub(super) struct Dataset {
    /// `sessions` holds positions in `units`.
    pub(super) table: Table,
    /// The technique, or the kind of ordinary traffic, of each row: what is balanced.
    pub(super) strata: Vec<u32>,
    pub(super) units: Vec<Unit>,
    /// How far the theft was at each row; none in files, which do not say.
    pub(super) progress: Vec<Option<Progress>>,
    /// Thefts by technique and origin that the manifests know of.
    pub(super) thefts: Vec<(Origin, String)>,
    /// Captures and files.
    pub(super) sources: usize,
    hold_out: HoldOut,
    strata_names: HashMap<String, u32>,
    group_names: HashMap<String, u32>,
}

/// What had happened when a sender was judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// IP bytes that had left.
    pub(super) bytes_out: u64,
    /// Since the session began.
    pub(super) seconds: f64,
}

impl Dataset {
    /// Runs every capture that the manifests of the directories among `paths` label, and reads the
    /// files among them. All are of one `kind`.
    ///
    /// # Errors
    ///
    /// A manifest, capture or file that cannot be read; `tell` hears of each before it is.
    pub(super) fn collect(
        kind: Kind,
        paths: &[PathBuf],
        config: &Config,
        hold_out: HoldOut,
        mut tell: impl FnMut(usize, usize, &str),
    ) -> anyhow::Result<Self> {
        let recordings = Recordings::new(config);
        let (files, directories): (Vec<&PathBuf>, Vec<_>) =
            paths.iter().partition(|path| path.is_file());
        let mut captures: Vec<Labelled> = Vec::new();
        for directory in directories {
            captures.extend(labels::read(directory)?);
        }
        let columns = kind.columns().into_iter().map(str::to_owned).collect();
        let sources = captures.len() + files.len();
        let mut dataset = Self { table: Table::new(columns), sources, hold_out, ..Self::default() };
        for (number, capture) in captures.iter().enumerate() {
            tell(number, sources, &capture.entry.file);
            dataset.add(capture, &recordings)?;
        }
        for (number, file) in files.into_iter().enumerate() {
            tell(captures.len() + number, sources, &file.display().to_string());
            dataset.add_file(file)?;
        }
        Ok(dataset)
    }

    fn add(&mut self, capture: &Labelled, recordings: &Recordings) -> anyhow::Result<()> {
        let entry = &capture.entry;
        let group = match self.hold_out {
            HoldOut::Family => number(&mut self.group_names, &entry.group()),
            HoldOut::Capture => number(&mut self.group_names, &capture.path.display().to_string()),
        };
        let stratum = number(
            &mut self.strata_names,
            &format!("{} {}", entry.origin().name(), entry.technique),
        );
        let theft = || (entry.origin(), entry.technique.clone());
        self.thefts.extend(std::iter::repeat_with(theft).take(entry.thefts()));
        let mut collector = Collector {
            dataset: self,
            entry,
            group,
            stratum,
            units: HashMap::new(),
            row: Vec::new(),
            failure: None,
        };
        let ran = recordings.run_file(&capture.path, &mut collector);
        if let Some(failure) = collector.failure {
            return Err(failure)
                .with_context(|| format!("failed to learn from {}", capture.path.display()));
        }
        ran.map(drop)
    }
}

fn number(names: &mut HashMap<String, u32>, name: &str) -> u32 {
    let next = names.len() as u32;
    *names.entry(name.to_owned()).or_insert(next)
}

struct Collector<'a> {
    dataset: &'a mut Dataset,
    entry: &'a Entry,
    group: u32,
    stratum: u32,
    units: HashMap<(SessionKey, Side), u64>,
    row: Vec<f32>,
    failure: Option<anyhow::Error>,
}

impl Collector<'_> {
    fn unit(&mut self, session: &Session, sender: Side, theft: bool) -> u64 {
        let units = &mut self.dataset.units;
        let entry = self.entry;
        let number = *self.units.entry((session.key, sender)).or_insert_with(|| {
            let (client, server) = (ip(&session.key.client), ip(&session.key.server));
            let (src, dst) =
                if sender == Side::Client { (client, server) } else { (server, client) };
            units.push(Unit {
                file: entry.file.clone(),
                origin: entry.origin(),
                technique: entry.technique.clone(),
                theft,
                src,
                dst,
                protocol: session.key.protocol,
                server_port: session.key.server_port,
                bytes_out: 0,
            });
            units.len() as u64 - 1
        });
        if let Some(unit) = units.get_mut(number as usize) {
            unit.bytes_out = unit.bytes_out.max(session.sent(sender).ip_bytes);
        }
        number
    }

    fn collect(
        &mut self,
        session: &Session,
        flow: &FlowView,
        sender: Side,
        now_ns: u64,
    ) -> anyhow::Result<()> {
        let label = match self.entry.truth(session, flow, sender) {
            Truth::Theft => true,
            Truth::Ordinary => false,
            Truth::Unknown => return Ok(()),
        };
        let unit = self.unit(session, sender, label);
        vector(&Sample::new(session, sender, now_ns), &mut self.row);
        self.dataset.table.push(&self.row, RowKey { label, group: self.group, session: unit })?;
        self.dataset.strata.push(self.stratum);
        self.dataset.progress.push(Some(Progress {
            bytes_out: session.sent(sender).ip_bytes,
            seconds: now_ns.saturating_sub(session.first_seen_ns) as f64 / 1e9,
        }));
        Ok(())
    }
}

impl Visitor for Collector<'_> {
    fn judge(
        &mut self,
        session: &Session,
        flow: &FlowView,
        _cause: SessionCheckpoint,
        now_ns: u64,
    ) {
        for sender in evidence::judged(session) {
            if let Err(failure) = self.collect(session, flow, sender, now_ns) {
                self.failure.get_or_insert(failure);
            }
        }
    }

    fn flow_record(&mut self, _record: &FlowRecord) {}
}
