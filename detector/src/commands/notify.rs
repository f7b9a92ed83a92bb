//! `detector notify`: rules, channels, test messages and what became of messages.

use std::io::{self, BufWriter, Write};

use anyhow::{Context as _, bail};
use serde_json::json;

use super::contacts::{group_id, open};
use super::listing::{self, Column, Listing, short_time};
use crate::cli::LiveFormat;
use crate::cli::control::Listed;
use crate::cli::notify::{Deliveries, Notify, NotifyCommand, NotifyTest, RulesAdd, RulesCommand};
use crate::config::Config;
use crate::notify::{channels, check, test};
use crate::store::outbox::{self, Delivery, Filter, State};
use crate::store::rules::{self, Rule, RuleSpec};
use crate::store::{Store, contacts};
use crate::units;

pub fn run(args: &Notify, config: &Config) -> anyhow::Result<()> {
    let store = open(&args.place, config)?;
    let mut output = BufWriter::new(io::stdout().lock());
    match &args.command {
        NotifyCommand::Test(test) => send_test(&mut output, &store, config, test)?,
        NotifyCommand::Channels(listed) => list_channels(&mut output, &store, config, *listed)?,
        NotifyCommand::Rules(rules) => match &rules.command {
            RulesCommand::List(listed) => list_rules(&mut output, &store, config, *listed)?,
            RulesCommand::Add(add) => {
                let added = add_rule(&store, config, add)?;
                writeln!(output, "added rule {}", added.wish.name)?;
            }
            RulesCommand::Remove(rule) => {
                let id = rule_id(&store, &rule.name)?;
                store.write(move |connection| rules::remove_rule(connection, id))?;
                writeln!(output, "removed rule {}", rule.name)?;
            }
        },
        NotifyCommand::Deliveries(which) => list_deliveries(&mut output, &store, which)?,
    }
    output.flush()?;
    Ok(())
}

fn send_test(
    output: &mut impl Write,
    store: &Store,
    config: &Config,
    args: &NotifyTest,
) -> anyhow::Result<()> {
    let message = test::message(&config.notify, &args.channel, args.to.as_deref())?;
    let sent = test::send(store, &config.notify, message)?;
    if args.listed.format == LiveFormat::Json {
        listing::json(output, [delivery_json(&sent)])?;
        output.flush()?;
    }
    if let Some(error) = &sent.error {
        bail!("failed to send the test message to {}: {error}", sent.recipient);
    }
    if args.listed.format == LiveFormat::Table {
        writeln!(output, "sent a test message over {} to {}", sent.channel, sent.recipient)?;
    }
    Ok(())
}

fn list_channels(
    output: &mut impl Write,
    store: &Store,
    config: &Config,
    listed: Listed,
) -> anyhow::Result<()> {
    let states = channels(&config.notify, &store.read(outbox::tallies)?);
    if listed.format == LiveFormat::Json {
        let lines = states.iter().map(|state| {
            json!({
                "name": state.name, "kind": state.kind, "target": state.target,
                "state": state.state, "queued": state.tally.queued, "sent": state.tally.sent,
                "failed": state.tally.failed, "last_error": state.tally.error,
            })
        });
        return Ok(listing::json(output, lines)?);
    }
    if states.is_empty() {
        return Ok(writeln!(output, "no channels: add one to [notify] in the configuration")?);
    }
    let mut table = Listing::new([
        Column::Left("CHANNEL"),
        Column::Left("KIND"),
        Column::Left("LEADS TO"),
        Column::Left("STATE"),
        Column::Right("QUEUED"),
        Column::Right("SENT"),
        Column::Right("FAILED"),
        Column::Left("LAST ERROR"),
    ]);
    for state in states {
        table.row([
            state.name,
            state.kind.to_owned(),
            state.target,
            state.state.name().to_owned(),
            units::count(state.tally.queued),
            units::count(state.tally.sent),
            units::count(state.tally.failed),
            state.tally.error.unwrap_or_default(),
        ]);
    }
    Ok(table.write(output)?)
}

fn rule_id(store: &Store, name: &str) -> anyhow::Result<i64> {
    let rules = store.read(rules::rules)?;
    let found = rules.iter().find(|rule| rule.wish.name == name).map(|rule| rule.id);
    found.with_context(|| format!("there is no rule `{name}`: see `detector notify rules list`"))
}

fn add_rule(store: &Store, config: &Config, add: &RulesAdd) -> anyhow::Result<Rule> {
    let group = add.group.as_deref().map(|name| group_id(store, name)).transpose()?;
    let wish = RuleSpec {
        name: add.name.clone(),
        enabled: true,
        channel: add.channel.clone(),
        group,
        min_severity: check::severity(&add.min_severity)?,
        techniques: add.technique.clone(),
        host: add.host,
        digest_secs: add.digest.unwrap_or(0),
        repeat_secs: add
            .repeat
            .unwrap_or_else(|| check::default_repeat(&add.channel, &config.notify)),
    };
    let wish = check::rule(wish, &config.notify)?;
    store.write(move |connection| rules::add_rule(connection, &wish))
}

