//! Who is notified of which alerts, and what that means for an alert that is being stored.
//!
//! What a rule wants reported is written with the alert itself: one commit, so that neither is ever
//! there without the other. Nothing is sent from here.

use anyhow::Context as _;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::contacts::{free, known, unknown};
use crate::clock;
use crate::network::{Address, Network};
use crate::refusal::Refusal;
use crate::verdict::Severity;

/// An alert is reported so long after it was stored: what follows at once goes into the same
/// message.
const SETTLE_NS: u64 = 500_000_000;
/// A severity that has risen is reported again, but not sooner than this.
const RISE_NS: u64 = 60 * SECOND_NS;
const SECOND_NS: u64 = 1_000_000_000;

/// A rule with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub id: i64,
    pub wish: RuleSpec,
}

/// What a rule wants reported, to whom and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSpec {
    pub name: String,
    pub enabled: bool,
    /// A channel's name in the configuration.
    pub channel: String,
    /// None: the channel's own recipients.
    pub group: Option<i64>,
    pub min_severity: Severity,
    /// Empty: all.
    pub techniques: Vec<String>,
    /// Alerts from or to it.
    pub host: Option<Network>,
    /// Collect alerts for this long into one message; 0: a message for each alert.
    pub digest_secs: u32,
    /// The same alert, or another of the same technique between the same two hosts, is reported
    /// again after so long. 0: each alert is reported once, and again only when its severity has
    /// risen.
    pub repeat_secs: u32,
}

/// What of an alert decides who is notified.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    /// Its key in the database.
    pub key: i64,
    /// Its rank.
    pub severity: u8,
    pub technique: &'a str,
    pub src: Address,
    pub dst: Address,
}

/// What a rule sent last about an alert or its like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notified {
    /// Its rank.
    pub severity: u8,
    pub time_ns: u64,
}

const COLUMNS: &str = "id, name, enabled, channel, group_id, min_severity, techniques, host, \
                       digest_secs, repeat_secs";

/// All rules, in the order in which they were added.
pub fn rules(connection: &Connection) -> anyhow::Result<Vec<Rule>> {
    read(connection, "ORDER BY id")
}

/// One rule.
pub fn rule(connection: &Connection, id: i64) -> anyhow::Result<Rule> {
    let query = format!("SELECT {COLUMNS} FROM rules WHERE id = ?");
    let found = connection.query_row(&query, [id], columns).optional()?;
    rule_of(found.ok_or_else(|| unknown("rule", id))?)
}

fn read(connection: &Connection, which: &str) -> anyhow::Result<Vec<Rule>> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM rules {which}"))?;
    let rows = statement.query_map([], columns)?;
    rows.map(|row| rule_of(row?)).collect()
}

/// A row as it is, its texts not yet understood.
type Columns = (Rule, String, Option<String>);

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    let wish = RuleSpec {
        name: row.get(1)?,
        enabled: row.get(2)?,
        channel: row.get(3)?,
        group: row.get(4)?,
        min_severity: severity(row.get(5)?),
        techniques: Vec::new(),
        host: None,
        digest_secs: row.get(8)?,
        repeat_secs: row.get(9)?,
    };
    Ok((Rule { id: row.get(0)?, wish }, row.get(6)?, row.get(7)?))
}

fn severity(rank: u8) -> Severity {
    Severity::ALL.get(usize::from(rank)).copied().unwrap_or(Severity::Critical)
}

fn rule_of((mut rule, techniques, host): Columns) -> anyhow::Result<Rule> {
    rule.wish.techniques = serde_json::from_str(&techniques)
        .with_context(|| format!("failed to read the techniques of rule {}", rule.id))?;
    rule.wish.host = host.map(|host| host.parse()).transpose()?;
    Ok(rule)
}

/// Adds a rule.
pub fn add_rule(connection: &Connection, wish: &RuleSpec) -> anyhow::Result<Rule> {
    free(connection, "rules", "rule", &wish.name, None)?;
    put(connection, None, wish)?;
    rule(connection, connection.last_insert_rowid())
}

/// Puts other values in a rule's place.
pub fn change_rule(connection: &Connection, id: i64, wish: &RuleSpec) -> anyhow::Result<Rule> {
    rule(connection, id)?;
    free(connection, "rules", "rule", &wish.name, Some(id))?;
    put(connection, Some(id), wish)?;
    rule(connection, id)
}

