//! Reading the configuration again while the program runs: what of it can take effect, what has to
//! wait for a restart.
//!
//! The file in force and the file as it is now are compared with each other and never with what was
//! said at run time: a command holds until the file says something else.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use serde::Deserialize;
use serde_json::Value;

use super::{Block, Budget, Config, DEFAULT_PATH, store::Store, unexplained::Unexplained};
use crate::response::Mode;

/// What `detector run` was given on its command line: it wins over the file, at each reading.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// None where there was no file at the start: then there may be one later.
    file: Option<PathBuf>,
    interfaces: Vec<String>,
    mode: Option<Mode>,
    trace_kernel: bool,
}

impl Given {
    /// `file` as it was named; none for the default one where it exists.
    #[must_use]
    pub fn new(
        file: Option<PathBuf>,
        interfaces: Vec<String>,
        mode: Option<Mode>,
        trace_kernel: bool,
    ) -> Self {
        let default = PathBuf::from(DEFAULT_PATH);
        let file = file.or_else(|| default.exists().then_some(default));
        Self { file, interfaces, mode, trace_kernel }
    }

    /// The file with the command line over it.
    ///
    /// # Errors
    ///
    /// Those of [`Config::load`] and [`Config::check`]. A file that was there at the start and is
    /// gone is one of them: its absence asks for no defaults.
    pub fn read(&self) -> anyhow::Result<Config> {
        self.over(Config::load(self.file.as_deref())?)
    }

    /// A configuration with the command line over it.
    pub fn over(&self, mut config: Config) -> anyhow::Result<Config> {
        if !self.interfaces.is_empty() {
            config.interfaces.clone_from(&self.interfaces);
        }
        if let Some(mode) = self.mode {
            config.mode = mode;
        }
        config.kernel.trace |= self.trace_kernel;
        config.check()?;
        Ok(config)
    }

    /// Which file is read.
    #[must_use]
    pub fn file(&self) -> &Path {
        self.file.as_deref().unwrap_or(Path::new(DEFAULT_PATH))
    }
}

/// The result of a reload.
#[derive(Clone, Debug, PartialEq)]
pub struct Reload {
    /// What is to be in force: the new values where they can take effect, else the old ones.
    pub config: Config,
    /// Keys that take effect, as `section.key`.
    pub changed: Vec<String>,
    /// Keys whose new value has to wait for a restart, with the one that is kept.
    pub needs_restart: Vec<Kept>,
}

/// A key that a reload does not change.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    pub key: String,
    /// The value in force, as JSON.
    pub value: String,
}

impl Reload {
    /// What `new` makes of `old`. A key that is not named here keeps its value: sizes of tables in
    /// the kernel, what is attached, where files are, what the server listens on.
    #[must_use]
    pub fn of(old: &Config, new: &Config) -> Self {
        let config = Config {
            home_networks: new.home_networks.clone(),
            mode: new.mode,
            protect: new.protect.clone(),
            alerts: new.alerts.clone(),
            unexplained: Unexplained {
                max_senders: old.unexplained.max_senders,
                ..new.unexplained.clone()
            },
            explain: new.explain.clone(),
            block: Block {
                max_blocks: old.block.max_blocks,
                max_prefixes: old.block.max_prefixes,
                max_exceptions: old.block.max_exceptions,
                ..new.block.clone()
            },
            budget: Budget { max_entries: old.budget.max_entries, ..new.budget.clone() },
            payload_samples: new.payload_samples.clone(),
            model: new.model.clone(),
            allow: new.allow.clone(),
            store: Store {
                enabled: old.store.enabled,
                path: old.store.path.clone(),
                ..new.store.clone()
            },
            notify: new.notify.clone(),
            ..old.clone()
        };
        let changed = differences(&config, old).into_iter().map(|(key, _)| key).collect();
        let needs_restart = differences(new, &config)
            .into_iter()
            .map(|(key, value)| Kept { key, value: value.to_string() })
            .collect();
        Self { config, changed, needs_restart }
    }
}

/// The keys in which two configurations differ, with the second one's values.
fn differences(one: &Config, other: &Config) -> Vec<(String, Value)> {
    let (one, other) = (keys(one), keys(other));
    // A list of channels without any is left out.
    let missing = one.iter().filter(|(key, _)| !other.iter().any(|(known, _)| known == key));
    let missing = missing.map(|(key, _)| (key.clone(), Value::Null));
    let differing = other.iter().filter(|pair| !one.contains(pair)).cloned();
    differing.chain(missing).collect()
}

