//! What the agent itself costs while a host sends packets of none, of 10,000 and of a million flows
//! as fast as it can.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::figures::Figures;
use crate::load::Load;

/// Room for a million flows and a tenth.
const MAX_FLOWS: u32 = 1_100_000;
/// Windows in which the cost is measured, and how long each is.
const WINDOWS: usize = 3;
const WINDOW: Duration = Duration::from_secs(10);

struct Case {
    flows: u32,
    cores: &'static str,
    rss: &'static str,
}

const CASES: [Case; 3] = [
    Case { flows: 0, cores: "agent_cpu_0_flows_cores", rss: "agent_rss_0_flows_mb" },
    Case { flows: 10_000, cores: "agent_cpu_10k_flows_cores", rss: "agent_rss_10k_flows_mb" },
    Case { flows: 1_000_000, cores: "agent_cpu_1m_flows_cores", rss: "agent_rss_1m_flows_mb" },
];

pub(super) fn measure(figures: &mut Figures) -> Result<()> {
    for case in &CASES {
        let load = Load::start(MAX_FLOWS, "")?;
        load.while_sending(|_| 0..case.flows.max(1), || observe(&load, case, figures))?;
        load.stop()?;
    }
    Ok(())
}

fn observe(load: &Load, case: &Case, figures: &mut Figures) -> Result<()> {
    // Twice round: each flow has been seen, and is no news any more.
    while load.sent() < 2 * u64::from(case.flows) {
        sleep(Duration::from_millis(100));
    }
    sleep(WINDOW / 2);
    for _ in 0..WINDOWS {
        let (before, sent) = (load.cost()?, load.sent());
        sleep(WINDOW);
        let after = load.cost()?;
        figures.sample(case.cores, after.cores_since(&before));
        figures.sample(case.rss, after.rss_mb);
        if case.flows == 1_000_000 {
            let rate = (load.sent() - sent) as f64 / WINDOW.as_secs_f64();
            figures.sample("agent_packets_per_s", rate);
            figures.sample("map_memory_mb", after.map_mb);
        }
    }
    let live = load.count("flows")?;
    ensure!(live >= u64::from(case.flows), "{live} of {} flows are active", case.flows);
    figures.sample("events_lost", load.count("events_lost")? as f64);
    Ok(())
}
