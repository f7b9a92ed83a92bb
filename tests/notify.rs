//! Telling people, with real receivers: a mail server with STARTTLS and a login, an SMS gateway, a
//! webhook, a chat, syslog over UDP and TCP. Everything stays on the loopback interface.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "notify/bed.rs"]
mod bed;

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use bed::{Bed, CHANNELS, alert, received, wait_for};
use detector::store::outbox::{Delivery, Filter, State, deliveries};
use detector::verdict::{Alert, Severity};
use detector_tests::{Background, poll_until};
use serde_json::Value;

/// From the alert's being stored to the message's having arrived.
const PROMISED: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(30);

/// What receivers call each kind, and how many come for one alert.
const KINDS: [(&str, usize); 5] =
    [("mail", 1), ("sms", 1), ("hook", 1), ("chat", 1), ("syslog", 2)];

fn ids(messages: &[Value]) -> BTreeSet<String> {
    messages.iter().map(|message| message["id"].to_string()).collect()
}

fn outbox(bed: &Bed, state: Option<State>) -> Vec<Delivery> {
    let filter = Filter { state, limit: 500, ..Filter::default() };
    bed.store.read(|connection| deliveries(connection, &filter)).unwrap()
}

/// Waits until nothing is queued any more.
fn wait_until_sent(bed: &Bed) {
    poll_until(LIMIT, || outbox(bed, Some(State::Queued)).is_empty().then_some(()))
        .unwrap_or_else(|error| panic!("{error}: {:#?}", outbox(bed, None)));
}

fn program() -> Command {
    let beside = || {
        let own = std::env::current_exe().unwrap();
        own.ancestors().nth(2).unwrap().join("detector").into_os_string()
    };
    Command::new(std::env::var_os("DETECTOR_BIN").unwrap_or_else(beside))
}

fn detector(bed: &Bed, arguments: &[&str]) -> Output {
    program().args(arguments).arg("--config").arg(&bed.config_path).output().unwrap()
}

#[test]
fn an_alert_reaches_everybody_within_five_seconds() {
    let bed = Bed::new("everybody");
    bed.rules(&CHANNELS);
    let receivers = bed.receivers();
    let _notifier = bed.notifier();
    let stored = Instant::now();
    bed.alert(7);
    for (kind, count) in KINDS {
        wait_for(&receivers, kind, count, PROMISED.saturating_sub(stored.elapsed()));
    }
    let headline = "10.0.0.7 sent 48 MB in 40 s to <b>größe</b>.example";
    let mail = &received(&receivers, "mail")[0];
    assert_eq!(mail["to"], serde_json::json!(["zoe@example.org"]));
    assert_eq!((&mail["tls"], &mail["login"]), (&true.into(), &true.into()));
    let subject = mail["subject"].as_str().unwrap();
    assert!(subject.starts_with("[high] ") && subject.contains(headline), "{subject}");
    assert!(
        mail["text"].as_str().unwrap().contains("https://detector.example/alerts/0000000000000007")
    );
    let html = mail["html"].as_str().unwrap();
    assert!(html.contains("&lt;b&gt;größe") && !html.contains("<b>größe"), "{html}");

    let sms = &received(&receivers, "sms")[0];
    let text = sms["text"].as_str().unwrap();
    assert_eq!(sms["to"], serde_json::json!(["+15550100"]));
    assert_eq!(sms["login"], "Basic YWNjb3VudDpwYXNzd29yZA==");
    assert!(text.chars().count() <= 160 && text.ends_with("/alerts/0000000000000007"), "{text}");

    let hook = &received(&receivers, "hook")[0];
    assert_eq!(hook["valid"], true);
    assert_eq!(
        (&hook["body"]["src"], &hook["body"]["severity"]),
        (&"10.0.0.7".into(), &"high".into())
    );

    let chat = received(&receivers, "chat")[0]["text"].as_str().unwrap().to_owned();
    assert!(chat.contains("&lt;b&gt;größe"), "{chat}");
    for line in received(&receivers, "syslog") {
        assert_eq!((&line["head"], &line["app"]), (&"<131>1".into(), &"detector".into()));
        assert_eq!(line["message_id"], "alert");
        assert!(line["rest"].as_str().unwrap().contains("src=\"10.0.0.7\""), "{line}");
    }
    wait_until_sent(&bed);
    let sent = outbox(&bed, Some(State::Sent));
    assert_eq!(sent.len(), CHANNELS.len());
    assert!(sent.iter().all(|delivery| delivery.alert.as_deref() == Some("0000000000000007")));
}

