//! The test programs, built once for every part that runs them.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};

use super::project_cargo;
use crate::project;

/// A test program, and where it expects to be started.
#[derive(Clone, Debug)]
pub(crate) struct Binary {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    pub(super) folder: PathBuf,
}

/// Builds what is chosen by cargo's options, all tests without any, and says where cargo put it.
pub(crate) fn build(options: &[&str]) -> Result<Vec<Binary>> {
    let output =
        project_cargo(&["test", "--no-run", "--message-format", "json-render-diagnostics"])
            .args(options)
            .stderr(Stdio::inherit())
            .output()
            .context("failed to start cargo")?;
    ensure!(output.status.success(), "failed to build the tests: see the compiler's output above");
    let binaries: Vec<Binary> =
        String::from_utf8_lossy(&output.stdout).lines().filter_map(binary).collect();
    ensure!(!binaries.is_empty(), "cargo's output does not name the tests");
    Ok(binaries)
}

/// What one of cargo's messages says of a test program.
fn binary(line: &str) -> Option<Binary> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    let file = message["executable"].as_str()?;
    let is_test = message["profile"]["test"].as_bool()?;
    let manifest = PathBuf::from(message["manifest_path"].as_str()?);
    is_test.then(|| Binary {
        name: message["target"]["name"].as_str().unwrap_or_default().to_owned(),
        file: PathBuf::from(file),
        folder: manifest.parent().map_or_else(project::root, PathBuf::from),
    })
}

#[cfg(test)]
mod tests {
    use super::binary;

    #[test]
    fn a_test_program_is_told_from_other_artifacts() {
        let line = |test: bool| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/p/tests/Cargo.toml",
                "target":{{"name":"netns"}},"profile":{{"test":{test}}},"executable":"/t/netns-1"}}"#
            )
        };
        let found = binary(&line(true)).unwrap();
        assert_eq!((found.name.as_str(), found.folder.to_str()), ("netns", Some("/p/tests")));
        assert!(binary(&line(false)).is_none());
        assert!(binary(r#"{"reason":"build-finished","success":true}"#).is_none());
    }
}
