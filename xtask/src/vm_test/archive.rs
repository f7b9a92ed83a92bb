//! Package archives, read by apt with a root of its own: signatures and sums are checked as for the
//! machine's packages, and the machine's own lists, keys and packages stay as they are.
//!
//! No address is written down here. The Debian mirror is the one that this machine uses, Ubuntu's
//! the one that debootstrap, a Debian package, would take.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use detector_tests::run_checked;

use super::version;

const DEBIAN_KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Lists are asked for again when they are older.
const FRESH: Duration = Duration::from_secs(12 * 3_600);

/// Twice what the lists of both archives and a package while it is unpacked took (223 MB). Without
/// room, apt does not fail: it waits for ever.
const ROOM_MB: u64 = 512;

/// Where kernels are kept from one run to the next.
pub(super) fn store() -> PathBuf {
    crate::project::root().join(".tools/kernels")
}

fn ensure_room(folder: &Path) -> Result<()> {
    let output = run_checked(Command::new("df").args(["--output=avail", "-BMB"]).arg(folder))?;
    let free = output.lines().last().and_then(|line| line.trim().strip_suffix("MB")?.parse().ok());
    let free: u64 =
        free.with_context(|| format!("failed to read the free space from df: {output}"))?;
    ensure!(
        free >= ROOM_MB,
        "{} has {free} MB free, and a kernel needs {ROOM_MB} MB: make room there",
        folder.display()
    );
    Ok(())
}

/// One distribution's packages.
#[derive(Debug)]
pub(super) struct Archive {
    root: PathBuf,
}

/// A package in one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
}

impl Archive {
    /// Debian's: the releases whose kernels are lines of ours, and the newest with the tools to get
    /// at Ubuntu's.
    pub(super) fn debian() -> Result<Self> {
        let (main, security) = debian_mirrors()?;
        ensure!(
            Path::new(DEBIAN_KEYS).exists(),
            "{DEBIAN_KEYS} is missing: install debian-archive-keyring"
        );
        let sources: String = [
            (&main, "bullseye"),
            (&security, "bullseye-security"),
            (&main, "bookworm"),
            (&security, "bookworm-security"),
            (&main, "bookworm-backports"),
            (&main, "trixie"),
            (&security, "trixie-security"),
            (&main, "trixie-backports"),
        ]
        .iter()
        .map(|(mirror, suite)| source(mirror, suite, Path::new(DEBIAN_KEYS)))
        .collect();
        Self::open("debian", &sources)
    }

    /// Ubuntu's release of 2022, with the keys that Debian has a package of.
    pub(super) fn ubuntu(debian: &Self) -> Result<Self> {
        const RELEASE: &str = "jammy";
        let tools = store().join("ubuntu-tools");
        let script = tools.join("usr/share/debootstrap/scripts").join(RELEASE);
        let keys = tools.join("usr/share/keyrings/ubuntu-archive-keyring.gpg");
        if !(script.exists() && keys.exists()) {
            for name in ["debootstrap", "ubuntu-keyring"] {
                let package = debian.newest(|known| known == name)?.into_iter().next();
                let package = package.with_context(|| format!("Debian has no package {name}"))?;
                debian.unpack(&package, &tools)?;
            }
        }
        let mirror = default_mirror(&script)?;
        let suites =
            [RELEASE.to_owned(), format!("{RELEASE}-security"), format!("{RELEASE}-updates")];
        let sources: String = suites.iter().map(|suite| source(&mirror, suite, &keys)).collect();
        Self::open("ubuntu", &sources)
    }

    fn open(name: &str, sources: &str) -> Result<Self> {
        let root = store().join(name);
        for folder in ["lists/partial", "cache/archives/partial", "preferences.d"] {
            create(&root.join(folder))?;
        }
        let archive = Self { root };
        let list = archive.root.join("sources.list");
        let fetched = archive.root.join("fetched");
        write(&archive.root.join("status"), "")?;
        let known = fs::read_to_string(&list).is_ok_and(|known| known == sources);
        if !(known && is_fresh(&fetched)) {
            ensure_room(&archive.root)?;
            write(&list, sources)?;
            archive.apt("apt-get", &["update"]).context("failed to read the package lists")?;
            write(&fetched, "")?;
        }
        Ok(archive)
    }

