//! What all recordings of one run share and only read: pages to serve, keys, certificates, scripts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use detector_tests::{Scratch, run_checked};

use super::random::Random;
use super::sites::{self, Site};

/// Sizes in kB of what a page pulls in, from icons to pictures, and the files that people download.
const ASSETS: std::ops::Range<usize> = 0..60;
pub(super) const DOWNLOADS_MB: [usize; 5] = [1, 3, 8, 20, 48];

const SCRIPTS: [(&str, &str); 21] = [
    ("wire.py", include_str!("scripts/wire.py")),
    ("sink.py", include_str!("scripts/sink.py")),
    ("dns_sink.py", include_str!("scripts/dns_sink.py")),
    ("icmp.py", include_str!("scripts/icmp.py")),
    ("call.py", include_str!("scripts/call.py")),
    ("udp.py", include_str!("scripts/udp.py")),
    ("typist.py", include_str!("scripts/typist.py")),
    ("mail.py", include_str!("scripts/mail.py")),
    ("mail_server.py", include_str!("scripts/mail_server.py")),
    ("ftp.py", include_str!("scripts/ftp.py")),
    ("ftp_server.py", include_str!("scripts/ftp_server.py")),
    ("s3.py", include_str!("scripts/s3.py")),
    ("dns_wire.py", include_str!("scripts/dns_wire.py")),
    ("dnscat.py", include_str!("scripts/dnscat.py")),
    ("doh.py", include_str!("scripts/doh.py")),
    ("signed_zone.py", include_str!("scripts/signed_zone.py")),
    ("mdns.py", include_str!("scripts/mdns.py")),
    ("quic.py", include_str!("scripts/quic.py")),
    ("icmp_channel.py", include_str!("scripts/icmp_channel.py")),
    ("drip.py", include_str!("scripts/drip.py")),
    ("post.py", include_str!("scripts/post.py")),
];

#[derive(Debug)]
pub(super) struct Shared {
    folder: Scratch,
    python: PathBuf,
    pub(super) seed: u64,
    pub(super) sites: Vec<Site>,
    pub(super) recordings: PathBuf,
}

impl Shared {
    pub(super) fn prepare(out: &Path, python: &Path, seed: u64) -> Result<Self> {
        let recordings = out.join("pcap");
        fs::create_dir_all(&recordings)
            .with_context(|| format!("failed to create {}", recordings.display()))?;
        let shared = Self {
            folder: Scratch::new("lab")?,
            python: python.to_owned(),
            seed,
            sites: sites::generate(seed),
            recordings,
        };
        for (name, text) in SCRIPTS {
            shared.folder.write(name, text)?;
        }
        shared.write_content(&mut Random::new(seed, "content"))?;
        shared.make_keys()?;
        // sshd refuses to start without it; a machine that never ran one lacks it.
        fs::create_dir_all("/run/sshd").context("failed to create /run/sshd")?;
        Ok(shared)
    }

    /// The interpreter of the scripts.
    pub(super) fn python(&self) -> String {
        self.python.display().to_string()
    }

    /// A file of this folder, as an argument for a command.
    pub(super) fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn write_content(&self, random: &mut Random) -> Result<()> {
        // nginx's workers may run as another user.
        let content = self.folder.join("content");
        fs::create_dir_all(&content).context("failed to create the folder of the pages")?;
        for number in ASSETS {
            let length = random.size(400, 250_000);
            self.folder.write(&format!("content/asset-{number}"), random.bytes(length))?;
            let length = random.size(2_000, 120_000);
            self.folder.write(&format!("content/page-{number}.html"), random.document(length))?;
        }
        for megabytes in DOWNLOADS_MB {
            self.folder
                .write(&format!("content/download-{megabytes}"), random.bytes(megabytes << 20))?;
        }
        Ok(())
    }

    fn make_keys(&self) -> Result<()> {
        for name in ["host_key", "user_key"] {
            run_checked(Command::new("ssh-keygen").args([
                "-q",
                "-t",
                "ed25519",
                "-N",
                "",
                "-f",
                &self.path(name),
            ]))?;
        }
        let certificate = [
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "30",
            "-subj",
            "/CN=lab",
        ];
        run_checked(Command::new("openssl").args(certificate).args([
            "-keyout",
            &self.path("tls.key"),
            "-out",
            &self.path("tls.crt"),
        ]))?;
        self.folder.write("ssh_config", format!(
            "Host *\n User root\n IdentityFile {}\n IdentitiesOnly yes\n StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n LogLevel ERROR\n",
            self.path("user_key")
        ))?;
        self.folder.write("sshd_config", format!(
            "HostKey {}\nAuthorizedKeysFile {}\nPermitRootLogin prohibit-password\nUsePAM no\nStrictModes no\nUseDNS no\nPidFile none\nMaxStartups 100\nPrintMotd no\nSubsystem sftp internal-sftp\n",
            self.path("host_key"),
            self.path("user_key.pub")
        ))?;
        Ok(())
    }
}
