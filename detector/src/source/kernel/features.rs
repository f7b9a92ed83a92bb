//! What this kernel can do, asked of it. Versions say less: distributions carry features back,
//! leave others out, and name their releases as they like.

use std::fmt;
use std::io;

use anyhow::Context as _;
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};

use super::probe;

/// Whether this kernel has what the agent uses where it is there, and does without where it is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// XDP on frames of several buffers.
    pub fragments: bool,
    /// Links to tc hooks.
    pub tcx: bool,
    /// Reading many entries of a map in one call.
    pub batches: bool,
    /// Atomic additions that return the old value.
    pub fetching_additions: bool,
    /// A clock of nanoseconds as cheap as ticks.
    pub coarse_clock: bool,
    /// Maps are counted by the control group; else against RLIMIT_MEMLOCK.
    pub memory_by_group: bool,
    /// Test runs that send real frames.
    pub live_frames: bool,
}

impl Features {
    /// Asks the kernel, and raises RLIMIT_MEMLOCK where maps count against it.
    pub fn ask() -> anyhow::Result<Self> {
        let coarse_clock = probe::coarse_clock();
        // Asking takes locked memory, too: where there is none, that is the answer.
        if !matches!(coarse_clock, Ok(true)) {
            raise_memlock();
        }
        let coarse_clock =
            coarse_clock.or_else(|_| probe::coarse_clock()).context("failed to load a program")?;
        let ask = |question: fn() -> io::Result<bool>, what: &str| {
            question().with_context(|| format!("failed to check the kernel for {what}"))
        };
        Ok(Self {
            fragments: ask(probe::fragments, "XDP on fragments")?,
            tcx: ask(probe::tcx, "tcx")?,
            batches: ask(probe::batches, "reads in batches")?,
            fetching_additions: ask(probe::fetching_additions, "atomic additions")?,
            coarse_clock,
            // Both came with Linux 5.11, and the latter cannot be asked for.
            memory_by_group: coarse_clock,
            live_frames: ask(probe::live_frames, "live frames")?,
        })
    }

    /// Their names for people, and whether each is there.
    #[must_use]
    pub fn named(&self) -> [(&'static str, bool); 7] {
        [
            ("XDP fragments", self.fragments),
            ("tcx", self.tcx),
            ("batch reads", self.batches),
            ("returning additions", self.fetching_additions),
            ("coarse clock", self.coarse_clock),
            ("map memory by control group", self.memory_by_group),
            ("live frames", self.live_frames),
        ]
    }
}

impl fmt::Display for Features {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |wanted: bool| {
            let names = self.named().into_iter().filter(|(_, there)| *there == wanted);
            names.map(|(name, _)| name).collect::<Vec<_>>().join(", ")
        };
        let (there, missing) = (list(true), list(false));
        match (there.as_str(), missing.as_str()) {
            (there, "") => write!(formatter, "this kernel has {there}"),
            ("", missing) => write!(formatter, "this kernel has no {missing}"),
            (there, missing) => write!(formatter, "this kernel has {there}; it has no {missing}"),
        }
    }
}

/// The limit is 64 KiB by default, less than any of the maps takes.
fn raise_memlock() {
    if let Err(error) = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY) {
        tracing::debug!("failed to raise RLIMIT_MEMLOCK: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::Features;

    #[test]
    fn what_is_there_and_what_is_not_is_one_line() {
        let old = Features { batches: true, ..Features::default() };
        assert_eq!(
            old.to_string(),
            "this kernel has batch reads; it has no XDP fragments, tcx, returning additions, \
             coarse clock, \
             map memory by control group, live frames"
        );
        let all = Features {
            fragments: true,
            tcx: true,
            batches: true,
            fetching_additions: true,
            coarse_clock: true,
            memory_by_group: true,
            live_frames: true,
        };
        assert!(!all.to_string().contains(" no "), "{all}");
    }
}
