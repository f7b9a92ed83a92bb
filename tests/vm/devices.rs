//! Devices that the kernel makes itself: watched as they are, with what goes through them.

use detector_tests::watch::{HOME, START, Watch};
use detector_tests::{Namespace, Veth, VethEnd, wait_for_tcp_listener};

use crate::Outcome;
use crate::stage::{add_device, assert_stream, how, sink, traffic};

const STREAM: u64 = 100_000;
/// The far end inside of what the device makes.
const FAR: &str = "198.51.100.2";

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

    /// Makes a device at each end.
    fn add(&self, words: [&str; 2]) -> Result<(), Outcome> {
        add_device(&self.near, &format!("over0 {}", words[0]))?;
        add_device(&self.far, &format!("over0 {}", words[1]))
    }

    /// Gives both ends of a device their addresses and takes them up.
    fn address(&self, device: &str) {
        for (end, own, other) in [(&self.near, "10.66.1.10", FAR), (&self.far, FAR, "10.66.1.10")] {
            end.ip(&format!("address add {own}/32 dev {device}")).unwrap();
            end.ip(&format!("link set {device} up")).unwrap();
            end.ip(&format!("route add {other}/32 dev {device} src {own}")).unwrap();
        }
    }

    /// A stream through the near end's device, which is watched; returns how it was.
    fn stream_through(&self, device: &str) -> Outcome {
        let _sink = sink(&self.far);
        wait_for_tcp_listener(&self.far, 9_000, START).unwrap();
        let watch = Watch::start(&self.near, &[device], &[], HOME);
        let how = how(&watch, device);
        traffic(&self.near, &["stream", FAR, &STREAM.to_string()]);
        let report = watch.stop();
        assert_stream(&report, FAR, STREAM);
        let ingress = how.trim_start_matches("ingress ").split(',').next().unwrap_or_default();
        Outcome::Pass(ingress.to_owned())
    }
}

/// Its packets begin with their IP header.
pub(crate) fn wireguard() -> Outcome {
    let wire = Wire::new();
    if let Err(outcome) = wire.add(["type wireguard"; 2]) {
        return outcome;
    }
    let keys = |namespace: &Namespace| namespace.run("wg", ["genkey"]).unwrap();
    let folders = detector_tests::Scratch::new("keys").unwrap();
    let (near, far) = (keys(&wire.near), keys(&wire.far));
    let near = folders.write("near", near).unwrap();
    let far = folders.write("far", far).unwrap();
    let set = |end: &Namespace, key: &std::path::Path| {
        let key = key.to_str().unwrap();
        end.run("wg", ["set", "over0", "listen-port", "51820", "private-key", key]).unwrap();
        end.run("wg", ["show", "over0", "public-key"]).unwrap().trim().to_owned()
    };
    let (near_key, far_key) = (set(&wire.near, &near), set(&wire.far, &far));
    for (end, peer, endpoint) in
        [(&wire.near, far_key, "192.0.2.2:51820"), (&wire.far, near_key, "192.0.2.1:51820")]
    {
        let peer =
            ["set", "over0", "peer", &peer, "endpoint", endpoint, "allowed-ips", "0.0.0.0/0"];
        end.run("wg", peer).unwrap();
    }
    wire.address("over0");
    wire.stream_through("over0")
}

pub(crate) fn bridge() -> Outcome {
    let wire = Wire::new();
    if let Err(outcome) = wire.add(["type bridge"; 2]) {
        return outcome;
    }
    for end in [&wire.near, &wire.far] {
        end.ip("link set wire0 master over0").unwrap();
    }
    wire.address("over0");
    wire.stream_through("over0")
}

pub(crate) fn vxlan() -> Outcome {
    let wire = Wire::new();
    let to = |other| format!("type vxlan id 7 remote {other} dstport 4789 dev wire0");
    if let Err(outcome) =
        wire.add(["192.0.2.2", "192.0.2.1"].map(to).each_ref().map(String::as_str))
    {
        return outcome;
    }
    wire.address("over0");
    wire.stream_through("over0")
}

pub(crate) fn gre() -> Outcome {
    let wire = Wire::new();
    let ends = [("192.0.2.1", "192.0.2.2"), ("192.0.2.2", "192.0.2.1")];
    let to = |(own, other)| format!("type gre local {own} remote {other} ttl 64");
    if let Err(outcome) = wire.add(ends.map(to).each_ref().map(String::as_str)) {
        return outcome;
    }
    wire.address("over0");
    wire.stream_through("over0")
}