#[test]
fn what_was_down_for_a_while_misses_nothing_and_gets_nothing_twice() {
    const ALERTS: u8 = 5;
    let bed = Bed::new("down");
    bed.rules(&CHANNELS);
    let notifier = bed.notifier();
    for number in 1..=ALERTS {
        bed.alert(number);
        notifier.wake();
    }
    let tried = || {
        let queued = outbox(&bed, Some(State::Queued));
        let tried: BTreeSet<_> =
            queued.iter().filter(|one| one.attempts > 1).map(|one| &*one.channel).collect();
        (tried.len() == CHANNELS.len()).then_some(queued.len())
    };
    let queued = poll_until(LIMIT, tried).unwrap();
    assert_eq!(queued, CHANNELS.len() * usize::from(ALERTS));
    assert!(outbox(&bed, None).iter().all(|one| one.attempts == 0 || one.error.is_some()));

    // Some come back hesitating.
    let receivers: Vec<Background> =
        [("smtp", 0), ("http", 3), ("https", 2), ("udp", 0), ("tcp", 0)]
            .map(|(name, failures)| bed.receiver(name, failures))
            .into();
    wait_until_sent(&bed);
    for (kind, each) in KINDS {
        let expected = each * usize::from(ALERTS);
        wait_for(&receivers, kind, expected, LIMIT);
    }
    // Whatever came twice would come soon.
    thread::sleep(Duration::from_secs(3));
    for (kind, each) in KINDS {
        let messages = received(&receivers, kind);
        assert_eq!(messages.len(), each * usize::from(ALERTS), "{kind}: {messages:?}");
        assert_eq!(ids(&messages).len(), usize::from(ALERTS), "{kind}: {messages:?}");
    }
    assert_eq!(outbox(&bed, Some(State::Sent)).len(), queued);
}

#[test]
fn a_channel_that_hangs_holds_up_no_other() {
    let bed = Bed::new("hangs");
    bed.rules(&["mail", "hook", "tcp"]);
    // They take the connection and say nothing.
    let _mail = TcpListener::bind(("127.0.0.1", bed.port("smtp"))).unwrap();
    let _syslog = TcpListener::bind(("127.0.0.1", bed.port("tcp"))).unwrap();
    let receivers = [bed.receiver("https", 0)];
    let _notifier = bed.notifier();
    for number in 1..=3 {
        let stored = Instant::now();
        bed.alert(number);
        let limit = PROMISED.saturating_sub(stored.elapsed());
        wait_for(&receivers, "hook", number.into(), limit);
    }
}

#[test]
fn what_is_refused_fails_at_once_and_the_rest_goes_on() {
    let bed = Bed::new("refused");
    let receivers = [bed.receiver("smtp", 0)];
    let text = ["contacts", "groups", "add", "ops"];
    assert!(detector(&bed, &text).status.success());
    for (name, email) in [("No", "nobody@example.org"), ("Zoë", "zoe@example.org")] {
        let add = ["contacts", "add", name, "O'Neill", "--email", email, "--group", "ops"];
        let added = detector(&bed, &add);
        assert!(added.status.success(), "{added:?}");
    }
    let rule = ["notify", "rules", "add", "night", "--channel", "mail", "--group", "ops"];
    assert!(detector(&bed, &rule).status.success());
    let _notifier = bed.notifier();
    bed.alert(1);
    wait_for(&receivers, "mail", 1, PROMISED);
    wait_until_sent(&bed);
    let failed = outbox(&bed, Some(State::Failed));
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0].error.as_deref().unwrap().contains("no such mailbox"), "{failed:?}");
    assert_eq!(failed[0].attempts, 1);
    assert_eq!(outbox(&bed, Some(State::Sent))[0].recipient, "zoe@example.org");
}

#[test]
fn growth_is_not_told_and_a_rise_and_a_flood_are_told_once() {
    let bed = Bed::new("flood");
    bed.rules(&["mail", "hook"]);
    let receivers = [bed.receiver("smtp", 0), bed.receiver("https", 0)];
    let _notifier = bed.notifier();
    bed.alert(1);
    wait_for(&receivers, "hook", 1, PROMISED);
    wait_for(&receivers, "mail", 1, PROMISED);
    // It grew; and another session between the same two hosts looks the same.
    bed.alert_of(&Alert { revision: 2, bytes_out: 96_000_000, ..alert(1) });
    bed.alert_of(&Alert { src: alert(1).src, ..alert(2) });
    bed.alerts_of((10..210).map(alert).collect());
    wait_for(&receivers, "mail", 2, PROMISED);
    wait_for(&receivers, "hook", 201, LIMIT);
    wait_until_sent(&bed);
    // People get few messages about a flood, programs an event for each alert.
    let events = received(&receivers, "hook");
    let alerts = events.iter().map(|one| one["body"]["id"].to_string());
    assert_eq!((events.len(), alerts.collect::<BTreeSet<_>>().len()), (201, 201), "{events:?}");
    assert!(received(&receivers, "mail").len() <= 12);
}

