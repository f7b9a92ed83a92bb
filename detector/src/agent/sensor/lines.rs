//! What people look at while it runs, in lines: live sessions, baselines, interfaces.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::{Sensor, log_interface};
use crate::control::{Answer, BaselineLine, InterfaceLine, SessionLine, SessionOrder};
use crate::features::Learning;
use crate::flow::session::totals::home_first;
use crate::flow::{Session, Side};
use crate::source::kernel::{Seen, SeenTraffic};
use crate::units::rfc3339;
use crate::verdict::alert::protocol_name;

/// The most sessions in one answer.
const MAX_SESSIONS: usize = 1_000;
const SECOND_NS: u64 = 1_000_000_000;
/// Looks that are further apart tell nothing about a rate now.
const SAME_LOOK_NS: u64 = 30 * SECOND_NS;

/// What each session had sent when somebody last looked, by its number.
#[derive(Debug, Default)]
pub(super) struct Looks {
    at_ns: u64,
    sent: HashMap<u64, u64, RandomState>,
}

impl Sensor {
    /// The sessions that are alive, the first in this order.
    pub(in crate::agent) fn session_lines(
        &mut self,
        sort: SessionOrder,
        limit: u32,
    ) -> anyhow::Result<Answer> {
        let now_ns = self.now()?.ns();
        let limit = (limit as usize).clamp(1, MAX_SESSIONS);
        let before = std::mem::take(&mut self.looks);
        let since_ns = now_ns.saturating_sub(before.at_ns);
        let mut looks = Looks { at_ns: now_ns, sent: HashMap::default() };
        let mut ranked = Vec::new();
        for session in self.pipeline.tracker().sessions() {
            let sent = session.sent(home_first(session).1).ip_bytes();
            looks.sent.insert(session.id, sent);
            let rate = match before.sent.get(&session.id) {
                Some(earlier) if (1..SAME_LOOK_NS).contains(&since_ns) => {
                    sent.saturating_sub(*earlier) as f64 * 1e9 / since_ns as f64
                }
                _ => sent as f64 * 1e9 / session.duration_ns().max(SECOND_NS) as f64,
            };
            let rank = match sort {
                SessionOrder::Rate => rate,
                SessionOrder::BytesOut => sent as f64,
                SessionOrder::LastSeen => session.last_seen_ns as f64,
            };
            ranked.push((rank, rate, session));
        }
        if ranked.len() > limit {
            ranked.select_nth_unstable_by(limit, |one, other| other.0.total_cmp(&one.0));
            ranked.truncate(limit);
        }
        ranked.sort_by(|one, other| other.0.total_cmp(&one.0));
        let sessions =
            ranked.iter().map(|(_, rate, session)| session_line(session, *rate)).collect();
        self.looks = looks;
        Ok(Answer::Sessions { sessions })
    }

    /// How far each host's baseline is.
    pub(in crate::agent) fn baseline_lines(&mut self) -> anyhow::Result<Answer> {
        let now_ns = self.now()?.ns();
        let hosts = self.pipeline.history().hosts(now_ns).map(|host| BaselineLine {
            address: host.address,
            days_left: match host.learning {
                Learning::DaysLeft(days) => Some(days),
                Learning::Ready | Learning::Unknown => None,
            },
            receivers: host.receivers,
            days_seen: host.days,
        });
        Ok(Answer::Baselines { hosts: hosts.collect() })
    }

    /// All interfaces with what was seen of them.
    pub(in crate::agent) fn interface_lines(&mut self) -> anyhow::Result<Answer> {
        let interfaces = self.kernel.seen()?.into_iter().map(interface_line).collect();
        Ok(Answer::Interfaces { interfaces })
    }

    /// Watches an interface, or no longer.
    pub(in crate::agent) fn say_interface(
        &mut self,
        name: &str,
        watch: bool,
    ) -> anyhow::Result<Answer> {
        for change in self.kernel.say(name, watch)? {
            log_interface(&change);
        }
        self.interface_lines()
    }
}

fn session_line(session: &Session, rate: f64) -> SessionLine {
    let (ends, first) = home_first(session);
    let other = if first == Side::Client { Side::Server } else { Side::Client };
    let (sent, received) = (session.sent(first), session.sent(other));
    let name = if first == Side::Client { &session.name } else { &session.client_name };
    SessionLine {
        src: ends.src,
        dst: ends.dst,
        dst_port: ends.dst_port,
        protocol: protocol_name(ends.protocol),
        name: name.as_deref().map(str::to_owned),
        bytes_out: sent.ip_bytes(),
        bytes_in: received.ip_bytes(),
        bytes_stopped: sent.dropped_bytes,
        packets_out: sent.packets(),
        packets_in: received.packets(),
        flows: session.flows,
        rate,
        started: rfc3339(session.first_seen_ns),
        last_seen: rfc3339(session.last_seen_ns),
    }
}

fn interface_line(seen: Seen) -> InterfaceLine {
    let Seen { name, watched } = seen;
    let attached = watched.is_some();
    let (ingress, egress, reasons, received, sent) = match watched {
        Some(SeenTraffic { ingress, egress, reasons, received, sent }) => {
            (Some(ingress), Some(egress), reasons, received, sent)
        }
        None => Default::default(),
    };
    InterfaceLine {
        name,
        attached,
        ingress,
        egress,
        frames_in: received.frames,
        frames_out: sent.frames,
        bytes_in: received.bytes,
        bytes_out: sent.bytes,
        skipped_bytes: received.skipped_bytes + sent.skipped_bytes,
        unaccounted_bytes: received.unaccounted_bytes + sent.unaccounted_bytes,
        notes: reasons,
    }
}
