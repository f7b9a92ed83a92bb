//! The whole judgement, from what the tracker finds to what sinks are told: features, score,
//! verdict, response policy. The same for captures and for live traffic.
//!
//! Pure but for its memory: it carries out nothing. Feed it by passing it to a [`Tracker`] as the
//! visitor, drain [`Engine::outputs`], and hand what is accused to a [`PolicyState`].
//!
//! [`PolicyState`]: crate::response::PolicyState
//! [`Tracker`]: crate::flow::Tracker

mod kept_heads;

use std::sync::Arc;
use std::vec::Drain;

use detector_common::flow::Direction;
use detector_common::parse::protocol::has_ports;

use crate::features::{History, HistoryConfig, HistoryCounts};
use crate::flow::traffic_log::{TrafficBatch, TrafficLog};
use crate::flow::{FlowRecord, FlowView, Session, SessionCheckpoint, Side, Visitor, Volume};
use crate::model::Model;
use crate::response::Accusation;
use crate::response::policy_state::BudgetVerdict;
use kept_heads::KeptHeads;

use crate::verdict::allow::Allowed;
use crate::verdict::{Alert, AlertId, AllowList, Judge, Judgement, evidence};

/// What the engine has to tell.
#[derive(Clone, Debug)]
pub enum Output {
    /// An alert opened or grew, and whom it accuses where it may lead to a block.
    Alert {
        alert: Box<Alert>,
        accusation: Option<Box<Accusation>>,
    },
    /// A session with an open alert goes on; there is nothing new to tell.
    Again(Box<Accusation>),
    /// A sender was judged, and what that means for its budget.
    Judged {
        src: [u8; 16],
        dst: [u8; 16],
        /// Payload that the judgement rests on.
        payload_bytes: u64,
        standpoint: BudgetVerdict,
    },
    Flow(Box<FlowRecord>),
}

/// What the engine is to do besides judging.
#[derive(Clone, Debug, Default)]
pub struct EngineConfig {
    /// Hand out [`Output::Again`]: somebody acts on it.
    pub respond: bool,
    /// Hand out [`Output::Judged`].
    pub budgets: bool,
    /// None: the model's own.
    pub threshold: Option<f64>,
    /// Hand out flow records.
    pub flows: bool,
    /// Hand every vector to [`Engine::take_rows`].
    pub rows: bool,
    /// Keep the heads of flows, for alerts.
    pub heads: bool,
    /// Keep what sessions carry, for [`Engine::take_page`].
    pub traffic_log: bool,
    /// Pace and bounds of the hosts' baselines.
    pub history: HistoryConfig,
    /// What is in order; see [`Engine::set_allow`].
    pub allow: Arc<AllowList>,
}

/// A vector with the session it describes.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub session_id: u64,
    pub sender: Side,
    pub flow: FlowView,
    pub now_ns: u64,
    pub score: f64,
    /// The rules' part in the score, see [`Judgement::rules`].
    pub rules: f64,
    /// The host's habit had a part in the score.
    pub habit: bool,
    /// What the sender had sent and received.
    pub sent: Volume,
    pub received: Volume,
    pub values: Vec<f32>,
}

/// Sums over the engine's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineCounts {
    /// Vectors scored.
    pub scored: u64,
    /// Alerts opened; revisions do not count.
    pub alerts: u64,
    pub flow_records: u64,
}

/// Model, open alerts and policy, with the outputs nobody took yet.
#[derive(Debug)]
pub struct Engine {
    judge: Judge,
    history: History,
    now_ns: u64,
    config: EngineConfig,
    outputs: Vec<Output>,
    rows: Vec<Row>,
    heads: KeptHeads,
    traffic_log: TrafficLog,
    counts: EngineCounts,
}

