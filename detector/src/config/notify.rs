//! The channels over which people are told, each with what its kind needs.
//!
//! Secrets are never written here: a key names the file or the variable that has one.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroU32;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

/// Who tells people, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Notify {
    /// After so long without success a message is given up.
    pub give_up_secs: u64,
    /// The longest wait between two attempts.
    pub max_wait_secs: u64,
    /// How long one attempt may take.
    pub timeout_secs: u64,
    /// Messages of a channel that has no figure of its own.
    pub per_minute: NonZeroU32,
    /// How long it is remembered what became of a message.
    pub keep_days: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<Channel>,
}

impl Default for Notify {
    fn default() -> Self {
        Self {
            give_up_secs: 86_400,
            max_wait_secs: 300,
            timeout_secs: 20,
            per_minute: NonZeroU32::MIN.saturating_add(59),
            keep_days: 90,
            channels: Vec::new(),
        }
    }
}

/// A way to people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Channel {
    Email(Email),
    Sms(Sms),
    Webhook(Webhook),
    Slack(Slack),
    Syslog(Syslog),
}

/// Mail through one server, which passes it on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Email {
    pub name: String,
    pub per_minute: Option<NonZeroU32>,
    pub host: String,
    /// None: 587 with STARTTLS, 465 with TLS, 25 without.
    pub port: Option<u16>,
    #[serde(default)]
    pub encryption: Encryption,
    /// An address, or `Name <address>`.
    pub from: String,
    /// Whom a rule without a group tells.
    #[serde(default)]
    pub to: Vec<String>,
    pub user: Option<String>,
    pub password_file: Option<PathBuf>,
    pub password_env: Option<String>,
    pub ca_file: Option<PathBuf>,
    /// What this host calls itself to the server; none: its address.
    pub hello_name: Option<String>,
}

/// How a mail server is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// In the clear until the server has agreed to encrypt; without that nothing is sent.
    #[default]
    Starttls,
    /// From the first byte.
    Tls,
    /// Never: for a server on this machine.
    None,
}

/// Short messages through whatever HTTP service sends them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sms {
    pub name: String,
    pub per_minute: Option<NonZeroU32>,
    pub url: String,
    #[serde(default)]
    pub method: Method,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub format: BodyFormat,
    /// With `{to}` and `{text}`, escaped as the format wants it.
    pub body: String,
    /// Whom a rule without a group tells.
    #[serde(default)]
    pub to: Vec<String>,
    /// With one, the token is its password.
    pub user: Option<String>,
    pub token_file: Option<PathBuf>,
    pub token_env: Option<String>,
    pub ca_file: Option<PathBuf>,
    /// 1: what is too long for one message is cut.
    #[serde(default = "one")]
    pub max_parts: u8,
}

fn one() -> u8 {
    1
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    #[default]
    Post,
    Put,
}

/// What a gateway's body is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyFormat {
    #[default]
    Form,
    Json,
}

/// An alert as JSON, signed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    pub name: String,
    pub per_minute: Option<NonZeroU32>,
    pub url: String,
    pub secret_file: Option<PathBuf>,
    pub secret_env: Option<String>,
    pub ca_file: Option<PathBuf>,
}

/// Slack, Mattermost and others that take the same. The address is itself the secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slack {
    pub name: String,
    pub per_minute: Option<NonZeroU32>,
    pub url_file: Option<PathBuf>,
    pub url_env: Option<String>,
    pub ca_file: Option<PathBuf>,
}

/// A collector of log lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Syslog {
    pub name: String,
    pub per_minute: Option<NonZeroU32>,
    /// `host:port`.
    pub address: String,
    #[serde(default)]
    pub transport: Transport,
    /// RFC 5424, section 6.2.1; 16 is local0.
    #[serde(default = "local0")]
    pub facility: u8,
}

fn local0() -> u8 {
    16
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    #[default]
    Udp,
    Tcp,
}

