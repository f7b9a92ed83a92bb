//! What follows from saying that an alert's traffic is expected: an exception with a scope and an end.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::network::Network;
use crate::refusal::Refusal;
use crate::verdict::allow::Entry;
use crate::verdict::{Alert, services};

/// How long an exception after a benign alert lasts: 30 days.
pub const DEFAULT_SECS: u64 = 30 * 86_400;
/// It has an end: a year at the latest.
pub const MAX_SECS: u64 = 366 * 86_400;

/// How far the exception reaches
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = BenignScope)]
pub enum Scope {
    /// Everything that this sender sends to this receiver
    #[default]
    Pair,
    /// Everything that is sent to the receiver's port
    Service,
    /// Everything that is sent to the receiver
    Destination,
    /// Everything that is sent to hosts of the receiver's name
    Name,
}

/// How long an exception lasts.
///
/// # Errors
///
/// No time at all, and more than [`MAX_SECS`].
pub fn lasts_secs(wanted: Option<u64>) -> Result<u64, Refusal> {
    let secs = wanted.unwrap_or(DEFAULT_SECS);
    if (1..=MAX_SECS).contains(&secs) {
        return Ok(secs);
    }
    Err(Refusal::invalid("ttl_secs", format!("ttl_secs: use 1 to {MAX_SECS}, which is 366 days")))
}

/// The exception for what an alert flags.
///
/// # Errors
///
/// An alert about no traffic, a scope by name where no name is known, or where many people's data may be behind the name.
pub fn exception(alert: &Alert, scope: Scope) -> Result<Entry, Refusal> {
    if alert.monitor_event.is_some() {
        let text =
            "the alert is about the monitor itself, so there is no traffic to expect: close it";
        return Err(Refusal::conflict(text));
    }
    let name = alert.domain.as_deref().or(alert.dst_name.as_deref());
    let destination = Some(Network::of(alert.dst));
    let reason = format!("alert {} was benign", alert.id);
    let to_anybody = Entry { destination, reason, ..Entry::default() };
    Ok(match scope {
        Scope::Pair => Entry { source: Some(Network::of(alert.src)), ..to_anybody },
        Scope::Service => Entry { port: alert.dst_port, ..to_anybody },
        Scope::Destination => to_anybody,
        Scope::Name => {
            let unnamed = || Refusal::invalid("scope", "scope: no name of the receiver is known");
            let name = name.ok_or_else(unnamed)?;
            if services::is_shared(name) {
                let text = format!("scope: many people use {name}: choose pair or destination");
                return Err(Refusal::invalid("scope", text));
            }
            Entry { destination: None, name: Some(name.to_owned()), ..to_anybody }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_covers_what_its_scope_says() {
        let check = |scope, name: Option<&str>, domain: Option<&str>, expected: &str| {
            let alert = Alert {
                src: [10, 0, 0, 7].into(),
                dst: [192, 0, 2, 1].into(),
                dst_port: Some(443),
                dst_name: name.map(Into::into),
                domain: domain.map(Into::into),
                ..Alert::default()
            };
            let said = match exception(&alert, scope) {
                Ok(Entry { source, destination, name, port, expires, reason }) => {
                    assert!(expires.is_none() && reason.contains(&alert.id.to_string()));
                    let [from, to] = [source, destination].map(|it| it.map(|it| it.short()));
                    format!("{from:?} {to:?} {name:?} {port:?}")
                }
                Err(refusal) => refusal.text,
            };
            assert!(said.contains(expected), "{scope:?} {name:?}: {said}");
        };
        let backup = Some("backup.example.com");
        check(Scope::Pair, backup, None, r#"Some("10.0.0.7") Some("192.0.2.1") None None"#);
        check(Scope::Service, backup, None, r#"None Some("192.0.2.1") None Some(443)"#);
        check(Scope::Destination, backup, None, r#"None Some("192.0.2.1") None None"#);
        check(Scope::Name, backup, None, r#"None None Some("backup.example.com") None"#);
        check(Scope::Name, backup, Some("example.org"), r#"None None Some("example.org") None"#);
        check(Scope::Name, None, None, "no name of the receiver is known");
        check(Scope::Name, Some("s3.amazonaws.com"), None, "many people use s3.amazonaws.com");
        check(Scope::Name, Some("my.s3.amazonaws.com"), None, r#"Some("my.s3.amazonaws.com")"#);
    }

    #[test]
    fn an_exception_has_an_end() {
        assert_eq!(lasts_secs(None), Ok(DEFAULT_SECS));
        assert_eq!(lasts_secs(Some(1)), Ok(1));
        assert!(lasts_secs(Some(0)).is_err() && lasts_secs(Some(MAX_SECS + 1)).is_err());
    }
}