impl Engine {
    /// # Errors
    ///
    /// A model of another schema than this program's.
    pub fn new(model: Arc<Model>, config: EngineConfig) -> anyhow::Result<Self> {
        let allow = Arc::clone(&config.allow);
        Ok(Self {
            judge: Judge::new(model, config.threshold, allow)?,
            history: History::new(config.history),
            now_ns: 0,
            config,
            outputs: Vec::new(),
            rows: Vec::new(),
            heads: KeptHeads::default(),
            traffic_log: TrafficLog::default(),
            counts: EngineCounts::default(),
        })
    }

    /// Takes what there is to tell, in order.
    pub fn outputs(&mut self) -> Drain<'_, Output> {
        self.outputs.drain(..)
    }

    /// Takes the vectors scored since the last call.
    pub fn take_rows(&mut self) -> Drain<'_, Row> {
        self.rows.drain(..)
    }

    /// Judges by another model from now on, with its own threshold unless one was configured. Open
    /// alerts stay open.
    ///
    /// # Errors
    ///
    /// A model of another schema than this program's.
    pub fn use_model(&mut self, model: Arc<Model>) -> anyhow::Result<()> {
        self.judge.use_model(model, self.config.threshold)
    }

    /// Alerts from this score on, none for the model's own, and hands out judgements where there are
    /// budgets. For the model that is given with it, see [`Engine::use_model`].
    pub fn reconfigure(&mut self, threshold: Option<f64>, budgets: bool) {
        (self.config.threshold, self.config.budgets) = (threshold, budgets);
    }

    /// The model that judges.
    #[must_use]
    pub fn model(&self) -> Arc<Model> {
        self.judge.model()
    }

    /// Takes what sessions carried, and how they scored, since the last call.
    pub fn take_page(&mut self) -> TrafficBatch {
        self.traffic_log.take()
    }

    /// What hosts usually do.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// What hosts usually do, to take in what was learned before.
    pub fn history_mut(&mut self) -> &mut History {
        &mut self.history
    }

    #[must_use]
    pub fn counts(&self) -> EngineCounts {
        self.counts
    }

    /// How far the hosts' baselines are.
    #[must_use]
    pub fn baselines(&self) -> HistoryCounts {
        self.history.counts(self.now_ns)
    }

    /// The allowlist with its hits.
    #[must_use]
    pub fn allow(&self) -> &AllowList {
        self.judge.allow()
    }

    /// Goes by another allowlist from the next judgement on, for open alerts, too.
    pub fn set_allow(&mut self, allow: Arc<AllowList>) {
        self.judge.set_allow(allow);
    }

    /// What a summary tells of baselines and allowlist, by name.
    #[must_use]
    pub fn told(&self) -> [(&'static str, u64); 6] {
        let counts = self.baselines();
        let HistoryCounts { hosts_learning, hosts_ready, .. } = counts;
        let HistoryCounts { refused, receivers_evicted, withheld, .. } = counts;
        [
            ("baselines_learning", hosts_learning),
            ("baselines_ready", hosts_ready),
            ("baselines_refused", refused),
            ("baseline_receivers_evicted", receivers_evicted),
            ("thefts_not_learned", withheld),
            ("alerts_allowed", self.judge.allow().entries().map(Allowed::hits).sum()),
        ]
    }

    #[must_use]
    pub fn threshold(&self) -> f64 {
        self.judge.threshold()
    }

    /// Whether somebody acts on [`Output::Again`].
    pub fn set_respond(&mut self, respond: bool) {
        self.config.respond = respond;
    }

    fn judge_sender(&mut self, session: &Session, flow: &FlowView, sender: Side, now_ns: u64) {
        self.now_ns = self.now_ns.max(now_ns);
        let context = self.history.context(session, sender, now_ns);
        let judgement = self.judge.judge(session, flow, sender, now_ns, context);
        self.counts.scored += 1;
        if self.config.rows {
            self.rows.push(Row {
                session_id: session.id,
                sender,
                flow: *flow,
                now_ns,
                score: judgement.score,
                rules: judgement.rules,
                habit: judgement.habit,
                sent: *session.sent(sender),
                received: *session.received(sender),
                values: self.judge.row().to_vec(),
            });
        }
        if self.config.traffic_log {
            self.traffic_log.judged(session, judgement.score);
        }
        if self.config.budgets {
            self.outputs.push(judged(session, flow, sender, &judgement));
        }
        let Some(id) = judgement.open else { return };
        let accusation = || Box::new(accusation(id, session, flow, sender, &judgement));
        let accusation = (judgement.may_block
            && (self.config.respond || judgement.alert.is_some()))
        .then(accusation);
        match (judgement.alert, accusation) {
            (Some(mut alert), accusation) => {
                self.counts.alerts += u64::from(alert.revision == 1);
                if self.config.heads {
                    alert.samples = self.heads.of(&flow.key, outbound(flow, sender));
                }
                self.outputs.push(Output::Alert { alert: Box::new(alert), accusation });
            }
            (None, Some(accusation)) => self.outputs.push(Output::Again(accusation)),
            (None, None) => {}
        }
    }
}

