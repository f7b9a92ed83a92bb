//! `detector predict`: the verdicts on vectors and records in a file of comma-separated values.
//!
//! On what `analyze --features` wrote, the scores and verdicts are those of the analysis with the
//! same model and threshold.
#![expect(clippy::print_stderr, reason = "a table of values has no place for a summary")]

use std::collections::HashSet;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use serde_json::json;

use crate::analysis::recordings::open;
use crate::cli::{Format, Predict};
use crate::config::Config;
use crate::decompress::{Expand, Reason, Stop};
use crate::model::Model;
use crate::units;
use crate::verdict::alert::protocol_name;
use crate::verdict::score;

use super::{model_of, threshold_of};
use crate::analysis::vectors::{Vector, VectorFile};
use crate::network::Address;

pub fn run(args: &Predict, config: &Config) -> anyhow::Result<()> {
    let input = Expand::new(open(&args.file)?, config.decompression);
    let mut file = VectorFile::read(&args.file, input)?;
    let model = model_of(file.kind(), args.model.as_deref(), config)?;
    file.select(&model.meta.schema.columns)?;
    let threshold = threshold_of(file.kind(), &model, config);
    let mut scorer = Scorer { model, threshold, open: HashSet::new() };
    let mut output = BufWriter::new(io::stdout().lock());
    let (mut rows, mut positives) = (0_u64, 0_u64);
    write_header(&mut output, args.format)?;
    let ended = loop {
        let vector = match file.read_next() {
            Ok(Some(vector)) => vector,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        let verdict = scorer.score(&vector);
        rows += 1;
        positives += u64::from(verdict.theft);
        write_row(&mut output, args.format, &vector, verdict)?;
    };
    // What was scored before a row that is not understood or a bound is told all the same.
    let stopped = ended.as_ref().err().and_then(Stop::of).map(|stop| stop.reason);
    write_summary(&mut output, args.format, (rows, positives), stopped)?;
    output.flush()?;
    ended
}

/// Scores rows as the analysis scored senders.
struct Scorer {
    model: Arc<Model>,
    threshold: f64,
    /// Senders of sessions with an open alert.
    open: HashSet<((String, u64), Address)>,
}

#[derive(Clone, Copy, Debug)]
struct Verdict {
    score: f64,
    theft: bool,
}

impl Scorer {
    fn score(&mut self, vector: &Vector) -> Verdict {
        let forest = self.model.probability(self.model.forest.score(&vector.values));
        let score = score::of_doubt(forest, vector.rules, vector.baseline);
        let sender = vector.subject.session.clone().map(|session| (session, vector.subject.src));
        let open = sender.as_ref().is_some_and(|sender| self.open.contains(sender));
        let theft = score >= score::needed(self.threshold, open);
        if theft && let Some(sender) = sender {
            self.open.insert(sender);
        }
        Verdict { score, theft }
    }
}

fn write_header(output: &mut impl Write, format: Format) -> io::Result<()> {
    match format {
        Format::Table => {
            writeln!(output, "{:>8}  {:<8}  {:>5}  FROM -> TO", "LINE", "VERDICT", "SCORE")
        }
        Format::Csv => writeln!(output, "line,time,src,dst,dst_port,protocol,score,label"),
        Format::Json => Ok(()),
    }
}

fn write_row(
    output: &mut impl Write,
    format: Format,
    vector: &Vector,
    Verdict { score, theft }: Verdict,
) -> io::Result<()> {
    let (line, subject) = (vector.line, &vector.subject);
    let (time, src, dst, port) = (&subject.time, subject.src, subject.dst, subject.dst_port);
    let protocol = protocol_name(subject.protocol);
    let label = u8::from(theft);
    match format {
        Format::Table => {
            let verdict = if theft { "exfiltration" } else { "benign" };
            writeln!(
                output,
                "{line:>8}  {verdict:<12}  {score:>5.2}  {src} -> {dst} {protocol} {port}"
            )
        }
        Format::Csv => {
            writeln!(output, "{line},{time},{src},{dst},{port},{protocol},{score},{label}")
        }
        Format::Json => {
            let row = json!({
                "type": "prediction", "line": line, "time": time, "src": src, "dst": dst,
                "dst_port": port, "protocol": protocol, "score": score, "label": label,
            });
            writeln!(output, "{row}")
        }
    }
}

fn write_summary(
    output: &mut impl Write,
    format: Format,
    (rows, positives): (u64, u64),
    stopped: Option<Reason>,
) -> io::Result<()> {
    let mut text = format!("{}, {positives} of them exfiltration", units::counted(rows, "row"));
    if let Some(reason) = stopped {
        text.push_str(&format!("; not read to its end ({})", reason.name()));
    }
    match format {
        Format::Table => writeln!(output, "\n{text}"),
        Format::Csv => {
            eprintln!("{text}");
            Ok(())
        }
        Format::Json => {
            let mut summary = json!({ "type": "summary", "rows": rows, "positives": positives });
            if let Some(reason) = stopped {
                summary["ended_early"] = reason.name().into();
            }
            writeln!(output, "{summary}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::vectors::Subject;
    use crate::features::ColumnSet;
    use crate::model::{RowKey, Schema, Table, TrainConfig, train};

    /// A model with one score for everything.
    fn model() -> Arc<Model> {
        let mut table = Table::new(vec!["column".to_owned()]);
        for session in 0..10 {
            table.push(&[0.0], RowKey { label: session < 4, group: 0, session }).unwrap();
        }
        let config = TrainConfig { trees: 10, ..TrainConfig::default() };
        let trained = train(&table, &config).unwrap();
        let columns = ColumnSet::new([("column".to_owned(), 1)]);
        let schema = Schema { name: "session".to_owned(), columns };
        Arc::new(Model::new(schema, &table, &config, trained, 0.5, None).unwrap())
    }

    /// A row whose score the rules decide.
    fn vector(session: u64, rules: f64) -> Vector {
        let subject = Subject {
            session: Some(("a.pcap".to_owned(), session)),
            time: "2024-01-01T12:00:00Z".to_owned(),
            src: [10, 0, 0, 7].into(),
            dst: [192, 0, 2, 1].into(),
            dst_port: 443,
            protocol: 6,
            bytes_out: None,
        };
        Vector { line: 2, subject, rules, baseline: false, label: None, values: vec![0.0] }
    }

    #[test]
    fn an_alert_that_is_open_stays_so_a_little_below_the_threshold() {
        let model = model();
        let alone = model.forest.score(&[0.0]);
        let mut scorer = Scorer { model, threshold: alone * 1.1, open: HashSet::new() };
        let mut check = |session, rules, theft| {
            assert_eq!(scorer.score(&vector(session, rules)).theft, theft, "{session} {rules}");
        };
        check(1, 1.0, false);
        check(1, 0.0, true);
        check(1, 1.0, true);
        check(2, 1.0, false);
    }
}
