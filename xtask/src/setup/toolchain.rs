//! What the BPF object needs beyond the plain toolchain: the sources of `core` and a linker that
//! writes BPF. Programs go into the project's own folder, never into the user's.

#![expect(clippy::print_stdout, reason = "setup prints its steps")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Step;
use crate::project;

/// As in rust-toolchain.toml.
const TOOLCHAIN: &str = "1.95.0";
/// The last one that loads the compiler's own LLVM; later ones want a libLLVM to link against.
const BPF_LINKER: Tool = Tool { name: "bpf-linker", version: "0.10.4" };

pub(super) fn add_rust_source() -> Result<Step> {
    let what = format!("rust-src of toolchain {TOOLCHAIN}");
    if rust_source_is_there() {
        return Ok(Step::AlreadyThere(what));
    }
    println!("adding {what} with rustup");
    let remedy = format!("rustup component add rust-src --toolchain {TOOLCHAIN}");
    let output = Command::new("rustup")
        .args(["component", "add", "rust-src", "--toolchain", TOOLCHAIN])
        .output()
        .with_context(|| {
            format!("failed to start rustup: install rustup, or add {what} by hand")
        })?;
    if !output.status.success() {
        bail!("`{remedy}` failed: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    if !rust_source_is_there() {
        bail!(
            "`{remedy}` succeeded, but the sources are not in the compiler's folder: check that \
             `rustc` comes from rustup"
        );
    }
    Ok(Step::Done(format!("added {what}")))
}

fn rust_source_is_there() -> bool {
    // The compiler that builds the BPF object is the one that the project's folder selects.
    let output =
        Command::new("rustc").args(["--print", "sysroot"]).current_dir(project::root()).output();
    let Ok(output) = output else { return false };
    let sysroot = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    Path::new(&sysroot).join("lib/rustlib/src/rust/library/core/src/lib.rs").exists()
}

pub(super) fn install_bpf_linker() -> Result<Step> {
    BPF_LINKER.install()
}

/// A program that cargo builds from source into the project's own folder.
struct Tool {
    name: &'static str,
    version: &'static str,
}

impl Tool {
    fn install(&self) -> Result<Step> {
        let Self { name, version, .. } = self;
        let what = format!("{name} {version} in .tools/bin");
        if self.installed().as_deref() == Some(version) {
            return Ok(Step::AlreadyThere(what));
        }
        println!("building {what} from source with cargo, once; this takes a few minutes");
        let build = tools().join("build");
        let status = self.cargo_install(&build).status().context(
            "failed to start cargo; install rustup and the toolchain that rust-toolchain.toml \
             names",
        )?;
        if !status.success() {
            bail!(
                "cargo install {name} ended with {status}, its own message is above; run `cargo \
                 xtask setup` again, it continues where it stopped"
            );
        }
        if self.installed().as_deref() != Some(version) {
            bail!(
                "{} does not have version {version}: remove .tools and run `cargo xtask setup` \
                 again",
                self.path().display()
            );
        }
        // Hundreds of megabytes of intermediate files, of no use once the program is there.
        fs::remove_dir_all(&build).ok();
        Ok(Step::Done(format!("built {what}")))
    }

    fn cargo_install(&self, build: &Path) -> Command {
        let mut command = Command::new("cargo");
        command.current_dir(project::root());
        command.args(["install", "--quiet", self.name, "--version", self.version]);
        command.args(["--locked", "--force", "--root"]);
        command.arg(tools()).arg("--target-dir").arg(build);
        // The work is done by the compiler's own LLVM: what is ours to build need not be fast, but
        // soon there.
        command.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0");
        command.env("CARGO_PROFILE_RELEASE_LTO", "off");
        command.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
        command.env("CARGO_PROFILE_RELEASE_DEBUG", "false");
        // What the caller's build is set to (another target, flags for it, a shared target folder)
        // must not reach the build of a host program.
        for variable in [
            "CARGO_TARGET_DIR",
            "CARGO_BUILD_TARGET",
            "CARGO_BUILD_TARGET_DIR",
            "CARGO_ENCODED_RUSTFLAGS",
            "RUSTFLAGS",
            "RUSTC_WRAPPER",
        ] {
            command.env_remove(variable);
        }
        command
    }

    /// The version that the installed program answers with.
    fn installed(&self) -> Option<String> {
        let output = Command::new(self.path()).arg("--version").output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        text.split_whitespace().nth(1).map(str::to_owned)
    }

    fn path(&self) -> PathBuf {
        tools().join("bin").join(self.name)
    }
}

pub(super) fn tools() -> PathBuf {
    project::root().join(".tools")
}
