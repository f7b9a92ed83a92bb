//! What is let through at a rate, and what is marked.

use detector_common::abi::{Count, program};
use detector_common::policy::{Entry, EntryCounters};
use detector_tests::frames::{self, AWAY, AWAY_V6, HOME, HOME_V6};

use crate::bed::{
    FETCHING, Kernel, PROGRAMS, Place, datagram, entry, mapped, parsed, small, upload,
};

const PAYLOAD: usize = 1_000;

fn policed(bytes_per_second: u64, burst_bytes: u64) -> Entry {
    Entry { bytes_per_second, burst_bytes, ..entry(Entry::POLICE) }
}

/// A kernel with one policed destination, and its number.
fn bed(entry: Entry) -> (Kernel, u32) {
    let mut kernel = Kernel::load(&small());
    let number = kernel.place(&Place::prefix(mapped(AWAY), 128), entry);
    kernel.commit();
    (kernel, number)
}

/// Moves the beginning of an entry's allowance, as if so many ticks had passed.
fn pass_time(kernel: &mut Kernel, number: u32, ticks: u64) {
    let hits = kernel.entry_stats(number);
    kernel.set_entry_stats(number, EntryCounters { began: hits.began - ticks, ..hits });
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_rate_is_held() {
    let frame = upload(PAYLOAD);
    let bytes = u64::from(parsed(&frame).ip_bytes);
    let burst = 10 * bytes;
    let place = Place::prefix(mapped(AWAY), 128);
    for program in PROGRAMS.into_iter().chain(FETCHING) {
        let mut kernel = Kernel::load(&small());
        for rate in [20_000, 1_000_000] {
            let number = kernel.place(&place, policed(rate, burst));
            kernel.commit();
            let before_totals = kernel.totals(program).policed;
            let began = kernel.now();
            let first = u64::from(kernel.passed(program, &frame, 100));
            // And what the time that this took has earned.
            let took = kernel.now() - began + 1;
            let most = 10 + rate * took / kernel.second() / bytes + 1;
            assert!((10..=most).contains(&first), "{program}: {first} of a burst of 10");
            // Ten seconds, in steps that earn half a burst.
            let step = burst * kernel.second() / rate / 2;
            let steps = 10 * kernel.second() / step;
            let before = kernel.entry_stats(number).passed_bytes;
            let began = kernel.now();
            for _ in 0..steps {
                pass_time(&mut kernel, number, step);
                kernel.passed(program, &frame, 12);
            }
            let hits = kernel.entry_stats(number);
            let passed = (hits.passed_bytes - before) as f64;
            let ticks = steps * step + kernel.now() - began;
            let earned = (rate * ticks) as f64 / kernel.second() as f64;
            let ratio = passed / earned;
            assert!((0.9..1.1).contains(&ratio), "{program}: {ratio} of {rate} bytes a second");
            assert_eq!(hits.passed_bytes, hits.passed_packets * bytes);
            let totals = kernel.totals(program);
            let sent = steps * 12 + 100;
            let policed = totals.policed.packets - before_totals.packets;
            assert_eq!(policed, sent - hits.passed_packets, "{program}");
            assert_eq!(totals.policed, totals.dropped);
            assert_eq!((hits.packets, hits.bytes), (policed, policed * bytes));
        }
    }
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_pause_saves_at_most_a_burst() {
    let frame = upload(PAYLOAD);
    let bytes = u64::from(parsed(&frame).ip_bytes);
    let (mut kernel, number) = bed(policed(1_000, 10 * bytes));
    kernel.passed(program::TC_EGRESS, &frame, 20);
    for pause in [100, 10_000, 1_000_000] {
        let ticks = pause * kernel.second();
        let hits = kernel.entry_stats(number);
        kernel.set_entry_stats(
            number,
            EntryCounters { began: hits.began.wrapping_sub(ticks), ..hits },
        );
        assert_eq!(kernel.passed(program::TC_EGRESS, &frame, 30), 10, "{pause} s");
    }
}

/// Packets above the burst pass one at a time, and the rest waits for each.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_super_packet_above_the_burst_passes_alone() {
    let frame = upload(PAYLOAD);
    let bytes = u64::from(parsed(&frame).ip_bytes);
    let (mut kernel, number) = bed(policed(100, 200));
    assert_eq!(kernel.passed(program::TC_EGRESS, &frame, 10), 1);
    let second = kernel.second();
    pass_time(&mut kernel, number, (bytes - 200) / 100 * second);
    assert_eq!(kernel.passed(program::TC_EGRESS, &frame, 10), 0);
    pass_time(&mut kernel, number, 4 * second);
    assert_eq!(kernel.passed(program::TC_EGRESS, &frame, 10), 1);
}

/// What passed under a higher rate is not owed under a lower one.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_rate_can_be_lowered() {
    let frame = upload(PAYLOAD);
    let place = Place::prefix(mapped(AWAY), 128);
    let (mut kernel, number) = bed(policed(1 << 30, 1 << 30));
    kernel.passed(program::TC_EGRESS, &frame, 10);
    let hits = kernel.entry_stats(number);
    let hour = 3_600 * kernel.second();
    let long = EntryCounters { began: hits.began - hour, passed_bytes: 3_600 << 30, ..hits };
    kernel.set_entry_stats(number, long);
    kernel.change(number, &place, policed(100_000, 10_000));
    kernel.passed(program::TC_EGRESS, &frame, 1);
    let second = kernel.second();
    pass_time(&mut kernel, number, second);
    let passed = kernel.passed(program::TC_EGRESS, &frame, 50);
    assert!((9..=11).contains(&passed), "{passed}");
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn only_what_goes_out_is_policed() {
    let (home, away) = (mapped(HOME), mapped(AWAY));
    let answer = datagram((away, 443), (home, 51_000), PAYLOAD);
    let (mut kernel, number) = bed(policed(1, 1));
    assert_eq!(kernel.passed(program::XDP_INGRESS, &answer, 20), 20);
    assert_eq!(kernel.entry_stats(number).passed_packets, 0);
}

/// Whoever downloads under a rate acknowledges as fast as it needs.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn acknowledgements_are_not_policed() {
    let segment = |payload: &[u8]| frames::tcp_frame((51_000, 443), 7, 0x10, payload);
    for simulated in [false, true] {
        for program in PROGRAMS {
            let entry = policed(1, 1);
            let flags = if simulated { Entry::SIMULATED } else { 0 };
            let (mut kernel, number) = bed(Entry { flags, ..entry });
            assert_eq!(kernel.passed(program, &segment(b""), 20), 20, "{program}");
            assert_eq!(kernel.entry_stats(number).packets, 0, "{program}");
            let data = segment(&[7; 100]);
            let passed = if simulated { 20 } else { 1 };
            assert_eq!(kernel.passed(program, &data, 20), passed, "{program}");
            assert_eq!(kernel.entry_stats(number).packets, 19, "{program}");
        }
    }
}

