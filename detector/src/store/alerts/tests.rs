//! Alerts in a real database: put in, found by each field, changed.

use super::*;
use crate::alerts::search::Filter;
use crate::alerts::{Origin, Resolution, Status};
use crate::store::Store;
use crate::store::tests::Folder;
use crate::timestamp::Timestamp;
use crate::verdict::alert::example::alert;
use crate::verdict::{ActionTaken, Alert, AlertId, Basis, Severity, Technique};

fn put(store: &Store, alert: &Alert, origin: Origin) -> (i64, bool) {
    let alert = alert.clone();
    store
        .write(move |connection| {
            let new = NewAlert { alert: &alert, origin, model_hash: "m", config_hash: "c" };
            insert(connection, &new)
        })
        .unwrap()
}

fn numbered(number: u64) -> Alert {
    let time = Timestamp::from_ns(1_000_000 * number);
    Alert { id: AlertId::live(number), time, revision: 1, ..alert() }
}

fn found(store: &Store, filter: &Filter) -> Vec<String> {
    let found = store.read(|connection| search(connection, filter, None, 500)).unwrap();
    assert_eq!((found.rows.len(), found.total_exact), (found.total, true), "{filter:?}");
    found
        .rows
        .into_iter()
        .map(|row| row.alert.id.to_string().trim_start_matches('0').to_owned())
        .collect()
}

#[test]
fn an_alert_comes_back_as_it_went_in() {
    let folder = Folder::new("alert");
    let store = Store::open(&folder.database()).unwrap();
    let (key, new) = put(&store, &alert(), Origin::Live);
    assert!(new && key == alert().time.ns() as i64);
    let id: AlertId = "00000000000000ab".parse().unwrap();
    let told = store.read(|connection| detail(connection, id)).unwrap().unwrap();
    assert_eq!(told.stored.headline, "10.0.0.7 sent 48 MB in 40 s to drop.example");
    let expected = Alert { basis: Basis::default(), ..alert() };
    assert_eq!(told.stored.alert, expected);
    assert_eq!(told.timeline.iter().map(|point| &*point.what).collect::<Vec<_>>(), ["opened"]);
    let basis = store.read(|connection| evidence(connection, key)).unwrap().unwrap();
    assert_eq!((basis.vector, basis.rules, basis.score), (vec![0.75], 1.0, 0.875));
}

#[test]
fn an_alert_that_grew_keeps_its_place_and_what_was_said_of_it() {
    let folder = Folder::new("grew");
    let store = Store::open(&folder.database()).unwrap();
    let first = numbered(5);
    let (key, _) = put(&store, &first, Origin::Live);
    store.write(move |connection| mark(connection, key, Status::Acknowledged, 9_000_000)).unwrap();
    let grown = Alert { revision: 2, time: Timestamp::from_ns(7_000_000), bytes_out: 99, ..first };
    assert_eq!(put(&store, &grown, Origin::Live), (key, false));
    let id = AlertId::live(5);
    let told = store.read(|connection| detail(connection, id)).unwrap().unwrap();
    assert_eq!((told.stored.status, told.stored.alert.bytes_out), (Status::Acknowledged, 99));
    let whats: Vec<&str> = told.timeline.iter().map(|point| &*point.what).collect();
    assert_eq!(whats, ["opened", "grew", "acknowledged"]);
    let both = Filter { text: Some("drop.example".into()), ..Filter::default() };
    assert_eq!(found(&store, &both), ["5"]);
    // The same in a capture is another alert.
    let origin = Origin::Capture { capture: 3, analysis: 4 };
    assert!(put(&store, &numbered(5), origin).1);
    assert!("0000000000000005-4".parse::<AlertId>().is_ok());
}

