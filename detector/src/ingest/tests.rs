//! Logs as other programs write them, with something wrong in each.

use std::io::BufReader;
use std::sync::Arc;

use super::*;
use crate::alerts::StoredAlert;
use crate::alerts::search::Filter;
use crate::decompress::{Expand, Limits, Reason};
use crate::model::Model;
use crate::store::Store;
use crate::store::alerts::search;

struct Bed {
    folder: std::path::PathBuf,
    store: Store,
}

impl Bed {
    fn new(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("detector-ingest-{}-{name}", std::process::id()));
        drop(std::fs::remove_dir_all(&folder));
        let store = Store::open(&folder.join("detector.db")).unwrap();
        Self { folder, store }
    }

    fn ingest(&self, text: &str, format: Option<Format>) -> anyhow::Result<Report> {
        let model = Arc::new(Model::from_bytes(include_bytes!("../../models/record.model"))?);
        let threshold = model.meta.threshold;
        let mut keeper = Keeper::new(self.store.clone(), model, threshold, "c".into())?;
        ingest(text.as_bytes(), format, &mut keeper)
    }

    fn count(&self, query: &'static str) -> (u64, u64) {
        self.store
            .read(|connection| {
                Ok(connection.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?)))?)
            })
            .unwrap()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn numbers(report: &Report) -> (u64, u64, u64, u64) {
    (report.accepted, report.rejected, report.skipped, report.alerts)
}

fn errors(report: &Report) -> Vec<(u64, &str)> {
    report
        .errors
        .iter()
        .map(|error| (error.line, error.field.as_deref().unwrap_or_default()))
        .collect()
}

fn object(bytes_sent: &str) -> String {
    format!(
        r#"{{"timestamp":"2024-01-01T12:00:00Z","source_ip":"192.168.1.100","destination_ip":"10.0.0.1","source_port":12345,"destination_port":80,"protocol":"TCP","bytes_sent":{bytes_sent},"bytes_received":500,"action":"allow"}}"#
    )
}

#[test]
fn records_as_json_in_every_shape() {
    let bed = Bed::new("json");
    let (small, large) = (object("1500"), object("500000"));
    for (text, expected) in [
        (small.clone(), (1, 0, 0, 0)),
        (large.clone(), (1, 0, 0, 1)),
        (small.replace(',', ",\n"), (1, 0, 0, 0)),
        (format!("[{small},\n{large}]"), (2, 0, 0, 1)),
        (format!("\u{feff}\n{small}\n\n{large}\n"), (2, 0, 0, 1)),
        (format!("\u{feff}{small}\n{large}\n"), (2, 0, 0, 1)),
        (format!("\u{feff}[{small},\n{large}]"), (2, 0, 0, 1)),
        ("[]".into(), (0, 0, 0, 0)),
    ] {
        assert_eq!(numbers(&bed.ingest(&text, None).unwrap()), expected, "{text}");
    }
    let wrong = format!("{small}\n{{\"a\n{}\nnull\n{large}", object("-1"));
    let report = bed.ingest(&wrong, None).unwrap();
    assert_eq!(numbers(&report), (2, 3, 0, 1));
    assert_eq!(errors(&report), [(2, ""), (3, "bytes_sent"), (4, "")]);
    let report = bed.ingest(&format!("[{small},\n{{\"a\": 1}},"), None).unwrap();
    assert_eq!(errors(&report), [(2, "timestamp"), (2, "")]);
    assert_eq!(report.errors[0].detail, "timestamp: it is missing");
}

#[test]
fn positive_records_become_alerts_once_and_all_enter_the_history() {
    let bed = Bed::new("alerts");
    for _ in 0..2 {
        let text = format!("{}\n{}", object("1500"), object("500000"));
        bed.ingest(&text, None).unwrap();
    }
    let filter = Filter { origin: vec!["record".into()], ..Filter::default() };
    let found = bed.store.read(|connection| search(connection, &filter, None, 10)).unwrap();
    let [StoredAlert { alert, .. }] = found.rows.as_slice() else { panic!("{found:?}") };
    let ends = (alert.src.to_string(), alert.dst.to_string(), alert.dst_port);
    assert_eq!(ends, ("192.168.1.100".into(), "10.0.0.1".into(), Some(80)));
    assert_eq!(alert.time.to_string(), "2024-01-01T12:00:00.000000Z");
    let history = bed.count("SELECT minute, scored FROM probabilities WHERE origin = 'record'");
    assert_eq!(history, (1_704_110_400, 4));
}