/// An address and a port, as flows hold them.
type Endpoint = ([u8; 16], [u8; 2]);

/// The direction in which `sender` sends over `flow`.
fn outbound(flow: &FlowView, sender: Side) -> Direction {
    match sender {
        Side::Client => flow.initiator,
        Side::Server => flow.initiator.reverse(),
    }
}

/// The two ends of what `sender` sends over `flow`, the sender first.
fn ends(flow: &FlowView, sender: Side) -> (Endpoint, Endpoint) {
    let direction = outbound(flow, sender);
    (flow.key.source(direction), flow.key.destination(direction))
}

fn judged(session: &Session, flow: &FlowView, sender: Side, judgement: &Judgement) -> Output {
    let ((src, _), (dst, _)) = ends(flow, sender);
    let standpoint = match judgement {
        Judgement { open: Some(_), .. } => BudgetVerdict::Accused,
        Judgement { known: true, .. } => BudgetVerdict::Known,
        Judgement { score, .. } => BudgetVerdict::Scored(*score),
    };
    let sent = match sender {
        Side::Client => &session.up,
        Side::Server => &session.down,
    };
    Output::Judged { src, dst, payload_bytes: sent.payload_bytes, standpoint }
}

fn accusation(
    alert: AlertId,
    session: &Session,
    flow: &FlowView,
    sender: Side,
    judgement: &Judgement,
) -> Accusation {
    let ((src, _), (dst, dst_port)) = ends(flow, sender);
    let name = match sender {
        Side::Client => &session.name,
        Side::Server => &session.client_name,
    };
    Accusation {
        alert,
        technique: judgement.technique,
        score: judgement.score,
        src,
        dst,
        dst_port: has_ports(flow.key.protocol).then(|| u16::from_be_bytes(dst_port)),
        server_port: session.key.server_port,
        dst_name: name.clone(),
        domain: session.domain.clone(),
        overflow: session.overflow.is_some(),
        flow: flow.key,
    }
}

impl Visitor for Engine {
    fn judge(
        &mut self,
        session: &Session,
        flow: &FlowView,
        _cause: SessionCheckpoint,
        now_ns: u64,
    ) {
        for sender in evidence::judged(session) {
            self.judge_sender(session, flow, sender, now_ns);
        }
    }

    fn first_payload(
        &mut self,
        flow: &FlowView,
        direction: Direction,
        payload_bytes: u32,
        bytes: &[u8],
    ) {
        if self.config.heads {
            self.heads.keep(flow, direction, payload_bytes, bytes);
        }
    }

    fn session_ended(&mut self, session: &Session) {
        if self.config.traffic_log {
            self.traffic_log.ended(session);
        }
        for sender in [Side::Client, Side::Server] {
            let theft = self.judge.close(session, sender);
            if session.sends_out(sender) {
                self.history.learn(session, sender, theft);
            }
        }
    }

    fn flow_record(&mut self, record: &FlowRecord) {
        self.counts.flow_records += 1;
        if self.config.flows {
            self.outputs.push(Output::Flow(Box::new(record.clone())));
        }
    }
}