#[test]
fn a_later_block_is_no_growth() {
    let folder = Folder::new("blocked");
    let store = Store::open(&folder.database()).unwrap();
    let opened = numbered(5);
    put(&store, &opened, Origin::Live);
    let blocked = Alert {
        revision: 2,
        action: ActionTaken::Blocked,
        bytes_stopped: 7,
        blocked_at: Some(Timestamp::from_ns(6_000_000)),
        ..opened
    };
    put(&store, &blocked, Origin::Live);
    let ended = Alert {
        revision: 3,
        bytes_stopped: 9,
        block_ended: Some(Timestamp::from_ns(8_000_000)),
        ..blocked
    };
    put(&store, &ended, Origin::Live);
    let id = AlertId::live(5);
    let told = store.read(|connection| detail(connection, id)).unwrap().unwrap();
    let whats: Vec<&str> = told.timeline.iter().map(|point| &*point.what).collect();
    assert_eq!(whats, ["opened", "blocked", "block_ended"]);
    let Alert { bytes_out, bytes_stopped, bytes_attempted, .. } = told.stored.alert;
    assert_eq!((bytes_stopped, bytes_attempted), (9, bytes_out + 9));
}

#[test]
fn each_field_finds_what_has_it() {
    let folder = Folder::new("fields");
    let store = Store::open(&folder.database()).unwrap();
    let other = Alert {
        src: [10, 0, 0, 8].into(),
        dst: [192, 0, 2, 9].into(),
        src_port: None,
        dst_port: None,
        protocol: 1,
        technique: Technique::IcmpTunnel,
        severity: Severity::Low,
        dst_name: Some("o'hara.<b>100%</b>.example".into()),
        ..numbered(2)
    };
    put(&store, &numbered(1), Origin::Live);
    put(&store, &other, Origin::Record);
    let network = |text: &str| Some(text.parse().unwrap());
    let none = Filter::default;
    let check = |filter: Filter, expected: &[&str]| {
        assert_eq!(found(&store, &filter), expected, "{filter:?}");
    };
    check(none(), &["2", "1"]);
    check(Filter { address: network("10.0.0.8"), ..none() }, &["2"]);
    check(Filter { address: network("192.0.2.9"), ..none() }, &["2"]);
    check(Filter { address: network("10.0.0.0/8"), ..none() }, &["2", "1"]);
    check(Filter { src: network("10.0.0.7"), ..none() }, &["1"]);
    check(Filter { src: network("2001:db8::1"), ..none() }, &[]);
    check(Filter { dst: network("2001:db8::/32"), ..none() }, &["1"]);
    check(Filter { port: Some(443), ..none() }, &["1"]);
    check(Filter { src_port: Some(40_000), ..none() }, &["1"]);
    check(Filter { dst_port: Some(40_000), ..none() }, &[]);
    check(Filter { protocol: vec!["icmp".into()], ..none() }, &["2"]);
    check(Filter { protocol: vec!["icmp".into(), "tcp".into()], ..none() }, &["2", "1"]);
    check(Filter { technique: vec!["bulk_upload".into()], ..none() }, &["1"]);
    check(Filter { severity: vec![0], ..none() }, &["2"]);
    check(Filter { status: vec!["open".into()], ..none() }, &["2", "1"]);
    check(Filter { action: vec!["blocked".into()], ..none() }, &[]);
    check(Filter { origin: vec!["record".into()], ..none() }, &["2"]);
    check(Filter { capture: Some(1), ..none() }, &[]);
    check(Filter { name: Some("drop.example".into()), ..none() }, &["1"]);
    check(Filter { name: Some("o'hara".into()), ..none() }, &["2"]);
    check(Filter { from_ns: Some(1_500_000), ..none() }, &["2"]);
    check(Filter { to_ns: Some(1_500_000), ..none() }, &["1"]);
    let text = |text: &str| Filter { text: Some(text.to_owned()), ..none() };
    check(text("received 300 kB"), &["2", "1"]);
    check(text("10.0.0.8"), &["2"]);
    check(text("drop.exam*"), &["1"]);
    for literal in ["%", "'", "\"", "' OR 1=1 --", "*", "NEAR(", "name : x", "<script>", "a AND b"]
    {
        check(text(literal), &[]);
        check(Filter { name: Some(literal.to_owned()), ..none() }, &[]);
    }
    check(Filter { src: network("10.0.0.7"), severity: vec![0], ..none() }, &[]);
    check(Filter { src: network("10.0.0.8"), text: Some("sent".into()), ..none() }, &["2"]);
}

