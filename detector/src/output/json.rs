//! One JSON object per line: the form other programs rely on.
//!
//! The names and their order are a contract; a change of meaning needs a new name.

use std::collections::BTreeMap;
use std::io::{self, Write};

use detector_common::abi::Count;
use detector_common::parse::protocol;
use serde::Serialize;

use super::{Form, Summary, Unopened};
use crate::flow::{FlowRecord, Volume};
use crate::status::SinkState;
use crate::units::rfc3339;
use crate::verdict::Alert;
use crate::verdict::alert::protocol_name;

/// Writes lines to `W`.
#[derive(Debug)]
pub struct JsonForm<W> {
    output: W,
}

impl<W: Write> JsonForm<W> {
    pub fn new(output: W) -> Self {
        Self { output }
    }

    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.output, value)?;
        self.output.write_all(b"\n")
    }
}

impl<W: Write> Form for JsonForm<W> {
    fn alert(&mut self, alert: &Alert) -> io::Result<()> {
        self.line(&AlertLine { r#type: "alert", alert })
    }

    fn flow(&mut self, record: &FlowRecord) -> io::Result<()> {
        self.line(&FlowLine::of(record))
    }

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        self.line(&SummaryLine::of(summary))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

#[derive(Serialize)]
struct AlertLine<'a> {
    r#type: &'static str,
    #[serde(flatten)]
    alert: &'a Alert,
}

#[derive(Serialize)]
struct FlowLine<'a> {
    r#type: &'static str,
    start: String,
    end: String,
    src: String,
    src_port: Option<u16>,
    dst: String,
    dst_port: Option<u16>,
    protocol: String,
    src_home: bool,
    dst_home: bool,
    bytes_out: u64,
    bytes_in: u64,
    packets_out: u64,
    packets_in: u64,
    payload_out: u64,
    payload_in: u64,
    retransmitted_out: u64,
    retransmitted_in: u64,
    attempted_out: u64,
    attempted_in: u64,
    dropped_out: u64,
    dropped_in: u64,
    tcp_flags_out: u16,
    tcp_flags_in: u16,
    src_name: Option<&'a str>,
    dst_name: Option<&'a str>,
    community_id: String,
    end_reason: &'static str,
}

impl<'a> FlowLine<'a> {
    /// *out* is what the initiator, the source, sent and what left. What was attempted is that and what was
    /// dropped.
    fn of(record: &'a FlowRecord) -> Self {
        let (out, back): (&Volume, &Volume) = (&record.forward, &record.reverse);
        let port = |port: u16| protocol::has_ports(record.protocol).then_some(port);
        Self {
            r#type: "flow",
            start: rfc3339(record.start_ns),
            end: rfc3339(record.end_ns),
            src: record.source_address.to_string(),
            src_port: port(record.source_port),
            dst: record.destination_address.to_string(),
            dst_port: port(record.destination_port),
            protocol: protocol_name(record.protocol),
            src_home: record.source_home,
            dst_home: record.destination_home,
            bytes_out: out.ip_bytes(),
            bytes_in: back.ip_bytes(),
            packets_out: out.packets(),
            packets_in: back.packets(),
            payload_out: out.payload_bytes(),
            payload_in: back.payload_bytes(),
            retransmitted_out: out.retransmitted_bytes,
            retransmitted_in: back.retransmitted_bytes,
            attempted_out: out.seen_bytes,
            attempted_in: back.seen_bytes,
            dropped_out: out.dropped_bytes,
            dropped_in: back.dropped_bytes,
            tcp_flags_out: out.tcp_flags,
            tcp_flags_in: back.tcp_flags,
            src_name: record.source_name.as_deref(),
            dst_name: record.destination_name.as_deref(),
            community_id: record.community_id(),
            end_reason: record.end_reason.name(),
        }
    }
}

#[derive(Serialize)]
struct SummaryLine<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    packets: u64,
    bytes: u64,
    flows: u64,
    alerts: u64,
    skipped: &'a BTreeMap<&'static str, u64>,
    overflow_bytes: u64,
    explained_bytes: BTreeMap<&'static str, u64>,
    unexplained_bytes: BTreeMap<&'static str, u64>,
    unaccounted_bytes: i64,
    counters: &'a BTreeMap<&'static str, u64>,
    seconds: f64,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    outputs: &'a [SinkState],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unopened: Vec<UnopenedLine>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hints: Vec<String>,
}

