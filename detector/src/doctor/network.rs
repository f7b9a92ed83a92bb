//! The interfaces: which are meant, how each would be watched, and what is home behind them.
//!
//! Read from sysfs and procfs; nothing is attached. Another tool's XDP program shows in neither: it
//! is found at the start of `detector run`, which leaves it alone and says so.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use detector_common::frame::LinkType;

use super::check::{Check, Report};
use crate::config::{Config, Xdp};
use crate::network::Network;
use crate::source::capture::default_prefixes;
use crate::source::kernel::claims;
use crate::source::kernel::interfaces::{Interface, Selection, list};

const SYSFS: &str = "/sys/class/net";
/// Largest MTU of a frame in one buffer of a page, with the room that XDP and the kernel keep.
const ONE_BUFFER_MTU: u32 = 3_498;

pub(super) fn examine(config: &Config, report: &mut Report) {
    let interfaces = match list() {
        Ok(interfaces) => interfaces,
        Err(error) => {
            let remedy = "mount /proc and /sys in this container";
            report.push(Check::problem("interfaces", format!("{error:#}"), remedy));
            return;
        }
    };
    let meant = meant(config, &interfaces, report);
    for interface in &meant {
        report.push(examine_interface(interface, config));
    }
    report.push(home(config, &meant));
    if forwards() {
        report.push(Check::ok(
            "nat",
            "this machine forwards packets: if it translates addresses, watch the inner \
             interface, where each host has its own address",
        ));
    }
}

/// The interfaces of the command line, else of the configuration, else all but the loopback.
fn meant<'a>(
    config: &Config,
    interfaces: &'a BTreeMap<String, Interface>,
    report: &mut Report,
) -> Vec<&'a Interface> {
    let all = ["all".to_owned()];
    let names =
        if config.interfaces.is_empty() { all.as_slice() } else { config.interfaces.as_slice() };
    let selection = Selection::new(names).and_then(|selection| {
        selection.check(interfaces)?;
        Ok(selection)
    });
    let selection = match selection {
        Ok(selection) => selection,
        Err(error) => {
            let remedy = "choose an interface with --interface or in the configuration";
            report.push(Check::problem("interfaces", format!("{error:#}"), remedy));
            return Vec::new();
        }
    };
    let meant: Vec<&Interface> =
        interfaces.values().filter(|interface| selection.contains(interface)).collect();
    if meant.is_empty() {
        report.push(Check::warning(
            "interfaces",
            "there is no interface but the loopback",
            "`detector run` waits until one appears",
        ));
    }
    meant
}

/// What sysfs says about an interface.
#[derive(Debug, Default)]
struct Traits {
    mtu: Option<u32>,
    /// The driver of a physical device, the kind of a virtual one.
    driver: String,
    down: bool,
}

impl Traits {
    fn read(name: &str) -> Self {
        let directory = Path::new(SYSFS).join(name);
        let text = |file| fs::read_to_string(directory.join(file)).unwrap_or_default();
        let driver = fs::read_link(directory.join("device/driver")).ok();
        let driver = driver.and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
        let physical = directory.join("device").symlink_metadata().is_ok();
        let unnamed = if physical { "driver unknown" } else { "virtual" };
        let kind = || device_type(&text("uevent")).unwrap_or(unnamed).to_owned();
        Self {
            mtu: text("mtu").trim().parse().ok(),
            driver: driver.unwrap_or_else(kind),
            down: text("operstate").trim() == "down",
        }
    }
}

/// The kind of a virtual device, where its driver says.
fn device_type(uevent: &str) -> Option<&str> {
    uevent.lines().find_map(|line| line.strip_prefix("DEVTYPE="))
}

fn examine_interface(interface: &Interface, config: &Config) -> Check {
    let traits = Traits::read(&interface.name);
    let finding = describe(interface, &traits, config.kernel.xdp);
    if let Some(holder) = claims::holder(interface.index, &config.runtime_dir) {
        if holder == std::process::id().to_string() {
            return Check::ok(interface.name.clone(), format!("{finding}; this agent watches it"));
        }
        Check::problem(
            interface.name.clone(),
            format!("{finding}; another agent (pid {holder}) watches it"),
            "stop that agent first, or watch another interface",
        )
    } else if traits.down {
        Check::warning(
            interface.name.clone(),
            format!("{finding}; it is down"),
            format!("ip link set {} up", interface.name),
        )
    } else {
        Check::ok(interface.name.clone(), finding)
    }
}

