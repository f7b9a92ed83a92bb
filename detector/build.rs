//! Builds the BPF object, so that the agent carries it, and lists the dashboard's files, which it
//! carries, too. Where there is no bpf-linker yet it embeds an empty object: the program then says
//! so when it needs the kernel's half.
#![expect(clippy::print_stderr, reason = "an error message is a build script's only output")]

use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::time::SystemTime;
use std::{env, fs};

use anyhow::Context as _;
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

/// Set where nothing is loaded, as for lints and fuzz targets: aya's own name for it.
const SKIP: &str = "AYA_BUILD_SKIP";

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
    list_dashboard().context("failed to list the dashboard's files")?;
    let linker = root.join(".tools/bin/bpf-linker");
    println!("cargo:rerun-if-env-changed={SKIP}");
    if env::var_os(SKIP).is_some() {
        return embed_nothing();
    }
    if !fs::exists(&linker)? {
        watch_for_linker(&root.join(".tools/bin"))?;
        return embed_nothing();
    }
    println!("cargo:rerun-if-changed={}", root.join("detector-common").display());
    println!("cargo:rerun-if-changed={}", linker.display());
    let ebpf = root.join("detector-ebpf");
    let features: &[&str] =
        if env::var_os("CARGO_FEATURE_BENCH").is_some() { &["bench"] } else { &[] };
    build_ebpf(
        [Package {
            name: "detector-ebpf",
            root_dir: &ebpf.to_string_lossy(),
            features,
            ..Package::default()
        }],
        Toolchain::Custom("1.95.0"),
    )
}

/// An object without programs.
fn embed_nothing() -> anyhow::Result<()> {
    Ok(fs::write(out_folder()?.join("detector-ebpf"), [])?)
}

/// Has this run again as soon as something appears in the linker's folder.
fn watch_for_linker(tools: &Path) -> anyhow::Result<()> {
    // A path that is not there would have this run again each time, and one that is newer than this
    // run once more.
    if !tools.exists() {
        fs::create_dir_all(tools)?;
        File::open(tools)?.set_modified(SystemTime::UNIX_EPOCH)?;
    }
    println!("cargo:rerun-if-changed={}", tools.display());
    println!(
        "cargo:warning=built without the kernel programs: run `cargo xtask setup`, which builds \
         bpf-linker, then build again"
    );
    Ok(())
}

/// Writes a table of what `cargo xtask ui` has built; an empty one where it has built nothing.
fn list_dashboard() -> anyhow::Result<()> {
    let ui = Path::new(env!("CARGO_MANIFEST_DIR")).join("ui");
    let built = ui.join("dist");
    // A path that is not there would have this run again each time.
    let watched = [&built, &ui].into_iter().find(|path| path.exists());
    if let Some(watched) = watched {
        println!("cargo:rerun-if-changed={}", watched.display());
    }
    println!("cargo:rerun-if-changed=build.rs");
    let mut table = "const ASSETS: &[Asset] = &[\n".to_owned();
    if built.is_dir() {
        for file in files(&built)? {
            let name = file.strip_prefix(&built)?.to_string_lossy().replace('\\', "/");
            let kind = media_type(&name);
            writeln!(table, "    (\"/{name}\", \"{kind}\", include_bytes!({file:?})),")?;
        }
    }
    table.push_str("];\n");
    Ok(fs::write(out_folder()?.join("ui.rs"), table)?)
}

fn out_folder() -> anyhow::Result<PathBuf> {
    Ok(PathBuf::from(env::var_os("OUT_DIR").context("cargo set no OUT_DIR")?))
}

fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    found.sort();
    Ok(found)
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
