//! What the detector reads.

use std::fs::File;
use std::path::Path;

use detector::flow::dns::message::Message;
use detector::flow::{
    FlowRecord, FlowView, Session, SessionCheckpoint, Tracker, TrackerConfig, Visitor,
};
use detector::source::capture::{CaptureConfig, CaptureSource};

use super::{Pair, Service, View};

pub(crate) fn read(path: &Path) -> View {
    let tracker = Tracker::new(&TrackerConfig::default());
    let mut follower = (tracker, Reader::default());
    let source = CaptureSource::new(CaptureConfig::default());
    source.run(File::open(path).unwrap(), &mut follower);
    follower.1.view
}

#[derive(Default)]
struct Reader {
    view: View,
}

impl Visitor for Reader {
    fn score(&mut self, _: &Session, _: &FlowView, _: SessionCheckpoint, _: u64) {}

    fn flow_record(&mut self, record: &FlowRecord) {
        let with_port = |port| if matches!(record.protocol, 6 | 17) { port } else { 0 };
        let source = (record.source_address.ip(), with_port(record.source_port));
        let destination = (record.destination_address.ip(), with_port(record.destination_port));
        let pair = Pair::of(source, destination, record.protocol);
        let carried = self.view.conversations.entry(pair).or_default();
        for volume in [&record.forward, &record.reverse] {
            carried.packets += volume.packets();
            carried.ip_bytes += volume.ip_bytes();
        }
        carried.initiator.get_or_insert(source);
    }

    fn dns_message(&mut self, _: &Session, message: &Message, _: bool, _: u64) {
        self.view.dns_names.insert(message.name.to_lowercase());
    }

    fn session_ended(&mut self, session: &Session) {
        let service = Service {
            client: session.key.client.ip(),
            server: session.key.server.ip(),
            port: session.key.server_port,
            protocol: session.key.protocol,
        };
        let payloads = &session.first_payloads;
        if let Some(name) = &payloads.server_name {
            self.view.server_names.entry(service).or_default().insert(name.to_string());
        }
        if let Some(host) = payloads.http.as_ref().and_then(|http| http.host.as_ref()) {
            self.view.http_hosts.entry(service).or_default().insert(host.to_string());
        }
    }
}
