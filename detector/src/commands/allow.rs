//! `detector allow`: what is never blocked and raises no alerts, and how often that was used.

use std::io::{self, Write};

use super::control::{Output, show, unexpected, waiting};
use super::listing::{Column, Listing, short_time};
use crate::cli::control::{Allow, AllowCommand};
use crate::config::Config;
use crate::control::{AllowLine, Answer, Request};
use crate::units;

pub fn run(args: Allow, config: &Config) -> anyhow::Result<()> {
    let Allow { reach, command } = args;
    let (request, listed) = match command {
        AllowCommand::List(listed) => (Request::AllowList {}, listed),
        AllowCommand::Add(add) => {
            let request = Request::AllowAdd {
                source: add.source,
                destination: add.to.or(add.destination),
                name: add.name,
                port: add.port,
                reason: add.reason,
                ttl_secs: add.ttl,
                confirm_within_secs: add.change.confirm_within,
            };
            (request, add.change.listed)
        }
        AllowCommand::Remove(remove) => {
            let confirm_within_secs = remove.change.confirm_within;
            (Request::AllowRemove { id: remove.id, confirm_within_secs }, remove.change.listed)
        }
    };
    show(&reach, config, &request, listed, table)
}

fn table(output: &mut Output, answer: &Answer, _now_ns: u64) -> io::Result<()> {
    match answer {
        Answer::Allow { allow } => list(output, allow),
        Answer::Allowed { .. } | Answer::Disallowed { .. } => changed(output, answer),
        _ => unexpected(),
    }
}

pub(super) fn list(output: &mut impl Write, allow: &[AllowLine]) -> io::Result<()> {
    if allow.is_empty() {
        return writeln!(
            output,
            "no exceptions: add one with `detector allow add 192.0.2.7 --reason \"nightly backup\"`"
        );
    }
    let mut listing = Listing::new([
        Column::Left("ID"),
        Column::Left("FROM"),
        Column::Left("COVERS"),
        Column::Left("EFFECT"),
        Column::Right("HITS"),
        Column::Right("SESSIONS"),
        Column::Left("EXPIRES"),
        Column::Left("WHY"),
    ]);
    for line in allow {
        listing.row([
            line.id.clone(),
            line.kind.name().to_owned(),
            covers(line),
            line.effect.name().to_owned(),
            units::count(line.hits),
            units::count(line.sessions),
            line.expires.as_deref().map_or("never".to_owned(), short_time),
            line.reason.clone(),
        ]);
    }
    listing.write(output)
}

/// `from 10.0.0.7 to 192.0.2.0/24 name backup.example port 443`.
fn covers(line: &AllowLine) -> String {
    let mut parts = Vec::new();
    if let Some(network) = &line.network {
        parts.push(network.short());
    }
    if let Some(source) = &line.source {
        parts.push(format!("from {}", source.short()));
    }
    // What is never blocked by its address is there already.
    if let Some(destination) = line.destination.filter(|to| Some(*to) != line.network) {
        parts.push(format!("to {}", destination.short()));
    }
    if let Some(name) = &line.name {
        parts.push(format!("name {name}"));
    }
    if let Some(port) = line.port {
        parts.push(format!("port {port}"));
    }
    parts.join(" ")
}

fn changed(output: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let pending = match answer {
        Answer::Allowed { entry, released, pending } => {
            writeln!(
                output,
                "allowed as {}: {}, {}; {} ended",
                entry.id,
                covers(entry),
                entry.effect.name(),
                units::counted(*released, "block")
            )?;
            pending
        }
        Answer::Disallowed { entry, pending } => {
            writeln!(
                output,
                "no longer allowed: {}, after {} and {}",
                covers(entry),
                units::counted(entry.hits, "hit"),
                units::counted(entry.sessions, "session")
            )?;
            pending
        }
        _ => return Ok(()),
    };
    waiting(output, pending.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::example::{allow, text};
    use crate::control::{AllowEffect, AllowKind, Pending};

    #[test]
    fn exceptions_read_as_a_table() {
        let scoped = AllowLine {
            id: "a1".into(),
            kind: AllowKind::Operator,
            network: None,
            source: Some("10.0.0.7".parse().unwrap()),
            name: Some("backup.example".into()),
            port: Some(443),
            sessions: 12,
            expires: Some("2027-01-31T00:00:00.000000Z".into()),
            effect: AllowEffect::NoAlerts,
            reason: "nightly backup".into(),
            ..allow()
        };
        let expected = "\
ID  FROM      COVERS                                      EFFECT         HITS  SESSIONS  EXPIRES              WHY
g1  gateway   192.0.2.254                                 never blocked     3         0  never                next hop of the default route
a1  operator  from 10.0.0.7 name backup.example port 443  no alerts         3        12  2027-01-31 00:00:00  nightly backup
";
        assert_eq!(text(|output| list(output, &[allow(), scoped])), expected);
        assert!(text(|output| list(output, &[])).contains("detector allow add"));
    }

    #[test]
    fn changes_say_what_followed() {
        let pending = Some(Pending { id: 3, what: "allow".into(), in_secs: 60 });
        let answer = Answer::Allowed { entry: allow(), released: 1, pending };
        let expected = "\
allowed as g1: 192.0.2.254, never blocked; 1 block ended
the agent undoes this in 60 s unless you run: detector confirm 3
";
        assert_eq!(text(|output| changed(output, &answer)), expected);
        let answer = Answer::Disallowed { entry: allow(), pending: None };
        let expected = "no longer allowed: 192.0.2.254, after 3 hits and 0 sessions\n";
        assert_eq!(text(|output| changed(output, &answer)), expected);
    }
}
