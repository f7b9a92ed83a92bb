//! Comma-separated values with one header: alerts, or flow records where those are asked for.
//!
//! The summary is not written; standard error has it.

use std::io::{self, Write};

use detector_common::parse::protocol;

use super::{Form, Summary};
use crate::alerts::columns::cells;
use crate::flow::FlowRecord;
use crate::text::CsvWriter;
use crate::units::rfc3339;
use crate::verdict::Alert;
use crate::verdict::alert::protocol_name;

/// Writes one kind of row to `W`.
#[derive(Debug)]
pub struct CsvForm<W: Write> {
    output: CsvWriter<W>,
    flows: bool,
    header_written: bool,
}

const FLOW_HEADER: [&str; 18] = [
    "start",
    "end",
    "src",
    "src_port",
    "dst",
    "dst_port",
    "protocol",
    "bytes_out",
    "bytes_in",
    "packets_out",
    "packets_in",
    "payload_out",
    "payload_in",
    "dst_name",
    "community_id",
    "end_reason",
    "dropped_out",
    "dropped_in",
];

impl<W: Write> CsvForm<W> {
    /// Writes flow records instead of alerts where `flows` says so.
    pub fn new(output: W, flows: bool) -> Self {
        Self { output: CsvWriter::new(output), flows, header_written: false }
    }

    fn row(&mut self, cells: &[String]) -> io::Result<()> {
        self.header()?;
        self.output.row(cells)
    }

    fn header(&mut self) -> io::Result<()> {
        if self.header_written {
            return Ok(());
        }
        self.header_written = true;
        self.output.row(if self.flows { &FLOW_HEADER[..] } else { Alert::CSV_FIELDS })
    }
}

impl<W: Write> Form for CsvForm<W> {
    fn alert(&mut self, alert: &Alert) -> io::Result<()> {
        if self.flows {
            return Ok(());
        }
        self.row(&cells(alert, Alert::CSV_FIELDS)?)
    }

    fn flow(&mut self, record: &FlowRecord) -> io::Result<()> {
        if !self.flows {
            return Ok(());
        }
        let (out, back) = (&record.forward, &record.reverse);
        let named = protocol::has_ports(record.protocol);
        let port = |port: u16| if named { port.to_string() } else { String::new() };
        self.row(&[
            rfc3339(record.start_ns),
            rfc3339(record.end_ns),
            record.source_address.to_string(),
            port(record.source_port),
            record.destination_address.to_string(),
            port(record.destination_port),
            protocol_name(record.protocol),
            out.ip_bytes().to_string(),
            back.ip_bytes().to_string(),
            out.packets().to_string(),
            back.packets().to_string(),
            out.payload_bytes().to_string(),
            back.payload_bytes().to_string(),
            record.destination_name.as_deref().unwrap_or_default().to_owned(),
            record.community_id(),
            record.end_reason.name().to_owned(),
            out.dropped_bytes.to_string(),
            back.dropped_bytes.to_string(),
        ])
    }

    fn summary(&mut self, _summary: &Summary) -> io::Result<()> {
        self.header()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::alert::example::alert;

    #[test]
    fn rows_have_the_headers_columns() {
        let mut bytes = Vec::new();
        let mut sink = CsvForm::new(&mut bytes, false);
        sink.alert(&alert()).unwrap();
        sink.summary(&Summary::default()).unwrap();
        drop(sink);
        let text = String::from_utf8(bytes).unwrap();
        let widths: Vec<usize> = text.lines().map(|line| line.split(',').count()).collect();
        assert_eq!(widths, [27, 27], "{text}");
        assert!(
            text.contains(",10.0.0.7,40000,2001:db8::1,443,tcp,src,bulk_upload,high,0.875,"),
            "{text}"
        );
    }
}