/// Every key with its value, those of a section as `section.key`.
fn keys(config: &Config) -> Vec<(String, Value)> {
    // Every value is a number, a text or a list of them: there is nothing that JSON cannot hold.
    let Ok(Value::Object(sections)) = serde_json::to_value(config) else { return Vec::new() };
    let mut keys = Vec::new();
    for (section, value) in sections {
        match value {
            Value::Object(fields) => keys.extend(
                fields.into_iter().map(|(field, value)| (format!("{section}.{field}"), value)),
            ),
            value => keys.push((section, value)),
        }
    }
    keys
}

/// The configuration in force, for those who look at it from other threads.
#[derive(Clone, Debug)]
pub struct Current(Arc<RwLock<Arc<Config>>>);

impl Current {
    #[must_use]
    pub fn new(config: Arc<Config>) -> Self {
        Self(Arc::new(RwLock::new(config)))
    }

    #[must_use]
    pub fn get(&self) -> Arc<Config> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn set(&self, config: Arc<Config>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
    }
}

/// Where the socket for commands is, of a file that has something else wrong with it: its agent can
/// be asked all the same. None where the file does not say.
#[must_use]
pub fn runtime_dir_of_broken(text: &str) -> Option<PathBuf> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Line {
        runtime_dir: PathBuf,
    }
    let before_sections = text.lines().take_while(|line| !line.trim_start().starts_with('['));
    let mut found = before_sections.filter_map(|line| toml::from_str::<Line>(line).ok());
    found.next().map(|line| line.runtime_dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(old: &str, new: &str, changed: &[&str], needs_restart: &[(&str, &str)]) -> Config {
        let (old, new) = (Config::parse(old).unwrap(), Config::parse(new).unwrap());
        let reload = Reload::of(&old, &new);
        assert_eq!(reload.changed, changed);
        let kept: Vec<(&str, &str)> =
            reload.needs_restart.iter().map(|kept| (&*kept.key, &*kept.value)).collect();
        assert_eq!(kept, needs_restart);
        reload.config.check().unwrap();
        reload.config
    }

    #[test]
    fn what_can_take_effect_does_and_the_rest_is_named() {
        check("", "", &[], &[]);
        let config = check(
            "[kernel]\nmax_flows = 1024",
            "mode = \"block\"\n[kernel]\nmax_flows = 2048\n[block]\nttl_secs = 60\nmax_blocks = 9\n\
             [model]\nthreshold = 0.5",
            &["block.ttl_secs", "mode", "model.threshold"],
            &[("block.max_blocks", "65536"), ("kernel.max_flows", "1024")],
        );
        assert_eq!((config.kernel.max_flows.get(), config.block.ttl_secs), (1024, 60));
        check("interfaces = [\"a\"]", "interfaces = [\"b\"]", &[], &[("interfaces", "[\"a\"]")]);
    }

    #[test]
    fn a_level_takes_effect_with_its_keys() {
        let config = check(
            "[unexplained]\nmax_senders = 9",
            "[protect]\nlevel = \"strict\"\n[alerts]\nunexplained_per_day = 3",
            &[
                "alerts.unexplained_per_day",
                "budget.bytes",
                "mode",
                "protect.level",
                "unexplained.police",
            ],
            &[("unexplained.max_senders", "9")],
        );
        assert_eq!(config.ledger().max_senders, 9);
    }

    #[test]
    fn lists_that_come_and_go_are_changes() {
        let allow = "allow = [{ port = 22, reason = \"backup\" }]";
        check("", allow, &["allow"], &[]);
        check(allow, "", &["allow"], &[]);
        let channel = "[[notify.channels]]\nkind = \"syslog\"\nname = \"a\"\naddress = \"a:1\"";
        check("", channel, &["notify.channels"], &[]);
        check(channel, "", &["notify.channels"], &[]);
    }

    #[test]
    fn the_command_line_wins_each_time() {
        let given = Given::new(None, vec!["eth0".to_owned()], Some(Mode::Block), false);
        let config = given.over(Config::default()).unwrap();
        assert_eq!((config.mode, &*config.interfaces), (Mode::Block, &["eth0".to_owned()][..]));
        let gone = Given::new(Some("/nonexistent/detector.toml".into()), Vec::new(), None, false);
        assert!(format!("{:#}", gone.read().unwrap_err()).contains("failed to read config"));
    }

    #[test]
    fn the_socket_is_found_in_a_broken_file() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(runtime_dir_of_broken(text), expected.map(PathBuf::from), "{text}");
        };
        check("runtime_dir = \"/a\"\n]]garbage", Some("/a"));
        check("= = =\n  runtime_dir='/a' # here\n[block]\nttl = 1", Some("/a"));
        check("[block]\nruntime_dir = \"/a\"", None);
        check("runtime_dir = 1\n\0\u{1}", None);
    }
}
