//! Python packages that the lab's own scripts use, in a virtual environment inside the project's folder.
//! Never touches the machine's own packages.

#![expect(clippy::print_stdout, reason = "setup says what it does")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use detector_tests::run_checked;

use super::toolchain::tools;
use super::{Profile, Step, apt};

/// A mail server, an FTP server, HTTP/2 and HTTP/3, an S3 client and server.
const PACKAGES: [&str; 7] = [
    "aiosmtpd==1.4.6",
    "pyftpdlib==2.0.1",
    "httpx[http2]==0.28.1",
    "requests==2.32.3",
    "boto3==1.40.40",
    "moto[server]==5.1.13",
    "aioquic==1.2.0",
];
/// Debian's own: the first in the PATH may be a shell script around another.
const PYTHON: &str = "/usr/bin/python3";

/// The interpreter that sees the packages.
pub(crate) fn interpreter() -> PathBuf {
    environment().join("bin/python")
}

pub(super) fn install_packages(profile: Profile) -> Result<Step> {
    let what = format!("{} Python packages in .tools/lab", PACKAGES.len());
    let list = PACKAGES.join("\n");
    let record = environment().join("packages.txt");
    if profile != Profile::Lab || fs::read_to_string(&record).is_ok_and(|found| found == list) {
        return Ok(Step::AlreadyThere(what));
    }
    println!("installing {what} with pip");
    // Debian keeps this part of the standard library in a package of its own.
    if run_checked(Command::new(PYTHON).args(["-c", "import ensurepip"])).is_err() {
        apt::install(&["python3-venv"])?;
    }
    run_checked(Command::new(PYTHON).args(["-m", "venv", "--clear"]).arg(environment()))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    run_checked(Command::new(interpreter()).args(pip).args(PACKAGES))
        .context("failed to install the lab's Python packages; is a package index in reach?")?;
    fs::write(&record, list).with_context(|| format!("failed to write {}", record.display()))?;
    Ok(Step::Done(format!("installed {what}")))
}

fn environment() -> PathBuf {
    tools().join("lab")
}
