//! The modules that the scenarios need, with those that they need themselves, in the order in which
//! they can be loaded. Packages hold no list of that: it is made where they are installed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::kernel::files;

/// What the scenarios name. Some are built in, here or there.
const WANTED: [&str; 15] = [
    "veth",
    "dummy",
    "sch_ingress",
    "cls_bpf",
    "sch_netem",
    "8021q",
    "bonding",
    "bridge",
    "vxlan",
    "ip_gre",
    "ip6_gre",
    "wireguard",
    "pktgen",
    "af_packet",
    "tun",
];

/// The module files of a build, by name.
#[derive(Debug)]
pub(super) struct Modules {
    files: BTreeMap<String, PathBuf>,
}

impl Modules {
    pub(super) fn find(unpacked: &Path) -> Result<Self> {
        let files = files(unpacked)?
            .into_iter()
            .filter_map(|file| Some((module_name(&file)?, file)))
            .collect();
        Ok(Self { files })
    }

    /// Copies what is wanted and there, unpacked, with the place in the order in front of the name.
    pub(super) fn keep(&self, folder: &Path) -> Result<()> {
        let mut order = Vec::new();
        for name in WANTED {
            self.take(name, &mut order)?;
        }
        for (place, (name, content)) in order.iter().enumerate() {
            let file = folder.join(format!("{place:02}-{name}.ko"));
            fs::write(&file, content)
                .with_context(|| format!("failed to write {}", file.display()))?;
        }
        Ok(())
    }

    /// A module after those that it needs; what is built in has no file.
    fn take(&self, name: &str, order: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
        let Some(file) = self.files.get(name) else { return Ok(()) };
        if order.iter().any(|(taken, _)| taken == name) {
            return Ok(());
        }
        let content = unpacked(file)?;
        for needed in needs(&content) {
            self.take(&needed, order)?;
        }
        order.push((name.to_owned(), content));
        Ok(())
    }
}

/// `net/sched/sch_netem.ko.xz` is `sch_netem`; dashes in names are underscores to the kernel.
fn module_name(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?;
    let (stem, packing) = name.split_once(".ko")?;
    matches!(packing, "" | ".xz" | ".zst").then(|| stem.replace('-', "_"))
}

fn unpacked(file: &Path) -> Result<Vec<u8>> {
    let program = match file.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => return fs::read(file).with_context(|| format!("failed to read {}", file.display())),
    };
    let output = Command::new(program)
        .args(["--decompress", "--stdout"])
        .arg(file)
        .output()
        .with_context(|| format!("failed to start {program}"))?;
    ensure!(
        output.status.success(),
        "failed to unpack {}: {}",
        file.display(),
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    Ok(output.stdout)
}

/// The names in the `depends=` line that the build wrote into the module.
fn needs(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(start) = module.windows(KEY.len()).position(|window| window == KEY) else {
        return Vec::new();
    };
    let value = &module[start + KEY.len()..];
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    let text = String::from_utf8_lossy(&value[..end]);
    text.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::{module_name, needs};
    use std::path::Path;

    #[test]
    fn modules_have_one_name() {
        for (file, expected) in [
            ("a/sch_netem.ko.xz", Some("sch_netem")),
            ("veth.ko", Some("veth")),
            ("x/chacha-x86_64.ko.zst", Some("chacha_x86_64")),
            ("modules.builtin", None),
            ("veth.ko.debug", None),
        ] {
            assert_eq!(module_name(Path::new(file)).as_deref(), expected, "{file}");
        }
    }

    #[test]
    fn what_a_module_needs_is_written_in_it() {
        let module =
            b"\x7fELF\0alias=x\0depends=libcurve25519-generic,udp_tunnel\0name=wireguard\0";
        assert_eq!(needs(module), ["libcurve25519_generic", "udp_tunnel"]);
        assert!(needs(b"\0depends=\0").is_empty());
        assert!(needs(b"nothing").is_empty());
    }
}
