//! Searching alerts: any fields together, newest first, a page at a time.
//!
//! The order is that of the key, which every index ends in, so a page of a field that many share is
//! the end of its index. Where a field has few, those few are looked at, whatever else is asked for.
//! What is searched for is always a literal.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::row::{AlertRow, COLUMNS};
use crate::network::Network;

/// So many or fewer are few.
const FEW: usize = 2_000;
/// Counting ends here: that there are more is enough to know.
const COUNTED: usize = 10_000;
const COUNTED_TOGETHER: usize = 1_000;

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
    /// A DNS name, or whole labels of one.
    pub name: Option<String>,
    /// Words, all of which are there.
    pub text: Option<String>,
    /// When it opened: nanoseconds since the Unix epoch, both included.
    pub from_ns: Option<u64>,
    pub to_ns: Option<u64>,
}

/// A page.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub rows: Vec<AlertRow>,
    /// Where the next page begins.
    pub next: Option<i64>,
    pub total: usize,
    /// False: there are more than `total`.
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

/// One thing that is asked for.
#[derive(Debug)]
struct Condition {
    /// Its alternatives, each of one index.
    branches: Vec<Clause>,
    /// Within each alternative the index is in the order of keys.
    ordered: bool,
    words: bool,
}

impl Condition {
    fn any_of(column: &str, values: impl IntoIterator<Item = Value>) -> Self {
        let branch = |value| Clause::new(format!("a.{column} = ?"), vec![value]);
        Self { branches: values.into_iter().map(branch).collect(), ordered: true, words: false }
    }

    fn either(columns: &[&str], value: &Value) -> Self {
        let branch = |column: &&str| Clause::new(format!("a.{column} = ?"), vec![value.clone()]);
        Self { branches: columns.iter().map(branch).collect(), ordered: true, words: false }
    }

    fn address(columns: &[&str], network: &Network) -> Self {
        let (first, last) = network.bounds();
        if first == last {
            return Self::either(columns, &Value::Blob(first.to_vec()));
        }
        let bounds = vec![Value::Blob(first.to_vec()), Value::Blob(last.to_vec())];
        let branch =
            |column: &&str| Clause::new(format!("a.{column} BETWEEN ? AND ?"), bounds.clone());
        Self { branches: columns.iter().map(branch).collect(), ordered: false, words: false }
    }

    fn words(expression: String) -> Self {
        let sql =
            "EXISTS (SELECT 1 FROM alert_words w WHERE w.alert_words MATCH ? AND w.rowid = a.key)";
        let branch = Clause::new(sql, vec![Value::Text(expression)]);
        Self { branches: vec![branch], ordered: false, words: true }
    }

    /// All alternatives as one condition on a row.
    fn filter(&self) -> Clause {
        let sql: Vec<&str> = self.branches.iter().map(|branch| branch.sql.as_str()).collect();
        let values = self.branches.iter().flat_map(|branch| branch.values.clone()).collect();
        Clause::new(format!("({})", sql.join(" OR ")), values)
    }

    /// Keys of one alternative.
    fn keys(&self, branch: &Clause) -> Clause {
        if self.words {
            let sql = "SELECT rowid AS key FROM alert_words WHERE alert_words MATCH ?";
            return Clause::new(sql, branch.values.clone());
        }
        let sql = format!("SELECT a.key AS key FROM alerts a WHERE {}", branch.sql);
        Clause::new(sql, branch.values.clone())
    }

    /// How many rows meet it, up to `most` and one for each alternative.
    fn count(&self, connection: &Connection, most: usize) -> anyhow::Result<usize> {
        let mut sum = 0;
        for branch in &self.branches {
            let Clause { sql, values } = self.keys(branch);
            sum += count(connection, &sql, &values, most + 1)?;
            if sum > most {
                break;
            }
        }
        Ok(sum)
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
///
/// # Errors
///
/// A database that cannot be read.
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
    let mut bounds = times;
    if let Some(cursor) = cursor {
        bounds.push(Clause::new("a.key < ?", vec![Value::Integer(cursor)]));
    }
    let Clause { sql, values } = plan.keys(&conditions, &bounds, limit + 1);
    let sql = format!(
        "SELECT {COLUMNS} FROM ({sql}) k CROSS JOIN alerts a ON a.key = k.key ORDER BY a.key DESC"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(&values), AlertRow::read)?;
    let mut rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| row.key);
    Ok(Found { rows, next, total, total_exact })
}

