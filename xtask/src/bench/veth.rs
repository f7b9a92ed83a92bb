//! Packets a second over veth pairs: taken off without a look, and accounted first.
//!
//! The sender is the kernel itself: live frames (Linux 5.18) through a program that returns XDP_TX
//! go out of the near end without an skb, faster than any process could send. Sender and receiver
//! share a processor, as the far end's program runs in the sender's wake. What is counted is what
//! the far end took off.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use aya::programs::{TestRun as _, TestRunAttrs, TestRunOptions, XdpMode};
use detector_tests::{Namespace, Veth, VethEnd};

use super::figures::{Figures, ROUNDS};
use super::kernel::{ACK, Bed, tcp, ticks_per_second};

/// Frames in a round.
const FRAMES: u32 = 2_000_000;
/// Frames handed over at once: what one poll of the far end takes.
const BATCH: u32 = 64;
const SENDER: &str = "xdp_send";

struct Pair {
    figure: &'static str,
    near: &'static str,
    far: &'static str,
    program: &'static str,
}

const PAIRS: [Pair; 2] = [
    Pair { figure: "veth_drop_mpps", near: "near0", far: "far0", program: "xdp_drop" },
    Pair { figure: "veth_account_mpps", near: "near1", far: "far1", program: "xdp_account_drop" },
];

pub(super) fn measure(figures: &mut Figures) -> Result<()> {
    let namespace = Namespace::new("bench")?;
    for pair in &PAIRS {
        let near = VethEnd::new(&namespace, pair.near);
        Veth::new(near, VethEnd::new(&namespace, pair.far)).create()?;
    }
    let mut bed = Bed::load(65_536, ticks_per_second()?)?;
    bed.load_xdp(SENDER)?;
    for pair in &PAIRS {
        bed.load_xdp(pair.program)?;
        attach(&mut bed, &namespace, pair)?;
    }
    namespace.enter(|| {
        for pair in &PAIRS {
            send(&mut bed, &namespace, pair, FRAMES / 10)?;
        }
        for _ in 0..ROUNDS {
            for pair in &PAIRS {
                figures.sample(pair.figure, send(&mut bed, &namespace, pair, FRAMES)?);
            }
        }
        Ok(())
    })?
}

fn attach(bed: &mut Bed, namespace: &Namespace, pair: &Pair) -> Result<()> {
    let (near, far) = (index(namespace, pair.near)?, index(namespace, pair.far)?);
    bed.register(far, 0)?;
    // A device takes live frames only while it has a program of its own.
    for (program, index) in [(SENDER, near), (pair.program, far)] {
        let xdp = bed.xdp(program)?;
        namespace
            .enter(|| xdp.attach_to_if_index(index, XdpMode::Driver))?
            .with_context(|| format!("failed to attach {program} to interface {index}"))?;
    }
    Ok(())
}

/// Million packets a second that the far end took off.
fn send(bed: &mut Bed, namespace: &Namespace, pair: &Pair, frames: u32) -> Result<f64> {
    let context = context(&tcp(50_000, ACK, 18), index(namespace, pair.near)?);
    let before = taken(namespace, pair.far)?;
    let started = Instant::now();
    let frame = tcp(50_000, ACK, 18);
    bed.xdp(SENDER)?
        .test_run(TestRunOptions {
            data_in: Some(&frame),
            ctx_in: Some(&context),
            repeat: frames,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..TestRunOptions::new()
        })
        .context("failed to send live frames: Linux 5.18 or later is needed")?;
    let seconds = started.elapsed().as_secs_f64();
    let arrived = taken(namespace, pair.far)? - before;
    ensure!(
        arrived > u64::from(frames / 2),
        "{arrived} of {frames} frames arrived at {}",
        pair.far
    );
    Ok(arrived as f64 / seconds / 1e6)
}

/// `struct xdp_md` (include/uapi/linux/bpf.h): the frame, and the interface it shall come by.
fn context(frame: &[u8], interface: u32) -> Vec<u8> {
    [0, frame.len() as u32, 0, interface, 0, 0]
        .iter()
        .flat_map(|word: &u32| word.to_ne_bytes())
        .collect()
}

fn index(namespace: &Namespace, name: &str) -> Result<u32> {
    let line = namespace.ip(&format!("-o link show {name}"))?;
    let number = line.split(':').next().and_then(|number| number.trim().parse().ok());
    number.with_context(|| format!("failed to read the index of {name} in {line:?}"))
}

/// Frames that the far end's program has taken off so far.
fn taken(namespace: &Namespace, name: &str) -> Result<u64> {
    let counters = namespace.run("ethtool", ["-S", name])?;
    let counts = counters.lines().filter_map(|line| {
        let (counter, count) = line.trim().split_once(": ")?;
        counter.ends_with("_xdp_drops").then_some(count)?.parse::<u64>().ok()
    });
    Ok(counts.sum())
}
