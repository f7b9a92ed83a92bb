//! Python packages that the lab's own scripts and the tests use, in virtual environments inside the
//! project's folder. Never touches the machine's own packages.

#![expect(clippy::print_stdout, reason = "setup prints its steps")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use detector_tests::run_checked;

use super::toolchain::tools;
use super::{Step, apt};

/// Packages that are kept apart from others.
struct Environment {
    folder: &'static str,
    packages: &'static [&'static str],
}

/// A mail server, an FTP server, HTTP/2 and HTTP/3, an S3 client and server.
const LAB: Environment = Environment {
    folder: "lab",
    packages: &[
        "aiosmtpd==1.4.6",
        "pyftpdlib==2.0.1",
        "httpx[http2]==0.28.1",
        "requests==2.32.3",
        "boto3==1.40.40",
        "moto[server]==5.1.13",
        "aioquic==1.2.0",
    ],
};

/// What holds the API's answers to its document.
const TEST: Environment = Environment { folder: "test", packages: &["schemathesis==4.32.5"] };

/// Debian's own: the first in the PATH may be a shell script around another.
const PYTHON: &str = "/usr/bin/python3";

/// The interpreter that sees the lab's packages.
pub(crate) fn interpreter() -> PathBuf {
    LAB.interpreter()
}

pub(super) fn install_for_lab() -> Result<Step> {
    LAB.install()
}

pub(super) fn install_for_tests() -> Result<Step> {
    TEST.install()
}

impl Environment {
    fn path(&self) -> PathBuf {
        tools().join(self.folder)
    }

    fn interpreter(&self) -> PathBuf {
        self.path().join("bin/python")
    }

    fn name(&self) -> String {
        format!("{} Python packages in .tools/{}", self.packages.len(), self.folder)
    }

    fn install(&self) -> Result<Step> {
        let (what, list) = (self.name(), self.packages.join("\n"));
        let record = self.path().join("packages.txt");
        if fs::read_to_string(&record).is_ok_and(|found| found == list) {
            return Ok(Step::AlreadyThere(what));
        }
        println!("installing {what} with pip");
        // Debian keeps this part of the standard library in a package of its own.
        if run_checked(Command::new(PYTHON).args(["-c", "import ensurepip"])).is_err() {
            apt::install(&["python3-venv"])?;
        }
        run_checked(Command::new(PYTHON).args(["-m", "venv", "--clear"]).arg(self.path()))?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        run_checked(Command::new(self.interpreter()).args(pip).args(self.packages)).with_context(
            || format!("failed to install {what}: check that pip reaches its package index"),
        )?;
        fs::write(&record, list)
            .with_context(|| format!("failed to write {}", record.display()))?;
        Ok(Step::Done(format!("installed {what}")))
    }
}
