//! Checks whether this machine can run the detector, and how it would attach.
//!
//! It changes nothing: the BPF object is loaded with small maps and let go again, no interface is
//! touched. What cannot be read without privileges is named, and the rest is reported.

mod check;
mod features;
mod machine;
mod network;

use std::path::Path;

pub use self::check::{Check, Outcome, Report};
use crate::builtin_models::model_of;
use crate::config::{Config, DEFAULT_PATH};
use crate::features::Kind;

/// Looks at everything. `source`: where the configuration comes from, where that is shown.
#[must_use]
pub fn examine(source: Option<Check>, config: &Config) -> Report {
    let mut report = Report::default();
    source.into_iter().for_each(|check| report.push(check));
    report.push(model(config));
    machine::examine(config, &mut report);
    network::examine(config, &mut report);
    report
}

/// Where the configuration comes from; `path`: the file that was named.
#[must_use]
pub fn configuration(path: Option<&Path>) -> Check {
    let default = Path::new(DEFAULT_PATH);
    match path {
        Some(path) => Check::ok("config", path.display().to_string()),
        None if default.exists() => Check::ok("config", DEFAULT_PATH),
        None => Check::ok("config", format!("the defaults, because there is no {DEFAULT_PATH}")),
    }
}

fn model(config: &Config) -> Check {
    match model_of(Kind::Session, None, config) {
        Ok(model) => {
            let from = match &config.model.path {
                Some(path) => path.display().to_string(),
                None => "built-in".to_owned(),
            };
            let threshold = config.model.threshold.unwrap_or(model.meta.threshold);
            let (trees, columns) = (model.forest.tree_count(), model.forest.columns());
            Check::ok(
                "model",
                format!(
                    "{from}: schema {}, {trees} trees, {columns} columns, threshold {threshold:.3}",
                    model.meta.schema
                ),
            )
        }
        Err(error) => Check::problem(
            "model",
            format!("{error:#}"),
            "remove model.path to use the built-in model, or train one with `detector train`",
        ),
    }
}
