//! Which agent of this machine is meant: each network namespace has one of its own.
//!
//! Its socket and its pins live in a directory named after it, by this one rule.

use std::fs;
use std::os::linux::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The agent of the namespace that the machine itself lives in.
pub const MAIN: &str = "main";

/// The name of this namespace's agent: `main` in that of process 1, else `netns-` and the number of
/// the namespace.
///
/// Who may not look at process 1 is taken to share its namespace, as nearly everybody does; but
/// root may look at everything, and where it may not, namespaces are distinguished by their
/// numbers.
#[must_use]
pub fn name() -> String {
    // The thread's own namespace, which may not be that of the process.
    let own = identity("/proc/thread-self/ns/net").or_else(|| identity("/proc/self/ns/net"));
    name_of(own, identity("/proc/1/ns/net"), nix::unistd::geteuid().is_root())
}

/// The directory of this namespace's agent inside `runtime_dir`.
#[must_use]
pub fn instance_dir(runtime_dir: &Path) -> PathBuf {
    runtime_dir.join(name())
}

/// What this machine is called, at most 255 printable letters; none where it does not say.
#[must_use]
pub fn host_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.chars().filter(char::is_ascii_graphic).take(255).collect();
    (!name.is_empty()).then_some(name)
}

fn name_of(own: Option<u64>, first: Option<u64>, root: bool) -> String {
    match (own, first) {
        (Some(own), Some(first)) if own != first => format!("netns-{own}"),
        (Some(own), None) if root => format!("netns-{own}"),
        _ => MAIN.to_owned(),
    }
}

fn identity(path: &str) -> Option<u64> {
    Some(fs::metadata(path).ok()?.st_ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_of_its_own_has_a_name_of_its_own() {
        let check =
            |own, first, root, expected: &str| assert_eq!(name_of(own, first, root), expected);
        check(Some(4), Some(4), true, "main");
        check(Some(5), Some(4), true, "netns-5");
        check(Some(5), Some(4), false, "netns-5");
        check(Some(5), None, false, "main");
        check(Some(5), None, true, "netns-5");
        check(None, Some(4), true, "main");
    }

    #[test]
    fn the_directory_is_inside_the_runtime_directory() {
        assert_eq!(
            instance_dir(Path::new("/run/detector")),
            Path::new("/run/detector").join(name())
        );
    }
}
