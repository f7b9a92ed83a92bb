//! Labelled captures as rows to learn from: the very vectors that would be scored, at the
//! very checkpoints. Labelled files of vectors and records are beside them.

mod files;
mod left_out;

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::cli::HoldOut;
use crate::config::Config;
use crate::features::Kind;
use crate::flow::content::distinct::hash;
use crate::flow::{FlowView, Session, SessionKey, Side};
use crate::model::{RowKey, Table};
use crate::pipeline::{Label, Labelled, LabelledRow};

use left_out::LeftOut;

use super::labels::{self, Capture, Entry, Origin, Truth};
use crate::analysis::recordings::Recordings;
use crate::network::Address;

/// What is counted once: one sender towards one service of one host, in one capture. The domains
/// that a client asks a resolver for are one unit: it is found when any of them is.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub(super) file: String,
    pub(super) origin: Origin,
    pub(super) technique: String,
    pub(super) theft: bool,
    pub(super) src: Address,
    pub(super) dst: Address,
    pub(super) protocol: u8,
    pub(super) server_port: u16,
    /// IP bytes and packets sent by the largest session of the capture; 0 where a file does not
    /// say.
    pub(super) bytes_out: u64,
    pub(super) packets_out: u64,
    /// The capture is a time of ordinary use of known length.
    pub(super) in_host_hours: bool,
}

/// Rows with what is known about them.
#[derive(Debug, Default)]
pub(super) struct Dataset {
    /// `sessions` holds positions in `units`.
    pub(super) table: Table,
    /// The technique, or the kind of ordinary traffic, of each row: what is balanced.
    pub(super) strata: Vec<u32>,
    pub(super) units: Vec<Unit>,
    /// How far the exfiltration was at each row; none in files, which do not say.
    pub(super) progress: Vec<Option<Progress>>,
    /// Exfiltrations by technique and origin that the manifests know of.
    pub(super) thefts: Vec<(Origin, String)>,
    /// Captures and files.
    pub(super) sources: usize,
    /// Of the captures of ordinary use.
    pub(super) host_hours: f64,
    /// Of each row: the doubt that the rules leave, and whether it is a baseline of the host.
    pub(super) rules: Vec<f64>,
    pub(super) baseline: Vec<bool>,
    /// The tracker's number of the session of each row; one alert is raised for each.
    pub(super) alerts: Vec<u64>,
    /// What the data has and the table has not.
    pub(super) left_out: LeftOut,
    hold_out: HoldOut,
    context_use: ContextUse,
    strata_names: HashMap<String, u32>,
    group_names: HashMap<String, u32>,
}

/// What the vectors know of a host's history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ContextUse {
    /// All that the captures tell.
    #[default]
    Known,
    /// Of every other sender nothing, as where the program has just been installed: a model must
    /// not lean on it.
    Masked,
    /// Nothing.
    Without,
}

impl ContextUse {
    /// Whether the rows of a unit tell what its host usually does.
    fn is_for(self, unit: u64) -> bool {
        match self {
            Self::Known => true,
            Self::Masked => !hash(unit.to_le_bytes()).is_multiple_of(2),
            Self::Without => false,
        }
    }
}