#[test]
fn pages_follow_each_other_without_a_gap() {
    let folder = Folder::new("pages");
    let store = Store::open(&folder.database()).unwrap();
    for number in 1..=23 {
        // Some open at the same instant.
        put(
            &store,
            &Alert { time: Timestamp::from_ns(number / 3), ..numbered(number) },
            Origin::Live,
        );
    }
    let filters = [
        Filter::default(),
        Filter { status: vec!["open".into(), "closed".into()], ..Filter::default() },
        Filter { text: Some("sent".into()), ..Filter::default() },
        Filter { address: Some("10.0.0.0/8".parse().unwrap()), ..Filter::default() },
    ];
    for filter in filters {
        let (mut cursor, mut seen) = (None, Vec::new());
        loop {
            let page = store.read(|connection| search(connection, &filter, cursor, 5)).unwrap();
            seen.extend(page.rows.iter().map(|row| row.alert.id));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let distinct: std::collections::BTreeSet<&AlertId> = seen.iter().collect();
        assert_eq!((seen.len(), distinct.len()), (23, 23), "{filter:?}");
    }
}

#[test]
fn an_export_has_all_whatever_their_number() {
    use crate::alerts::export::{write_csv, write_lines};

    let folder = Folder::new("export");
    let store = Store::open(&folder.database()).unwrap();
    const ALL: u64 = 1_203;
    store
        .write(|connection| {
            (1..=ALL).try_for_each(|number| {
                let (alert, origin) = (numbered(number), Origin::Live);
                let new = NewAlert { alert: &alert, origin, model_hash: "m", config_hash: "c" };
                insert(connection, &new).map(drop)
            })
        })
        .unwrap();
    let check = |filter: Filter, expected: usize| {
        let (mut pages, mut table, mut lines) = (Vec::new(), Vec::new(), Vec::new());
        search_all(&store, &filter, |rows| {
            write_csv(&mut table, rows, pages.is_empty())?;
            pages.push(rows.len());
            write_lines(&mut lines, rows)
        })
        .unwrap();
        let count = |text: Vec<u8>| String::from_utf8(text).unwrap().lines().count();
        assert_eq!(pages.iter().sum::<usize>(), expected, "{pages:?}");
        assert_eq!((count(table), count(lines)), (expected + 1, expected));
    };
    check(Filter::default(), 1_203);
    check(Filter { to_ns: Some(1_000_000 * 700), ..Filter::default() }, 700);
    check(Filter { protocol: vec!["none".into()], ..Filter::default() }, 0);
}

#[test]
fn what_people_say_is_kept() {
    let folder = Folder::new("said");
    let store = Store::open(&folder.database()).unwrap();
    let (key, _) = put(&store, &numbered(1), Origin::Live);
    store
        .write(move |connection| {
            add_note(connection, key, "Zoë", "a <b>backup</b>", 5)?;
            resolve(connection, key, Resolution::Benign, "Zoë", 6)
        })
        .unwrap();
    let id = AlertId::live(1);
    let told = store.read(|connection| detail(connection, id)).unwrap().unwrap();
    assert_eq!(told.notes[0].text, "a <b>backup</b>");
    assert_eq!(
        (told.stored.status, told.stored.resolution),
        (Status::Closed, Some(Resolution::Benign))
    );
    let samples: (u64, Vec<u8>) = store
        .read(|connection| {
            Ok(connection.query_row("SELECT label, vector FROM samples", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?)
        })
        .unwrap();
    assert_eq!(samples, (0, 0.75_f32.to_le_bytes().to_vec()));
}
