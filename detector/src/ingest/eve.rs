//! Suricata's EVE: events of type `flow`, and `netflow` where a flow has no other; all others are
//! passed over and counted.
//!
//! A flow is read once. Of the two events that netflow has for one, the first is the initiator's; both
//! make one record.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use serde_json::Value;

use super::reading::{Found, Note, Object, Reading, Wrong, record, text_of};
use crate::features::Record;

/// Flows that are remembered, so that none is read twice: 1 MiB of them.
const REMEMBERED: usize = 1 << 16;
/// Halves of flows that wait for the other half, which Suricata writes right after.
const WAITING: usize = 256;

/// The flows that were read.
#[derive(Debug, Default)]
pub(super) struct Flows {
    known: HashSet<u64>,
    order: VecDeque<u64>,
    waiting: VecDeque<Half>,
}

/// One direction of a flow, by netflow.
#[derive(Debug)]
struct Half {
    key: u64,
    line: u64,
    record: Record,
}

impl Flows {
    pub(super) fn reading(&mut self, event: &Object, line: u64) -> Result<Reading, Wrong> {
        match event.get("event_type") {
            Some(Value::String(kind)) if kind == "flow" => self.flow(event),
            Some(Value::String(kind)) if kind == "netflow" => self.netflow(event, line),
            Some(Value::String(_)) => Ok(Reading::Skipped(Note::OtherEvent)),
            _ => Err(Wrong::at("event_type", "event_type: it is missing")),
        }
    }

    /// Hands on the halves that have waited long enough, or all of them.
    pub(super) fn hand_on(
        &mut self,
        all: bool,
        take: &mut impl FnMut(Found) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        while all || self.waiting.len() > WAITING {
            let Some(Half { key, line, record }) = self.waiting.pop_front() else { break };
            let reading = Ok(self.remembering(key, Reading::of(record)));
            take(Found { line, reading })?;
        }
        Ok(())
    }

    fn flow(&mut self, event: &Object) -> Result<Reading, Wrong> {
        let reading = reading(event, &FLOW)?;
        let Some(key) = key(event, &FLOW) else { return Ok(reading) };
        self.waiting.retain(|half| half.key != key);
        Ok(self.remembering(key, reading))
    }

    fn netflow(&mut self, event: &Object, line: u64) -> Result<Reading, Wrong> {
        let reading = reading(event, &NETFLOW)?;
        let Reading::Record { record, .. } = reading else { return Ok(reading) };
        let Some(key) = key(event, &NETFLOW) else { return Ok(reading) };
        if self.known.contains(&key) {
            return Ok(Reading::Skipped(Note::FlowReadBefore));
        }
        let Some(place) = self.waiting.iter().position(|half| half.key == key) else {
            self.waiting.push_back(Half { key, line, record });
            return Ok(Reading::Skipped(Note::HalfOfAFlow));
        };
        let is_answer = |first: &Record| {
            (first.source_ip, first.source_port) == (record.destination_ip, record.destination_port)
        };
        match self.waiting.remove(place) {
            Some(first) if is_answer(&first.record) => {
                let record = Record { bytes_received: record.bytes_sent, ..first.record };
                Ok(self.remembering(key, Reading::of(record)))
            }
            // The same half again.
            Some(first) => {
                self.waiting.push_back(first);
                Ok(Reading::Skipped(Note::FlowReadBefore))
            }
            None => Ok(reading),
        }
    }

    /// The flow's reading, unless it was read before. The oldest flow may be forgotten for it.
    fn remembering(&mut self, key: u64, reading: Reading) -> Reading {
        if !self.known.insert(key) {
            return Reading::Skipped(Note::FlowReadBefore);
        }
        self.order.push_back(key);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
            return reading.with(Note::FlowForgotten);
        }
        reading
    }
}

/// How events of a type name their fields.
struct Names {
    /// The object in the event.
    inner: &'static str,
    sent: &'static str,
    /// None where an event has one direction.
    received: Option<&'static str>,
    named: fn(&str) -> &str,
}

const FLOW: Names = Names {
    inner: "flow",
    sent: "bytes_toserver",
    received: Some("bytes_toclient"),
    named: |field| match field {
        "timestamp" => "flow.start",
        "bytes_sent" => "flow.bytes_toserver",
        "bytes_received" => "flow.bytes_toclient",
        "action" => "flow.action",
        other => common(other),
    },
};

const NETFLOW: Names = Names {
    inner: "netflow",
    sent: "bytes",
    received: None,
    named: |field| match field {
        "timestamp" => "netflow.start",
        "bytes_sent" | "bytes_received" => "netflow.bytes",
        other => common(other),
    },
};

/// What the log calls a record's field.
fn common(field: &str) -> &str {
    match field {
        "source_ip" => "src_ip",
        "destination_ip" => "dest_ip",
        "source_port" => "src_port",
        "destination_port" => "dest_port",
        "protocol" => "proto",
        other => other,
    }
}

/// What Suricata knows a flow by, and when it began.
fn key(event: &Object, names: &Names) -> Option<u64> {
    let id = text_of(event.get("flow_id"))?;
    let start = text_of(event.get(names.inner).and_then(|inner| inner.get("start")));
    Some(BuildHasherDefault::<DefaultHasher>::new().hash_one((id, start)))
}

fn reading(event: &Object, names: &Names) -> Result<Reading, Wrong> {
    let Some(Value::Object(flow)) = event.get(names.inner) else {
        return Err(Wrong::at(names.inner, format!("{}: it is missing", names.inner)));
    };
    let Some(protocol) = text_of(event.get("proto")) else {
        return Err(Wrong::at("proto", "proto: missing"));
    };
    let application = text_of(event.get("app_proto"));
    let protocol = match (protocol.to_ascii_uppercase().as_str(), application.as_deref()) {
        ("TCP", Some("http" | "http2")) => "HTTP",
        ("TCP", Some("tls")) => "HTTPS",
        ("TCP", _) => "TCP",
        ("UDP", _) => "UDP",
        ("ICMP" | "IPV6-ICMP" | "ICMPV6", _) => "ICMP",
        _ => return Ok(Reading::Skipped(Note::OtherProtocol)),
    };
    let action = text_of(flow.get("action")).or_else(|| text_of(event.get("action")));
    let action = match action.as_deref() {
        Some("drop") => "drop",
        Some("reject" | "blocked") => "deny",
        _ => "allow",
    };
    let text_of_field = |field: &str| match field {
        // The event itself is written when the flow is over.
        "timestamp" => text_of(flow.get("start")).or_else(|| text_of(event.get("timestamp"))),
        "protocol" => Some(Cow::Borrowed(protocol)),
        "action" => Some(Cow::Borrowed(action)),
        "bytes_sent" => text_of(flow.get(names.sent)),
        "bytes_received" => match names.received {
            Some(name) => text_of(flow.get(name)),
            None => Some(Cow::Borrowed("0")),
        },
        // ICMP has none.
        "source_port" | "destination_port" if protocol == "ICMP" => {
            Some(text_of(event.get(common(field))).unwrap_or(Cow::Borrowed("0")))
        }
        _ => text_of(event.get(common(field))),
    };
    record(text_of_field, names.named)
}
