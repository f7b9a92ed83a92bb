//! A network namespace that lives as long as its guard. Dropping the guard ends every process that
//! still runs in it and deletes it. Never changes the network namespace of the calling thread.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::Background;

/// Of every name, followed by the id of the process that the namespace belongs to.
const PREFIX: &str = "det-";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Fails with the remedy when the process may not create namespaces.
pub fn require_root() -> Result<()> {
    ensure!(
        geteuid().is_root(),
        "network namespaces need root: run this command again as root (sudo -E env PATH=\"$PATH\" …)"
    );
    Ok(())
}

/// Runs a command to its end; a failure carries the command line and what it wrote.
pub fn run_checked(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| {
        format!("failed to start {command:?}; `cargo xtask setup` installs what is missing")
    })?;
    if !output.status.success() {
        bail!(
            "{command:?} ended with {}: {}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Deletes namespaces that killed runs left behind: those whose name holds the id of a process that
/// no longer exists. Processes in them end, as they do when a guard is dropped.
pub fn remove_leftovers() -> Result<()> {
    require_root()?;
    let listing = run_checked(Command::new("ip").args(["netns", "list"]))?;
    for name in listing.lines().filter_map(|line| line.split_whitespace().next()) {
        let Some(owner) = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()) else {
            continue;
        };
        if owner.parse::<u32>().is_ok() && !Path::new("/proc").join(owner).exists() {
            drop(Namespace { name: name.to_owned() });
        }
    }
    Ok(())
}

/// A named network namespace with its loopback device up.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Creates a namespace whose name starts with `det-`, holds this process's id and ends in `role`.
    pub fn new(role: &str) -> Result<Self> {
        require_root()?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}-{role}", std::process::id());
        run_checked(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self { name };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for the namespace, for `setns` and for attaching by descriptor.
    pub fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// A command that will run inside the namespace.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs a program inside the namespace to its end and returns its standard output.
    pub fn run<S: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<String> {
        run_checked(self.command(program).args(arguments))
    }

    /// `ip -netns NAME …`, with the arguments separated by blanks.
    pub fn ip(&self, arguments: &str) -> Result<String> {
        run_checked(
            Command::new("ip").args(["-netns", &self.name]).args(arguments.split_whitespace()),
        )
    }

    /// Sets a kernel parameter of this namespace, for example `net.ipv4.ip_forward`.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        self.enter(|| {
            fs::write(&path, value).with_context(|| format!("failed to set {key} to {value}"))
        })?
    }

    /// Starts a program in the background; it is killed when the guard is dropped.
    pub fn spawn<S: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<Background> {
        Background::start(self.command(program).args(arguments))
    }

    /// Runs a closure on a fresh thread that has entered the namespace. Sockets opened there, and
    /// programs started there, belong to the namespace; the calling thread stays where it is.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let path = self.path();
        let file =
            File::open(&path).with_context(|| format!("failed to open {}", path.display()))?;
        std::thread::scope(|scope| {
            let inside = scope.spawn(move || {
                setns(&file, CloneFlags::CLONE_NEWNET)
                    .with_context(|| format!("failed to enter {}", path.display()))?;
                Ok(work())
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Name resolution for programs in this namespace, through the file that `ip netns exec` mounts.
    pub fn set_resolver(&self, address: &str) -> Result<()> {
        let folder = self.configuration();
        fs::create_dir_all(&folder)
            .with_context(|| format!("failed to create {}", folder.display()))?;
        let file = folder.join("resolv.conf");
        fs::write(&file, format!("nameserver {address}\noptions timeout:2 attempts:2\n"))
            .with_context(|| format!("failed to write {}", file.display()))
    }

    /// Process ids that are in the namespace now.
    pub fn processes(&self) -> Result<Vec<i32>> {
        let listing = run_checked(Command::new("ip").args(["netns", "pids", &self.name]))?;
        Ok(listing.split_whitespace().filter_map(|pid| pid.parse().ok()).collect())
    }

    fn configuration(&self) -> PathBuf {
        Path::new("/etc/netns").join(&self.name)
    }

    /// Daemons that left their parent would keep the namespace, and its devices, alive.
    fn end_processes(&self) {
        let own = std::process::id().cast_signed();
        for pid in self.processes().unwrap_or_default() {
            if pid != own {
                // It may have ended by itself since it was listed.
                kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
            }
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.end_processes();
        fs::remove_dir_all(self.configuration()).ok();
        run_checked(Command::new("ip").args(["netns", "delete", &self.name])).ok();
    }
}
