//! Results for a person at a terminal: aligned, in units people read.
//!
//! Colour only repeats what a word says. Names from the wire are shown without control characters.

use std::io::{self, Write};

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style as Ansi};
use detector_common::parse::protocol;

use super::{Form, Summary};
use crate::alerts::facts;
use crate::flow::FlowRecord;
use crate::ledger::Sums;
use crate::text::clean;
use crate::units;
use crate::verdict::alert::protocol_name;
use crate::verdict::{Alert, Reason, Severity};

/// How the table may look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    #[default]
    Plain,
    /// With ANSI colours.
    Color,
}

impl Style {
    /// Colour where `stream` is a terminal that has it and the user has not switched it off:
    /// NO_COLOR, CLICOLOR and TERM are honoured.
    #[must_use]
    pub fn of(stream: &impl RawStream) -> Self {
        AutoStream::choice(stream).into()
    }

    fn severity(self, severity: Severity) -> String {
        let style = match (self, severity) {
            (Self::Plain, _) | (_, Severity::Low) => Ansi::new(),
            (Self::Color, Severity::Medium) => WARNING,
            (Self::Color, Severity::High | Severity::Critical) => PROBLEM,
        };
        format!("{style}{:<8}{style:#}", severity.name())
    }
}

impl From<ColorChoice> for Style {
    fn from(choice: ColorChoice) -> Self {
        if choice == ColorChoice::Never { Self::Plain } else { Self::Color }
    }
}

/// What should be looked at, and what must.
pub(crate) const WARNING: Ansi = AnsiColor::Yellow.on_default();
pub(crate) const PROBLEM: Ansi = AnsiColor::Red.on_default().bold();

/// Writes lines to `W`.
#[derive(Debug)]
pub struct TableForm<W> {
    output: W,
    style: Style,
    header_written: bool,
}

/// Reasons shown under an alert; JSON has them all.
const REASONS_SHOWN: usize = 3;

impl<W: Write> TableForm<W> {
    pub fn new(output: W, style: Style) -> Self {
        Self { output, style, header_written: false }
    }

    fn header(&mut self) -> io::Result<()> {
        if self.header_written {
            return Ok(());
        }
        self.header_written = true;
        writeln!(
            self.output,
            "{:<19}  {:<8}  {:<19}  {:>5}  {:>8}  {:>8}  FROM -> TO",
            "TIME (UTC)", "SEVERITY", "TECHNIQUE", "SCORE", "SENT", "RECEIVED"
        )
    }
}

impl<W: Write> Form for TableForm<W> {
    fn alert(&mut self, alert: &Alert) -> io::Result<()> {
        self.header()?;
        let (sent, received, what) = match &alert.monitor_event {
            Some(event) => (String::new(), String::new(), clean(event)),
            None => (units::bytes(alert.bytes_out), units::bytes(alert.bytes_in), ends(alert)),
        };
        writeln!(
            self.output,
            "{}  {}  {:<19}  {:>5.2}  {sent:>8}  {received:>8}  {what}",
            time(alert.time.ns()),
            self.style.severity(alert.severity),
            alert.technique.name(),
            alert.score,
        )?;
        let facts: Vec<String> = facts::below_row(alert)
            .map(|(name, text)| format!("{} {}", name.to_lowercase(), clean(&text)))
            .collect();
        writeln!(self.output, "{INDENT}{}", facts.join("; "))?;
        let is_shown = |reason: &&Reason| reason.value.is_some() || reason.is_rule();
        for reason in alert.reasons.iter().filter(is_shown).take(REASONS_SHOWN) {
            writeln!(self.output, "{INDENT}{:>5}  {}", reason.weight(), clean(&reason.text))?;
        }
        Ok(())
    }

