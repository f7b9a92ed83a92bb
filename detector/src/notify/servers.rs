//! The servers that messages go to, by address: a block must not silence the message about it.

use std::collections::BTreeMap;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use ureq::http::Uri;

use super::email;
use super::secret::Secret;
use crate::config::notify::{Channel, Notify};

/// How often names are looked up again.
const LOOK: Duration = Duration::from_secs(60);

/// Addresses with the channels that lead to them.
pub type Servers = BTreeMap<IpAddr, String>;

/// Who looks up the servers of all channels, in a thread of its own, since a resolver may take its
/// time. Dropped, it ends at the next look.
#[derive(Debug)]
pub struct Watch {
    found: Receiver<Servers>,
    _alive: Arc<()>,
}

impl Watch {
    /// What is found first is news, also where it is nothing: servers of an earlier configuration
    /// are forgotten by it. Where there is no channel, no thread is started.
    #[must_use]
    pub fn start(notify: &Notify) -> Self {
        let (tell, found) = sync_channel(1);
        let alive = Arc::new(());
        if notify.channels.is_empty() {
            // There is room for one.
            drop(tell.try_send(Servers::new()));
        } else {
            let (channels, wanted) = (notify.channels.clone(), Arc::downgrade(&alive));
            thread::spawn(move || look(&channels, &tell, &wanted));
        }
        Self { found, _alive: alive }
    }

    /// What was found since the last call, where it is not the same.
    #[must_use]
    pub fn news(&self) -> Option<Servers> {
        self.found.try_recv().ok()
    }
}

fn look(channels: &[Channel], tell: &SyncSender<Servers>, wanted: &Weak<()>) {
    let mut known: BTreeMap<&str, Vec<IpAddr>> = BTreeMap::new();
    let mut failing: Vec<&str> = Vec::new();
    let mut told = None;
    while wanted.strong_count() != 0 {
        for channel in channels {
            let name = channel.name();
            match addresses(channel) {
                Ok(addresses) => {
                    failing.retain(|each| *each != name);
                    known.insert(name, addresses);
                }
                // What was found before stays.
                Err(error) if !failing.contains(&name) => {
                    tracing::warn!(
                        "failed to exempt the server of the channel {name} from blocks: {error:#}"
                    );
                    failing.push(name);
                }
                Err(_) => {}
            }
        }
        let mut servers = Servers::new();
        for (name, addresses) in &known {
            for address in addresses {
                let names: &mut String = servers.entry(*address).or_default();
                let comma = if names.is_empty() { "" } else { ", " };
                *names = format!("{names}{comma}{name}");
            }
        }
        if told.as_ref() != Some(&servers) {
            if tell.send(servers.clone()).is_err() {
                return;
            }
            told = Some(servers);
        }
        thread::sleep(LOOK);
    }
}

fn addresses(channel: &Channel) -> anyhow::Result<Vec<IpAddr>> {
    let (host, port) = server(channel)?;
    let found = (host.as_str(), port)
        .to_socket_addrs()
        .map_err(|error| anyhow::anyhow!("{host} has no address: {error}"))?;
    Ok(found.map(|address| address.ip()).collect())
}

/// The host, as a name or an address without brackets, and the port.
fn server(channel: &Channel) -> anyhow::Result<(String, u16)> {
    match channel {
        Channel::Email(email) => Ok((email.host.clone(), email::port(email))),
        Channel::Sms(sms) => of_url(&sms.url),
        Channel::Webhook(webhook) => of_url(&webhook.url),
        Channel::Slack(slack) => {
            let url = Secret::read(slack.url_file.as_ref(), slack.url_env.as_ref())?;
            of_url(url.as_ref().map_or("", Secret::reveal))
        }
        Channel::Syslog(syslog) => {
            let split = syslog.address.rsplit_once(':');
            let (host, port) = split.ok_or_else(|| anyhow::anyhow!("the address has no port"))?;
            Ok((without_brackets(host), port.parse()?))
        }
    }
}

/// The address may be a secret: no error shows it.
fn of_url(url: &str) -> anyhow::Result<(String, u16)> {
    let wrong = || anyhow::anyhow!("its address is not a web address");
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let usual = if uri.scheme_str() == Some("http") { 80 } else { 443 };
    let host = uri.host().ok_or_else(wrong)?;
    Ok((without_brackets(host), uri.port_u16().unwrap_or(usual)))
}

fn without_brackets(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_has_a_server() {
        let file = std::env::temp_dir().join(format!("detector-hook-{}", std::process::id()));
        std::fs::write(&file, "https://192.0.2.5/services/T0\n").unwrap();
        let text = format!(
            r#"channels = [
                {{ kind = "email", name = "mail", host = "192.0.2.1", from = "a@b.example" }},
                {{ kind = "webhook", name = "hook", url = "http://[2001:db8::2]:8080/x" }},
                {{ kind = "sms", name = "sms", url = "https://192.0.2.3/x", body = "{{to}}{{text}}" }},
                {{ kind = "syslog", name = "log", address = "[2001:db8::4]:514" }},
                {{ kind = "slack", name = "chat", url_file = "{}" }},
                {{ kind = "syslog", name = "same", address = "192.0.2.1:514" }},
            ]"#,
            file.display()
        );
        let notify: Notify = toml::from_str(&text).unwrap();
        let servers = Watch::start(&notify).found.recv().unwrap();
        std::fs::remove_file(&file).unwrap();
        let expected = [
            ("192.0.2.1", "mail, same"),
            ("192.0.2.3", "sms"),
            ("192.0.2.5", "chat"),
            ("2001:db8::2", "hook"),
            ("2001:db8::4", "log"),
        ];
        let seen: Vec<(String, &str)> =
            servers.iter().map(|(address, names)| (address.to_string(), &**names)).collect();
        assert_eq!(seen, expected.map(|(address, names)| (address.to_owned(), names)));
    }

    #[test]
    fn that_there_are_none_any_more_is_news() {
        let watch = Watch::start(&Notify::default());
        assert_eq!((watch.news(), watch.news()), (Some(Servers::new()), None));
    }

    #[test]
    fn what_is_no_address_is_not_told() {
        let error = of_url("secret word").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