fn put(connection: &Connection, id: Option<i64>, wish: &RuleSpec) -> anyhow::Result<()> {
    if let Some(group) = wish.group {
        let mut groups = connection.prepare_cached("SELECT 1 FROM groups WHERE id = ?")?;
        let found = groups.exists([group])?;
        let none = || Refusal::invalid("group", format!("group: there is no group {group}"));
        anyhow::ensure!(found, none());
    }
    connection.execute(
        "INSERT INTO rules VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, enabled = excluded.enabled,
             channel = excluded.channel, group_id = excluded.group_id,
             min_severity = excluded.min_severity, techniques = excluded.techniques,
             host = excluded.host, digest_secs = excluded.digest_secs,
             repeat_secs = excluded.repeat_secs",
        params![
            id,
            wish.name,
            wish.enabled,
            wish.channel,
            wish.group,
            wish.min_severity.rank(),
            serde_json::to_string(&wish.techniques)?,
            wish.host.map(|host| host.to_string()),
            wish.digest_secs,
            wish.repeat_secs,
        ],
    )?;
    Ok(())
}

/// Removes a rule, and what it had not reported yet.
pub fn remove_rule(connection: &Connection, id: i64) -> anyhow::Result<()> {
    known(connection.execute("DELETE FROM rules WHERE id = ?", [id])?, "rule", id)
}

/// Notes for each rule that wants it that `alert` is to be reported, and returns how many do. For
/// the transaction that stores the alert, each time that it opened, grew or rose.
pub fn enqueue(connection: &Connection, alert: &Candidate<'_>) -> anyhow::Result<u64> {
    // Of this clock, not of the packets: a capture's alerts are years old when they are found.
    enqueue_at(connection, alert, clock::now_ns())
}

fn enqueue_at(connection: &Connection, alert: &Candidate<'_>, now_ns: u64) -> anyhow::Result<u64> {
    let in_force = "WHERE enabled AND (group_id IS NULL
         OR (SELECT alertable FROM groups WHERE groups.id = group_id))";
    let mut count = 0;
    for rule in read(connection, in_force)? {
        if rule.wish.is_for(alert) && note(connection, &rule, alert, now_ns)? {
            count += 1;
        }
    }
    Ok(count)
}

impl RuleSpec {
    /// Whether the rule is about such alerts.
    #[must_use]
    pub fn is_for(&self, alert: &Candidate<'_>) -> bool {
        let techniques = &self.techniques;
        alert.severity >= self.min_severity.rank()
            && (techniques.is_empty() || techniques.iter().any(|name| name == alert.technique))
            && self.host.is_none_or(|host| host.contains(alert.src) || host.contains(alert.dst))
    }

    /// When a message about an alert is due, after what was sent about it (`same`) or its like;
    /// none: it is not news.
    #[must_use]
    pub fn due(
        &self,
        same: Option<Notified>,
        like: Option<Notified>,
        severity: u8,
        now_ns: u64,
    ) -> Option<u64> {
        let soon = now_ns + SETTLE_NS;
        let repeat_ns = u64::from(self.repeat_secs) * SECOND_NS;
        // Where nothing is repeated, another alert is news, however like the first it is.
        let like = like.filter(|_| repeat_ns != 0);
        let last = same.into_iter().chain(like).max_by_key(|told| told.time_ns);
        let Some(last) = last else { return Some(soon) };
        let most = same.into_iter().chain(like).map(|told| told.severity).max();
        if Some(severity) > most {
            return Some(soon.max(last.time_ns + RISE_NS));
        }
        (repeat_ns != 0 && now_ns >= last.time_ns + repeat_ns).then_some(soon)
    }
}

