//! Why outbound bytes are in order: a closed list, in the order in which explanations are tried.

/// One explanation. The first that fits counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Explanation {
    /// An entry of the allowlist covers them.
    Allowed,
    /// They stay on the link: multicast and broadcast of known kinds, link-local addresses.
    Local,
    /// They ask the sender's resolver for names, or a time server for the time.
    Service,
    /// The sender has long been sending as much to this receiver at this hour.
    Baseline,
    /// A service answers clients with them, as it did on earlier days.
    Answer,
    /// They are what a client needs to send to receive what it received.
    Exchange,
}

impl Explanation {
    pub const ALL: [Self; 6] =
        [Self::Allowed, Self::Local, Self::Service, Self::Baseline, Self::Answer, Self::Exchange];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Local => "local",
            Self::Service => "service",
            Self::Baseline => "baseline",
            Self::Answer => "answer",
            Self::Exchange => "exchange",
        }
    }
}

/// What kind of unexplained bytes these are.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Class {
    /// The receiver is external, and evidence is missing that ordinary traffic has.
    Evidence,
    /// The receiver is external, and named or proven.
    New,
    /// The receiver is internal.
    Internal,
    /// A recognised technique raised an alert about the session.
    Alerted,
}

impl Class {
    pub const ALL: [Self; 4] = [Self::Evidence, Self::New, Self::Internal, Self::Alerted];
    /// Those that alerts are about, the more serious first.
    pub const EXTERNAL: [Self; 2] = [Self::Evidence, Self::New];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Evidence => "evidence",
            Self::New => "new",
            Self::Internal => "internal",
            Self::Alerted => "alerted",
        }
    }
}

/// Bytes by explanation, and by class what none explains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    explained: [u64; Explanation::ALL.len()],
    unexplained: [u64; Class::ALL.len()],
}

impl Sums {
    pub(super) fn explain(&mut self, explanation: Explanation, bytes: u64) {
        self.explained[explanation as usize] += bytes;
    }

    pub(super) fn leave(&mut self, class: Class, bytes: u64) {
        self.unexplained[class as usize] += bytes;
    }

    #[must_use]
    pub fn explained(&self, explanation: Explanation) -> u64 {
        self.explained[explanation as usize]
    }

    #[must_use]
    pub fn unexplained(&self, class: Class) -> u64 {
        self.unexplained[class as usize]
    }

    /// The sums of both.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        self.explained.iter_mut().zip(other.explained).for_each(|(sum, bytes)| *sum += bytes);
        self.unexplained.iter_mut().zip(other.unexplained).for_each(|(sum, bytes)| *sum += bytes);
        self
    }

    /// Explained bytes by the explanation's name, those that are 0 left out.
    pub fn explained_by_name(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let all = Explanation::ALL.into_iter().map(|it| (it.name(), self.explained(it)));
        all.filter(|(_, bytes)| *bytes != 0)
    }

    /// Unexplained bytes by the class's name, those that are 0 left out.
    pub fn unexplained_by_name(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let all = Class::ALL.into_iter().map(|it| (it.name(), self.unexplained(it)));
        all.filter(|(_, bytes)| *bytes != 0)
    }

    /// What no explanation fits, of all classes.
    #[must_use]
    pub fn all_unexplained(&self) -> u64 {
        self.unexplained.iter().sum()
    }

    /// All bytes of both kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.explained.iter().chain(&self.unexplained).sum()
    }
}