#[test]
fn comma_separated_values_by_their_header() {
    let bed = Bed::new("csv");
    let header = "id,timestamp,source_ip,destination_ip,source_port,destination_port,protocol,bytes_sent,bytes_received,Action\n";
    let row = |sent: &str| {
        format!("1,2024-01-01 12:00:00,192.168.1.100,10.0.0.1,12345,80,TCP,{sent},500,allow\n")
    };
    let text = format!("{header}{}{}{}1,x\n", row("1500"), row("500000"), row("x"));
    let report = bed.ingest(&text, None).unwrap();
    assert_eq!(numbers(&report), (2, 2, 0, 1));
    assert_eq!(errors(&report), [(4, "bytes_sent"), (5, "timestamp")]);
    let error = bed.ingest("a,b\n1,2\n", None).unwrap_err();
    let unreadable = error.downcast::<Unreadable>().unwrap();
    assert_eq!(unreadable.field.as_deref(), Some("timestamp"));
    assert!(bed.ingest("", None).unwrap_err().is::<Unreadable>());
    assert!(bed.ingest("\u{0}\u{1}\u{2}", None).unwrap_err().is::<Unreadable>());
}

#[test]
fn zeeks_connections() {
    let bed = Bed::new("zeek");
    let header = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n\
        #fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state\n\
        #types\ttime\tstring\taddr\tport\taddr\tport\tenum\tstring\tinterval\tcount\tcount\tstring\n";
    let row = |proto: &str, sent: &str| {
        format!(
            "1704110400.123456\tC1\t192.168.1.100\t12345\t10.0.0.1\t80\t{proto}\t-\t1.0\t{sent}\t500\tSF\n"
        )
    };
    let text = format!(
        "{header}{}{}{}{}{}a\tb\n#close\t2024-01-01-13-00-00\n",
        row("tcp", "1500"),
        row("tcp", "500000"),
        row("udp", "-"),
        row("unknown_transport", "1"),
        row("tcp", "many"),
    );
    let report = bed.ingest(&text, None).unwrap();
    assert_eq!(numbers(&report), (3, 2, 1, 1));
    assert_eq!(errors(&report), [(12, "orig_bytes"), (13, "")]);
    let json = r#"{"ts":1704110400.5,"uid":"C1","id.orig_h":"192.168.1.100","id.orig_p":12345,"id.resp_h":"10.0.0.1","id.resp_p":80,"proto":"tcp","orig_bytes":500000,"resp_bytes":500,"conn_state":"SF"}"#;
    for format in [None, Some(Format::Zeek)] {
        assert_eq!(numbers(&bed.ingest(json, format).unwrap()), (1, 0, 0, 1));
    }
}

/// Records and their bytes, in the order of the log.
fn read(text: &str) -> (Report, Vec<(u64, u64)>) {
    let mut volumes = Vec::new();
    let report = records(text.as_bytes(), None, &mut |record: &Record| {
        volumes.push((record.bytes_sent, record.bytes_received));
        Ok(false)
    });
    (report.unwrap(), volumes)
}