#[cfg(test)]
mod tests {
    use detector_common::FlowKey;
    use detector_common::flow::Direction;

    use super::*;
    use crate::features::{COLUMNS, Kind, example, index_of};
    use crate::flow::{SessionKey, Volume};
    use crate::model::{RowKey, Schema, Table, TrainConfig, train};
    use crate::network::octets;
    use crate::verdict::allow::Entry;

    /// A forest that has learned one thing: who sends far more than it receives is a thief.
    fn model() -> Arc<Model> {
        let mut table = Table::new(COLUMNS.iter().map(|column| column.name.to_owned()).collect());
        let ratio = index_of("producer_consumer_ratio").unwrap();
        for session in 0..200 {
            let mut row = vec![0.0; COLUMNS.len()];
            row[ratio] = session as f32 / 100.0 - 1.0;
            table.push(&row, RowKey { label: row[ratio] > 0.5, group: 0, session }).unwrap();
        }
        let every = Some(COLUMNS.len());
        let config = TrainConfig {
            trees: 10,
            depth: 3,
            features_per_split: every,
            ..TrainConfig::default()
        };
        let trained = train(&table, &config).unwrap();
        Arc::new(
            Model::new(Schema::of(Kind::Session), &table, &config, trained, 0.5, None).unwrap(),
        )
    }

    fn engine(respond: bool) -> Engine {
        Engine::new(model(), EngineConfig { respond, ..EngineConfig::default() }).unwrap()
    }

    fn session() -> Session {
        let mut session = example::session(SessionKey {
            client: octets([10, 0, 0, 7].into()),
            server: octets([192, 0, 2, 1].into()),
            protocol: 6,
            server_port: 443,
        });
        session.down =
            Volume { packets: 10, ip_bytes: 1_000, payload_bytes: 600, ..Volume::default() };
        session.flows = 1;
        sent(&mut session, 20_000);
        session
    }

    fn sent(session: &mut Session, payload_bytes: u64) {
        session.up = Volume {
            packets: 20,
            ip_bytes: payload_bytes + 800,
            payload_bytes,
            ..Volume::default()
        };
    }

    fn flow(port: u16) -> FlowView {
        let key = FlowKey {
            low: octets([10, 0, 0, 7].into()),
            high: octets([192, 0, 2, 1].into()),
            low_port: port.to_be_bytes(),
            high_port: 443_u16.to_be_bytes(),
            protocol: 6,
            ..FlowKey::default()
        };
        FlowView { key, initiator: Direction::FromLow, icmp: 0, first_seen_ns: 0, last_seen_ns: 0 }
    }

    /// Judges and says in short what came of it.
    fn judge(engine: &mut Engine, session: &Session, port: u16) -> Vec<String> {
        engine.judge(session, &flow(port), SessionCheckpoint::Packets, 2_000_000_000);
        let mut told = Vec::new();
        let outputs: Vec<Output> = engine.outputs().collect();
        for output in outputs {
            told.push(match output {
                Output::Alert { alert, accusation } => {
                    assert_eq!(accusation.unwrap().alert, alert.id);
                    format!("alert {} {}", alert.revision, alert.technique.name())
                }
                Output::Again(accusation) => {
                    assert_eq!(
                        (accusation.src, accusation.dst_port),
                        (flow(port).key.low, Some(443))
                    );
                    "again".to_owned()
                }
                other => format!("{other:?}"),
            });
        }
        told
    }

    #[test]
    fn an_alert_opens_once_and_grows_by_fours() {
        let mut engine = engine(false);
        let mut session = session();
        assert_eq!(judge(&mut engine, &session, 1), ["alert 1 bulk_upload"]);
        assert!(judge(&mut engine, &session, 1).is_empty());
        sent(&mut session, 60_000);
        assert!(judge(&mut engine, &session, 1).is_empty());
        sent(&mut session, 80_000);
        assert_eq!(judge(&mut engine, &session, 1), ["alert 2 bulk_upload"]);
        assert_eq!(engine.counts().alerts, 1);
        engine.judge(&session, &flow(1), SessionCheckpoint::End, 3_000_000_000);
        assert_eq!(engine.outputs().count(), 0);
    }

