//! Labelled files of vectors and records as rows to learn from.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;

use super::super::labels::Origin;
use super::{Dataset, Unit, number};
use crate::analysis::vectors::{Vector, VectorFile};
use crate::model::RowKey;

/// What files call the two kinds of row: they know of no technique.
const THEFT: &str = "theft";
const ORDINARY: &str = "ordinary";

/// Senders of one file, by capture, session and address.
type Senders = HashMap<(String, u64, IpAddr), u64>;

impl Dataset {
    /// # Errors
    ///
    /// A file that cannot be read, a row that is not understood or has no label.
    pub(super) fn add_file(&mut self, path: &Path) -> anyhow::Result<()> {
        let mut file = VectorFile::open(path)?;
        let mut senders = Senders::new();
        while let Some((vector, label)) = file.next_labelled()? {
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
        let kind = if label { THEFT } else { ORDINARY };
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
        self.habits.push(vector.habit);
        self.alerts.push(session);
        Ok(())
    }

    fn add_unit(&mut self, path: &Path, Vector { line, subject, .. }: &Vector) -> u64 {
        self.units.push(Unit {
            file: format!("{} line {line}", path.display()),
            origin: Origin::File,
            technique: ORDINARY.to_owned(),
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

    /// A sender with one row that is a theft is a thief.
    fn mark(&mut self, unit: u64, label: bool) {
        let Some(unit) = self.units.get_mut(unit as usize).filter(|unit| label && !unit.theft)
        else {
            return;
        };
        unit.theft = true;
        unit.technique = THEFT.to_owned();
        self.thefts.push((Origin::File, THEFT.to_owned()));
    }
}