impl Channel {
    /// What rules call it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Email(channel) => &channel.name,
            Self::Sms(channel) => &channel.name,
            Self::Webhook(channel) => &channel.name,
            Self::Slack(channel) => &channel.name,
            Self::Syslog(channel) => &channel.name,
        }
    }

    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Email(_) => "email",
            Self::Sms(_) => "sms",
            Self::Webhook(_) => "webhook",
            Self::Slack(_) => "slack",
            Self::Syslog(_) => "syslog",
        }
    }

    /// Messages a minute, where it has a figure of its own.
    #[must_use]
    pub fn per_minute(&self) -> Option<NonZeroU32> {
        match self {
            Self::Email(channel) => channel.per_minute,
            Self::Sms(channel) => channel.per_minute,
            Self::Webhook(channel) => channel.per_minute,
            Self::Slack(channel) => channel.per_minute,
            Self::Syslog(channel) => channel.per_minute,
        }
    }

    /// Whom a rule without a group tells; none where the channel has one receiver only.
    #[must_use]
    pub fn own_recipients(&self) -> Option<&[String]> {
        match self {
            Self::Email(channel) => Some(&channel.to),
            Self::Sms(channel) => Some(&channel.to),
            Self::Webhook(_) | Self::Slack(_) | Self::Syslog(_) => None,
        }
    }

    fn check(&self) -> anyhow::Result<()> {
        match self {
            Self::Email(email) => {
                ensure!(!email.host.is_empty(), "host is empty");
                ensure!(!email.from.is_empty(), "from is empty");
                at_most_one("password", &email.password_file, &email.password_env)?;
                let password = email.password_file.is_some() || email.password_env.is_some();
                ensure!(
                    password == email.user.is_some(),
                    "user and password_file (or password_env) go together"
                );
                ensure!(
                    !password || email.encryption != Encryption::None,
                    "a password is sent encrypted only: set encryption to \"starttls\" or \"tls\""
                );
            }
            Self::Sms(sms) => {
                check_url(&sms.url)?;
                at_most_one("token", &sms.token_file, &sms.token_env)?;
                let token = sms.token_file.is_some() || sms.token_env.is_some();
                ensure!(token || sms.user.is_none(), "user goes with token_file or token_env");
                ensure!(
                    sms.body.contains("{to}") && sms.body.contains("{text}"),
                    "body needs {{to}} and {{text}}"
                );
                ensure!((1..=10).contains(&sms.max_parts), "max_parts: use 1 to 10");
            }
            Self::Webhook(webhook) => {
                check_url(&webhook.url)?;
                exactly_one("secret", &webhook.secret_file, &webhook.secret_env)?;
            }
            Self::Slack(slack) => exactly_one("url", &slack.url_file, &slack.url_env)?,
            Self::Syslog(syslog) => {
                let port = syslog.address.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
                ensure!(
                    matches!(port, Some(Ok(1..))),
                    "address is `{}`: write host:port, such as logs.example:514",
                    syslog.address
                );
                ensure!(syslog.facility <= 23, "facility is {}: use 0 to 23", syslog.facility);
            }
        }
        Ok(())
    }
}

fn at_most_one(
    what: &str,
    file: &Option<PathBuf>,
    variable: &Option<String>,
) -> anyhow::Result<()> {
    ensure!(file.is_none() || variable.is_none(), "use {what}_file or {what}_env, not both");
    Ok(())
}

fn exactly_one(
    what: &str,
    file: &Option<PathBuf>,
    variable: &Option<String>,
) -> anyhow::Result<()> {
    at_most_one(what, file, variable)?;
    ensure!(file.is_some() || variable.is_some(), "it needs {what}_file or {what}_env");
    Ok(())
}

/// A web address without a password in it: this one is shown to people.
fn check_url(url: &str) -> anyhow::Result<()> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    ensure!(
        !host.is_empty() && !url.contains(char::is_whitespace),
        "url is `{url}`: write one such as https://hooks.example/detector"
    );
    ensure!(!host.contains('@'), "url has a user or password in it: name the file that has it");
    Ok(())
}

