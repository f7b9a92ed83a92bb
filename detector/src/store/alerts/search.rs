//! Searching alerts: any fields together, newest first, a page at a time.
//!
//! The order is that of the key, which every index ends in, so a page of a field that many share is
//! the end of its index. Where a field has few, those few are looked at, whatever else is asked
//! for. Fields with about as many values as there are alerts are found span by span
//! (migrations/2.sql). What is searched for is always a literal.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::row::{EVIDENCE, SELECT, read};
use super::span;
use crate::alerts::StoredAlert;
use crate::alerts::search::Filter;
use crate::network::Network;
use crate::store::Store;

/// So many or fewer are few.
const FEW: usize = 2_000;
/// Counting ends here: that there are more is enough to know.
const COUNTED: usize = 10_000;
/// Where each must be looked at.
const COUNTED_TOGETHER: usize = 500;
/// Where each must be looked up among words.
const COUNTED_WORDS: usize = 100;

/// A page.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub rows: Vec<StoredAlert>,
    /// Where the next page begins.
    pub next: Option<i64>,
    pub total: usize,
    /// False when more than `total` match.
    pub total_exact: bool,
}

/// A piece of SQL with its values.
#[derive(Clone, Debug, Default)]
struct Clause {
    sql: String,
    values: Vec<Value>,
}

impl Clause {
    fn new(sql: impl Into<String>, values: Vec<Value>) -> Self {
        Self { sql: sql.into(), values }
    }
}

/// An alternative that one index finds.
#[derive(Clone, Debug)]
struct Branch {
    clause: Clause,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Its index is in the order of keys.
    Ordered,
    /// Its index begins with the span.
    Spanned,
    /// The index of words, which is in the order of keys.
    Words,
}

/// Columns whose indices begin with the span.
const SPANNED: [&str; 3] = ["src", "dst", "src_port"];

impl Branch {
    fn column(column: &str, comparison: &str, values: Vec<Value>) -> Self {
        let clause = Clause::new(format!("a.{column} {comparison}"), values);
        let kind = if SPANNED.contains(&column) { Kind::Spanned } else { Kind::Ordered };
        Self { clause, kind }
    }

    /// The newest keys, `most` at most.
    fn keys(&self, connection: &Connection, most: usize) -> anyhow::Result<Vec<i64>> {
        let Clause { sql, values } = &self.clause;
        let mut keys = Vec::new();
        if self.kind != Kind::Spanned {
            let sql = match self.kind {
                Kind::Words => "SELECT rowid FROM alert_words WHERE alert_words MATCH ?".to_owned(),
                _ => format!("SELECT a.key FROM alerts a WHERE {sql} ORDER BY a.key DESC"),
            };
            let mut statement = connection.prepare_cached(&format!("{sql} LIMIT {most}"))?;
            let mut rows = statement.query(params_from_iter(values))?;
            while let Some(row) = rows.next()? {
                keys.push(row.get(0)?);
            }
            return Ok(keys);
        }
        let mut statement = connection.prepare_cached(&format!(
            "SELECT a.key FROM alerts a WHERE {sql} AND {} = ? LIMIT ?",
            span::of("a.key")
        ))?;
        for span in span::all(connection)? {
            let left = (most - keys.len()) as i64;
            let values = values.iter().cloned().chain([span.into(), left.into()]);
            let mut rows = statement.query(params_from_iter(values))?;
            while let Some(row) = rows.next()? {
                keys.push(row.get(0)?);
            }
            if keys.len() == most {
                break;
            }
        }
        Ok(keys)
    }

    /// How many there are, up to `most`.
    fn count(&self, connection: &Connection, most: usize) -> anyhow::Result<usize> {
        let Clause { sql, values } = &self.clause;
        match self.kind {
            Kind::Ordered => {
                count(connection, &format!("SELECT 1 FROM alerts a WHERE {sql}"), values, most)
            }
            Kind::Spanned | Kind::Words => Ok(self.keys(connection, most)?.len()),
        }
    }
}

/// One thing that is asked for: any of its alternatives.
#[derive(Debug)]
struct Condition {
    branches: Vec<Branch>,
}

