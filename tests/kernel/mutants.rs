//! Frames that nobody sends, through the loaded programs: a sample compared with the host frame by
//! frame, and as many as there is time for compared by their sums. `cargo xtask fuzz --frames N` asks
//! for more.
#![expect(clippy::print_stdout, reason = "how many frames, and the seed to run them again")]

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use aya::programs::{TestRunAttrs, TestRunOptions};
use detector::source::kernel::object::ObjectConfig;
use detector_common::abi::{Count, program};
use detector_common::frame::{Captured, LinkType, Segmentation};
use detector_common::parse::{Decapsulation, Packet, Skip, parse, skipped_frames};
use detector_tests::Namespace;
use detector_tests::mutants::{Mutants, Random};

use crate::bed::{Kernel, PROGRAMS, SHORTEST, count, is_xdp, point, small, takes};
use crate::{ALL_TUNNELS, Handed, Host, context, without_events};

/// Frames in all, unless the environment asks for more.
const FRAMES: u64 = 2_000_000;
/// One in so many is compared by itself, and no more than a million.
const SAMPLED: u64 = 10;
const SAMPLE_MOST: u64 = 1_000_000;
/// What one loaded object is given before the next: few enough for its flow table to hold.
const SAMPLE_ROUND: u64 = 25_000;
const BULK_ROUND: u64 = 5_000_000;
/// Frames between two comparisons of the sums.
const CHUNK: u64 = 100_000;
/// Live frames of one mutant, handed over at once: the most that the kernel takes. A second batch would
/// be of the same pages, in which the stack has meanwhile taken VLAN tags off.
const COPIES: u32 = 256;
/// One frame in so many is a live one: making ready for a batch takes longer than a thousand frames.
const LIVE: u64 = 20;

fn frames() -> u64 {
    let asked = env::var("MUTANT_FRAMES").ok().and_then(|count| count.parse().ok());
    asked.unwrap_or(FRAMES)
}

fn seed() -> u64 {
    env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5eed_0006)
}

/// Runs `round` with the numbers from 0 on, on every processor, until it has seen `frames` frames.
fn rounds(what: &str, frames: u64, round: impl Fn(u64) -> u64 + Sync) {
    let (started, next, seen) = (Instant::now(), AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while seen.load(Ordering::Relaxed) < frames {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    seen.fetch_add(round(number), Ordering::Relaxed);
                }
            });
        }
    });
    let (seen, seconds) = (seen.into_inner(), started.elapsed().as_secs_f64());
    println!("{what}: {seen} frames, {:.0} a second, seed {:#x}", seen as f64 / seconds, seed());
}

/// Every other round with every tunnel open.
fn tunnels(round: u64) -> Decapsulation {
    if (round / PROGRAMS.len() as u64).is_multiple_of(2) {
        Decapsulation::default()
    } else {
        ALL_TUNNELS
    }
}

fn program_of(round: u64) -> &'static str {
    PROGRAMS[(round % PROGRAMS.len() as u64) as usize]
}

// One by one.

/// What a hook at tc may be told of segments: as the stack says it, and otherwise.
fn segmentation(random: &mut Random, program: &str) -> Segmentation {
    if is_xdp(program) || random.below(8) != 0 {
        return Segmentation::default();
    }
    let size = [1, 536, 1_000, 1_460, 65_535][random.below(5)];
    Segmentation { count: [0, 1, 3, 45, 65_535][random.below(5)], size }
}

fn sample(round: u64) -> u64 {
    let program = program_of(round);
    let decapsulation = tunnels(round);
    let config = ObjectConfig { max_flows: 65_536, decapsulation, ..small() };
    let mut kernel = Kernel::load(&config);
    let mut host = Host::new(program, &mut kernel, decapsulation);
    let mut mutants = Mutants::new(seed() + round);
    let mut random = Random::new(seed() + round);
    let mut link = LinkType::Ethernet;
    let mut bytes = Vec::new();
    let mut seen = 0;
    while seen < SAMPLE_ROUND {
        let mutant = mutants.next(&mut bytes, SHORTEST);
        if !takes(program, &bytes) {
            continue;
        }
        seen += 1;
        if mutant != link {
            link = mutant;
            kernel.set_link(link);
        }
        let segmentation = segmentation(&mut random, program);
        let told = context(segmentation);
        let told = (segmentation.size != 0).then_some(&*told);
        kernel.run_as(program, &bytes, told, 1);
        let frame = Handed { captured: Captured::whole(&bytes), segmentation };
        let key = host.account(&frame, link, &mut kernel);
        let what = || format!("{program}, round {round}, {link:?}, {segmentation:?}: {bytes:02x?}");
        if let Some(key) = key {
            assert_eq!(kernel.flow(&key).as_ref(), host.flows.get(&key), "{}", what());
        }
        assert_eq!(without_events(kernel.totals(program)), host.totals, "{}", what());
    }
    assert_eq!(kernel.flows(), host.flows, "{program}, round {round}");
    assert_eq!(host.totals.unaccounted(), (0, 0));
    seen
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn mutants_count_alike_one_by_one() {
    rounds("one by one", (frames() / SAMPLED).min(SAMPLE_MOST), sample);
}

// By their sums.

/// What the host makes of many frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    frames: Count,
    packets: Count,
    link_bytes: u64,
    skipped: [Count; Skip::COUNT],
}

