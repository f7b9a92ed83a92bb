//! What alerts are searched for: as people and pages write it, and as the store takes it. Every
//! value is a literal.

use serde::Deserialize;
use utoipa::IntoParams;

use super::Status;
use crate::network::Network;
use crate::refusal::Refusal;
use crate::values;
use crate::verdict::{ActionTaken, Severity, Technique};

/// What is searched for; what is none or empty says nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Either end.
    pub address: Option<Network>,
    pub src: Option<Network>,
    pub dst: Option<Network>,
    /// Either end's.
    pub port: Option<u16>,
    pub src_port: Option<u16>,
    pub dst_port: Option<u16>,
    /// Any of these.
    pub protocol: Vec<String>,
    pub technique: Vec<String>,
    /// Ranks.
    pub severity: Vec<u8>,
    pub status: Vec<String>,
    pub action: Vec<String>,
    pub origin: Vec<String>,
    pub capture: Option<i64>,
    /// A DNS name, or consecutive labels of one.
    pub name: Option<String>,
    /// Words, all of which are there.
    pub text: Option<String>,
    /// When it opened: nanoseconds since the Unix epoch, both included.
    pub from_ns: Option<u64>,
    pub to_ns: Option<u64>,
}

/// Filters; all given ones must match. A list matches by any of its values; separate them by
/// commas.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct AlertQuery {
    /// Either end: an address or a network such as 10.0.0.0/8
    pub address: Option<String>,
    /// The suspected sender: an address or a network
    pub src: Option<String>,
    /// The receiver: an address or a network
    pub dst: Option<String>,
    /// Either end's port
    #[param(value_type = Option<u16>)]
    pub port: Option<String>,
    #[param(value_type = Option<u16>)]
    pub src_port: Option<String>,
    #[param(value_type = Option<u16>)]
    pub dst_port: Option<String>,
    /// Lower-case names: tcp,udp
    pub protocol: Option<String>,
    /// A list such as bulk_upload,dns_tunnel
    pub technique: Option<String>,
    /// A list of low, medium, high and critical
    pub severity: Option<String>,
    /// A list of open, acknowledged and closed
    pub status: Option<String>,
    /// A list of none, simulated, blocked, policed, marked, refused and failed
    pub action: Option<String>,
    /// A list of live, capture and record
    pub origin: Option<String>,
    /// The number of the alert's capture
    #[param(value_type = Option<i64>)]
    pub capture: Option<String>,
    /// A DNS name, or consecutive labels of one
    pub name: Option<String>,
    /// Words that the alert must contain; a star at the end matches any ending
    pub q: Option<String>,
    /// When it opened, RFC 3339: at this time or later
    pub from: Option<String>,
    /// At this time or earlier
    pub to: Option<String>,
    /// 1 to 500
    #[param(value_type = Option<u16>)]
    pub limit: Option<String>,
    /// `next` of the previous page
    pub cursor: Option<String>,
}

const ORIGIN: [&str; 3] = ["live", "capture", "record"];
/// The longest text to search for, in bytes.
const MAX_TEXT_BYTES: usize = 500;

impl AlertQuery {
    /// Alerts of a page.
    pub fn limit(&self) -> Result<usize, Refusal> {
        values::limit(self.limit.as_deref())
    }

    /// Where the page begins.
    pub fn cursor(&self) -> Result<Option<i64>, Refusal> {
        let Some(text) = &self.cursor else { return Ok(None) };
        i64::from_str_radix(text, 16).map(Some).map_err(|_| values::stale_cursor())
    }

    pub fn filter(&self) -> Result<Filter, Refusal> {
        let techniques = Technique::ALL.map(Technique::name);
        let severities = Severity::ALL.map(Severity::name);
        let statuses = Status::ALL.map(Status::name);
        let actions = ActionTaken::ALL.map(ActionTaken::name);
        let severity = list("severity", self.severity.as_deref(), &severities)?;
        let rank = |name: &String| severities.iter().position(|known| known == name);
        let capture = values::number("capture", self.capture.as_deref())?;
        Ok(Filter {
            address: network("address", self.address.as_deref())?,
            src: network("src", self.src.as_deref())?,
            dst: network("dst", self.dst.as_deref())?,
            port: values::number("port", self.port.as_deref())?,
            src_port: values::number("src_port", self.src_port.as_deref())?,
            dst_port: values::number("dst_port", self.dst_port.as_deref())?,
            protocol: words(self.protocol.as_deref()),
            technique: list("technique", self.technique.as_deref(), &techniques)?,
            severity: severity
                .iter()
                .filter_map(rank)
                .filter_map(|rank| rank.try_into().ok())
                .collect(),
            status: list("status", self.status.as_deref(), &statuses)?,
            action: list("action", self.action.as_deref(), &actions)?,
            origin: list("origin", self.origin.as_deref(), &ORIGIN)?,
            capture,
            name: text("name", self.name.as_deref())?,
            text: text("q", self.q.as_deref())?,
            from_ns: values::time("from", self.from.as_deref())?,
            to_ns: values::time("to", self.to.as_deref())?,
        })
    }
}

fn network(field: &'static str, text: Option<&str>) -> Result<Option<Network>, Refusal> {
    values::network(field, text)
}

fn text(field: &'static str, text: Option<&str>) -> Result<Option<String>, Refusal> {
    match text.map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) if text.len() > MAX_TEXT_BYTES => {
            Err(Refusal::invalid(field, format!("{field}: at most {MAX_TEXT_BYTES} bytes")))
        }
        text => Ok(text.map(str::to_owned)),
    }
}

fn words(text: Option<&str>) -> Vec<String> {
    let words = text.unwrap_or_default().split(',').map(str::trim);
    words.filter(|word| !word.is_empty()).map(str::to_ascii_lowercase).collect()
}

/// Names of a closed list.
fn list(field: &'static str, text: Option<&str>, known: &[&str]) -> Result<Vec<String>, Refusal> {
    let words = words(text);
    match words.iter().find(|word| !known.contains(&word.as_str())) {
        Some(wrong) => {
            let detail =
                format!("{field}: `{}` is unknown: use {}", wrong.escape_debug(), known.join(", "));
            Err(Refusal::invalid(field, detail))
        }
        None => Ok(words),
    }
}
