//! Suricata's EVE: events of type `flow`; all others are passed over and counted.

use std::borrow::Cow;

use serde_json::Value;

use super::json::{Object, text};
use super::reading::{Reading, Wrong, record};

/// What the log calls a record's field.
fn named(field: &str) -> &str {
    match field {
        "timestamp" => "flow.start",
        "source_ip" => "src_ip",
        "destination_ip" => "dest_ip",
        "source_port" => "src_port",
        "destination_port" => "dest_port",
        "protocol" => "proto",
        "bytes_sent" => "flow.bytes_toserver",
        "bytes_received" => "flow.bytes_toclient",
        "action" => "flow.action",
        other => other,
    }
}

pub(super) fn reading(event: &Object) -> Result<Reading, Wrong> {
    match event.get("event_type") {
        Some(Value::String(kind)) if kind == "flow" => {}
        Some(Value::String(_)) => return Ok(Reading::Skipped),
        _ => return Err(Wrong::at("event_type", "event_type: it is missing")),
    }
    let Some(Value::Object(flow)) = event.get("flow") else {
        return Err(Wrong::at("flow", "flow: it is missing"));
    };
    let Some(protocol) = text(event.get("proto")) else {
        return Err(Wrong::at("proto", "proto: it is missing"));
    };
    let application = text(event.get("app_proto"));
    let protocol = match (protocol.to_ascii_uppercase().as_str(), application.as_deref()) {
        ("TCP", Some("http" | "http2")) => "HTTP",
        ("TCP", Some("tls")) => "HTTPS",
        ("TCP", _) => "TCP",
        ("UDP", _) => "UDP",
        ("ICMP" | "IPV6-ICMP" | "ICMPV6", _) => "ICMP",
        _ => return Ok(Reading::Skipped),
    };
    let action = match text(flow.get("action")).or_else(|| text(event.get("action"))).as_deref() {
        Some("drop") => "drop",
        Some("reject" | "blocked") => "deny",
        _ => "allow",
    };
    record(
        |field| match field {
            // The event itself is written when the flow is over.
            "timestamp" => {
                let time = text(flow.get("start")).or_else(|| text(event.get("timestamp")));
                time.map(|time| Cow::Owned(with_colon(&time)))
            }
            "protocol" => Some(Cow::Borrowed(protocol)),
            "action" => Some(Cow::Borrowed(action)),
            "bytes_sent" => text(flow.get("bytes_toserver")),
            "bytes_received" => text(flow.get("bytes_toclient")),
            // ICMP has none.
            "source_port" | "destination_port" if protocol == "ICMP" => {
                Some(text(event.get(named(field))).unwrap_or(Cow::Borrowed("0")))
            }
            _ => text(event.get(named(field))),
        },
        named,
    )
}

/// Suricata writes the zone as `+0100`, RFC 3339 as `+01:00`.
fn with_colon(time: &str) -> String {
    let at = time.len().saturating_sub(4);
    let (Some(start), Some(minutes)) = (time.get(..at), time.get(at..)) else {
        return time.to_owned();
    };
    let zone = start.ends_with(['+', '-']) && minutes.bytes().all(|byte| byte.is_ascii_digit());
    if zone { format!("{start}{}:{}", &minutes[..2], &minutes[2..]) } else { time.to_owned() }
}