    fn flow(&mut self, record: &FlowRecord) -> io::Result<()> {
        self.header()?;
        let seconds = record.end_ns.saturating_sub(record.start_ns) as f64 / 1e9;
        let port = |port: u16| protocol::has_ports(record.protocol).then_some(port);
        writeln!(
            self.output,
            "{}  {:<8}  {:<19}  {:>5}  {:>8}  {:>8}  {} -> {} {}{}, {}",
            time(record.start_ns),
            "",
            format!("flow ({})", record.end_reason.name()),
            "",
            units::bytes(record.forward.ip_bytes()),
            units::bytes(record.reverse.ip_bytes()),
            record.source_address.with_port(port(record.source_port)),
            record.destination_address.with_port(port(record.destination_port)),
            protocol_name(record.protocol),
            name(record.destination_name.as_deref()),
            units::seconds(seconds),
        )
    }

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        let source = summary
            .source
            .as_deref()
            .map_or(String::new(), |source| format!("{}: ", clean(source)));
        let alerts = match summary.alerts {
            0 => "no alerts".to_owned(),
            alerts => units::counted(alerts, "alert"),
        };
        writeln!(
            self.output,
            "{source}{} packets, {}, {} flows over {}: {alerts}",
            units::count(summary.packets),
            units::bytes(summary.bytes),
            units::count(summary.flows),
            units::seconds(summary.seconds),
        )?;
        self.outbound(&summary.outbound)?;
        let skipped: Vec<String> = summary
            .skipped
            .iter()
            .map(|(reason, count)| format!("{} {reason}", units::count(*count)))
            .collect();
        if !skipped.is_empty() {
            writeln!(self.output, "frames without a flow: {}", skipped.join(", "))?;
        }
        let counters: Vec<String> = summary
            .counters
            .iter()
            .map(|(reason, count)| format!("{} {}", reason.replace('_', " "), units::count(*count)))
            .collect();
        if !counters.is_empty() {
            writeln!(self.output, "also counted: {}", counters.join(", "))?;
        }
        for output in summary.outputs.iter().filter(|output| output.dropped + output.failed != 0) {
            writeln!(
                self.output,
                "{}: {} written, {} failed, {} dropped because the output was too slow",
                output.name,
                units::count(output.sent),
                units::count(output.failed),
                units::count(output.dropped)
            )?;
        }
        for hint in summary.hints() {
            writeln!(self.output, "{hint}")?;
        }
        if summary.overflow_bytes != 0 {
            let bytes = units::bytes(summary.overflow_bytes);
            writeln!(
                self.output,
                "{bytes} counted by host only because the flow table was full: raise \
                 kernel.max_flows"
            )?;
        }
        if summary.unaccounted_bytes != 0 {
            writeln!(
                self.output,
                "{} bytes unaccounted for: please report this",
                summary.unaccounted_bytes
            )?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

impl<W: Write> TableForm<W> {
    /// What left, and how much of it is explained.
    fn outbound(&mut self, sums: &Sums) -> io::Result<()> {
        if sums.total() == 0 {
            return Ok(());
        }
        let list = |names: &mut dyn Iterator<Item = (&'static str, u64)>| {
            let listed: Vec<String> =
                names.map(|(name, bytes)| format!("{} {name}", units::bytes(bytes))).collect();
            if listed.is_empty() { String::new() } else { format!(" ({})", listed.join(", ")) }
        };
        let unexplained = sums.all_unexplained();
        writeln!(
            self.output,
            "outbound: {} explained{}, {} unexplained{}",
            units::bytes(sums.total() - unexplained),
            list(&mut sums.explained_by_name()),
            units::bytes(unexplained),
            list(&mut sums.unexplained_by_name()),
        )
    }
}

const INDENT: &str = "                     ";

/// `10.0.0.7 -> 192.0.2.1:443 tcp (drop.example)`.
fn ends(alert: &Alert) -> String {
    format!(
        "{} -> {} {}{}",
        alert.src,
        alert.dst.with_port(alert.dst_port),
        protocol_name(alert.protocol),
        name(alert.dst_name.as_deref()),
    )
}

/// `2023-09-08 14:38:32`.
fn time(time_ns: u64) -> String {
    units::rfc3339(time_ns)
        .chars()
        .take(19)
        .map(|letter| if letter == 'T' { ' ' } else { letter })
        .collect()
}

fn name(name: Option<&str>) -> String {
    name.map_or(String::new(), |name| format!(" ({})", clean(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::alert::example::alert;

    fn text(style: Style, write: impl FnOnce(&mut TableForm<&mut Vec<u8>>)) -> String {
        let mut bytes = Vec::new();
        write(&mut TableForm::new(&mut bytes, style));
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn an_alert_reads_from_the_top() {
        let expected = "\
TIME (UTC)           SEVERITY  TECHNIQUE            SCORE      SENT  RECEIVED  FROM -> TO
2023-09-08 15:11:52  high      bulk_upload           0.88     48 MB    300 kB  10.0.0.7 -> [2001:db8::1]:443 tcp (drop.example)
                     alert 00000000000000ab, revision 2; leaked 16 kB before the alert; detected 40 s into the session; action none
                     +0.75  sent 48 MB, received 300 kB: 160 to 1
";
        assert_eq!(text(Style::Plain, |sink| sink.alert(&alert()).unwrap()), expected);
    }

    #[test]
    fn colour_repeats_the_word_and_can_be_refused() {
        let colored = text(Style::Color, |sink| sink.alert(&alert()).unwrap());
        assert!(colored.contains("\x1b[1m\x1b[31mhigh    \x1b[0m"), "{colored}");
        assert_eq!(Style::from(ColorChoice::Never), Style::Plain);
        assert_eq!(Style::from(ColorChoice::AlwaysAnsi), Style::Color);
    }

    #[test]
    fn names_cannot_steer_the_terminal() {
        let mut hostile = alert();
        hostile.dst_name = Some("a\x1b[2Jb\n".into());
        let text = text(Style::Plain, |sink| sink.alert(&hostile).unwrap());
        assert!(text.contains("(a\u{fffd}[2Jb\u{fffd})"), "{text}");
    }

    #[test]
    fn a_summary_says_what_is_missing() {
        let mut summary = Summary {
            packets: 2_000_000,
            bytes: 1_040_000_000,
            flows: 3,
            alerts: 1,
            ..Summary::default()
        };
        summary.seconds = 12.0;
        summary.skipped.insert("arp", 2);
        let expected =
            "2.0 M packets, 1.0 GB, 3 flows over 12 s: 1 alert\nframes without a flow: 2 arp\n";
        assert_eq!(text(Style::Plain, |sink| sink.summary(&summary).unwrap()), expected);
    }
}