#[test]
fn zeek_means_what_it_saw_of_connections() {
    let check = |fields: &str, expected: Option<(u64, u64)>, notes: &[(Note, u64)]| {
        let json = format!(
            r#"{{"ts":1704110400.5,"id.orig_h":"10.0.0.1","id.orig_p":1,"id.resp_h":"192.0.2.1","id.resp_p":2,"proto":"tcp",{fields}}}"#
        );
        for text in [
            json.clone(),
            json.replace("id.orig_", "id_orig_").replace("id.resp_", "id_resp_"),
            json.replace("1704110400.5", "1704110400500"),
            json.replace("1704110400.5", "\"2024-01-01T12:00:00.500000Z\""),
        ] {
            let (report, volumes) = read(&text);
            assert_eq!(volumes, expected.into_iter().collect::<Vec<_>>(), "{text}");
            assert_eq!(report.notes, notes.iter().copied().collect(), "{text}");
            assert_eq!(report.rejected, 0, "{text}: {report:?}");
        }
    };
    let conn = r#""conn_state":"SF","orig_bytes":1000,"resp_bytes":200"#;
    check(conn, Some((1000, 200)), &[]);
    check(&format!(r#""_path":"conn",{conn}"#), Some((1000, 200)), &[]);
    check(&format!(r#""_path":"conn_long",{conn}"#), None, &[(Note::OtherLog, 1)]);
    check(r#""query":"a.example","qtype":1"#, None, &[(Note::OtherLog, 1)]);
    // The larger number of the two is payload and headers.
    let on_wire = r#""orig_pkts":10,"orig_ip_bytes":1400,"resp_pkts":9,"resp_ip_bytes":600"#;
    check(&format!("{conn},{on_wire}"), Some((1000, 200)), &[]);
    let jumped = conn.replace("1000", "1607364734");
    let seen = [(Note::BytesNotSeen, 1)];
    check(&format!("{jumped},{on_wire},\"missed_bytes\":1607310063"), Some((1400, 200)), &seen);
    check(&format!("{jumped},{on_wire}"), Some((1400, 200)), &seen);
    check(&format!("{jumped},\"missed_bytes\":1607310063"), Some((54_671, 200)), &seen);
    check(r#""conn_state":"S0""#, Some((0, 0)), &[]);
    check(&format!(r#""conn_state":"S0",{on_wire}"#), Some((800, 60)), &[]);
    let nested = r#"{"ts":1704110400,"id":{"orig_h":"fe80::1%eth0","orig_p":1,"resp_h":"192.0.2.1","resp_p":2},"proto":"udp","orig_bytes":7}"#;
    assert_eq!(read(nested).1, [(7, 0)]);
    let other = "#separator \\x09\n#path\tdns\n#fields\tts\tuid\n1\ta\n";
    assert_eq!(read(other).0.notes, [(Note::OtherLog, 1)].into());
}

#[test]
fn a_flow_of_suricatas_is_read_once() {
    let flow = r#"{"event_type":"flow","flow_id":7,"src_ip":"10.0.0.1","src_port":1,"dest_ip":"192.0.2.1","dest_port":2,"proto":"TCP","flow":{"bytes_toserver":5000,"bytes_toclient":500,"start":"2024-01-01T13:00:00.251547+0100"}}"#;
    let half = |from: &str, to: &str, bytes: u32| {
        format!(
            r#"{{"event_type":"netflow","flow_id":7,{from},{to},"proto":"TCP","netflow":{{"bytes":{bytes},"start":"2024-01-01T13:00:00.251547+0100"}}}}"#
        )
    };
    let there =
        half(r#""src_ip":"10.0.0.1","src_port":1"#, r#""dest_ip":"192.0.2.1","dest_port":2"#, 5000);
    let back =
        half(r#""src_ip":"192.0.2.1","src_port":2"#, r#""dest_ip":"10.0.0.1","dest_port":1"#, 500);
    let check = |lines: &[&str], expected: &[(u64, u64)]| {
        let (report, volumes) = read(&lines.join("\n"));
        assert_eq!((volumes.as_slice(), report.rejected), (expected, 0), "{lines:?}");
        let halves = report.notes.get(&Note::HalfOfAFlow).copied().unwrap_or(0);
        assert!(report.accepted + report.skipped <= lines.len() as u64 + halves, "{report:?}");
    };
    let whole = [(5000, 500)];
    check(&[flow, &there, &back], &whole);
    check(&[&there, &back, flow], &whole);
    check(&[&there, flow, &back], &whole);
    check(&[flow, flow], &whole);
    check(&[&there, &back], &whole);
    check(&[&there, &there, &back], &whole);
    check(&[&there], &[(5000, 0)]);
    let other = flow.replace("13:00", "14:00");
    check(&[flow, &other], &[(5000, 500), (5000, 500)]);
}

/// Every format, with each of these in the place of one line of eight.
#[test]
fn one_bad_line_costs_one_line() {
    let header = crate::features::RECORD_FIELDS.join(",");
    let csv = |number: usize| {
        format!("2024-01-01T12:00:0{number}Z,10.0.0.1,192.0.2.1,4,443,TCP,{number},500,allow")
    };
    let ndjson = |number: usize| object(&number.to_string());
    let fields = "#separator \\x09\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state";
    let zeek = |number: usize| {
        format!("1704110400.1\tC1\t10.0.0.1\t4\t192.0.2.1\t443\ttcp\t-\t1.0\t{number}\t500\tSF")
    };
    let eve = |number: usize| {
        format!(
            r#"{{"event_type":"flow","flow_id":{number},"src_ip":"10.0.0.1","src_port":1,"dest_ip":"192.0.2.1","dest_port":2,"proto":"TCP","flow":{{"bytes_toserver":{number},"bytes_toclient":5,"start":"2024-01-01T13:00:00Z"}}}}"#
        )
    };
    let list = |number: usize| format!("{},", object(&number.to_string()));
    type Line<'a> = &'a dyn Fn(usize) -> String;
    let formats: [(&str, Line<'_>, &str); 5] = [
        (&header, &csv, ""),
        ("", &ndjson, ""),
        (fields, &zeek, ""),
        ("", &eve, ""),
        ("[", &list, "]"),
    ];
    let read = |text: &[u8]| {
        let mut sent = Vec::new();
        let report = records(BufReader::new(text), None, &mut |record: &Record| {
            sent.push(record.bytes_sent);
            Ok(false)
        });
        (report.unwrap(), sent)
    };
    for (start, line, end) in formats {
        for bad in 0..8 {
            let whole = line(bad);
            let cut = whole.len() / 2;
            let mut no_utf8 = whole.clone().into_bytes();
            no_utf8[..3].copy_from_slice(b"\xff\xfe\xfd");
            for broken in [
                whole.as_bytes()[..cut].to_vec(),
                whole.as_bytes()[cut..].to_vec(),
                whole
                    .replacen("10.0.0.1", "\"10.0.0.1", 1)
                    .replacen("192.168.1.100", "\"192", 1)
                    .into_bytes(),
                format!("\"{}", "x".repeat(3 << 20)).into_bytes(),
                format!("{{\"{}", "x".repeat(3 << 20)).into_bytes(),
                no_utf8,
                b"\0\0\0".to_vec(),
            ] {
                let mut text = format!("{start}\n").into_bytes();
                for number in 0..8 {
                    text.extend(if number == bad { broken.clone() } else { line(number).into() });
                    text.push(b'\n');
                }
                text.extend(end.as_bytes());
                let (report, sent) = read(&text);
                let shown = String::from_utf8_lossy(&broken[..broken.len().min(200)]).into_owned();
                let expected: Vec<u64> = (0..8).filter(|number| *number != bad as u64).collect();
                assert_eq!(sent, expected, "{start:.9}: {shown}: {report:?}");
                assert_eq!(report.rejected, 1, "{start:.9}: {shown}: {report:?}");
                assert!(report.errors.iter().all(|error| error.detail.len() < 400), "{report:?}");
            }
        }
    }
}

/// As `tail` or a rotation in mid-line leaves it.
#[test]
fn a_log_without_its_header_is_read_in_the_documented_order() {
    let csv =
        "1,443,TCP,1,500,allow\n2024-01-01T12:00:01Z,10.0.0.1,192.0.2.1,4,443,TCP,1,500,allow\n";
    let (report, volumes) = read(csv);
    assert_eq!((report.rejected, volumes), (1, vec![(1, 500)]));
    let zeek = "2.0.2.1\t443\ttcp\n1704110400.1\tC1\t10.0.0.1\t4\t192.0.2.1\t443\ttcp\t-\t1.0\t9\t500\tSF\tT\tF\n";
    let (report, volumes) = read(zeek);
    assert_eq!((report.rejected, volumes), (1, vec![(9, 500)]));
    let utf16 = records(&b"\xff\xfet\0i\0"[..], None, &mut |_: &Record| Ok(false));
    assert!(utf16.unwrap_err().to_string().contains("iconv"));
}

#[test]
fn suricatas_flows() {
    let bed = Bed::new("eve");
    let flow = r#"{"timestamp":"2024-01-01T13:10:00.251547+0100","flow_id":1,"event_type":"flow","src_ip":"192.168.1.100","src_port":12345,"dest_ip":"10.0.0.1","dest_port":80,"proto":"TCP","flow":{"pkts_toserver":4,"bytes_toserver":500000,"bytes_toclient":500,"start":"2024-01-01T13:00:00.251547+0100","state":"closed"}}"#;
    let ping = r#"{"event_type":"flow","src_ip":"fd00::1","dest_ip":"fd00::2","proto":"IPv6-ICMP","icmp_type":128,"flow":{"bytes_toserver":84,"bytes_toclient":84,"start":"2024-01-01T13:00:00+0100"}}"#;
    let other = r#"{"timestamp":"2024-01-01T13:10:00.251547+0100","event_type":"dns"}"#;
    let broken = flow.replace("\"bytes_toserver\":500000,", "");
    let report = bed.ingest(&[flow, other, ping, &broken].join("\n"), None).unwrap();
    assert_eq!(numbers(&report), (2, 1, 1, 1));
    assert_eq!(errors(&report), [(4, "flow.bytes_toserver")]);
    let history = bed.count("SELECT minute, scored FROM probabilities");
    assert_eq!(history, (1_704_110_400, 2));
    // Forced, what is none is rejected.
    let report = bed.ingest(&object("1"), Some(Format::Eve)).unwrap();
    assert_eq!(errors(&report), [(1, "event_type")]);
}

#[test]
fn many_errors_are_counted_and_the_first_told() {
    let bed = Bed::new("errors");
    let report = bed.ingest(&"{}\n".repeat(250), None).unwrap();
    assert_eq!((report.rejected, report.errors.len()), (250, 100));
    let old = object("1").replace("2024-01-01T12:00:00Z", "1969-12-31T23:59:59Z");
    let report = bed.ingest(&old, None).unwrap();
    assert_eq!(errors(&report), [(1, "timestamp")]);
    let far = object("1").replace("2024-", "9999-");
    assert_eq!(errors(&bed.ingest(&far, None).unwrap()), [(1, "timestamp")]);
}

/// What gzip makes of text that it does not compress, before its checksum.
fn stored_gzip(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap();
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1];
    bytes.extend(length.to_le_bytes());
    bytes.extend((!length).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

#[test]
fn a_log_that_cannot_be_expanded_to_its_end_counts_up_to_there() {
    let lines = format!("{}\n", object("5000")).repeat(100);
    let list = format!("[{}{}]", format!("{},\n", object("5000")).repeat(99), object("5000"));
    let half = Limits { max_bytes: lines.len() as u64 / 2, ..Limits::default() };
    let check = |text: &str, limits: Limits, reason, accepted: std::ops::RangeInclusive<u64>| {
        let packed = stored_gzip(text);
        // As much at once as a line has.
        let input = BufReader::with_capacity(100, Expand::new(&packed[..], limits));
        let report = records(input, None, &mut |_: &Record| Ok(false)).unwrap();
        let end = report.ended_early.clone().map(|end| end.reason);
        assert_eq!(end, Some(reason), "{report:?}");
        assert!(accepted.contains(&report.accepted), "{report:?}");
    };
    for text in [&lines, &list] {
        check(text, half, Reason::MaxBytes, 45..=50);
        check(text, Limits::default(), Reason::CutOff, 100..=100);
    }
    check("", Limits::default(), Reason::CutOff, 0..=0);
}

#[test]
fn a_half_that_waits_is_read_though_the_log_ends_early() {
    let half = r#"{"event_type":"netflow","flow_id":7,"src_ip":"10.0.0.1","src_port":1,"dest_ip":"192.0.2.1","dest_port":2,"proto":"TCP","netflow":{"bytes":5000,"start":"2024-01-01T13:00:00Z"}}"#;
    let packed = stored_gzip(&format!("{half}\n"));
    for format in [None, Some(Format::Json)] {
        let input = BufReader::new(Expand::new(&packed[..], Limits::default()));
        let report = records(input, format, &mut |_: &Record| Ok(false)).unwrap();
        let end = report.ended_early.clone().map(|end| end.reason);
        assert_eq!((report.accepted, end), (1, Some(Reason::CutOff)), "{report:?}");
    }
}

#[test]
fn a_flow_that_is_forgotten_is_counted() {
    let line = |id: u32| {
        format!(
            r#"{{"event_type":"flow","flow_id":{id},"src_ip":"10.0.0.1","src_port":1,"dest_ip":"192.0.2.1","dest_port":2,"proto":"TCP","flow":{{"bytes_toserver":5,"bytes_toclient":5,"start":"2024-01-01T13:00:00Z"}}}}"#
        )
    };
    let text: Vec<String> = (0..(1 << 16) + 3).chain([1]).map(line).collect();
    let report = records(text.join("\n").as_bytes(), None, &mut |_: &Record| Ok(false)).unwrap();
    assert_eq!(report.notes.get(&Note::FlowForgotten), Some(&4), "{:?}", report.notes);
    assert_eq!((report.accepted, report.skipped), ((1 << 16) + 4, 0));
}
