//! What this kernel says it can do, a row for each, and what follows from it for people.

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use super::check::{Check, Report};
use crate::source::kernel::features::Features;
use crate::units;

/// Asks the kernel. `raises`: whether this process may raise its limits.
pub(super) fn examine(raises: bool, report: &mut Report) {
    // Asking may raise it: it is read first.
    let limit = getrlimit(Resource::RLIMIT_MEMLOCK).ok().map(|(soft, _hard)| soft);
    match Features::ask() {
        Ok(known) => {
            report.push(locked_memory(known.memory_by_group, limit, raises));
            rows(known, report);
        }
        Err(error) => report.push(Check::problem(
            "features",
            format!("{error:#}"),
            "run as root, or with the capabilities above",
        )),
    }
}

/// `limit`: none where it cannot be read. `raises`: whether the agent may raise it.
fn locked_memory(by_group: bool, limit: Option<u64>, raises: bool) -> Check {
    const SUBJECT: &str = "memlock";
    let Some(limit) = limit else {
        return Check::warning(SUBJECT, "failed to read the limit", "run `ulimit -l` to see it");
    };
    let unlimited = limit == RLIM_INFINITY;
    let shown = if unlimited { "no limit".to_owned() } else { units::bytes(limit) };
    if by_group {
        Check::ok(SUBJECT, format!("{shown}; this kernel counts maps by control group instead"))
    } else if unlimited || raises {
        Check::ok(
            SUBJECT,
            format!("{shown}; maps count against this limit, and the agent raises it at start"),
        )
    } else {
        Check::problem(
            SUBJECT,
            format!("{shown}: kernels before 5.11 count maps against this limit"),
            "run as root, or with LimitMEMLOCK=infinity",
        )
    }
}

/// What the kernel says it can do, and what follows from that.
fn rows(known: Features, report: &mut Report) {
    let says = |subject: &'static str, there: bool, with: &str, without: &str| {
        Check::ok(subject, if there { with } else { without })
    };
    report.push(says(
        "fragments",
        known.fragments,
        "yes: native XDP at any MTU",
        "no: native XDP on frames of one buffer; at an MTU above a page the agent uses tc for \
         received packets",
    ));
    report.push(says(
        "tc",
        known.tcx,
        "tcx: the agent pins its programs and removes them when it stops",
        "clsact: filters of a killed agent stay until its next start, or until `detector detach` \
         removes them",
    ));
    report.push(if known.batches {
        Check::ok("batches", "yes: the agent reads thousands of map entries a call")
    } else {
        Check::problem("batches", "no: the agent cannot read its maps", "use Linux 5.10 or later")
    });
    report.push(says(
        "additions",
        known.fetching_additions,
        "atomic additions return the old value: budgets are exact",
        "atomic additions return nothing: budgets are exact to one packet for each processor",
    ));
    report.push(says(
        "coarse clock",
        known.coarse_clock,
        "yes, and not needed: the programs use ticks, which cost less",
        "no, and not needed: the programs use ticks",
    ));
    report.push(says(
        "live frames",
        known.live_frames,
        "yes: benchmarks send from the kernel itself",
        "no: benchmarks of packet rates do not run here",
    ));
}

#[cfg(test)]
mod tests {
    use super::super::check::Outcome;
    use super::*;

    #[test]
    fn locked_memory_matters_where_maps_count_against_it() {
        let check = |by_group, limit, raises, outcome, words: &str| {
            let check = locked_memory(by_group, limit, raises);
            assert_eq!(check.outcome, outcome, "{}", check.finding);
            assert!(check.finding.contains(words), "{}", check.finding);
        };
        check(true, Some(65_536), false, Outcome::Ok, "by control group");
        check(false, Some(65_536), true, Outcome::Ok, "raises it at start");
        check(false, Some(RLIM_INFINITY), false, Outcome::Ok, "no limit");
        check(false, Some(65_536), false, Outcome::Problem, "before 5.11");
        check(false, None, true, Outcome::Warning, "failed to read");
    }

    #[test]
    fn every_feature_has_its_row() {
        let report = |known| {
            let mut report = Report::default();
            rows(known, &mut report);
            report
        };
        let none = report(Features::default());
        assert_eq!(none.problems(), 1, "batches are needed");
        let shown: Vec<&str> = none.checks().iter().map(|check| check.finding.as_str()).collect();
        assert!(shown[1].contains("killed agent") && shown[1].contains("detach"), "{shown:?}");
        let some = report(Features { batches: true, tcx: true, ..Features::default() });
        assert_eq!(some.problems(), 0);
        assert!(some.checks()[1].finding.starts_with("tcx"));
    }
}
