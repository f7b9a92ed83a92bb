//! The figures: samples of all rounds, their medians, and what they have to reach.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the benchmark prints its figures")]

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::Group;

/// Rounds of everything, at least.
pub(super) const ROUNDS: usize = 9;

/// Samples by name, in the order in which names were first met.
#[derive(Default)]
pub(super) struct Figures {
    samples: Vec<(&'static str, Vec<f64>)>,
}

/// What a figure has to be.
struct Target {
    figure: &'static str,
    bound: Bound,
}

enum Bound {
    /// Times the reference, at most.
    AtMost(f64, &'static str),
    /// Times the reference, at least.
    AtLeast(f64, &'static str),
    /// By itself, or times the reference.
    AtLeastOr(f64, f64, &'static str),
    Below(f64),
    Above(f64),
    /// The other figure is above this one by that much at most: nanoseconds beside nanoseconds.
    Within(f64, &'static str),
}

const TARGETS: [Target; 8] = [
    Target { figure: "xdp_hit_ns", bound: Bound::AtMost(3.3, "xdp_empty_ns") },
    Target { figure: "tc_hit_ns", bound: Bound::AtMost(3.0, "tc_empty_ns") },
    Target { figure: "xdp_nopolicy_ns", bound: Bound::Within(3.0, "xdp_hit_ns") },
    Target { figure: "veth_account_mpps", bound: Bound::AtLeast(0.6, "veth_drop_mpps") },
    Target {
        figure: "poll_entries_per_s",
        bound: Bound::AtLeast(4.0, "poll_single_entries_per_s"),
    },
    Target {
        figure: "analyze_packets_per_s",
        bound: Bound::AtLeastOr(1.5e6, 0.4, "read_packets_per_s"),
    },
    Target { figure: "analyze_rss_mb", bound: Bound::Below(300.0) },
    Target {
        figure: "forest_batch_rows_per_s",
        bound: Bound::AtLeast(20.0, "smartcore_rows_per_s"),
    },
];

/// Figures with no place in [`TARGETS`].
const FURTHER: [Target; 21] = [
    Target { figure: "alert_insert_per_s", bound: Bound::Above(20_000.0) },
    Target { figure: "run_idle_rss_mb", bound: Bound::Below(120.0) },
    Target {
        figure: "upload_packets_per_s",
        bound: Bound::AtLeast(0.8, "command_line_packets_per_s"),
    },
    Target { figure: "page_wait_p99_ms", bound: Bound::Below(200.0) },
    Target {
        figure: "predict_requests_per_s",
        bound: Bound::AtLeast(0.6, "healthz_requests_per_s"),
    },
    Target { figure: "predict_p99_ms", bound: Bound::Below(5.0) },
    Target { figure: "alert_search_p95_ms", bound: Bound::Below(100.0) },
    Target { figure: "block_leak_bytes_median", bound: Bound::Below(2e6) },
    // The budget of the bench and a super-packet.
    Target { figure: "budget_leak_bytes_worst", bound: Bound::Below(131_073.0) },
    Target { figure: "train_100k_seconds", bound: Bound::Below(5.0) },
    Target {
        figure: "forest_single_rows_per_s",
        bound: Bound::AtLeast(15.0, "smartcore_rows_per_s"),
    },
    Target { figure: "xdp_parse_ns", bound: Bound::AtMost(f64::INFINITY, "xdp_empty_ns") },
    Target { figure: "xdp_frags_hit_ns", bound: Bound::AtMost(f64::INFINITY, "xdp_empty_ns") },
    Target { figure: "xdp_insert_ns", bound: Bound::AtMost(f64::INFINITY, "xdp_hit_ns") },
    Target { figure: "xdp_hit_64k_zipf_ns", bound: Bound::AtMost(f64::INFINITY, "xdp_hit_ns") },
    Target { figure: "xdp_hit_1m_zipf_ns", bound: Bound::AtMost(f64::INFINITY, "xdp_hit_ns") },
    Target { figure: "tc_hit_budget_ns", bound: Bound::AtMost(f64::INFINITY, "tc_hit_ns") },
    Target { figure: "policy_lookup_ns_0", bound: Bound::AtMost(f64::INFINITY, "xdp_hit_ns") },
    Target { figure: "policy_lookup_ns_1k", bound: Bound::AtMost(f64::INFINITY, "xdp_hit_ns") },
    Target { figure: "policy_lookup_ns_100k", bound: Bound::AtMost(f64::INFINITY, "xdp_hit_ns") },
    Target { figure: "tc_parse_ns", bound: Bound::AtMost(f64::INFINITY, "tc_empty_ns") },
];

impl Figures {
    /// Reports what is being measured now.
    pub(super) fn begin(&self, group: Group) {
        eprintln!("measuring: {}", format!("{group:?}").to_lowercase());
    }

    pub(super) fn sample(&mut self, name: &'static str, value: f64) {
        match self.samples.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => self.samples.push((name, vec![value])),
        }
    }

    /// The value that `share` of a figure's samples do not exceed, as a figure of its own.
    pub(super) fn quantile(&mut self, name: &str, share: f64, as_figure: &'static str) {
        let found = self.samples.iter().find(|(known, _)| *known == name);
        let Some(mut values) = found.map(|(_, values)| values.clone()) else { return };
        values.sort_by(f64::total_cmp);
        let rank = ((values.len() as f64 * share).ceil() as usize).clamp(1, values.len().max(1));
        if let Some(value) = values.get(rank - 1) {
            self.sample(as_figure, *value);
        }
    }

    fn median(&self, name: &str) -> Option<f64> {
        self.samples.iter().find(|(known, _)| *known == name).map(|(_, values)| median(values))
    }

    pub(super) fn print(&self) {
        println!("{:<28} {:>12}  {:<32} TARGET", "FIGURE (median)", "VALUE", "REFERENCE");
        for (name, values) in &self.samples {
            let target = TARGETS.iter().chain(&FURTHER).find(|target| target.figure == *name);
            let (reference, target) = target.map(|target| self.assess(target)).unwrap_or_default();
            let line =
                format!("{name:<28} {:>12}  {reference:<32} {target}", shown(name, median(values)));
            println!("{}", line.trim_end());
        }
    }

    /// The ratio to the reference, and whether the target is met.
    fn assess(&self, target: &Target) -> (String, String) {
        let Some(value) = self.median(target.figure) else { return Default::default() };
        let ratio = |reference: &str| self.median(reference).map(|reference| value / reference);
        let beside = |name: &str| {
            ratio(name).map_or_else(String::new, |ratio| format!("{ratio:.2} × {name}"))
        };
        match target.bound {
            Bound::AtMost(most, name) => {
                let verdict = ratio(name).filter(|_| most.is_finite()).map(|ratio| {
                    format!("at most {most} ×: {}", verdict(ratio - most, ratio / most))
                });
                (beside(name), verdict.unwrap_or_default())
            }
            Bound::AtLeast(least, name) => {
                let verdict = ratio(name).map(|ratio| {
                    format!("at least {least} ×: {}", verdict(least - ratio, least / ratio))
                });
                (beside(name), verdict.unwrap_or_default())
            }
            Bound::AtLeastOr(absolute, least, name) => {
                let share = (value / absolute).max(ratio(name).unwrap_or(0.0) / least);
                let wanted = shown(target.figure, absolute);
                let verdict = verdict(1.0 - share, 1.0 / share);
                (beside(name), format!("at least {wanted} or {least} ×: {verdict}"))
            }
            Bound::Above(least) => {
                let wanted = shown(target.figure, least);
                let verdict = verdict(least - value, least / value);
                (String::new(), format!("above {wanted}: {verdict}"))
            }
            Bound::Below(most) => {
                let wanted = shown(target.figure, most);
                (String::new(), format!("below {wanted}: {}", verdict(value - most, value / most)))
            }
            Bound::Within(most, name) => {
                let Some(other) = self.median(name) else { return Default::default() };
                let above = other - value;
                let verdict = verdict(above - most, above / most);
                (format!("{name} {above:+.1} ns"), format!("at most +{most} ns: {verdict}"))
            }
        }
    }

    /// One flat object, name to median.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let object: serde_json::Map<String, serde_json::Value> = self
            .samples
            .iter()
            .map(|(name, values)| ((*name).to_owned(), rounded(median(values)).into()))
            .collect();
        let text = serde_json::to_string_pretty(&object)?;
        fs::write(path, text + "\n").with_context(|| format!("failed to write {}", path.display()))
    }
}

/// `beyond` is how far a value is on the wrong side of its bound, `factor` the same as a ratio.
fn verdict(beyond: f64, factor: f64) -> String {
    if beyond <= 0.0 {
        "met".to_owned()
    } else {
        format!("missed by {:.0} %", (factor - 1.0) * 100.0)
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        even if even % 2 == 0 => (sorted[middle - 1] + sorted[middle]) / 2.0,
        _ => sorted[middle],
    }
}

/// Four digits say all that a median of few rounds knows.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let scale = 10_f64.powi(3 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

/// A value in the unit that its name ends in.
fn shown(name: &str, value: f64) -> String {
    if name.contains("_ns") {
        format!("{value:.1} ns")
    } else if name.ends_with("_ms") {
        format!("{value:.2} ms")
    } else if name.ends_with("_mpps") {
        format!("{value:.2} Mpps")
    } else if name.contains("_seconds") && value < 0.1 {
        format!("{:.2} ms", value * 1e3)
    } else if name.contains("_seconds") {
        format!("{value:.1} s")
    } else if name.contains("_bytes_") {
        format!("{:.1} kB", value / 1e3)
    } else if name.ends_with("_mb") {
        format!("{value:.0} MB")
    } else if name.ends_with("_cores") {
        format!("{value:.2} cores")
    } else if name.ends_with("_lost") {
        format!("{value:.0}")
    } else if value >= 1e6 {
        format!("{:.2} M/s", value / 1e6)
    } else {
        format!("{:.0} k/s", value / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::{Figures, median, rounded};

    #[test]
    fn the_middle_of_few() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!((rounded(1_234_567.0), rounded(21.43651), rounded(0.0)), (1.235e6, 21.44, 0.0));
    }

    #[test]
    fn a_target_is_judged_by_its_reference() {
        let mut figures = Figures::default();
        figures.sample("xdp_empty_ns", 20.0);
        figures.sample("xdp_hit_ns", 72.6);
        figures.sample("analyze_rss_mb", 100.0);
        let scored = |index: usize| figures.assess(&super::TARGETS[index]);
        assert_eq!(scored(0).0, "3.63 × xdp_empty_ns");
        assert_eq!(scored(0).1, "at most 3.3 ×: missed by 10 %");
        assert_eq!(scored(6).1, "below 300 MB: met");
        for (nopolicy, expected) in [
            (71.1, ("xdp_hit_ns +1.5 ns", "at most +3 ns: met")),
            (68.1, ("xdp_hit_ns +4.5 ns", "at most +3 ns: missed by 50 %")),
        ] {
            let mut figures = Figures::default();
            figures.sample("xdp_hit_ns", 72.6);
            figures.sample("xdp_nopolicy_ns", nopolicy);
            let (reference, target) = figures.assess(&super::TARGETS[2]);
            assert_eq!((reference.as_str(), target.as_str()), expected);
        }
    }
}
