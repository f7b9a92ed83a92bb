//! Builds the BPF object, so that the agent carries it.
#![expect(clippy::print_stderr, reason = "an error message is all a build script can say")]

use std::path::Path;
use std::process::{Command, exit};
use std::{env, fs};

use aya_build::{Package, Toolchain, build_ebpf};

/// What the child build reads of its environment. `-Z build-std` is for nightly compilers unless
/// RUSTC_BOOTSTRAP says otherwise; the profile is the BPF target's, not the agent's.
/// Processor version 3 is Linux 5.1's: 32-bit jumps and arithmetic.
const CHILD_ENVIRONMENT: [(&str, &str); 8] = [
    ("RUSTC_BOOTSTRAP", "1"),
    // What the child says reaches people as warnings of this package.
    ("CARGO_TERM_QUIET", "true"),
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_LTO", "fat"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_UNSTABLE_PROFILE_RUSTFLAGS", "true"),
    ("CARGO_PROFILE_RELEASE_RUSTFLAGS", "-Ctarget-cpu=v3"),
    // Build scripts and macros run on the host and must not take the flags above.
    ("CARGO_PROFILE_RELEASE_BUILD_OVERRIDE_RUSTFLAGS", "-Cdebuginfo=0"),
];

fn main() {
    let result =
        if CHILD_ENVIRONMENT.iter().all(|(name, value)| env::var(name).as_deref() == Ok(*value)) {
            build()
        } else {
            again()
        };
    if let Err(error) = result {
        eprintln!("{error:#}");
        exit(1);
    }
}

/// Runs this script once more with the child build's environment: it is read by the library that
/// builds, and setting it in this process would be unsafe.
fn again() -> anyhow::Result<()> {
    let status = Command::new(env::current_exe()?).envs(CHILD_ENVIRONMENT).status()?;
    if !status.success() {
        // It has said why.
        exit(1);
    }
    Ok(())
}

fn build() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let linker = root.join(".tools/bin/bpf-linker");
    anyhow::ensure!(
        fs::exists(&linker)?,
        "no bpf-linker in .tools/bin: run `cargo xtask setup` first"
    );
    println!("cargo:rerun-if-changed={}", root.join("detector-common").display());
    println!("cargo:rerun-if-changed={}", linker.display());
    let ebpf = root.join("detector-ebpf");
    build_ebpf(
        [Package {
            name: "detector-ebpf",
            root_dir: &ebpf.to_string_lossy(),
            ..Package::default()
        }],
        Toolchain::Custom("1.95.0"),
    )
}