fn note(
    connection: &Connection,
    rule: &Rule,
    alert: &Candidate<'_>,
    now_ns: u64,
) -> anyhow::Result<bool> {
    let same = told_of(connection, rule.id, alert)?;
    let like = told_of_like(connection, rule.id, alert)?;
    let Some(mut due_ns) = rule.wish.due(same, like, alert.severity, now_ns) else {
        return Ok(false);
    };
    if rule.wish.digest_secs != 0 {
        due_ns = digest_due(connection, rule, now_ns)?;
    }
    connection
        .prepare_cached(
            "INSERT INTO pending (rule, alert, time_ns, due_ns) VALUES (?, ?, ?, ?)
             ON CONFLICT (rule, alert) DO NOTHING",
        )?
        .execute(params![rule.id, alert.key, now_ns, due_ns])?;
    connection
        .prepare_cached(
            "INSERT INTO told (rule, alert, src, dst, technique, severity, time_ns)
             VALUES (?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (rule, alert) DO UPDATE SET src = excluded.src, dst = excluded.dst,
                 technique = excluded.technique, severity = excluded.severity,
                 time_ns = excluded.time_ns",
        )?
        .execute(params![
            rule.id,
            alert.key,
            alert.src,
            alert.dst,
            alert.technique,
            alert.severity,
            now_ns
        ])?;
    Ok(true)
}

fn told_of(
    connection: &Connection,
    rule: i64,
    alert: &Candidate<'_>,
) -> anyhow::Result<Option<Notified>> {
    let mut statement = connection
        .prepare_cached("SELECT severity, time_ns FROM told WHERE rule = ? AND alert = ?")?;
    Ok(statement.query_row([rule, alert.key], told).optional()?)
}

fn told_of_like(
    connection: &Connection,
    rule: i64,
    alert: &Candidate<'_>,
) -> anyhow::Result<Option<Notified>> {
    let mut statement = connection.prepare_cached(
        "SELECT severity, time_ns FROM told
         WHERE rule = ? AND src = ? AND dst = ? AND technique = ? ORDER BY time_ns DESC LIMIT 1",
    )?;
    let ends = params![rule, alert.src, alert.dst, alert.technique];
    Ok(statement.query_row(ends, told).optional()?)
}

fn told(row: &Row<'_>) -> rusqlite::Result<Notified> {
    Ok(Notified { severity: row.get(0)?, time_ns: row.get(1)? })
}

/// A digest ends a while after the first alert in it.
fn digest_due(connection: &Connection, rule: &Rule, now_ns: u64) -> anyhow::Result<u64> {
    let begun: Option<u64> = connection
        .prepare_cached("SELECT min(due_ns) FROM pending WHERE rule = ? AND due_ns > ?")?
        .query_row(params![rule.id, now_ns], |row| row.get(0))?;
    Ok(begun.unwrap_or(now_ns + u64::from(rule.wish.digest_secs) * SECOND_NS))
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::super::contacts::add_group;
    use super::super::tests::Folder;
    use super::*;

    fn wish(name: &str) -> RuleSpec {
        RuleSpec {
            name: name.into(),
            enabled: true,
            channel: "mail".into(),
            group: None,
            min_severity: Severity::Medium,
            techniques: Vec::new(),
            host: None,
            digest_secs: 0,
            repeat_secs: 3_600,
        }
    }

    fn alert(key: i64, severity: u8) -> Candidate<'static> {
        let address = |last: u8| [10, 0, 0, last].into();
        Candidate {
            key,
            severity,
            technique: "bulk_upload",
            src: address(7),
            dst: [192, 0, 2, 1].into(),
        }
    }

    /// How many rules want each alert reported, one second after the other unless a time is given.
    fn wanted(wishes: Vec<RuleSpec>, alerts: &[(Candidate<'static>, u64)]) -> Vec<u64> {
        let folder = Folder::new(&format!("rules-{}", wishes[0].name));
        let store = Store::open(&folder.database()).unwrap();
        let alerts = alerts.to_vec();
        store
            .write(move |connection| {
                for wish in &wishes {
                    add_rule(connection, wish)?;
                }
                let start = 1_800_000_000 * SECOND_NS;
                alerts
                    .iter()
                    .map(|(alert, secs)| enqueue_at(connection, alert, start + secs * SECOND_NS))
                    .collect()
            })
            .unwrap()
    }

    #[test]
    fn a_rule_wants_what_it_names() {
        let host = |text: &str| Some(text.parse::<Network>().unwrap());
        let wishes = vec![
            wish("any"),
            RuleSpec { min_severity: Severity::Critical, ..wish("critical") },
            RuleSpec { techniques: vec!["dns_tunnel".into()], ..wish("dns") },
            RuleSpec { host: host("10.0.0.0/24"), ..wish("home") },
            RuleSpec { host: host("192.0.2.1"), ..wish("receiver") },
            RuleSpec { host: host("fd00::/8"), ..wish("elsewhere") },
            RuleSpec { enabled: false, ..wish("off") },
        ];
        assert_eq!(wanted(wishes, &[(alert(1, 0), 0), (alert(2, 2), 0), (alert(3, 3), 0)])[1], 3);
    }

    #[test]
    fn the_same_is_not_told_again_too_soon() {
        // The same alert grows; another is like it; then its severity rises; then an hour is over.
        let growing = [
            (alert(1, 1), 0),
            (alert(1, 1), 10),
            (alert(2, 1), 20),
            (alert(1, 2), 30),
            (alert(1, 2), 40),
            (alert(1, 2), 3_629),
            (alert(1, 2), 3_630),
        ];
        assert_eq!(wanted(vec![wish("repeat")], &growing), [1, 0, 0, 1, 0, 0, 1]);
        let once = RuleSpec { repeat_secs: 0, ..wish("once") };
        assert_eq!(wanted(vec![once], &growing), [1, 0, 1, 1, 0, 0, 0]);
    }

    #[test]
    fn a_group_that_is_not_alertable_is_not_told() {
        let folder = Folder::new("rules-alertable");
        let store = Store::open(&folder.database()).unwrap();
        let counts: (u64, u64) = store
            .write(|connection| {
                let group = add_group(connection, "ops", false, &[])?.id;
                add_rule(connection, &RuleSpec { group: Some(group), ..wish("a") })?;
                let before = enqueue_at(connection, &alert(1, 3), SECOND_NS)?;
                connection.execute("UPDATE groups SET alertable = 1", [])?;
                Ok((before, enqueue_at(connection, &alert(1, 3), SECOND_NS)?))
            })
            .unwrap();
        assert_eq!(counts, (0, 1));
    }

    #[test]
    fn a_digest_ends_a_while_after_its_first_alert() {
        let folder = Folder::new("rules-digest");
        let store = Store::open(&folder.database()).unwrap();
        let dues: Vec<u64> = store
            .write(|connection| {
                add_rule(connection, &RuleSpec { digest_secs: 600, repeat_secs: 0, ..wish("a") })?;
                for (key, secs) in [(1, 0), (2, 300), (3, 599), (4, 700)] {
                    enqueue_at(connection, &alert(key, 3), secs * SECOND_NS)?;
                }
                let mut dues = connection.prepare("SELECT due_ns FROM pending ORDER BY id")?;
                let dues = dues.query_map([], |row| row.get(0))?;
                Ok(dues.collect::<Result<_, _>>()?)
            })
            .unwrap();
        let dues: Vec<u64> = dues.iter().map(|time| time / SECOND_NS).collect();
        assert_eq!(dues, [600, 600, 600, 1_300]);
    }

    #[test]
    fn rules_are_kept_as_they_were_written() {
        let folder = Folder::new("rules-kept");
        let store = Store::open(&folder.database()).unwrap();
        let full = RuleSpec {
            techniques: vec!["dns_tunnel".into(), "slow_drip".into()],
            host: Some("10.0.0.0/8".parse().unwrap()),
            digest_secs: 60,
            ..wish("full")
        };
        let added = full.clone();
        let stored = store.write(move |connection| add_rule(connection, &added)).unwrap();
        assert_eq!(stored.wish, full);
        assert_eq!(store.read(|connection| rule(connection, stored.id)).unwrap().wish, full);
        let id = stored.id;
        let changed = store.write(move |connection| change_rule(connection, id, &wish("other")));
        assert_eq!(changed.unwrap().wish, wish("other"));
        let taken = store.write(|connection| add_rule(connection, &wish("other"))).unwrap_err();
        assert!(taken.is::<Refusal>(), "{taken}");
        let nobody = RuleSpec { group: Some(9), ..wish("nobody") };
        assert!(store.write(move |connection| add_rule(connection, &nobody)).is_err());
        store.write(move |connection| remove_rule(connection, id)).unwrap();
        assert!(store.write(move |connection| remove_rule(connection, id)).is_err());
    }
}
