//! The outbox as a whole: from an alert that waits to what is listed of its message.

use super::super::Store;
use super::super::rules::{Candidate, RuleSpec, add_rule, enqueue};
use super::super::tests::Folder;
use super::*;
use crate::store::alerts::load;
use crate::verdict::{AlertId, Severity};

/// Stores an alert as plainly as its table allows, and notes it for the rules.
fn alert(connection: &Connection, key: i64) -> anyhow::Result<()> {
    connection.execute(
        "INSERT INTO alerts (key, id, origin, revision, status, time_ns, first_seen_ns, src, dst,
             protocol, src_opened, technique, severity, score, raw_score, threshold, bytes_out,
             bytes_in, packets_out, packets_in, bytes_leaked, community_id, action)
         VALUES (?1, ?1, 'live', 1, 'open', 5, 4, ?2, ?2, 'tcp', 1, 'bulk_upload', 2, 0.9, 0.9,
             0.5, 48000000, 300, 10, 10, 47000000, '', 'blocked')",
        params![key, [0_u8; 16]],
    )?;
    connection.execute(
        "INSERT INTO alert_evidence VALUES (?, x'', 1.0, 0, '', '', '',
             '[{\"feature\":\"bias\",\"value\":null,\"contribution\":0.5,\"text\":\"a start\"},
               {\"feature\":\"sent_payload\",\"value\":9,\"contribution\":0.25,\"text\":\"it sent\"}]',
             '[]', NULL)",
        [key],
    )?;
    let stored = Candidate {
        key,
        severity: 2,
        technique: "bulk_upload",
        src: [0; 16].into(),
        dst: [u8::try_from(key)?; 16].into(),
    };
    enqueue(connection, &stored)?;
    Ok(())
}

fn wish() -> RuleSpec {
    RuleSpec {
        name: "a".into(),
        enabled: true,
        channel: "mail".into(),
        group: None,
        min_severity: Severity::Low,
        techniques: Vec::new(),
        host: None,
        digest_secs: 0,
        repeat_secs: 0,
    }
}

fn message(mark: &str) -> NewDelivery {
    NewDelivery {
        mark: mark.into(),
        channel: "mail".into(),
        recipient: "a@b.example".into(),
        rule: None,
        alerts: vec![1],
        subject: "it leaves".into(),
        message: "{}".into(),
        dropped: None,
    }
}

const LATER: u64 = u64::MAX >> 2;

#[test]
fn an_alert_becomes_a_message_once() {
    let folder = Folder::new("outbox");
    let store = Store::open(&folder.database()).unwrap();
    store
        .write(|connection| {
            add_rule(connection, &wish())?;
            alert(connection, 1)?;
            alert(connection, 2)
        })
        .unwrap();
    assert!(store.read(|connection| due(connection, 0)).unwrap().is_empty());
    let waiting = store.read(|connection| due(connection, LATER)).unwrap();
    let [Due { pending, .. }] = waiting.as_slice() else { panic!("{waiting:?}") };
    assert_eq!(pending.iter().map(|pending| pending.alert).collect::<Vec<_>>(), [1, 2]);
    let text = store.read(|connection| load(connection, 1)).unwrap().unwrap();
    assert_eq!((text.alert.id, text.alert.severity), (AlertId::live(1), Severity::High));
    // Earlier versions listed the model's bias.
    assert_eq!(text.alert.reasons.iter().map(|it| &*it.text).collect::<Vec<_>>(), ["it sent"]);
    assert!(store.read(|connection| load(connection, 9)).unwrap().is_none());

    let told = pending.clone();
    let new = store.write(move |connection| {
        put(connection, &[message("m1"), message("m1"), message("m2")], &told, 10)
    });
    assert_eq!(new.unwrap(), 2);
    assert!(store.read(|connection| due(connection, LATER)).unwrap().is_empty());
    assert_eq!(store.read(|connection| queued(connection, "mail")).unwrap(), 2);
}

#[test]
fn what_became_of_messages_is_seen() {
    let folder = Folder::new("outbox-seen");
    let store = Store::open(&folder.database()).unwrap();
    let first = store
        .write(|connection| {
            alert(connection, 1)?;
            let nobody = NewDelivery { dropped: Some("nobody".into()), ..message("m4") };
            let other = NewDelivery { channel: "gone".into(), ..message("m5") };
            let all = [message("m1"), message("m2"), message("m3"), nobody, other];
            put(connection, &all, &[], 10)?;
            let first = next(connection, "mail", 10)?.unwrap();
            let again = Outcome::Again { at_ns: 90, error: "busy".into() };
            record(connection, first.id, &again, 20)?;
            let second = next(connection, "mail", 20)?.unwrap();
            record(connection, second.id, &Outcome::Sent, 30)?;
            let third = next(connection, "mail", 30)?.unwrap();
            record(connection, third.id, &Outcome::Failed { error: "no such box".into() }, 40)?;
            assert!(next(connection, "mail", 89)?.is_none());
            Ok(next(connection, "mail", 90)?.unwrap())
        })
        .unwrap();
    assert_eq!((&*first.mark, first.attempts), ("m1", 1));
    let seen = |filter: Filter| {
        let filter = Filter { limit: 10, ..filter };
        let listed = store.read(|connection| deliveries(connection, &filter)).unwrap();
        listed.iter().map(|delivery| delivery.state.name()).collect::<Vec<_>>()
    };
    assert_eq!(seen(Filter::default()), ["queued", "dropped", "failed", "sent", "queued"]);
    assert_eq!(seen(Filter { state: Some(State::Sent), ..Filter::default() }), ["sent"]);
    assert_eq!(seen(Filter { channel: Some("gone".into()), ..Filter::default() }), ["queued"]);
    let of = |alert: &str| {
        let alert = Some(alert.parse().unwrap());
        seen(Filter { alert, ..Filter::default() }).len()
    };
    assert_eq!([of("0000000000000001"), of("0000000000000002")], [5, 0]);
    let tallies = store.read(tallies).unwrap();
    let mail = Tally {
        channel: "mail".into(),
        queued: 1,
        sent: 1,
        failed: 1,
        dropped: 1,
        error: Some("no such box".into()),
    };
    assert_eq!(tallies[1], mail);
}

#[test]
fn what_is_over_is_forgotten_and_what_nobody_sends_given_up() {
    let folder = Folder::new("outbox-forgotten");
    let store = Store::open(&folder.database()).unwrap();
    let day = Duration::from_secs(86_400);
    let left = store
        .write(move |connection| {
            put(connection, &[message("m1"), message("m2")], &[], 10)?;
            let gone = NewDelivery { channel: "gone".into(), ..message("m3") };
            put(connection, &[gone], &[], 10)?;
            record(connection, 1, &Outcome::Sent, 20)?;
            assert_eq!(waiting_channels(connection)?, ["gone", "mail"]);
            hold(connection, "gone", "there is no such channel")?;
            assert_eq!(give_up(connection, "gone", 10, "no way", 20)?, 0);
            assert_eq!(give_up(connection, "gone", 11, "no way", 20)?, 1);
            assert_eq!(delivery(connection, 3)?.error.as_deref(), Some("given up: no way"));
            forget(connection, day, 100 * nanos(day))?;
            deliveries(connection, &Filter { limit: 10, ..Filter::default() })
        })
        .unwrap();
    assert_eq!(left.iter().map(|delivery| delivery.id).collect::<Vec<_>>(), [2]);
}