impl Condition {
    fn any_of(column: &str, values: impl IntoIterator<Item = Value>) -> Self {
        let branch = |value| Branch::column(column, "= ?", vec![value]);
        Self { branches: values.into_iter().map(branch).collect() }
    }

    fn either(columns: &[&str], value: &Value) -> Self {
        let branch = |column: &&str| Branch::column(column, "= ?", vec![value.clone()]);
        Self { branches: columns.iter().map(branch).collect() }
    }

    fn address(columns: &[&str], network: &Network) -> Self {
        let (first, last) = network.bounds();
        if first == last {
            return Self::either(columns, &first.into());
        }
        let bounds = vec![first.into(), last.into()];
        let branch = |column: &&str| Branch::column(column, "BETWEEN ? AND ?", bounds.clone());
        Self { branches: columns.iter().map(branch).collect() }
    }

    fn words(expression: String) -> Self {
        let sql =
            "EXISTS (SELECT 1 FROM alert_words w WHERE w.alert_words MATCH ? AND w.rowid = a.key)";
        let clause = Clause::new(sql, vec![Value::Text(expression)]);
        Self { branches: vec![Branch { clause, kind: Kind::Words }] }
    }

    fn is(&self, kind: Kind) -> bool {
        self.branches.iter().all(|branch| branch.kind == kind)
    }

    /// All alternatives as one condition on a row.
    fn filter(&self) -> Clause {
        let sql: Vec<&str> = self.branches.iter().map(|each| each.clause.sql.as_str()).collect();
        Clause::new(format!("({})", sql.join(" OR ")), self.values())
    }

    fn values(&self) -> Vec<Value> {
        self.branches.iter().flat_map(|branch| branch.clause.values.clone()).collect()
    }

    /// The keys of all that meet it, where they are few.
    fn few(&self, connection: &Connection) -> anyhow::Result<Option<Vec<i64>>> {
        let mut keys = Vec::new();
        for branch in &self.branches {
            keys.append(&mut branch.keys(connection, FEW + 1)?);
            if keys.len() > FEW {
                return Ok(None);
            }
        }
        // Both ends may be the same.
        keys.sort_unstable();
        keys.dedup();
        Ok(Some(keys))
    }
}

fn count(
    connection: &Connection,
    sql: &str,
    values: &[Value],
    most: usize,
) -> anyhow::Result<usize> {
    let sql = format!("SELECT count(*) FROM ({sql} LIMIT {most})");
    let mut statement = connection.prepare_cached(&sql)?;
    let counted: i64 = statement.query_row(params_from_iter(values), |row| row.get(0))?;
    Ok(usize::try_from(counted).unwrap_or(0))
}

/// The alerts that meet all of `filter`, newest first, `limit` of those before `cursor`.
pub fn search(
    connection: &Connection,
    filter: &Filter,
    cursor: Option<i64>,
    limit: usize,
) -> anyhow::Result<Found> {
    let conditions = filter.conditions();
    let times = filter.times();
    let plan = Plan::choose(connection, &conditions)?;
    let (total, total_exact) = total(connection, &plan, &conditions, &times)?;
    let (rows, next) = page(connection, &plan, &conditions, times, cursor, limit)?;
    Ok(Found { rows, next, total, total_exact })
}

/// The newest `limit` before `cursor`, and where the next page begins.
fn page(
    connection: &Connection,
    plan: &Plan,
    conditions: &[Condition],
    times: Vec<Clause>,
    cursor: Option<i64>,
    limit: usize,
) -> anyhow::Result<(Vec<StoredAlert>, Option<i64>)> {
    let mut bounds = times;
    if let Some(cursor) = cursor {
        bounds.push(Clause::new("a.key < ?", vec![Value::Integer(cursor)]));
    }
    let Clause { sql, values } = plan.keys(conditions, &bounds, limit + 1);
    let sql = format!(
        "{} FROM ({sql}) k CROSS JOIN alerts a ON a.key = k.key {EVIDENCE} ORDER BY a.key DESC",
        *SELECT
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(&values), read)?;
    let mut rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| row.key);
    Ok((rows, next))
}

/// Rows that are read at once for an export.
const AT_ONCE: usize = 500;

