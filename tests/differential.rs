//! Our parser against etherparse, on real captures and on frames that nobody sends: the same addresses,
//! ports, protocol, lengths, tags and fragments, or a disagreement that `differential/explained.rs` has
//! a reason for.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stdout, reason = "how often each reason was needed")]

#[path = "differential/explained.rs"]
mod explained;
#[path = "differential/views.rs"]
mod views;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use detector::source::capture::each_frame;
use detector_common::frame::{Captured, LinkType};
use detector_tests::mutants::{Mutants, Random};

use explained::{REASONS, explain};
use views::{Case, View};

/// Disagreements without a reason that are told.
const TOLD: usize = 12;

/// What came of many frames.
#[derive(Default)]
struct Tally {
    frames: u64,
    /// Both read a packet, or both none.
    packets: u64,
    neither: u64,
    /// Disagreements by their reason.
    explained: BTreeMap<&'static str, u64>,
    /// Those without, told whole.
    unexplained: Vec<String>,
}

impl Tally {
    fn compare(&mut self, link: LinkType, frame: &Captured<'_>) {
        self.frames += 1;
        let case = Case::new(link, frame);
        let differences = case.differences();
        if differences.is_empty() {
            let packet = case.ours.is_ok();
            self.packets += u64::from(packet);
            self.neither += u64::from(!packet);
            return;
        }
        match explain(&case, &differences) {
            Some(reasons) => {
                for reason in reasons {
                    *self.explained.entry(reason).or_default() += 1;
                }
            }
            None => self.unexplained.push(format!(
                "{differences:?}\nours   {:?}\ntheirs {:?}\n{link:?}, {} bytes on the wire: {:02x?}",
                case.ours.map(|packet| View::of(&packet)),
                case.theirs,
                frame.wire_len,
                &frame.bytes[..frame.bytes.len().min(160)],
            )),
        }
    }

    fn print(&self) {
        println!(
            "{} frames: {} packets alike, {} no packet to either",
            self.frames, self.packets, self.neither
        );
        for (reason, count) in &self.explained {
            println!("{count:8} {reason}");
        }
        let told = &self.unexplained[..self.unexplained.len().min(TOLD)];
        assert!(
            told.is_empty(),
            "{} without a reason:\n{}",
            self.unexplained.len(),
            told.join("\n")
        );
    }
}

const SEED: u64 = 0x0d1f_f0e5;
const MUTANTS: u64 = 2_000_000;

#[test]
fn mutated_frames_are_read_alike() {
    let mut mutants = Mutants::new(SEED);
    let mut cutter = Random::new(SEED);
    let mut tally = Tally::default();
    let mut bytes = Vec::new();
    for _ in 0..MUTANTS {
        let link = mutants.next(&mut bytes, 1);
        // One in eight was cut by whoever recorded it.
        let wire_len = u32::try_from(bytes.len()).unwrap();
        if cutter.below(8) == 0 {
            bytes.truncate(cutter.below(bytes.len()) + 1);
        }
        tally.compare(link, &Captured { bytes: &bytes, wire_len });
    }
    tally.print();
    assert!(tally.packets > MUTANTS / 4 && tally.neither > MUTANTS / 20);
    // A reason that nothing needs hides what it may come to excuse.
    let unused: Vec<_> = REASONS
        .iter()
        .map(|reason| reason.name)
        .filter(|name| !tally.explained.contains_key(name))
        .collect();
    assert!(unused.is_empty(), "{unused:?}");
}

/// Where the labelled captures are: beside the checkout, or where the environment says.
fn captures() -> Vec<PathBuf> {
    let folder = std::env::var_os("DETECTOR_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
        PathBuf::from,
    );
    let folder = folder.join("pcap");
    let entries = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("no captures in {}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
#[ignore = "needs the labelled captures beside the checkout: run cargo xtask test"]
fn real_captures_are_read_alike() {
    let mut tally = Tally::default();
    let mut damaged = 0;
    for path in captures() {
        let read = each_frame(File::open(&path).unwrap(), |link, frame| tally.compare(link, frame));
        damaged += u64::from(read.is_err());
    }
    tally.print();
    println!("{damaged} captures end in damage");
    assert!(tally.packets > 100_000, "{} packets", tally.packets);
    let explained: u64 = tally.explained.values().sum();
    assert!(explained < tally.frames / 20, "{explained} disagreements");
}