fn total(
    connection: &Connection,
    plan: &Plan,
    conditions: &[Condition],
    times: &[Clause],
) -> anyhow::Result<(usize, bool)> {
    let alone = conditions.len() <= 1 && times.is_empty();
    let most = if alone { COUNTED } else { COUNTED_TOGETHER };
    let counted = match conditions {
        [condition] if alone && condition.branches.len() == 1 => {
            condition.count(connection, most)?
        }
        _ => {
            let Clause { sql, values } = plan.keys(conditions, times, most + 1);
            count(connection, &format!("SELECT 1 FROM ({sql})"), &values, most + 1)?
        }
    };
    Ok((counted.min(most), counted <= most))
}

/// Where to begin.
#[derive(Debug)]
enum Plan {
    /// With the few that meet this condition.
    Few(usize),
    /// With the words' own index, which is in the order of keys.
    Words(usize),
    /// With the indices of this condition's alternatives, from their ends.
    Ordered(usize),
    /// With the newest.
    Newest,
}

impl Plan {
    fn choose(connection: &Connection, conditions: &[Condition]) -> anyhow::Result<Self> {
        let mut fewest: Option<(usize, usize)> = None;
        for (index, condition) in conditions.iter().enumerate() {
            let count = condition.count(connection, FEW)?;
            if count <= FEW && fewest.is_none_or(|(least, _)| count < least) {
                fewest = Some((count, index));
            }
        }
        if let Some((_, index)) = fewest {
            return Ok(Self::Few(index));
        }
        let find = |wanted: fn(&Condition) -> bool| conditions.iter().position(wanted);
        Ok(find(|condition| condition.words)
            .map(Self::Words)
            .or_else(|| find(|condition| condition.ordered).map(Self::Ordered))
            .unwrap_or(Self::Newest))
    }

    /// Keys of the newest `limit` that meet all, within `bounds`.
    fn keys(&self, conditions: &[Condition], bounds: &[Clause], limit: usize) -> Clause {
        let first = match self {
            Self::Few(index) | Self::Words(index) | Self::Ordered(index) => Some(*index),
            Self::Newest => None,
        };
        let others = conditions.iter().enumerate().filter(|(index, _)| Some(*index) != first);
        let mut rest: Vec<Clause> = others.map(|(_, condition)| condition.filter()).collect();
        rest.extend_from_slice(bounds);
        let rest = all(&rest);
        let Some(condition) = first.and_then(|index| conditions.get(index)) else {
            let sql = format!("SELECT a.key FROM alerts a WHERE {}", rest.sql);
            return newest(Clause::new(sql, rest.values), limit);
        };
        match self {
            Self::Words(_) => {
                // The bounds are given to the index itself, which can begin there.
                let sql = format!(
                    "SELECT w.rowid AS key FROM alert_words w CROSS JOIN alerts a ON a.key = w.rowid
                     WHERE w.alert_words MATCH ? AND {} ORDER BY w.rowid DESC LIMIT {limit}",
                    rest.sql.replace("a.key <", "w.rowid <").replace("a.key >", "w.rowid >")
                );
                let mut values: Vec<Value> =
                    condition.branches.iter().flat_map(|branch| branch.values.clone()).collect();
                values.extend(rest.values);
                Clause::new(sql, values)
            }
            Self::Few(_) => {
                let mut values = Vec::new();
                let mut keys = Vec::new();
                for branch in &condition.branches {
                    let Clause { sql, values: own } = condition.keys(branch);
                    keys.push(sql);
                    values.extend(own);
                }
                let sql = format!(
                    "SELECT a.key FROM ({}) f CROSS JOIN alerts a ON a.key = f.key WHERE {}",
                    keys.join(" UNION "),
                    rest.sql
                );
                values.extend(rest.values);
                newest(Clause::new(sql, values), limit)
            }
            Self::Ordered(_) | Self::Newest => {
                let mut values = Vec::new();
                let mut parts = Vec::new();
                for branch in &condition.branches {
                    let sql =
                        format!("SELECT a.key FROM alerts a WHERE {} AND {}", branch.sql, rest.sql);
                    let part = newest(Clause::new(sql, branch.values.clone()), limit);
                    values.extend(part.values);
                    values.extend(rest.values.clone());
                    parts.push(format!("SELECT key FROM ({})", part.sql));
                }
                newest(Clause::new(parts.join(" UNION "), values), limit)
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

/// Each word as it stands; a star at its end stands for any ending.
fn every_word(text: &str) -> String {
    let word = |word: &str| match word.strip_suffix('*').filter(|start| !start.is_empty()) {
        Some(start) => format!("{}*", phrase(start)),
        None => phrase(word),
    };
    let words: Vec<String> = text.split_whitespace().map(word).collect();
    if words.is_empty() { phrase("") } else { words.join(" AND ") }
}
