//! The lines of kernels that are supported, and which packages hold a build of one.

use std::fmt;

use anyhow::{Result, bail};

/// Whose packages a line comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Debian,
    Ubuntu,
}

/// A long-term line, or the newest.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) source: Source,
}

/// All of them, the oldest first.
pub(super) const LINES: [Line; 6] = [
    Line { name: "5.10", source: Source::Debian },
    Line { name: "5.15", source: Source::Ubuntu },
    Line { name: "6.1", source: Source::Debian },
    Line { name: "6.12", source: Source::Debian },
    Line { name: "6.18", source: Source::Debian },
    Line { name: "7", source: Source::Debian },
];

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Linux {}", self.name)
    }
}

impl Line {
    /// Whether a package is a build of this line: small ones for virtual machines where there are
    /// such, whose configuration is that of the large ones but for drivers.
    pub(super) fn is_build(&self, package: &str) -> bool {
        let (prefixes, suffixes): (&[&str], &[&str]) = match self.source {
            Source::Debian => (
                // From 7 on the image is but a stub that depends on the binary.
                &["linux-binary-", "linux-image-"],
                &["-cloud-amd64", "-cloud-amd64-unsigned"],
            ),
            Source::Ubuntu => (&["linux-image-unsigned-"], &["-generic"]),
        };
        prefixes.iter().filter_map(|prefix| package.strip_prefix(prefix)).any(|release| {
            let ours = release.strip_prefix(self.name).is_some_and(|rest| rest.starts_with('.'));
            ours && suffixes.iter().any(|suffix| release.ends_with(suffix))
        })
    }
}

/// The package with the modules of a build, where they are not in the build itself.
pub(super) fn modules_of(package: &str) -> Option<String> {
    let release = ["linux-binary-", "linux-image-unsigned-"]
        .iter()
        .find_map(|prefix| package.strip_prefix(prefix))?;
    Some(format!("linux-modules-{release}"))
}

/// The lines of these names; all where none is named.
pub(super) fn chosen(names: &[String]) -> Result<Vec<&'static Line>> {
    if names.is_empty() {
        return Ok(LINES.iter().collect());
    }
    let mut lines = Vec::new();
    for name in names {
        let Some(line) = LINES.iter().find(|line| line.name == name) else {
            let known: Vec<&str> = LINES.iter().map(|line| line.name).collect();
            bail!("there is no kernel line {name}: use {}", known.join(", "));
        };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::{LINES, chosen, modules_of};

    #[test]
    fn packages_belong_to_one_line() {
        for (package, expected) in [
            ("linux-image-5.10.0-46-cloud-amd64", Some("5.10")),
            ("linux-image-5.10.0-46-cloud-amd64-unsigned", Some("5.10")),
            ("linux-image-5.10.0-46-amd64", None),
            ("linux-image-unsigned-5.15.0-204-generic", Some("5.15")),
            ("linux-image-unsigned-5.15.0-1126-azure", None),
            ("linux-image-6.1.0-56-cloud-amd64", Some("6.1")),
            ("linux-image-6.12.117+deb12-cloud-amd64", Some("6.12")),
            ("linux-image-6.18.15+deb13-cloud-amd64", Some("6.18")),
            ("linux-binary-7.3.4+deb13-cloud-amd64", Some("7")),
            ("linux-image-6.1.0-56-cloud-amd64-dbg", None),
            ("linux-image-cloud-amd64", None),
        ] {
            let found: Vec<&str> =
                LINES.iter().filter(|line| line.is_build(package)).map(|line| line.name).collect();
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{package}");
        }
        assert_eq!(modules_of("linux-binary-7.3-x").as_deref(), Some("linux-modules-7.3-x"));
        assert_eq!(modules_of("linux-image-6.1.0-56-cloud-amd64"), None);
    }

    #[test]
    fn an_unknown_line_is_told_with_those_there_are() {
        let names =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(chosen(&[]).unwrap().len(), LINES.len());
        assert_eq!(chosen(&names(&["7", "5.10", "7"])).unwrap().len(), 2);
        let error = chosen(&names(&["4.19"])).unwrap_err().to_string();
        assert_eq!(error, "there is no kernel line 4.19: use 5.10, 5.15, 6.1, 6.12, 6.18, 7");
    }
}