fn describe(interface: &Interface, traits: &Traits, wanted: Xdp) -> String {
    let link = match interface.link {
        LinkType::Ethernet => "Ethernet",
        _ => "no link header",
    };
    let mtu = traits.mtu.map_or_else(|| "MTU unknown".to_owned(), |mtu| format!("MTU {mtu}"));
    let plan = plan(interface.link, traits.mtu, wanted);
    format!("{link}, {mtu}, {}: {plan}; sent packets at tc", traits.driver)
}

/// How received packets would be seen.
fn plan(link: LinkType, mtu: Option<u32>, wanted: Xdp) -> &'static str {
    let large = mtu.is_some_and(|mtu| mtu > ONE_BUFFER_MTU);
    match wanted {
        Xdp::Generic => "generic XDP by configuration, which sees merged frames",
        Xdp::Tc => "tc ingress by configuration",
        Xdp::Native if link != LinkType::Ethernet => {
            "native XDP, which few devices without a link header have, else tc ingress"
        }
        Xdp::Native if large => {
            "native XDP, which needs frames of several buffers at this MTU, else tc ingress"
        }
        Xdp::Native => "native XDP, else tc ingress",
    }
}

fn home(config: &Config, meant: &[&Interface]) -> Check {
    let networks = home_networks(&config.home_networks, meant);
    let names: Vec<String> = networks.iter().map(Network::to_string).collect();
    Check::ok("home networks", names.join(", "))
}

/// Those configured, else the private ones and the interfaces' own.
fn home_networks(configured: &[Network], meant: &[&Interface]) -> Vec<Network> {
    if !configured.is_empty() {
        return configured.to_vec();
    }
    let mut networks: Vec<Network> =
        default_prefixes().into_iter().map(Network::from_prefix).collect();
    for network in meant.iter().flat_map(|interface| &interface.networks) {
        let inside = networks.iter().any(|known| {
            known.prefix().length <= network.prefix().length
                && known.contains(network.prefix().address.into())
        });
        if !inside {
            networks.push(*network);
        }
    }
    networks
}

fn forwards() -> bool {
    ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"]
        .iter()
        .any(|path| fs::read_to_string(path).is_ok_and(|text| text.trim() == "1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(link: LinkType, networks: &[&str]) -> Interface {
        Interface {
            name: "test-none0".to_owned(),
            index: 7,
            link,
            loopback: false,
            networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn the_plan_follows_link_mtu_and_wish() {
        let check = |link, mtu, wanted, expected: &str| {
            let plan = plan(link, Some(mtu), wanted);
            assert!(plan.contains(expected), "{plan}");
        };
        check(LinkType::Ethernet, 1_500, Xdp::Native, "native XDP, else");
        check(LinkType::Ethernet, 9_000, Xdp::Native, "several buffers");
        check(LinkType::Raw, 1_420, Xdp::Native, "without a link header");
        check(LinkType::Ethernet, 1_500, Xdp::Generic, "merged");
        check(LinkType::Ethernet, 1_500, Xdp::Tc, "tc ingress by configuration");
    }

    #[test]
    fn a_device_is_described_in_one_line() {
        let traits = Traits { mtu: Some(1_500), driver: "virtio_net".to_owned(), down: false };
        assert_eq!(
            describe(&interface(LinkType::Ethernet, &[]), &traits, Xdp::Native),
            "Ethernet, MTU 1500, virtio_net: native XDP, else tc ingress; sent packets at tc"
        );
        assert_eq!(device_type("DEVTYPE=bridge\nINTERFACE=br0\n"), Some("bridge"));
        assert_eq!(device_type("INTERFACE=eth0\n"), None);
    }

    #[test]
    fn home_is_what_is_configured_else_private_and_local() {
        let here = interface(LinkType::Ethernet, &["10.1.2.0/24", "198.51.100.0/24"]);
        let networks = home_networks(&[], &[&here]);
        let names: Vec<String> = networks.iter().map(Network::to_string).collect();
        assert!(names.contains(&"10.0.0.0/8".to_owned()));
        assert!(names.contains(&"198.51.100.0/24".to_owned()));
        assert!(!names.contains(&"10.1.2.0/24".to_owned()));
        let configured = ["203.0.113.0/24".parse().unwrap()];
        assert_eq!(home_networks(&configured, &[&here]), configured);
    }

    #[test]
    fn an_unknown_interface_is_a_problem() {
        let config = Config { interfaces: vec!["eth7".to_owned()], ..Config::default() };
        let mut report = Report::default();
        assert!(meant(&config, &BTreeMap::new(), &mut report).is_empty());
        assert_eq!(report.problems(), 1);
    }
}