// Marks.

/// The IPv4 checksum over a header, which is 0 where its own is right.
fn checksum(header: &[u8]) -> u16 {
    let words = header.as_chunks::<2>().0.iter().map(|word| u32::from(u16::from_be_bytes(*word)));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) as u16 + (sum >> 16) as u16)
}

/// The frame with the given type of service in its IP header at `offset`, and a right checksum.
fn with_service(mut frame: Vec<u8>, offset: usize, service: u8) -> Vec<u8> {
    if frame[offset] >> 4 == 6 {
        frame[offset] = 0x60 | service >> 4;
        frame[offset + 1] = frame[offset + 1] & 0x0f | service << 4;
        return frame;
    }
    frame[offset + 1] = service;
    frame[offset + 10..offset + 12].fill(0);
    let length = usize::from(frame[offset] & 0x0f) * 4;
    let right = checksum(&frame[offset..offset + length]);
    frame[offset + 10..offset + 12].copy_from_slice(&right.to_be_bytes());
    frame
}

fn tagged(frame: &[u8], tags: usize) -> Vec<u8> {
    let mut bytes = frame[..12].to_vec();
    for _ in 0..tags {
        bytes.extend([0x81, 0x00, 0x20, 0x07]);
    }
    bytes.extend(&frame[12..]);
    bytes
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_mark_is_set_and_nothing_else() {
    let families = [(mapped(HOME), mapped(AWAY)), (HOME_V6, AWAY_V6)];
    let options = frames::V4 { first: 0x47, ..frames::V4::new(17) }
        .packet(&frames::udp((51_000, 443), b"with options"));
    for program in PROGRAMS {
        let mut kernel = Kernel::load(&small());
        let mut bytes = 0;
        let mut expected = 0;
        for dscp in [0, 8, 46, 63] {
            for (home, away) in families {
                let place = Place::prefix(away, 128);
                let number = kernel.place(&place, Entry { dscp, ..entry(Entry::MARK) });
                kernel.commit();
                let plain = datagram((home, 51_000), (away, 443), 100);
                let mut out = vec![plain.clone(), tagged(&plain, 1), tagged(&plain, 2)];
                if away != AWAY_V6 {
                    out.push(frames::ethernet(&[], frames::IPV4, &options));
                }
                let offset = |frame: &[u8]| parsed(frame).ip_offset as usize;
                let mut hit = 0;
                for service in [0, 3, 0xb9, 0xff] {
                    for frame in &out {
                        let offset = offset(frame);
                        let sent = with_service(frame.clone(), offset, service);
                        let marked = with_service(frame.clone(), offset, dscp << 2 | service & 3);
                        let (dropped, returned) = kernel.returned(program, &sent);
                        assert!(!dropped);
                        assert_eq!(returned, marked, "{program}, {dscp} on {service:#x}");
                        bytes += u64::from(parsed(frame).ip_bytes);
                        hit += 1;
                    }
                    let answer = datagram((away, 443), (home, 51_000), 100);
                    let sent = with_service(answer, 14, service);
                    assert_eq!(
                        kernel.returned(program, &sent),
                        (false, sent),
                        "{program}: inbound"
                    );
                }
                assert_eq!(kernel.entry_stats(number).packets, hit, "{program}");
                expected += hit;
                kernel.remove(&place);
            }
        }
        let totals = kernel.totals(program);
        assert_eq!(totals.marked, Count { packets: expected, bytes }, "{program}");
        assert_eq!(totals.dropped, Count::default());
    }
}