#[test]
fn a_severity_that_rises_before_it_was_told_is_told_as_it_is() {
    let bed = Bed::new("rise");
    bed.rules(&["hook"]);
    bed.alert(1);
    bed.alert_of(&Alert { revision: 2, severity: Severity::Critical, ..alert(1) });
    let receivers = [bed.receiver("https", 0)];
    let _notifier = bed.notifier();
    let first = wait_for(&receivers, "hook", 1, PROMISED);
    assert_eq!(first[0]["body"]["severity"], "critical");
    wait_until_sent(&bed);
    assert_eq!(received(&receivers, "hook").len(), 1);
}

/// Killed at odd moments while alerts come in: all are told, and what was told twice says so.
#[test]
fn kills_lose_nothing() {
    const ALERTS: u8 = 60;
    const KILLS: u32 = 12;
    let bed = Bed::new("kills");
    bed.rules(&["mail", "hook", "tcp"]);
    let receivers: Vec<Background> =
        ["smtp", "https", "tcp"].map(|name| bed.receiver(name, 0)).into();
    let serve = || {
        let mut command = program();
        command.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(&bed.config_path);
        Background::start(&mut command).unwrap()
    };
    let mut server = serve();
    for number in 1..=ALERTS {
        bed.alert(number);
        if u32::from(number) % (u32::from(ALERTS) / KILLS) == 0 {
            thread::sleep(Duration::from_millis(u64::from(number) * 13 % 900 + 50));
            server.kill().unwrap();
            server = serve();
        }
    }
    wait_until_sent(&bed);
    // Programs get an event for each alert, however many come at once.
    let hooks = received(&receivers, "hook");
    assert_eq!(ids(&hooks).len(), usize::from(ALERTS), "{hooks:?}");
    assert!(hooks.iter().all(|one| one["body"]["type"] == "alert"), "{hooks:?}");
    for kind in ["mail", "hook", "syslog"] {
        let messages = received(&receivers, kind);
        // What came twice over syslog is not told apart.
        if kind != "syslog" {
            let twice = messages.len() - ids(&messages).len();
            assert!(twice <= KILLS as usize, "{kind}: {twice} were told twice");
        }
    }
    let failed = outbox(&bed, Some(State::Failed));
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn commands_say_what_is_wrong() {
    let bed = Bed::new("commands");
    let fails = |arguments: &[&str], expected: &str| {
        let output = detector(&bed, arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
        assert!(text.lines().last().unwrap_or_default().contains(expected), "{text}");
    };
    fails(&["notify", "rules", "add", "a", "--channel", "pigeon"], "no channel `pigeon`");
    fails(&["notify", "rules", "add", "a", "--channel", "mail", "--group", "x"], "no group `x`");
    fails(&["contacts", "add", "Zoë", "O'Neill", "--email", "zoe"], "email: `zoe` is not a mail");
    fails(&["contacts", "remove", "7"], "there is no contact 7");
    fails(&["notify", "test", "mail", "--to", "x"], "to: `x` is not a mail address");
    fails(&["notify", "test", "hook"], "failed to send the test message");

    let _receivers = bed.receivers();
    for channel in CHANNELS {
        let sent = detector(&bed, &["notify", "test", channel]);
        assert!(sent.status.success(), "{channel}: {sent:?}");
    }
    let listed = detector(&bed, &["notify", "deliveries", "--format", "json"]);
    let text = String::from_utf8(listed.stdout).unwrap();
    let states: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["state"].to_string())
        .collect();
    assert_eq!(states.iter().filter(|state| *state == "\"sent\"").count(), CHANNELS.len());
    let channels = detector(&bed, &["notify", "channels"]);
    let text = String::from_utf8(channels.stdout).unwrap();
    for secret in ["opensesame", "password", "/chat"] {
        assert!(!text.contains(secret), "{text}");
    }
}