/// Hands all alerts that meet `filter` to `take`, newest first, a page at a time; without one, an empty
/// page. What is written meanwhile is not among them.
pub fn search_all(
    store: &Store,
    filter: &Filter,
    mut take: impl FnMut(&[StoredAlert]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut cursor = None;
    loop {
        let (rows, next) = store.read(|connection| {
            let conditions = filter.conditions();
            let plan = Plan::choose(connection, &conditions)?;
            page(connection, &plan, &conditions, filter.times(), cursor, AT_ONCE)
        })?;
        take(&rows)?;
        cursor = next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

fn total(
    connection: &Connection,
    plan: &Plan,
    conditions: &[Condition],
    times: &[Clause],
) -> anyhow::Result<(usize, bool)> {
    let alone = conditions.len() <= 1 && times.is_empty();
    let (most, counted) = match (conditions, plan) {
        ([_], Plan::Few(_, keys)) if alone => (FEW, keys.len()),
        ([Condition { branches }], _) if alone && branches.len() == 1 => {
            (COUNTED, branches[0].count(connection, COUNTED + 1)?)
        }
        ([], _) if alone => (COUNTED, count(connection, "SELECT 1 FROM alerts", &[], COUNTED + 1)?),
        _ => {
            let words = conditions.iter().any(|condition| condition.is(Kind::Words));
            let most = if words { COUNTED_WORDS } else { COUNTED_TOGETHER };
            let Clause { sql, values } = plan.keys(conditions, times, most + 1);
            (most, count(connection, &format!("SELECT 1 FROM ({sql})"), &values, most + 1)?)
        }
    };
    Ok((counted.min(most), counted <= most))
}

/// Where to begin.
#[derive(Debug)]
enum Plan {
    /// With the few that meet this condition, whose keys are known.
    Few(usize, Vec<i64>),
    /// With the words' own index, which is in the order of keys.
    Words(usize),
    /// With the indices of this condition's alternatives, from their ends.
    Ordered(usize),
    /// With the newest.
    Newest,
}

impl Plan {
    fn choose(connection: &Connection, conditions: &[Condition]) -> anyhow::Result<Self> {
        let mut fewest: Option<(Vec<i64>, usize)> = None;
        for (index, condition) in conditions.iter().enumerate() {
            if let Some(keys) = condition.few(connection)?
                && fewest.as_ref().is_none_or(|(least, _)| keys.len() < least.len())
            {
                fewest = Some((keys, index));
            }
        }
        if let Some((keys, index)) = fewest {
            return Ok(Self::Few(index, keys));
        }
        let find = |kind| conditions.iter().position(|condition| condition.is(kind));
        Ok(find(Kind::Words)
            .map(Self::Words)
            .or_else(|| find(Kind::Ordered).map(Self::Ordered))
            .unwrap_or(Self::Newest))
    }

    /// Keys of the newest `limit` that meet all, within `bounds`.
    fn keys(&self, conditions: &[Condition], bounds: &[Clause], limit: usize) -> Clause {
        let first = match self {
            Self::Few(index, _) | Self::Words(index) | Self::Ordered(index) => Some(*index),
            Self::Newest => None,
        };
        let others = conditions.iter().enumerate().filter(|(index, _)| Some(*index) != first);
        let mut rest: Vec<Clause> = others.map(|(_, condition)| condition.filter()).collect();
        rest.extend_from_slice(bounds);
        let rest = all(&rest);
        let condition = first.and_then(|index| conditions.get(index));
        match (self, condition) {
            (Self::Words(_), Some(condition)) => {
                // The bounds are given to the index itself, which can begin there.
                let sql = format!(
                    "SELECT w.rowid AS key FROM alert_words w CROSS JOIN alerts a ON a.key = w.rowid
                     WHERE w.alert_words MATCH ? AND {} ORDER BY w.rowid DESC LIMIT {limit}",
                    rest.sql.replace("a.key <", "w.rowid <").replace("a.key >", "w.rowid >")
                );
                let mut values = condition.values();
                values.extend(rest.values);
                Clause::new(sql, values)
            }
            (Self::Few(_, keys), _) => {
                let sql = format!(
                    "SELECT a.key FROM json_each(?) f CROSS JOIN alerts a ON a.key = f.value \
                     WHERE {}",
                    rest.sql
                );
                let list: Vec<String> = keys.iter().map(i64::to_string).collect();
                let mut values = vec![Value::Text(format!("[{}]", list.join(",")))];
                values.extend(rest.values);
                newest(Clause::new(sql, values), limit)
            }
            (Self::Ordered(_), Some(condition)) => {
                let mut values = Vec::new();
                let mut parts = Vec::new();
                for Branch { clause, .. } in &condition.branches {
                    let sql =
                        format!("SELECT a.key FROM alerts a WHERE {} AND {}", clause.sql, rest.sql);
                    let part = newest(Clause::new(sql, clause.values.clone()), limit);
                    values.extend(part.values);
                    values.extend(rest.values.clone());
                    parts.push(format!("SELECT key FROM ({})", part.sql));
                }
                newest(Clause::new(parts.join(" UNION "), values), limit)
            }
            (Self::Newest | Self::Words(_) | Self::Ordered(_), _) => {
                let sql = format!("SELECT a.key FROM alerts a WHERE {}", rest.sql);
                newest(Clause::new(sql, rest.values), limit)
            }
        }
    }
}

fn newest(keys: Clause, limit: usize) -> Clause {
    let sql = format!("{} ORDER BY 1 DESC LIMIT {limit}", keys.sql);
    Clause::new(sql, keys.values)
}

fn all(clauses: &[Clause]) -> Clause {
    if clauses.is_empty() {
        return Clause::new("1", Vec::new());
    }
    let sql: Vec<&str> = clauses.iter().map(|clause| clause.sql.as_str()).collect();
    let values = clauses.iter().flat_map(|clause| clause.values.clone()).collect();
    Clause::new(sql.join(" AND "), values)
}

impl Filter {
    fn conditions(&self) -> Vec<Condition> {
        let text = |list: &[String]| -> Vec<Value> {
            list.iter().map(|value| Value::Text(value.clone())).collect()
        };
        let number = |number: u16| Value::Integer(i64::from(number));
        let lists = [
            ("protocol", text(&self.protocol)),
            ("technique", text(&self.technique)),
            ("severity", self.severity.iter().map(|rank| number(u16::from(*rank))).collect()),
            ("status", text(&self.status)),
            ("action", text(&self.action)),
            ("origin", text(&self.origin)),
            ("capture", self.capture.map(Value::Integer).into_iter().collect()),
            ("src_port", self.src_port.map(number).into_iter().collect()),
            ("dst_port", self.dst_port.map(number).into_iter().collect()),
        ];
        let mut conditions: Vec<Condition> = lists
            .into_iter()
            .filter(|(_, values)| !values.is_empty())
            .map(|(column, values)| Condition::any_of(column, values))
            .collect();
        let ends: [(&[&str], Option<Network>); 3] =
            [(&["src", "dst"], self.address), (&["src"], self.src), (&["dst"], self.dst)];
        let ends = ends.into_iter().filter_map(|(columns, network)| Some((columns, network?)));
        conditions.extend(ends.map(|(columns, network)| Condition::address(columns, &network)));
        conditions.extend(
            self.port.map(|port| Condition::either(&["src_port", "dst_port"], &number(port))),
        );
        let words = [
            self.name.as_deref().map(|name| format!("name : {}", phrase(name))),
            self.text.as_deref().map(every_word),
        ];
        conditions.extend(words.into_iter().flatten().map(Condition::words));
        conditions
    }

    fn times(&self) -> Vec<Clause> {
        let bound = |sql: &str, time_ns: u64| {
            Clause::new(sql, vec![Value::Integer(i64::try_from(time_ns).unwrap_or(i64::MAX))])
        };
        let from = self.from_ns.map(|time_ns| bound("a.key >= ?", time_ns));
        let to = self.to_ns.map(|time_ns| bound("a.key <= ?", time_ns));
        from.into_iter().chain(to).collect()
    }
}

/// A literal for the index of words.
fn phrase(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// Each word as it is; a star at its end matches any ending.
fn every_word(text: &str) -> String {
    let word = |word: &str| match word.strip_suffix('*').filter(|start| !start.is_empty()) {
        Some(start) => format!("{}*", phrase(start)),
        None => phrase(word),
    };
    let words: Vec<String> = text.split_whitespace().map(word).collect();
    if words.is_empty() { phrase("") } else { words.join(" AND ") }
}
