//! Arbitrary bytes as a log: JSON, one object a line, comma-separated values, Zeek's conn.log and
//! Suricata's EVE, given or guessed. Every record, written down, reads back the same and is scored.
#![no_main]

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use detector::features::{Kind, RECORD_FIELDS, Record};
use detector::ingest::{Format, records};
use detector::model::Model;
use detector::builtin_models;
use detector::verdict::record::RecordScorer;
use libfuzzer_sys::fuzz_target;

static JUDGE: LazyLock<RecordScorer> = LazyLock::new(|| {
    let model =
        Model::from_bytes(builtin_models::bytes_of(Kind::Record)).expect("the shipped model is whole");
    RecordScorer::new(Arc::new(model), 0.5).expect("it reads this program's columns")
});

/// Lines that are reported one by one.
const TOLD_ERRORS: usize = 100;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, log)) = data.split_first() else { return };
    // One beyond the list: to be guessed.
    let format = Format::ALL.get(usize::from(choice) % (Format::ALL.len() + 1)).copied();
    let mut accepted = 0;
    let read = records(log, format, &mut |record: &Record| {
        accepted += 1;
        check(record);
        Ok(false)
    });
    let Ok(report) = read else { return };
    assert_eq!((report.accepted, report.alerts), (accepted, 0));
    assert_eq!(report.errors.len() as u64, report.rejected.min(TOLD_ERRORS as u64));
    // At most one thing for each byte, and one more for a list that is not closed.
    assert!(report.accepted + report.rejected + report.skipped <= log.len() as u64 + 1);
    let lines = log.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
    for error in &report.errors {
        assert!(!error.detail.is_empty());
        // A carriage return alone ends a line of comma-separated values, and no other.
        assert!(error.line >= 1 && (error.line <= lines || log.contains(&b'\r')), "{error:?}");
    }
});

fn check(record: &Record) {
    let fields = record.fields();
    let text_of = |name: &str| {
        let place = RECORD_FIELDS.iter().position(|field| *field == name)?;
        Some(Cow::Borrowed(fields.get(place)?.as_str()))
    };
    let again = Record::parse(text_of).expect("what was written is read");
    assert_eq!(again.fields(), fields);
    let (score, alert) = JUDGE.score(record);
    assert!((0.0..=1.0).contains(&score), "{score}");
    assert_eq!(alert.is_some(), score >= 0.5);
}