/// What had happened when a sender was scored.
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
    pub(super) fn collect(
        kind: Kind,
        paths: &[PathBuf],
        config: &Config,
        hold_out: HoldOut,
        context_use: ContextUse,
        without: &[String],
        mut tell: impl FnMut(usize, usize, &str),
    ) -> anyhow::Result<Self> {
        let recordings = Recordings::new(config);
        let (files, directories): (Vec<&PathBuf>, Vec<_>) =
            paths.iter().partition(|path| path.is_file());
        let mut captures: Vec<Capture> = Vec::new();
        let mut left_out = LeftOut::default();
        for directory in directories {
            let (listed, excluded) = labels::read(directory)?;
            captures.extend(listed);
            left_out.captures += excluded;
        }
        captures
            .retain(|capture| !without.iter().any(|kind| capture.entry.technique.contains(kind)));
        let columns = kind.columns().into_iter().map(str::to_owned).collect();
        let sources = captures.len() + files.len();
        let mut dataset = Self {
            table: Table::new(columns),
            sources,
            hold_out,
            left_out,
            context_use,
            ..Self::default()
        };
        for (number, capture) in captures.iter().enumerate() {
            tell(number, sources, &capture.entry.file);
            dataset.add(capture, &recordings)?;
        }
        for (number, file) in files.into_iter().enumerate() {
            tell(captures.len() + number, sources, &file.display().to_string());
            dataset.add_file(kind, file)?;
        }
        Ok(dataset)
    }

    fn add(&mut self, capture: &Capture, recordings: &Recordings) -> anyhow::Result<()> {
        let entry = &capture.entry;
        let group = match self.hold_out {
            HoldOut::Family => number(&mut self.group_names, &entry.group()),
            HoldOut::Capture => number(&mut self.group_names, &capture.path.display().to_string()),
            HoldOut::Technique => number(&mut self.group_names, &entry.technique),
        };
        let stratum = number(
            &mut self.strata_names,
            &format!("{} {}", entry.origin().name(), entry.technique),
        );
        self.host_hours += entry.host_hours.unwrap_or(0.0);
        let theft = || (entry.origin(), entry.technique.clone());
        self.thefts.extend(std::iter::repeat_with(theft).take(entry.thefts()));
        let mut units = Units {
            entry,
            context_use: self.context_use,
            known: std::mem::take(&mut self.units),
            numbers: HashMap::new(),
        };
        let mode = Labelled::new(|session: &Session, flow: &FlowView, sender| {
            units.label(session, flow, sender)
        });
        let mut pushed = Ok(());
        let mut pipeline = recordings.pipeline(mode);
        let ran = recordings.run_file(&capture.path, &mut pipeline, |row| {
            if pushed.is_ok() {
                pushed = self.push(&row, group, stratum);
            }
        });
        let passed_over = pipeline.mode().passed_over();
        drop(pipeline);
        self.units = units.known;
        pushed.with_context(|| format!("failed to learn from {}", capture.path.display()))?;
        self.left_out.unknown += passed_over.unlabelled;
        self.left_out.unscored += passed_over.unscored;
        self.left_out.untracked += ran?.tracker.untracked();
        Ok(())
    }

    fn push(&mut self, row: &LabelledRow, group: u32, stratum: u32) -> anyhow::Result<()> {
        let Label { malicious, unit, .. } = row.label;
        self.table.push(&row.values, RowKey { label: malicious, group, session: unit })?;
        self.rules.push(row.rules);
        self.baseline.push(row.baseline);
        self.alerts.push(row.session_id);
        self.strata.push(stratum);
        self.progress.push(Some(Progress { bytes_out: row.bytes_out, seconds: row.seconds }));
        Ok(())
    }
}

fn number(names: &mut HashMap<String, u32>, name: &str) -> u32 {
    let next = names.len() as u32;
    *names.entry(name.to_owned()).or_insert(next)
}

/// Numbers the units of one capture as their senders are seen.
struct Units<'a> {
    entry: &'a Entry,
    context_use: ContextUse,
    /// Of all captures so far.
    known: Vec<Unit>,
    numbers: HashMap<(SessionKey, Side, Option<usize>), u64>,
}

impl Units<'_> {
    /// What the manifest knows about a sender.
    fn label(&mut self, session: &Session, flow: &FlowView, sender: Side) -> Option<Label> {
        let culprit = match self.entry.truth(session, flow, sender) {
            Truth::Theft(number) => Some(number),
            Truth::Ordinary => None,
            Truth::Unknown => return None,
        };
        let unit = self.number(session, sender, culprit);
        let with_context = self.context_use.is_for(unit);
        Some(Label { malicious: culprit.is_some(), unit, with_context })
    }

    fn number(&mut self, session: &Session, sender: Side, culprit: Option<usize>) -> u64 {
        let (known, entry) = (&mut self.known, self.entry);
        let number = *self.numbers.entry((session.key, sender, culprit)).or_insert_with(|| {
            let (client, server) = (session.key.client, session.key.server);
            let (src, dst) =
                if sender == Side::Client { (client, server) } else { (server, client) };
            known.push(Unit {
                file: entry.file.clone(),
                origin: entry.origin(),
                technique: entry.technique.clone(),
                theft: culprit.is_some(),
                src,
                dst,
                protocol: session.key.protocol,
                server_port: session.key.server_port,
                bytes_out: 0,
                packets_out: 0,
                in_host_hours: entry.host_hours.is_some(),
            });
            known.len() as u64 - 1
        });
        if let Some(unit) = known.get_mut(number as usize) {
            let sent = session.sent(sender);
            unit.bytes_out = unit.bytes_out.max(sent.ip_bytes());
            unit.packets_out = unit.packets_out.max(sent.packets());
        }
        number
    }
}
