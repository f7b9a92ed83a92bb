//! Devices that the kernel makes itself, all of them watched by one agent, and what goes through them.

use std::path::Path;

use detector_tests::watch::{HOME, Watch};
use detector_tests::{Namespace, Scratch, Veth, VethEnd};

use crate::Told;
use crate::stage::{add_device, assert_stream, how, sink, traffic};

const STREAM: u64 = 50_000;

/// Two hosts on a wire.
struct Wire {
    near: Namespace,
    far: Namespace,
}

impl Wire {
    fn new() -> Self {
        let (near, far) = (Namespace::new("near").unwrap(), Namespace::new("far").unwrap());
        let left = VethEnd::new(&near, "wire0").address("192.0.2.1/24");
        Veth::new(left, VethEnd::new(&far, "wire0").address("192.0.2.2/24")).create().unwrap();
        Self { near, far }
    }

    /// A device of a kind at each end.
    fn add(&self, device: &str, words: [&str; 2]) -> Result<(), String> {
        add_device(&self.near, &format!("{device} {}", words[0]))?;
        add_device(&self.far, &format!("{device} {}", words[1]))
    }

    /// Gives both ends of a device their addresses, with `number` at their end, and takes them up.
    fn address(&self, device: &str, number: u8) {
        let (near, far) = (format!("10.66.1.{number}"), far_address(number));
        for (end, own, other) in [(&self.near, &near, &far), (&self.far, &far, &near)] {
            end.ip(&format!("address add {own}/32 dev {device}")).unwrap();
            end.ip(&format!("link set {device} up")).unwrap();
            end.ip(&format!("route add {other}/32 dev {device} src {own}")).unwrap();
        }
    }

    fn wireguard(&self, device: &str) -> Result<(), String> {
        self.add(device, ["type wireguard"; 2])?;
        let folders = Scratch::new("keys").unwrap();
        let set = |end: &Namespace, name: &str| {
            let key = folders.write(name, end.run("wg", ["genkey"]).unwrap()).unwrap();
            let key: &Path = &key;
            let key = key.to_str().unwrap();
            end.run("wg", ["set", device, "listen-port", "51820", "private-key", key]).unwrap();
            end.run("wg", ["show", device, "public-key"]).unwrap().trim().to_owned()
        };
        let (near, far) = (set(&self.near, "near"), set(&self.far, "far"));
        for (end, peer, endpoint) in
            [(&self.near, far, "192.0.2.2:51820"), (&self.far, near, "192.0.2.1:51820")]
        {
            let to =
                ["set", device, "peer", &peer, "endpoint", endpoint, "allowed-ips", "0.0.0.0/0"];
            end.run("wg", to).unwrap();
        }
        Ok(())
    }

    /// A bridge at each end, with a wire of its own for a port.
    fn bridge(&self, device: &str) -> Result<(), String> {
        self.add(device, ["type bridge"; 2])?;
        let (near, far) = (VethEnd::new(&self.near, "port0"), VethEnd::new(&self.far, "port0"));
        Veth::new(near, far).create().unwrap();
        for end in [&self.near, &self.far] {
            end.ip(&format!("link set port0 master {device}")).unwrap();
        }
        Ok(())
    }

    /// A VLAN at each end, over a wire of its own that is watched, too.
    fn vlan(&self, device: &str) -> Result<(), String> {
        let wire = self.wire(device, "w");
        self.add(device, [&*format!("link {wire} type vlan id 5"); 2])
    }

    /// A bond of two wires that are watched, too, at each end.
    fn bond(&self, device: &str) -> Result<(), String> {
        self.add(device, ["type bond mode active-backup miimon 100"; 2])?;
        for name in ["a", "b"] {
            let wire = self.wire(device, name);
            for end in [&self.near, &self.far] {
                end.ip(&format!("link set {wire} down")).unwrap();
                end.ip(&format!("link set {wire} master {device}")).unwrap();
                end.ip(&format!("link set {wire} up")).unwrap();
            }
        }
        Ok(())
    }

    /// A wire below a device, of the same name with a letter.
    fn wire(&self, device: &str, letter: &str) -> String {
        let name = format!("{device}{letter}");
        let (near, far) = (VethEnd::new(&self.near, &name), VethEnd::new(&self.far, &name));
        Veth::new(near, far).create().unwrap();
        name
    }

    fn vxlan(&self, device: &str) -> Result<(), String> {
        let to = |other| format!("type vxlan id 7 remote {other} dstport 4789 dev wire0");
        self.add(device, [&to("192.0.2.2"), &to("192.0.2.1")])
    }

    fn gre(&self, device: &str) -> Result<(), String> {
        let to = |own, other| format!("type gre local {own} remote {other} ttl 64");
        self.add(device, [&to("192.0.2.1", "192.0.2.2"), &to("192.0.2.2", "192.0.2.1")])
    }
}

fn far_address(number: u8) -> String {
    format!("198.51.100.{number}")
}

pub(crate) fn all(told: &mut Told) {
    let wire = Wire::new();
    let made = [
        ("WireGuard device", "over1", wire.wireguard("over1")),
        ("bridge device", "over2", wire.bridge("over2")),
        ("VXLAN device", "over3", wire.vxlan("over3")),
        ("GRE device", "over4", wire.gre("over4")),
        ("VLAN device", "over5", wire.vlan("over5")),
        ("bond device", "over6", wire.bond("over6")),
    ];
    let _sink = sink(&wire.far);
    for (number, (_, device, _)) in (1..).zip(&made).filter(|(_, (.., made))| made.is_ok()) {
        wire.address(device, number);
    }
    let watch = Watch::start(&wire.near, &["over*"], &[], HOME);
    for (number, _) in (1..).zip(&made).filter(|(_, (.., made))| made.is_ok()) {
        traffic(&wire.near, &["stream", &far_address(number), &STREAM.to_string()]);
    }
    let ways: Vec<String> = made
        .iter()
        .map(|(_, device, made)| made.as_ref().map_or(String::new(), |()| how(&watch, device)))
        .collect();
    let report = watch.stop();
    for ((number, (capability, _, made)), way) in (1..).zip(made).zip(ways) {
        match made {
            Ok(()) => {
                assert_stream(&report, &far_address(number), STREAM);
                let ingress = way.trim_start_matches("ingress ").split(',').next();
                told.pass_as(capability, ingress.unwrap_or_default());
            }
            Err(why) => told.not_here(capability, &why),
        }
    }
}
