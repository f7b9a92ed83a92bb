//! Labelled files of vectors and records, and what people have labelled in a database, as rows to
//! learn from.

use std::collections::HashMap;
use std::path::Path;

use super::super::labels::Origin;
use super::{Dataset, Unit, number};
use crate::analysis::vectors::{Subject, Vector, VectorFile};
use crate::features::Kind;
use crate::model::RowKey;
use crate::network::Address;
use crate::store::models::{Sample, samples};
use crate::store::{Store, is_database};
use crate::verdict::alert::protocol_number;

/// What files call the two kinds of row: they know of no technique.
const EXFILTRATION: &str = "exfiltration";
const BENIGN: &str = "benign";

/// Senders of one file, by capture, session and address.
type Senders = HashMap<(String, u64, Address), u64>;

impl Dataset {
    pub(super) fn add_file(&mut self, kind: Kind, path: &Path) -> anyhow::Result<()> {
        if is_database(path) {
            return self.add_database(kind, path);
        }
        let mut file = VectorFile::open(path)?;
        file.select(kind.column_set())?;
        let mut senders = Senders::new();
        while let Some((vector, label)) = file.next_labelled()? {
            self.add_vector(path, &vector, label, &mut senders)?;
        }
        Ok(())
    }

    /// The vectors of one schema that people have called an exfiltration or benign, and that have
    /// every column.
    fn add_database(&mut self, kind: Kind, path: &Path) -> anyhow::Result<()> {
        let store = Store::open_existing(path)?;
        let columns = kind.column_set();
        let (labelled, others) =
            store.read(|connection| samples(connection, kind, columns, usize::MAX))?;
        self.left_out.other_columns += others;
        let mut senders = Senders::new();
        for sample in labelled {
            let label = sample.label;
            let vector = vector_of(kind, path, sample);
            self.add_vector(path, &vector, label, &mut senders)?;
        }
        Ok(())
    }

    fn add_vector(
        &mut self,
        path: &Path,
        vector: &Vector,
        label: bool,
        senders: &mut Senders,
    ) -> anyhow::Result<()> {
        let subject = &vector.subject;
        // Rows of one capture resemble each other, and records of one host.
        let group = match &subject.session {
            Some((capture, _)) => number(&mut self.group_names, capture),
            None => number(&mut self.group_names, &subject.src.to_string()),
        };
        let kind = if label { EXFILTRATION } else { BENIGN };
        let stratum = number(&mut self.strata_names, &format!("{} {kind}", Origin::File.name()));
        let session = match &subject.session {
            Some((capture, session)) => *senders
                .entry((capture.clone(), *session, subject.src))
                .or_insert_with(|| self.add_unit(path, vector)),
            None => self.add_unit(path, vector),
        };
        self.mark(session, label);
        self.table.push(&vector.values, RowKey { label, group, session })?;
        self.strata.push(stratum);
        self.progress.push(None);
        self.rules.push(vector.rules);
        self.baseline.push(vector.baseline);
        self.alerts.push(session);
        Ok(())
    }

    fn add_unit(&mut self, path: &Path, Vector { line, subject, .. }: &Vector) -> u64 {
        self.units.push(Unit {
            file: format!("{} line {line}", path.display()),
            origin: Origin::File,
            technique: BENIGN.to_owned(),
            theft: false,
            src: subject.src,
            dst: subject.dst,
            protocol: subject.protocol,
            server_port: subject.dst_port,
            bytes_out: subject.bytes_out.unwrap_or(0),
            packets_out: 0,
            in_host_hours: false,
        });
        self.units.len() as u64 - 1
    }

    /// A sender with one malicious row is malicious.
    fn mark(&mut self, unit: u64, label: bool) {
        let Some(unit) = self.units.get_mut(unit as usize).filter(|unit| label && !unit.theft)
        else {
            return;
        };
        unit.theft = true;
        unit.technique = EXFILTRATION.to_owned();
        self.thefts.push((Origin::File, EXFILTRATION.to_owned()));
    }
}

/// A sample as a row of a file. Of a forgotten alert the vector is all there is.
fn vector_of(kind: Kind, path: &Path, sample: Sample) -> Vector {
    let nobody = Address::default();
    let alert = sample.alert;
    let (src, dst) = alert.as_ref().map_or((nobody, nobody), |alert| (alert.src, alert.dst));
    // What one host did resembles the rest of it.
    let capture = format!("{} {src}", path.display());
    Vector {
        line: sample.id,
        subject: Subject {
            session: (kind == Kind::Session).then_some((capture, sample.id)),
            time: String::new(),
            src,
            dst,
            dst_port: alert.as_ref().map_or(0, |alert| alert.dst_port),
            protocol: alert
                .as_ref()
                .map_or(0, |alert| protocol_number(&alert.protocol).unwrap_or(0)),
            bytes_out: alert.as_ref().map(|alert| alert.bytes_out),
        },
        rules: alert.as_ref().map_or(1.0, |alert| alert.rules),
        baseline: alert.is_some_and(|alert| alert.baseline),
        label: Some(sample.label),
        values: sample.vector,
    }
}
