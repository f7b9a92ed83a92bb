//! Every vector that was scored, as comma-separated values: what it belongs to, sizes of packets as
//! they are usually listed, and the schema's columns.

use std::io::{self, Write};

use crate::features::COLUMNS;
use crate::flow::{Side, Volume};
use crate::pipeline::Row;
use crate::text::CsvWriter;
use crate::units::rfc3339;
use crate::verdict::alert::protocol_name;

/// The columns before those of a session, which must be there.
pub const SESSION_FIELDS: [&str; 10] = [
    "file",
    "session",
    "time",
    "src",
    "dst",
    "dst_port",
    "protocol_name",
    "score",
    "rules",
    "baseline",
];

/// The columns after these, for other programs: it is not read again. *fwd* is what the sender
/// sent,
/// *bwd* what it received; sizes are IP bytes. The time is that of the packets, in UTC.
pub const PACKET_FIELDS: [&str; 15] = [
    "flow_id",
    "timestamp",
    "source_ip",
    "destination_ip",
    "source_port",
    "destination_port",
    "fwd_packet_length_max",
    "fwd_packet_length_min",
    "fwd_packet_length_mean",
    "fwd_packet_length_std",
    "bwd_packet_length_max",
    "bwd_packet_length_min",
    "bwd_packet_length_mean",
    "bwd_packet_length_std",
    "packets",
];

/// Writes rows to `W`.
#[derive(Debug)]
pub struct FeatureFile<W: Write> {
    output: CsvWriter<W>,
}

impl<W: Write> FeatureFile<W> {
    /// Begins with the header.
    pub fn new(output: W) -> io::Result<Self> {
        let mut output = CsvWriter::new(output);
        let columns = COLUMNS.iter().map(|column| column.name);
        output.row(SESSION_FIELDS.into_iter().chain(PACKET_FIELDS).chain(columns))?;
        Ok(Self { output })
    }

    /// Adds a row of the capture of this name.
    pub fn row(&mut self, file: &str, row: &Row) -> io::Result<()> {
        let flow = &row.flow;
        let direction = match row.sender {
            Side::Client => flow.initiator,
            Side::Server => flow.initiator.reverse(),
        };
        let (source, source_port) = flow.end(direction);
        let (destination, port) = flow.end(direction.reverse());
        let time = rfc3339(row.now_ns);
        let protocol = protocol_name(flow.key.protocol);
        let output = &mut self.output;
        output.cell(file)?;
        output.cell(row.session_id)?;
        output.cell(&time)?;
        output.cell(source)?;
        output.cell(destination)?;
        output.cell(port)?;
        output.cell(protocol)?;
        output.cell(row.score)?;
        output.cell(row.rules)?;
        output.cell(row.baseline)?;
        output.cell(flow.community_id())?;
        output.cell(&time)?;
        output.cell(source)?;
        output.cell(destination)?;
        output.cell(source_port)?;
        output.cell(port)?;
        for volume in [&row.sent, &row.received] {
            let (mean, deviation) = mean_and_deviation(volume);
            output.cell(volume.size_max)?;
            output.cell(volume.size_min)?;
            output.cell(mean)?;
            output.cell(deviation)?;
        }
        output.cell(row.sent.packets() + row.received.packets())?;
        row.values.iter().try_for_each(|value| output.cell(value))?;
        output.end_row()
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// Of the packets' sizes; 0 without packets.
fn mean_and_deviation(volume: &Volume) -> (f64, f64) {
    let packets = volume.seen_packets.max(1) as f64;
    let mean = volume.seen_bytes as f64 / packets;
    let variance = volume.size_square_sum as f64 / packets - mean * mean;
    (mean, variance.max(0.0).sqrt())
}