impl Notify {
    /// The channel of this name.
    #[must_use]
    pub fn channel(&self, name: &str) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.name() == name)
    }

    pub(super) fn check(&self) -> anyhow::Result<()> {
        let mut names = HashSet::new();
        for channel in &self.channels {
            let name = channel.name();
            let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
            ensure!(
                (1..=64).contains(&name.len()) && name.chars().all(plain),
                "notify.channels: the name `{name}` has other than letters, digits, - _ and ."
            );
            ensure!(names.insert(name), "notify.channels: there are two called `{name}`");
            channel.check().with_context(|| format!("notify.channels: {name}"))?;
        }
        for (key, value) in [
            ("notify.give_up_secs", self.give_up_secs),
            ("notify.max_wait_secs", self.max_wait_secs),
            ("notify.timeout_secs", self.timeout_secs),
            ("notify.keep_days", self.keep_days.into()),
        ] {
            ensure!(value > 0, "{key} is 0: use at least 1");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    const SHIPPED: &str = include_str!("../../../packaging/detector.toml");

    /// The examples in the shipped file, without their comment signs.
    fn examples() -> String {
        let section = SHIPPED.split("\n[notify]\n").nth(1).unwrap();
        let section = section.split("\n[log]\n").next().unwrap();
        let commented = section.lines().filter_map(|line| line.strip_prefix("# "));
        let keys = commented.filter(|line| {
            let key = line.split_once(" = ").map_or("", |(key, _)| key);
            line.starts_with("[[") || (!key.is_empty() && !key.contains(char::is_whitespace))
        });
        keys.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_examples_in_the_shipped_file_are_understood() {
        let Config { notify, .. } = Config::parse(&examples()).unwrap();
        let kinds: Vec<&str> = notify.channels.iter().map(Channel::kind).collect();
        assert_eq!(kinds, ["email", "sms", "webhook", "slack", "syslog"]);
    }

    /// Every key of a channel stands in the shipped file's examples.
    #[test]
    fn the_examples_name_every_key() {
        let Config { notify, .. } = Config::parse(&examples()).unwrap();
        for channel in &notify.channels {
            let keys = toml::Table::try_from(channel).unwrap();
            for key in keys.keys() {
                assert!(examples().contains(&format!("{key} = ")), "{}: {key}", channel.kind());
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let check = |keys: &str, expected: &str| {
            let text = format!("[[notify.channels]]\nname = \"a\"\n{keys}");
            let error = format!("{:#}", Config::parse(&text).unwrap_err());
            assert!(error.contains(expected), "{keys}: {error}");
        };
        check("kind = \"pigeon\"", "unknown variant `pigeon`");
        check("kind = \"webhook\"\nurl = \"https://a\"", "secret_file or secret_env");
        check("kind = \"webhook\"\nurl = \"ftp://a\"\nsecret_env = \"A\"", "write one such as");
        check("kind = \"webhook\"\nurl = \"https://u:p@a/\"\nsecret_env = \"A\"", "password in it");
        check("kind = \"slack\"\nurl = \"https://a\"", "there is no key `url`");
        check("kind = \"slack\"", "url_file or url_env");
        check("kind = \"syslog\"\naddress = \"a\"", "write host:port");
        check("kind = \"syslog\"\naddress = \"a:0\"", "write host:port");
        check("kind = \"sms\"\nurl = \"https://a\"\nbody = \"{to}\"", "{to} and {text}");
        let email = "kind = \"email\"\nhost = \"a\"\nfrom = \"a@b.example\"";
        check(&format!("{email}\nuser = \"u\""), "go together");
        check(&format!("{email}\npassword = \"p\""), "there is no key `password`");
        let login = "user = \"u\"\npassword_env = \"P\"";
        check(&format!("{email}\n{login}\nencryption = \"none\""), "sent encrypted only");
        check(
            &format!("{email}\n[[notify.channels]]\nname = \"a\"\n{email}"),
            "there are two called `a`",
        );
    }
}