impl Sums {
    fn add(&mut self, bytes: &[u8], link: LinkType, tunnels: Decapsulation, copies: u32) {
        let captured = Captured::whole(bytes);
        let frame = Handed { captured, segmentation: Segmentation::default() };
        let mut packet = Packet::empty();
        let result = parse(&frame, link, tunnels, &mut packet);
        for _ in 0..copies {
            match result {
                Ok(()) => {
                    self.frames += count(packet.segments, packet.frame_bytes);
                    self.packets += count(packet.segments, packet.ip_bytes);
                    self.link_bytes += u64::from(packet.frame_bytes - packet.ip_bytes);
                }
                Err(skip) => {
                    let (packets, bytes) = skipped_frames(&frame);
                    self.frames += count(packets, bytes);
                    self.skipped[skip as usize] += count(packets, bytes);
                }
            }
        }
    }

    /// What the kernel has for all of a program's frames, in flows or where there was no room.
    fn of(kernel: &mut Kernel, program: &str) -> Self {
        let totals = kernel.totals(program);
        assert_eq!(totals.unaccounted(), (0, 0), "{totals:?}");
        let mut packets = totals.flows;
        packets += totals.overflow;
        Self {
            frames: totals.frames,
            packets,
            link_bytes: totals.link_bytes,
            skipped: totals.skipped,
        }
    }

    fn check(&self, kernel: &mut Kernel, program: &str, round: u64) {
        let theirs = Self::of(kernel, program);
        assert_eq!(*self, theirs, "{program}, round {round}, point {}", point(program));
    }
}

/// The flows and what had no room in them hold what the totals say.
fn check_tables(kernel: &mut Kernel, program: &str) {
    let totals = kernel.totals(program);
    let mut flows = Count::default();
    for half in kernel.flows().values().flat_map(|flow| &flow.halves) {
        flows += Count { packets: half.packets, bytes: half.ip_bytes };
    }
    assert_eq!(flows, totals.flows);
    let mut overflow = totals.overflow_rest;
    for entry in kernel.overflow().values() {
        overflow += Count { packets: entry.packets, bytes: entry.ip_bytes };
    }
    assert_eq!(overflow, totals.overflow);
}

/// Feeds one program for a round. `hand_over` returns how many frames it made of each mutant.
fn bulk(
    program: &'static str,
    round: u64,
    most: u64,
    mut hand_over: impl FnMut(&mut Kernel, &[u8]) -> u32,
) -> u64 {
    let decapsulation = tunnels(round);
    let mut kernel = Kernel::load(&ObjectConfig { decapsulation, ..small() });
    let mut mutants = Mutants::of_ethernet(seed() + 0x1000 + round);
    let mut sums = Sums::default();
    let mut bytes = Vec::new();
    let mut compared = 0;
    while sums.frames.packets < most {
        let link = mutants.next(&mut bytes, SHORTEST);
        if !takes(program, &bytes) {
            continue;
        }
        let copies = hand_over(&mut kernel, &bytes);
        sums.add(&bytes, link, decapsulation, copies);
        if sums.frames.packets - compared >= CHUNK {
            compared = sums.frames.packets;
            sums.check(&mut kernel, program, round);
        }
    }
    sums.check(&mut kernel, program, round);
    check_tables(&mut kernel, program);
    sums.frames.packets
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn mutants_count_alike_in_bulk() {
    let frames = frames() - frames() / LIVE;
    let most = BULK_ROUND.min(frames / PROGRAMS.len() as u64 + 1);
    rounds("in bulk", frames, |round| {
        let program = program_of(round);
        bulk(program, round, most, |kernel, bytes| {
            kernel.run(program, bytes);
            1
        })
    });
}

/// Live frames go on into the stack of the namespace that they are run in: one of the test's own.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn mutants_count_alike_as_live_frames() {
    let frames = frames() / LIVE;
    let most = BULK_ROUND.min(frames / 4 + 1);
    let programs = [program::XDP_INGRESS, program::XDP_INGRESS_FRAGS];
    rounds("live", frames, |round| {
        let namespace = Namespace::new("mutants").unwrap();
        let program = programs[(round % 2) as usize];
        let work = || {
            bulk(program, round, most, |kernel, bytes| {
                kernel.test_run(
                    program,
                    TestRunOptions {
                        data_in: Some(bytes),
                        repeat: COPIES,
                        attrs: TestRunAttrs::new().xdp_live_frames(COPIES),
                        ..TestRunOptions::new()
                    },
                );
                COPIES
            })
        };
        namespace.enter(work).unwrap()
    });
}
