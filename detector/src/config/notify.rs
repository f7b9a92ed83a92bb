//! The channels over which people are notified, each with what its kind needs.
//!
//! Secrets are never written here: a key names the file or the variable that has one.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroU32;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

/// Who notifies people, and how.
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
    /// Recipients of a rule without a group.
    #[serde(default)]
    pub to: Vec<String>,
    pub user: Option<String>,
    pub password_file: Option<PathBuf>,
    pub password_env: Option<String>,
    pub ca_file: Option<PathBuf>,
    /// What this host calls itself to the server; none: its address.
    pub hello_name: Option<String>,
}

/// How a mail server is contacted.
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
    /// Recipients of a rule without a group.
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
    /// The private enterprise number (IANA) behind the name of the structured data. 0 is reserved and
    /// nobody's.
    #[serde(default)]
    pub enterprise_number: u32,
}

/// What a receiver that is a program takes in a minute.
const EVENTS_PER_MINUTE: NonZeroU32 = NonZeroU32::MIN.saturating_add(5_999);

/// The number that RFC 5612 keeps for documentation.
const DOCUMENTATION: u32 = 32_473;

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

    /// Whether a program reads what is sent: each alert is an event of its own then, never a digest.
    #[must_use]
    pub fn is_for_programs(&self) -> bool {
        matches!(self, Self::Webhook(_) | Self::Syslog(_))
    }

    /// Messages a minute, where the channel or its kind has a figure of its own.
    #[must_use]
    pub fn per_minute(&self) -> Option<NonZeroU32> {
        let own = self.own_per_minute();
        own.or_else(|| self.is_for_programs().then_some(EVENTS_PER_MINUTE))
    }

    /// After how many seconds a rule that says nothing else sends the same again; 0: never. Within that time
    /// it sends no alert that is like one it has sent, so a program is sent each once.
    #[must_use]
    pub fn repeat_secs(&self) -> u32 {
        if self.is_for_programs() { 0 } else { 3_600 }
    }

    fn own_per_minute(&self) -> Option<NonZeroU32> {
        match self {
            Self::Email(channel) => channel.per_minute,
            Self::Sms(channel) => channel.per_minute,
            Self::Webhook(channel) => channel.per_minute,
            Self::Slack(channel) => channel.per_minute,
            Self::Syslog(channel) => channel.per_minute,
        }
    }

    /// Recipients of a rule without a group; none where the channel has one receiver only.
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
                    "set both user and password_file (or password_env), or neither"
                );
                ensure!(
                    !password || email.encryption != Encryption::None,
                    "a password needs encryption: set encryption to \"starttls\" or \"tls\""
                );
            }
            Self::Sms(sms) => {
                check_url(&sms.url)?;
                at_most_one("token", &sms.token_file, &sms.token_env)?;
                let token = sms.token_file.is_some() || sms.token_env.is_some();
                ensure!(token || sms.user.is_none(), "user needs token_file or token_env");
                ensure!(
                    sms.body.contains("{to}") && sms.body.contains("{text}"),
                    "body must contain {{to}} and {{text}}"
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
                ensure!(
                    syslog.enterprise_number != DOCUMENTATION,
                    "enterprise_number is {DOCUMENTATION}, which is for documentation (RFC 5612): use your \
                     own, or 0 without one"
                );
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
        "url is `{url}`: write it as https://hooks.example/detector"
    );
    ensure!(
        !host.contains('@'),
        "url contains a user or password: keep them in a file, and name the file with a key that ends in \
         _file"
    );
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
                "notify.channels: the name `{name}` may have only letters, digits, - _ and ."
            );
            ensure!(names.insert(name), "notify.channels: two channels have the name `{name}`");
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

    /// Every key of a channel is in the shipped file's examples.
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
    fn programs_take_more_than_people() {
        let Config { notify, .. } = Config::parse(&examples()).unwrap();
        let own = notify.channels.iter().map(|channel| channel.per_minute().map(NonZeroU32::get));
        assert_eq!(own.collect::<Vec<_>>(), [Some(30), None, Some(6_000), None, Some(6_000)]);
        let repeat = notify.channels.iter().map(Channel::repeat_secs);
        assert_eq!(repeat.collect::<Vec<_>>(), [3_600, 3_600, 0, 3_600, 0]);
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
        check("kind = \"webhook\"\nurl = \"ftp://a\"\nsecret_env = \"A\"", "write it as https");
        check(
            "kind = \"webhook\"\nurl = \"https://u:p@a/\"\nsecret_env = \"A\"",
            "user or password",
        );
        check("kind = \"slack\"\nurl = \"https://a\"", "there is no key `url`");
        check("kind = \"slack\"", "url_file or url_env");
        check("kind = \"syslog\"\naddress = \"a\"", "write host:port");
        check("kind = \"syslog\"\naddress = \"a:0\"", "write host:port");
        let number = "enterprise_number = 32473";
        check(&format!("kind = \"syslog\"\naddress = \"a:1\"\n{number}"), "for documentation");
        check("kind = \"sms\"\nurl = \"https://a\"\nbody = \"{to}\"", "{to} and {text}");
        let email = "kind = \"email\"\nhost = \"a\"\nfrom = \"a@b.example\"";
        check(&format!("{email}\nuser = \"u\""), "or neither");
        check(&format!("{email}\npassword = \"p\""), "there is no key `password`");
        let login = "user = \"u\"\npassword_env = \"P\"";
        check(&format!("{email}\n{login}\nencryption = \"none\""), "needs encryption");
        check(
            &format!("{email}\n[[notify.channels]]\nname = \"a\"\n{email}"),
            "two channels have the name `a`",
        );
    }
}