    #[test]
    fn ordinary_or_little_traffic_is_left_alone() {
        let mut engine = engine(true);
        let mut session = session();
        session.down.payload_bytes = 100_000;
        assert!(judge(&mut engine, &session, 1).is_empty());
        session.down.payload_bytes = 0;
        sent(&mut session, 100);
        assert!(judge(&mut engine, &session, 1).is_empty());
        sent(&mut session, 20_000);
        session.client_home = false;
        session.server_home = true;
        assert!(judge(&mut engine, &session, 1).is_empty());
        assert_eq!(engine.counts().alerts, 0);
    }

    #[test]
    fn a_thief_who_goes_on_is_accused_again() {
        let mut engine = engine(true);
        let session = session();
        assert_eq!(judge(&mut engine, &session, 1), ["alert 1 bulk_upload"]);
        assert_eq!(judge(&mut engine, &session, 1), ["again"]);
        engine.set_respond(false);
        assert!(judge(&mut engine, &session, 2).is_empty());
    }

    #[test]
    fn what_is_allowed_meanwhile_is_told_no_further() {
        let mut engine = engine(true);
        let mut session = session();
        assert_eq!(judge(&mut engine, &session, 1), ["alert 1 bulk_upload"]);
        let entry = Entry {
            destination: Some("192.0.2.1".parse().unwrap()),
            reason: "a backup".to_owned(),
            ..Entry::default()
        };
        let mut list = AllowList::default();
        list.add(Allowed::at_run_time("o1".to_owned(), entry, "uid 0".to_owned(), u64::MAX));
        engine.set_allow(Arc::new(list));
        sent(&mut session, 9_000_000);
        assert!(judge(&mut engine, &session, 1).is_empty());
        assert_eq!(engine.allow().entries().next().unwrap().hits(), 1);
        engine.set_allow(Arc::default());
        assert_eq!(judge(&mut engine, &session, 1), ["alert 1 bulk_upload"]);
    }

    #[test]
    fn a_judgement_says_what_it_means_for_a_budget() {
        let config = EngineConfig { budgets: true, ..EngineConfig::default() };
        let mut engine = Engine::new(model(), config).unwrap();
        let mut session = session();
        let standpoint = |engine: &mut Engine, session: &Session| {
            engine.judge(session, &flow(1), SessionCheckpoint::Packets, 2_000_000_000);
            let judged = |output| match output {
                Output::Judged { standpoint, .. } => Some(standpoint),
                _ => None,
            };
            engine.outputs().find_map(judged).unwrap()
        };
        assert_eq!(standpoint(&mut engine, &session), BudgetVerdict::Accused);
        session.id += 1;
        session.down.payload_bytes = 100_000;
        let BudgetVerdict::Scored(score) = standpoint(&mut engine, &session) else { panic!() };
        assert!(score < 0.5);
    }

    #[test]
    fn reasons_sum_to_the_score() {
        let mut engine = engine(false);
        engine.judge(&session(), &flow(1), SessionCheckpoint::Packets, 2_000_000_000);
        let Some(Output::Alert { alert, .. }) = engine.outputs().next() else { panic!("no alert") };
        let sum: f64 = alert.reasons.iter().map(|reason| reason.contribution).sum();
        assert!((sum - alert.raw_score).abs() < 1e-12, "{sum} and {}", alert.raw_score);
        let text = &alert.reasons[0].text;
        assert!(text.starts_with("sent 20 kB, received 600 B: 33 to 1 (ordinary: "), "{text}");
        assert_eq!(
            (alert.bytes_leaked, alert.src_port, alert.dst_port),
            (20_800, Some(1), Some(443))
        );
    }
}
