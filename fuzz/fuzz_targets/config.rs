//! Arbitrary text as a configuration: what is accepted is written and read back the same, and what is
//! refused is refused in one line.
#![no_main]

use detector::config::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let config = match Config::parse(text) {
        Ok(config) => config,
        Err(error) => {
            let error = format!("{error:#}");
            assert!(!error.is_empty() && !error.contains('\n'), "{error:?}");
            return;
        }
    };
    let written = toml::to_string(&config).expect("what was read can be written");
    let again = Config::parse(&written).expect("what was written can be read");
    assert_eq!(again, config);
    assert_eq!(again.hash(), config.hash());
    let _derived = (config.tracker(), config.history(), config.policy(), config.database());
    assert!(config.flow_map_bytes() > 0);
});
