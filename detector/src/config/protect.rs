//! One word for how far the agent goes: the mode, the budgets and what is done about unexplained bytes.

use serde::{Deserialize, Serialize};

/// How far the agent goes. A key that the file sets itself wins over its level.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Protect {
    /// None: the keys alone decide.
    pub level: Option<Level>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Watch,
    Balanced,
    Strict,
}

impl Level {
    /// The keys that a level sets, as the text of a configuration.
    fn keys(self) -> &'static str {
        match self {
            Self::Watch => "mode = \"observe\"",
            Self::Balanced => "mode = \"block\"\n[unexplained]\npolice = \"evidence\"",
            Self::Strict => {
                "mode = \"block\"\n[unexplained]\npolice = \"all\"\n[budget]\nbytes = 1048576"
            }
        }
    }

    /// The keys of a file over those of the level.
    pub(super) fn under(self, file: toml::Table) -> Result<toml::Table, toml::de::Error> {
        let mut keys: toml::Table = toml::from_str(self.keys())?;
        for (key, value) in file {
            match (keys.get_mut(&key), value) {
                (Some(toml::Value::Table(section)), toml::Value::Table(set)) => section.extend(set),
                (_, value) => drop(keys.insert(key, value)),
            }
        }
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::ledger::Police;
    use crate::response::Mode;

    #[test]
    fn a_level_sets_what_the_file_does_not() {
        let check = |text: &str, mode: Mode, police: Police, budget: u64| {
            let config = Config::parse(text).unwrap();
            let found = (config.mode, config.unexplained.police, config.budget.bytes);
            assert_eq!(found, (mode, police, budget), "{text}");
        };
        check("", Mode::Observe, Police::Evidence, 0);
        check("[protect]\nlevel = \"watch\"", Mode::Observe, Police::Evidence, 0);
        check("[protect]\nlevel = \"balanced\"", Mode::Block, Police::Evidence, 0);
        check("[protect]\nlevel = \"strict\"", Mode::Block, Police::All, 1 << 20);
        let own = "mode = \"simulate\"\n[protect]\nlevel = \"strict\"\n[budget]\nhold_secs = 5\n";
        check(own, Mode::Simulate, Police::All, 1 << 20);
        check(&format!("{own}bytes = 9000"), Mode::Simulate, Police::All, 9_000);
        let error = format!("{:#}", Config::parse("[protect]\nlevel = \"high\"").unwrap_err());
        assert!(error.contains("line 2: level: unknown variant `high`"), "{error}");
    }
}
