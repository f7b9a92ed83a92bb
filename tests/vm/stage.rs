//! Where scenarios play: a client behind a gateway and a server beyond it, with a sink.

use std::time::Duration;

use detector::source::kernel::features::Features;
use detector_tests::watch::{HOME, Report, START, Watch, number, wait_until_quiet};
use detector_tests::{Background, Namespace, ServerSpec, Topology, poll_until};

pub(crate) const V4: &str = "203.0.113.10";
pub(crate) const V6: &str = "2001:db8::10";
pub(crate) const CLIENT: &str = Topology::CLIENT_INTERFACE;
pub(crate) const INNER: &str = Topology::GATEWAY_INNER;

pub(crate) struct Stage {
    pub(crate) topology: Topology,
    pub(crate) sink: Background,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::of_mtu(1_500)
    }

    pub(crate) fn of_mtu(mtu: u32) -> Self {
        Self::on(Topology::builder().mtu(mtu).server(ServerSpec::internet()).build().unwrap())
    }

    /// Every frame is one packet of the wire.
    pub(crate) fn of_wire_size() -> Self {
        let builder = Topology::builder().wire_size().server(ServerSpec::internet());
        Self::on(builder.build().unwrap())
    }

    fn on(topology: Topology) -> Self {
        let sink = sink(topology.server());
        Self { topology, sink }
    }

    pub(crate) fn client(&self) -> &Namespace {
        &self.topology.client
    }

    pub(crate) fn gateway(&self) -> &Namespace {
        &self.topology.gateway
    }

    /// Until everything has arrived.
    pub(crate) fn quiet(&self) {
        wait_until_quiet(self.client(), CLIENT);
    }

    /// The last number after `prefix` among the lines of the sink.
    pub(crate) fn counted(&self, prefix: &str) -> u64 {
        let text = self.sink.output();
        let last =
            text.lines().rev().find_map(|line| line.strip_prefix(prefix)?.trim().parse().ok());
        last.unwrap_or(0)
    }

    /// Waits until the sink has counted more than before.
    pub(crate) fn grows(&self, prefix: &str, limit: Duration) {
        let before = self.counted(prefix);
        poll_until(limit, || (self.counted(prefix) > before).then_some(()))
            .unwrap_or_else(|error| panic!("{prefix:?} stands at {before}: {error:#}"));
    }

    /// Whether the client has a route of its own to an address.
    pub(crate) fn reaches(&self, address: &str) -> bool {
        !self.client().ip(&format!("route show {address}")).unwrap().is_empty()
    }

    pub(crate) fn answers(&self, host: &str) -> bool {
        traffic(self.client(), &["call", host]).contains("answered")
    }
}

/// This program.
fn own() -> String {
    std::env::current_exe().unwrap().to_str().unwrap().to_owned()
}

/// Runs traffic in a namespace to its end.
pub(crate) fn traffic(namespace: &Namespace, arguments: &[&str]) -> String {
    namespace.run(&own(), [&["traffic"], arguments].concat()).unwrap()
}

pub(crate) fn spawn(namespace: &Namespace, arguments: &[&str]) -> Background {
    namespace.spawn(&own(), [&["traffic"], arguments].concat()).unwrap()
}

pub(crate) fn sink(namespace: &Namespace) -> Background {
    let sink = spawn(namespace, &["sink"]);
    sink.wait_for_line("ready", START).unwrap();
    sink
}

/// Makes a device of a kind that not every build has; the reason where this one has it not.
pub(crate) fn add_device(namespace: &Namespace, words: &str) -> Result<(), String> {
    let Err(error) = namespace.ip(&format!("link add {words}")) else { return Ok(()) };
    let text = error.to_string();
    let kinds = ["Unknown device type", "not supported"];
    assert!(kinds.iter().any(|kind| text.contains(kind)), "{text}");
    let kind = words.split("type ").nth(1).and_then(|rest| rest.split(' ').next());
    Err(format!("this build has no devices of type {}", kind.unwrap_or(words)))
}

/// What this kernel says it can do.
pub(crate) fn features() -> Features {
    Features::ask().unwrap()
}

/// Watches the client's device with these keys of the configuration's section `kernel`.
pub(crate) fn watch_client(stage: &Stage, kernel: &str) -> Watch {
    let config = format!("{HOME}[kernel]\n{kernel}\n");
    Watch::start(stage.client(), &[CLIENT], &[], &config)
}

/// How a device is watched, as the agent said at its start.
pub(crate) fn how(watch: &Watch, device: &str) -> String {
    let said = watch.process.output();
    let mark = format!("watching {device}: ");
    let line = said.lines().find_map(|line| Some(line.split_once(&mark)?.1.to_owned()));
    line.unwrap_or_else(|| panic!("no {mark:?} in {said}"))
}

/// A stream of `size` bytes to `host` was seen whole, and nothing was left unaccounted.
pub(crate) fn assert_stream(report: &Report, host: &str, size: u64) {
    report.assert_all_accounted();
    let again = report.sum("tcp", host, "retransmitted_out");
    let payload = report.sum("tcp", host, "payload_out");
    assert_eq!(payload - again.min(payload), size, "{host}: {}", report.text);
    assert!(number(report.summary(), "packets") > 10, "{}", report.summary());
}
