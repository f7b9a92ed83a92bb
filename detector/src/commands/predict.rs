//! `detector predict`: the verdicts on vectors and records in a file of comma-separated values.
//!
//! On what `analyze --features` wrote, the scores and verdicts are those of the analysis with the
//! same model and threshold.
#![expect(clippy::print_stderr, reason = "beside rows of values there is no place for a summary")]

use std::collections::HashSet;
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::json;

use crate::cli::{Format, Predict};
use crate::config::Config;
use crate::model::Model;
use crate::verdict::alert::protocol_name;
use crate::verdict::score;

use super::vectors::{Vector, VectorFile};
use super::{model_of, threshold_of};

/// # Errors
///
/// A file or model that cannot be read, a row that is not understood.
pub fn run(args: &Predict, config: &Config) -> anyhow::Result<()> {
    let mut file = VectorFile::open(&args.file)?;
    let model = model_of(file.kind(), args.model.as_deref(), config)?;
    let threshold = threshold_of(file.kind(), &model, config);
    let mut judge = Judge { model, threshold, open: HashSet::new() };
    let mut output = BufWriter::new(io::stdout().lock());
    let (mut rows, mut positives) = (0_u64, 0_u64);
    write_header(&mut output, args.format)?;
    while let Some(vector) = file.next()? {
        let verdict = judge.judge(&vector);
        rows += 1;
        positives += u64::from(verdict.theft);
        write_row(&mut output, args.format, &vector, verdict)?;
    }
    write_summary(&mut output, args.format, rows, positives)?;
    output.flush()?;
    Ok(())
}

/// Scores rows as the analysis scored senders.
struct Judge {
    model: Arc<Model>,
    threshold: f64,
    /// Senders of sessions with an open alert.
    open: HashSet<((String, u64), IpAddr)>,
}

#[derive(Clone, Copy, Debug)]
struct Verdict {
    score: f64,
    theft: bool,
}

impl Judge {
    fn judge(&mut self, vector: &Vector) -> Verdict {
        let score = score::join(self.model.forest.score(&vector.values), vector.rules);
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
            let verdict = if theft { "theft" } else { "ordinary" };
            writeln!(
                output,
                "{line:>8}  {verdict:<8}  {score:>5.2}  {src} -> {dst} {protocol} {port}"
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
    rows: u64,
    positives: u64,
) -> io::Result<()> {
    let text = format!("{rows} rows, {positives} of them theft");
    match format {
        Format::Table => writeln!(output, "\n{text}"),
        Format::Csv => {
            eprintln!("{text}");
            Ok(())
        }
        Format::Json => {
            let summary = json!({ "type": "summary", "rows": rows, "positives": positives });
            writeln!(output, "{summary}")
        }
    }
}
