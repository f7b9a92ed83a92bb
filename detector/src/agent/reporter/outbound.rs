//! What the status says of the ledger: sums, and the senders with the most unexplained bytes.

use crate::control::{NamedBytes, Outbound, UnexplainedSender};
use crate::ledger::{Class, Ledger, Sender};

/// Senders that are listed of each class.
const LISTED: usize = 10;

/// The ledger as it is now.
pub(in crate::agent) fn outbound(ledger: &Ledger, now_ns: u64) -> Outbound {
    let sums = ledger.sums();
    let named = |(name, bytes): (&'static str, u64)| NamedBytes { name: name.to_owned(), bytes };
    Outbound {
        explained: sums.explained_by_name().map(named).collect(),
        unexplained: sums.unexplained_by_name().map(named).collect(),
        waiting_bytes: ledger.pending_bytes(),
        senders: Class::ALL.into_iter().flat_map(|class| largest(ledger, class, now_ns)).collect(),
        alerts_withheld: ledger.alerts_withheld(),
    }
}

fn largest(ledger: &Ledger, class: Class, now_ns: u64) -> Vec<UnexplainedSender> {
    let senders = ledger.senders().map(|sender| (sender.today(class, now_ns), sender));
    let mut senders: Vec<(u64, &Sender)> = senders.filter(|(bytes, _)| *bytes != 0).collect();
    senders.sort_by_key(|(bytes, sender)| (std::cmp::Reverse(*bytes), sender.address));
    senders.truncate(LISTED);
    senders.into_iter().map(|(bytes, sender)| listed(sender, class, bytes)).collect()
}

fn listed(sender: &Sender, class: Class, bytes: u64) -> UnexplainedSender {
    let destination = sender.destinations.largest(class);
    UnexplainedSender {
        address: sender.address.to_string(),
        class: class.name().to_owned(),
        bytes,
        destination: destination.map(|row| row.address.to_string()),
        destination_name: destination.and_then(|row| row.name.as_deref().map(str::to_owned)),
        destination_bytes: destination.map_or(0, |row| row.unexplained(class)),
    }
}
