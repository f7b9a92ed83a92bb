//! What holds where the file says nothing; `packaging/detector.toml` shows the same.

use std::num::NonZeroU32;

use super::{
    Baseline, Block, Budget, Config, Control, HoldEnd, Kernel, Log, ModelChoice, PayloadSamples,
    Session, Timeouts, Tunnels, Xdp, api, explain, notify, protect, store, unexplained,
};
use crate::decompress;
use crate::features::HistoryConfig;
use crate::flow::{self, TrackerConfig};
use crate::response::{ActionKind, Mode};

impl Default for Config {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            home_networks: Vec::new(),
            mode: Mode::default(),
            sensor: String::new(),
            runtime_dir: "/run/detector".into(),
            state_dir: "/var/lib/detector".into(),
            block: Block::default(),
            budget: Budget::default(),
            control: Control::default(),
            kernel: Kernel::default(),
            payload_samples: PayloadSamples::default(),
            decapsulation: Tunnels::default(),
            timeouts: Timeouts::default(),
            session: Session::default(),
            model: ModelChoice::default(),
            baseline: Baseline::default(),
            protect: protect::Protect::default(),
            alerts: unexplained::Alerts::default(),
            unexplained: unexplained::Unexplained::default(),
            explain: explain::Explain::default(),
            allow: Vec::new(),
            store: store::Store::default(),
            api: api::Api::default(),
            decompression: decompress::Limits::default(),
            notify: notify::Notify::default(),
            log: Log::default(),
        }
    }
}

impl Default for Block {
    fn default() -> Self {
        Self {
            action: ActionKind::DropSession,
            rules: Vec::new(),
            ttl_secs: 600,
            max_ttl_secs: 14_400,
            released_secs: 3_600,
            never_block: Vec::new(),
            resolvers: Vec::new(),
            admin_ports: vec![22],
            admin_grace_secs: 300,
            max_blocks: at_least_one(65_536),
            max_prefixes: at_least_one(16_384),
            max_exceptions: at_least_one(4_096),
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            bytes: 0,
            rules: Vec::new(),
            raise_below: 0.1,
            hold_secs: 30,
            then: HoldEnd::Open,
            window_secs: 86_400,
            max_entries: at_least_one(65_536),
        }
    }
}

impl Default for Kernel {
    fn default() -> Self {
        Self {
            xdp: Xdp::Native,
            max_flows: at_least_one(262_144),
            max_overflow_entries: at_least_one(4_096),
            ring_buffer_bytes: 8 << 20,
            poll_interval_ms: 1_000,
            print_memory: true,
            pin: true,
            trace: false,
        }
    }
}

impl Default for PayloadSamples {
    fn default() -> Self {
        Self { enabled: true, per_second: 5_000 }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        let flow::Timeouts {
            tcp_idle_secs,
            tcp_closed_secs,
            udp_idle_secs,
            icmp_idle_secs,
            other_idle_secs,
            active_secs,
        } = flow::Timeouts::default();
        Self {
            active_secs,
            tcp_idle_secs,
            tcp_closed_secs,
            udp_idle_secs,
            icmp_idle_secs,
            other_idle_secs,
        }
    }
}

impl Default for Session {
    fn default() -> Self {
        let TrackerConfig {
            session_window_secs,
            max_sessions,
            max_domains,
            max_names,
            max_stream_bytes,
            ..
        } = TrackerConfig::default();
        Self {
            window_secs: session_window_secs,
            max_sessions: at_least_one(max_sessions),
            max_domains: at_least_one(max_domains),
            max_names: at_least_one(max_names),
            max_stream_bytes: at_least_one(max_stream_bytes),
        }
    }
}

impl Default for Baseline {
    fn default() -> Self {
        let HistoryConfig { learning_days, max_hosts, max_receivers } = HistoryConfig::default();
        Self {
            learning_days: at_least_one(learning_days),
            max_hosts: at_least_one(max_hosts),
            max_receivers: at_least_one(max_receivers),
        }
    }
}

const fn at_least_one(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}