#[derive(Serialize)]
struct UnopenedLine {
    kind: String,
    packets: u64,
    bytes: u64,
}

impl UnopenedLine {
    fn of((kind, count): (&Unopened, &Count)) -> Self {
        Self { kind: kind.to_string(), packets: count.packets, bytes: count.bytes }
    }
}

impl<'a> SummaryLine<'a> {
    fn of(summary: &'a Summary) -> Self {
        Self {
            r#type: "summary",
            source: summary.source.as_deref(),
            packets: summary.packets,
            bytes: summary.bytes,
            flows: summary.flows,
            alerts: summary.alerts,
            skipped: &summary.skipped,
            overflow_bytes: summary.overflow_bytes,
            explained_bytes: summary.outbound.explained_by_name().collect(),
            unexplained_bytes: summary.outbound.unexplained_by_name().collect(),
            unaccounted_bytes: summary.unaccounted_bytes,
            counters: &summary.counters,
            seconds: summary.seconds,
            outputs: &summary.outputs,
            unopened: summary.unopened.iter().map(UnopenedLine::of).collect(),
            hints: summary.hints().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::alert::example::alert;

    fn line(write: impl FnOnce(&mut JsonForm<&mut Vec<u8>>)) -> String {
        let mut bytes = Vec::new();
        write(&mut JsonForm::new(&mut bytes));
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn an_alert_line_is_the_contract() {
        let text = line(|sink| sink.alert(&alert()).unwrap());
        let expected = concat!(
            r#"{"type":"alert","id":"00000000000000ab","time":"2023-09-08T15:11:52.610000Z","#,
            r#""src":"10.0.0.7","src_port":40000,"dst":"2001:db8::1","dst_port":443,"protocol":"tcp","#,
            r#""initiator":"src","technique":"bulk_upload","severity":"high","score":0.875,"threshold":0.5,"#,
            r#""bytes_out":48000000,"bytes_in":300000,"packets_out":32000,"packets_in":6000,"#,
            r#""bytes_attempted":48000000,"bytes_stopped":0,"bytes_leaked":16400,"bytes_leaked_before_block":null,"unexplained_bytes":0,"revision":2,"raw_score":0.875,"#,
            r#""first_seen":"2023-09-08T15:11:12.610000Z","seconds_to_detect":40.0,"receivers":1,"#,
            r#""dst_name":"drop.example","domain":null,"community_id":"1:abc=","ja4":null,"#,
            r#""reasons":[{"feature":"producer_consumer_ratio","value":0.75,"contribution":0.75,"#,
            r#""text":"sent 48 MB, received 300 kB: 160 to 1"},"#,
            r#"{"feature":"others","value":null,"contribution":0.125,"text":"4 other columns together"}],"#,
            r#""action":"none","action_note":null,"blocked_at":null,"block_ended":null,"model":"session-1","sensor":"gateway-1","monitor_event":null}"#,
            "\n"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn a_summary_line_names_what_was_skipped() {
        let mut summary = Summary { packets: 3, bytes: 180, seconds: 1.5, ..Summary::default() };
        summary.skipped.insert("arp", 2);
        summary.count([("late_packets", 1), ("events_lost", 0)]);
        let expected = concat!(
            r#"{"type":"summary","packets":3,"bytes":180,"flows":0,"alerts":0,"skipped":{"arp":2},"#,
            r#""overflow_bytes":0,"explained_bytes":{},"unexplained_bytes":{},"unaccounted_bytes":0,"counters":{"late_packets":1},"seconds":1.5}"#,
            "\n"
        );
        assert_eq!(line(|sink| sink.summary(&summary).unwrap()), expected);
        summary.leave([(Unopened::Frames(0x88cc), Count { packets: 2, bytes: 90 })]);
        let unopened = concat!(
            r#","unopened":[{"kind":"EtherType 0x88cc (LLDP)","packets":2,"bytes":90}],"#,
            r#""hints":["50 % of the bytes stay unopened: EtherType 0x88cc (LLDP)"]}"#,
            "\n"
        );
        let expected = expected.replace("}\n", unopened);
        assert_eq!(line(|sink| sink.summary(&summary).unwrap()), expected);
    }
}