fn list_rules(
    output: &mut impl Write,
    store: &Store,
    config: &Config,
    listed: Listed,
) -> anyhow::Result<()> {
    let (rules, groups) =
        store.read(|connection| Ok((rules::rules(connection)?, contacts::groups(connection)?)))?;
    let held = |wish: &RuleSpec| check::why_not_told(wish, &config.notify);
    if listed.format == LiveFormat::Json {
        let lines = rules.iter().map(|rule| rule_json(rule, held(&rule.wish)));
        return Ok(listing::json(output, lines)?);
    }
    if rules.is_empty() {
        let example = "detector notify rules add all --channel mail";
        return Ok(writeln!(output, "no rules, so nobody is notified: add one with `{example}`")?);
    }
    let mut table = Listing::new([
        Column::Left("RULE"),
        Column::Left("CHANNEL"),
        Column::Left("GROUP"),
        Column::Left("FROM"),
        Column::Left("ONLY"),
        Column::Right("DIGEST"),
        Column::Right("REPEAT"),
        Column::Left("STATE"),
    ]);
    for Rule { wish, .. } in &rules {
        let group = groups.iter().find(|group| Some(group.id) == wish.group);
        let off = group.is_some_and(|group| !group.alertable);
        let state = match held(wish) {
            _ if !wish.enabled => "off".to_owned(),
            _ if off => "off: the group is off".to_owned(),
            Some(why) => format!("held: {why}"),
            None => "on".to_owned(),
        };
        table.row([
            wish.name.clone(),
            wish.channel.clone(),
            group.map(|group| group.name.clone()).unwrap_or_default(),
            wish.min_severity.name().to_owned(),
            only(wish),
            units::seconds(wish.digest_secs.into()),
            units::seconds(wish.repeat_secs.into()),
            state,
        ]);
    }
    Ok(table.write(output)?)
}

/// `dns_tunnel, slow_drip host 10.0.0.0/8`.
fn only(wish: &RuleSpec) -> String {
    let host = wish.host.map(|host| format!("host {}", host.short()));
    let techniques = (!wish.techniques.is_empty()).then(|| wish.techniques.join(", "));
    techniques.into_iter().chain(host).collect::<Vec<_>>().join(" ")
}

fn rule_json(rule: &Rule, held: Option<String>) -> serde_json::Value {
    let wish = &rule.wish;
    json!({
        "id": rule.id, "name": wish.name, "enabled": wish.enabled, "channel": wish.channel,
        "group": wish.group, "min_severity": wish.min_severity.name(), "techniques": wish.techniques,
        "host": wish.host.map(|host| host.short()), "digest_secs": wish.digest_secs,
        "repeat_secs": wish.repeat_secs, "held": held,
    })
}

fn list_deliveries(
    output: &mut impl Write,
    store: &Store,
    which: &Deliveries,
) -> anyhow::Result<()> {
    let state = match which.state.as_deref() {
        Some(name) => Some(State::of(name).with_context(|| {
            format!("`{name}` is not a state: use queued, sent, failed or dropped")
        })?),
        None => None,
    };
    let alert = which.alert.as_deref().map(str::parse).transpose().map_err(anyhow::Error::msg)?;
    let filter =
        Filter { alert, state, channel: which.channel.clone(), before: None, limit: which.limit };
    let deliveries = store.read(|connection| outbox::deliveries(connection, &filter))?;
    if which.listed.format == LiveFormat::Json {
        return Ok(listing::json(output, deliveries.iter().map(delivery_json))?);
    }
    if deliveries.is_empty() {
        return Ok(writeln!(output, "no messages")?);
    }
    let mut table = Listing::new([
        Column::Left("TIME"),
        Column::Left("CHANNEL"),
        Column::Left("TO"),
        Column::Left("STATE"),
        Column::Right("TRIES"),
        Column::Left("SUBJECT"),
        Column::Left("ERROR"),
    ]);
    for delivery in deliveries {
        table.row([
            short_time(&units::rfc3339(delivery.time_ns)),
            delivery.channel,
            delivery.recipient,
            delivery.state.name().to_owned(),
            delivery.attempts.to_string(),
            delivery.subject,
            delivery.error.unwrap_or_default(),
        ]);
    }
    Ok(table.write(output)?)
}

fn delivery_json(delivery: &Delivery) -> serde_json::Value {
    json!({
        "id": delivery.id, "time": units::rfc3339(delivery.time_ns), "channel": delivery.channel,
        "recipient": delivery.recipient, "alert": delivery.alert, "alerts": delivery.alerts,
        "state": delivery.state.name(), "attempts": delivery.attempts,
        "next_attempt": delivery.next_attempt_ns.map(units::rfc3339), "error": delivery.error,
        "subject": delivery.subject,
    })
}
