//! Secrets, read from where the configuration says, for each message again: a changed password
//! needs no restart. They are never shown.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};

/// A password, a token or an address that is itself one.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(String);

impl Secret {
    /// Reads it from the file or the variable that is named; none where neither is.
    pub(super) fn read(
        file: Option<&PathBuf>,
        variable: Option<&String>,
    ) -> anyhow::Result<Option<Self>> {
        let text = match (file, variable) {
            (Some(file), _) => fs::read_to_string(file)
                .with_context(|| format!("failed to read the secret in {}", file.display()))?,
            (None, Some(variable)) => std::env::var(variable)
                .with_context(|| format!("failed to read the secret in ${variable}"))?,
            (None, None) => return Ok(None),
        };
        // An editor ends the last line.
        let text = text.trim_end_matches(['\r', '\n']);
        ensure!(!text.is_empty(), "the secret is empty: write it into the configured file");
        Ok(Some(Self(text.to_owned())))
    }

    /// For the one who sends it.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_and_not_shown() {
        let file = std::env::temp_dir().join(format!("detector-secret-{}", std::process::id()));
        fs::write(&file, "opensesame\n").unwrap();
        let secret = Secret::read(Some(&file), None).unwrap().unwrap();
        assert_eq!(
            (secret.reveal(), format!("{secret:?}").contains("open")),
            ("opensesame", false)
        );
        fs::write(&file, "\n").unwrap();
        assert!(Secret::read(Some(&file), None).is_err());
        fs::remove_file(&file).unwrap();
        let error = format!("{:#}", Secret::read(Some(&file), None).unwrap_err());
        assert!(error.contains(&*file.to_string_lossy()), "{error}");
        assert_eq!(Secret::read(None, None).unwrap(), None);
        assert!(Secret::read(None, Some(&"DETECTOR_NO_SUCH_VARIABLE".into())).is_err());
    }
}
