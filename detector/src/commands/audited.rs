//! What commands that change something without an agent write to the audit log.

use crate::audit::{Action, AuditLog, Record};
use crate::clock::now_ns;
use crate::config::Config;
use crate::units::rfc3339;

/// Who asks, as it is in notes.
pub(super) fn who() -> String {
    let uid = nix::unistd::getuid();
    match nix::unistd::User::from_uid(uid) {
        Ok(Some(user)) => format!("uid {uid} ({})", user.name),
        _ => format!("uid {uid}"),
    }
}

/// What whoever asks has done just now.
pub(super) fn record(action: Action, detail: String) -> Record {
    let (time, who) = (rfc3339(now_ns()), who());
    Record { time, who, action, detail: Some(detail), ..Record::default() }
}

/// Writes to the audit log. That it cannot be is said, and no reason to undo what was done.
pub(super) fn write_down(config: &Config, records: impl IntoIterator<Item = Record>) {
    let mut log = AuditLog::open(&config.state_dir);
    records.into_iter().for_each(|record| log.record(&record));
}