    /// Every version of the packages that are `wanted`, the newest first.
    pub(super) fn newest(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<Package>> {
        let names = self.apt("apt-cache", &["pkgnames"])?;
        let names: Vec<&str> = names.lines().filter(|name| wanted(name)).collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let told = self.apt("apt-cache", &[&["show"], names.as_slice()].concat())?;
        let mut packages = stanzas(&told);
        packages.sort_by(|left, right| {
            // A binary goes before the image that merely depends on it.
            let newer = version::compare(&right.version, &left.version);
            newer.then_with(|| left.name.cmp(&right.name))
        });
        packages.dedup();
        Ok(packages)
    }

    pub(super) fn has(&self, name: &str) -> Result<bool> {
        Ok(!self.newest(|known| known == name)?.is_empty())
    }

    /// Fetches a package, which apt compares with the signed list, and unpacks it into a folder.
    pub(super) fn unpack(&self, package: &Package, folder: &Path) -> Result<()> {
        create(folder)?;
        ensure_room(folder)?;
        let fetched = self.root.join("fetching");
        if fetched.exists() {
            remove(&fetched)?;
        }
        create(&fetched)?;
        let Package { name, version } = package;
        let arguments = ["download", &format!("{name}={version}")];
        let mut command = self.command("apt-get", &arguments);
        run_checked(command.current_dir(&fetched)).map_err(brief)?;
        for file in fs::read_dir(&fetched).context("failed to list the downloads")? {
            let file = file.context("failed to list the downloads")?.path();
            run_checked(Command::new("dpkg-deb").arg("-x").arg(&file).arg(folder))
                .map_err(brief)?;
        }
        remove(&fetched)
    }

    fn apt(&self, program: &str, arguments: &[&str]) -> Result<String> {
        run_checked(&mut self.command(program, arguments)).map_err(brief)
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let at = |file: &str| self.root.join(file).display().to_string();
        let options = [
            ("Dir::State", at("")),
            ("Dir::State::lists", at("lists")),
            ("Dir::State::status", at("status")),
            ("Dir::Cache", at("cache")),
            ("Dir::Etc::sourcelist", at("sources.list")),
            ("Dir::Etc::sourceparts", "-".to_owned()),
            ("Dir::Etc::preferences", "/dev/null".to_owned()),
            ("Dir::Etc::preferencesparts", at("preferences.d")),
            // Only the keys that a source names.
            ("Dir::Etc::trusted", "/dev/null".to_owned()),
            ("Dir::Etc::trustedparts", "/dev/null".to_owned()),
            ("APT::Architecture", "amd64".to_owned()),
            ("APT::Architectures", "amd64".to_owned()),
            // It could not write to the folder.
            ("APT::Sandbox::User", "root".to_owned()),
            ("Acquire::Languages", "none".to_owned()),
            ("Acquire::Retries", "2".to_owned()),
            ("Acquire::IndexTargets::deb::DEP-11::DefaultEnabled", "false".to_owned()),
            ("APT::Update::Error-Mode", "any".to_owned()),
        ];
        let mut command = Command::new(program);
        command.env("LC_ALL", "C").arg("-q");
        for (key, value) in options {
            command.arg("-o").arg(format!("{key}={value}"));
        }
        command.args(arguments);
        command
    }
}

fn source(mirror: &str, suite: &str, keys: &Path) -> String {
    format!("deb [arch=amd64 signed-by={}] {mirror} {suite} main\n", keys.display())
}

/// The mirrors of Debian and of its security updates that this machine is set up with.
fn debian_mirrors() -> Result<(String, String)> {
    let mut command = Command::new("apt-get");
    command.args(["indextargets", "--format", "$(REPO_URI)"]);
    let targets = run_checked(&mut command).context("failed to read apt's sources")?;
    let ending = |wanted: &str| {
        let found = targets.lines().map(|line| line.trim_end_matches('/'));
        found.into_iter().find(|line| line.ends_with(wanted)).map(str::to_owned).with_context(
            || {
                format!(
                    "apt on this machine has no source that ends in {wanted}: add Debian's archive"
                )
            },
        )
    };
    Ok((ending("/debian")?, ending("/debian-security")?))
}

/// What a script of debootstrap takes where it is given no mirror. Without a PATH it finds no
/// program to ask, and so nobody on the network, whether the release is still supported, and takes
/// it to be.
fn default_mirror(script: &Path) -> Result<String> {
    const ASK: &str = "default_mirror() { mirror=$1; }
        for word in mirror_style download_style finddebs_style variants keyring doing_variant; do
            eval \"$word() { return 1; }\"
        done
        ARCH=amd64 SUITE=$2
        . \"$1\"
        echo \"$mirror\"";
    let suite = script.file_name().unwrap_or_default();
    let mut command = Command::new("/bin/sh");
    command.env("PATH", "").args(["-c", ASK, "sh"]).arg(script).arg(suite);
    let mirror = run_checked(&mut command)?.trim().to_owned();
    ensure!(!mirror.is_empty(), "{} has no mirror", script.display());
    Ok(mirror)
}

/// The packages that `apt-cache show` lists.
fn stanzas(told: &str) -> Vec<Package> {
    let field = |stanza: &str, name: &str| {
        stanza.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
    };
    told.split("\n\n")
        .filter_map(|stanza| {
            Some(Package { name: field(stanza, "Package:")?, version: field(stanza, "Version:")? })
        })
        .collect()
}

/// What apt says is many lines; the errors among them are what matters.
fn brief(error: anyhow::Error) -> anyhow::Error {
    let text = error.to_string();
    let errors: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("E: ")).collect();
    if errors.is_empty() { error } else { anyhow::anyhow!("{}", errors.join("; ")) }
}

fn is_fresh(file: &Path) -> bool {
    let written = fs::metadata(file).and_then(|found| found.modified());
    written.is_ok_and(|written| written.elapsed().is_ok_and(|age| age < FRESH))
}

pub(super) fn create(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))
}

pub(super) fn remove(folder: &Path) -> Result<()> {
    fs::remove_dir_all(folder).with_context(|| format!("failed to remove {}", folder.display()))
}

pub(super) fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("failed to write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::{brief, stanzas};

    #[test]
    fn packages_are_read_from_what_apt_tells() {
        let told = "Package: linux-a\nVersion: 1.0-1\nSize: 3\n\nPackage: linux-b\nVersion: 2\n\n";
        let names: Vec<String> =
            stanzas(told).iter().map(|found| format!("{} {}", found.name, found.version)).collect();
        assert_eq!(names, ["linux-a 1.0-1", "linux-b 2"]);
    }

    #[test]
    fn of_what_apt_says_the_errors_remain() {
        let error = anyhow::anyhow!("\"apt-get\" ended with 100: Get:1 x\nE: no such file  404\n");
        assert_eq!(brief(error).to_string(), "no such file  404");
        assert_eq!(brief(anyhow::anyhow!("killed")).to_string(), "killed");
    }
}
