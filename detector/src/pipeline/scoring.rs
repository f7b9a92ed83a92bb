//! Scores with a model, rules and baselines: alerts, block requests, flow records and rows out.

use std::sync::Arc;

use detector_common::FlowKey;
use detector_common::flow::Direction;
use detector_common::parse::protocol::has_ports;

use super::kept_payloads::KeptPayloads;
use super::{Look, Mode, Pipeline};
use crate::features::{Context, HistoryCounts};
use crate::flow::dns::message::Message;
use crate::flow::session::totals::SessionTotals;
use crate::flow::{Booking, FlowRecord, FlowView, Session, Side, Volume};
use crate::ledger::{Finding, Ledger, LedgerConfig, Reach, Usage, Wanted};
use crate::model::Model;
use crate::network::Address;
use crate::response::BlockRequest;
use crate::response::policy_state::BudgetVerdict;
use crate::timestamp::Timestamp;
use crate::verdict::allow::Allowed;
use crate::verdict::{
    Alert, AlertId, AllowList, Episodes, Joined, Scorer, SessionVerdict, Technique, unexplained,
};

/// What comes of scores.
#[derive(Clone, Debug)]
pub enum Output {
    /// An alert opened or grew, with the block that it asks for where it may.
    Alert {
        alert: Box<Alert>,
        block_request: Option<Box<BlockRequest>>,
        /// The flow that brought it about.
        flow: FlowKey,
    },
    /// The session of an open alert ended, and all that its sender had sent and received.
    AlertEnded {
        alert: AlertId,
        sent: Box<Volume>,
        received: Box<Volume>,
    },
    /// A session with an open alert continues, without news.
    Again(Box<BlockRequest>),
    /// What the score of a sender means for its budget.
    Budget {
        src: Address,
        dst: Address,
        /// Payload that the score rests on.
        payload_bytes: u64,
        budget_verdict: BudgetVerdict,
    },
    Flow(Box<FlowRecord>),
    /// The vector that was scored.
    Row(Box<Row>),
    /// A sender was scored, and what its session has carried until now; none for a domain, whose
    /// bytes are those of its resolver's session.
    Scored {
        score: f64,
        totals: Option<Box<SessionTotals>>,
    },
    /// A session ended, and all that it carried.
    Ended(Box<SessionTotals>),
}

/// What is wanted besides alerts.
#[derive(Clone, Debug, Default)]
pub struct ScoringConfig {
    /// [`Output::Again`]: somebody acts on it.
    pub respond: bool,
    /// [`Output::Scored`].
    pub budgets: bool,
    /// None: the model's own.
    pub threshold: Option<f64>,
    /// [`Output::Flow`].
    pub flows: bool,
    /// [`Output::Row`].
    pub rows: bool,
    /// Alerts with the payload samples of their flow.
    pub first_payloads: bool,
    /// [`Output::Scored`] and [`Output::Ended`].
    pub traffic: bool,
    /// The sizes of the ledger.
    pub ledger: LedgerConfig,
    /// What is in order; see [`Scoring::set_allow`].
    pub allow: Arc<AllowList>,
    /// The name of the agent, for its alerts; none for a capture.
    pub sensor: Option<Arc<str>>,
}

/// A vector with the session it describes.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub session_id: u64,
    pub sender: Side,
    pub flow: FlowView,
    pub now_ns: u64,
    pub score: f64,
    /// The rules' part in the score, see [`Verdict::rules`].
    pub rules: f64,
    /// The host's baseline had a part in the score.
    pub baseline: bool,
    /// What the sender had sent and received.
    pub sent: Volume,
    pub received: Volume,
    pub values: Vec<f32>,
}

/// Model, open alerts and allowlist.
#[derive(Debug)]
pub struct Scoring {
    scorer: Scorer,
    config: ScoringConfig,
    payloads: KeptPayloads,
    ledger: Ledger,
    episodes: Episodes,
    alerts: u64,
}

impl Scoring {
    pub fn new(model: Arc<Model>, config: ScoringConfig) -> anyhow::Result<Self> {
        let allow = Arc::clone(&config.allow);
        Ok(Self {
            scorer: Scorer::new(model, config.threshold, allow)?,
            ledger: Ledger::new(config.ledger.clone()),
            config,
            payloads: KeptPayloads::default(),
            episodes: Episodes::default(),
            alerts: 0,
        })
    }

    /// Scores with another model from now on, with its own threshold unless one was configured.
    /// Open alerts stay open.
    pub fn use_model(&mut self, model: Arc<Model>) -> anyhow::Result<()> {
        self.scorer.use_model(model, self.config.threshold)
    }

    /// Alerts from this score on, none for the model's own, and hands out verdicts where there are
    /// budgets. For the model that is given with it, see [`Scoring::use_model`].
    pub fn reconfigure(&mut self, threshold: Option<f64>, budgets: bool, ledger: LedgerConfig) {
        (self.config.threshold, self.config.budgets) = (threshold, budgets);
        self.ledger.reconfigure(ledger);
    }

    /// The model that scores.
    #[must_use]
    pub fn model(&self) -> Arc<Model> {
        self.scorer.model()
    }

    /// Who sent what, and why.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Continues the ledger's account of a sender, see [`Ledger::recall`].
    pub fn recall_account(
        &mut self,
        address: Address,
        account: &str,
        now_ns: u64,
    ) -> anyhow::Result<bool> {
        self.ledger.recall(address, account, now_ns)
    }

    /// Continues what the ledger learned about a host's services, see [`Ledger::recall_services`].
    ///
    /// # Errors
    ///
    /// Those of [`Ledger::recall_services`].
    pub fn recall_services(&mut self, address: Address, learned: &str) -> anyhow::Result<bool> {
        self.ledger.recall_services(address, learned)
    }

    fn report(&mut self, finding: &Finding, outputs: &mut Vec<Output>) {
        let (threshold, model) = (self.scorer.threshold(), self.scorer.model_name());
        let wanted = finding.wanted;
        let block_request = wanted.map(|wanted| Box::new(slow_down(finding, wanted, threshold)));
        let Some(revision) = finding.revision else {
            outputs.extend(block_request.map(Output::Again));
            return;
        };
        self.alerts += u64::from(revision == 1);
        let alert = unexplained::alert(finding, revision, threshold, model);
        let alert = Box::new(Alert { sensor: self.config.sensor.clone(), ..alert });
        let flow = finding.destination.flow.key;
        outputs.push(Output::Alert { alert, block_request, flow });
    }

    /// Alerts opened so far; revisions do not count.
    #[must_use]
    pub fn alerts(&self) -> u64 {
        self.alerts
    }

    /// The allowlist with its hits.
    #[must_use]
    pub fn allow(&self) -> &AllowList {
        self.scorer.allow()
    }

    /// Goes by another allowlist from the next score on, for open alerts, too.
    pub fn set_allow(&mut self, allow: Arc<AllowList>) {
        self.scorer.set_allow(allow);
    }

    /// Whether somebody acts on [`Output::Again`].
    pub fn set_respond(&mut self, respond: bool) {
        self.config.respond = respond;
    }

    fn row(&self, look: &Look<'_>, verdict: &SessionVerdict) -> Box<Row> {
        let Look { session, flow, sender, now_ns, .. } = *look;
        Box::new(Row {
            session_id: session.id,
            sender,
            flow: *flow,
            now_ns,
            score: verdict.score,
            rules: verdict.rules,
            baseline: verdict.baseline,
            sent: *session.sent(sender),
            received: *session.received(sender),
            values: self.scorer.row().to_vec(),
        })
    }

    /// What of a verdict is reported and may be acted upon.
    fn alert(&mut self, look: &Look<'_>, mut verdict: SessionVerdict, outputs: &mut Vec<Output>) {
        let Some(own) = verdict.open else { return };
        let (session, sender) = (look.session.id, look.sender);
        let joined = verdict.alert.as_mut().map(|alert| {
            if alert.revision == 1 {
                self.ledger.recognised(look.session, sender);
            }
            self.episodes.join(session, sender, alert)
        });
        match joined {
            Some(Joined::Opened) => self.alerts += 1,
            Some(Joined::Grew) | None => {}
            Some(Joined::Unchanged) => verdict.alert = None,
        }
        self.episodes.goes_on(session, sender, Timestamp::from_ns(look.now_ns));
        let id = self.episodes.alert_of(session, sender, own);
        let wanted = self.config.respond || verdict.alert.is_some();
        let block_request =
            (verdict.may_block && wanted).then(|| Box::new(block_request(id, look, &verdict)));
        match (verdict.alert, block_request) {
            (Some(mut alert), block_request) => {
                alert.sensor.clone_from(&self.config.sensor);
                if self.config.first_payloads {
                    alert.samples = self.payloads.of(&look.flow.key, outbound(look));
                }
                let flow = look.flow.key;
                outputs.push(Output::Alert { alert: Box::new(alert), block_request, flow });
            }
            (None, Some(block_request)) => outputs.push(Output::Again(block_request)),
            (None, None) => {}
        }
    }
}

impl Mode for Scoring {
    type Output = Output;

    fn look(&mut self, look: &Look<'_>, outputs: &mut Vec<Output>) {
        let Look { session, flow, sender, now_ns, context } = *look;
        let verdict = self.scorer.score(session, flow, sender, now_ns, context);
        if self.config.rows {
            outputs.push(Output::Row(self.row(look, &verdict)));
        }
        if self.config.traffic {
            let totals = SessionTotals::of(session).map(Box::new);
            outputs.push(Output::Scored { score: verdict.score, totals });
        }
        if self.config.budgets {
            outputs.push(scored(look, &verdict, &self.ledger));
        }
        self.alert(look, verdict, outputs);
    }

    fn flow_record(&mut self, record: &FlowRecord, outputs: &mut Vec<Output>) {
        if self.config.flows {
            outputs.push(Output::Flow(Box::new(record.clone())));
        }
    }

    fn dns_message(
        &mut self,
        session: &Session,
        message: &Message,
        from_client: bool,
        now_ns: u64,
    ) {
        self.ledger.dns_message(session, message, from_client, now_ns);
    }

    fn first_payload(
        &mut self,
        flow: &FlowView,
        direction: Direction,
        payload_bytes: u32,
        bytes: &[u8],
    ) {
        if self.config.first_payloads {
            self.payloads.keep(flow, direction, payload_bytes, bytes);
        }
    }

    fn session_ended(&mut self, session: &Session, outputs: &mut Vec<Output>) {
        for sender in [Side::Client, Side::Server] {
            if let Some(own) = self.scorer.open_alert(session, sender)
                && self.episodes.is_alone(session.id, sender)
            {
                let alert = self.episodes.alert_of(session.id, sender, own);
                let sent = Box::new(*session.sent(sender));
                let received = Box::new(*session.received(sender));
                outputs.push(Output::AlertEnded { alert, sent, received });
            }
            self.episodes.leave(session.id, sender);
        }
        if self.config.traffic
            && let Some(totals) = SessionTotals::of(session)
        {
            outputs.push(Output::Ended(Box::new(totals)));
        }
    }

    fn booked(&mut self, booking: &Booking<'_>, context: Context) {
        let Booking { session, sender, now_ns, .. } = *booking;
        self.ledger.book(&Usage {
            booking: *booking,
            alerted: self.scorer.is_open(session, sender),
            allowed: self.scorer.covers(session, sender, now_ns),
            baseline: context.has_baseline(),
            known: context.receiver_known_days.is_some_and(|days| days >= 1.0),
        });
    }

    fn observed(&mut self, outputs: &mut Vec<Output>) {
        for finding in self.ledger.found() {
            self.report(&finding, outputs);
        }
    }

    fn all_booked(&mut self, now_ns: u64, outputs: &mut Vec<Output>) {
        for finding in self.ledger.settle(now_ns) {
            self.report(&finding, outputs);
        }
    }

    fn finished(&mut self, now_ns: u64, outputs: &mut Vec<Output>) {
        for finding in self.ledger.finish(now_ns) {
            self.report(&finding, outputs);
        }
    }

    fn was_malicious(&mut self, session: &Session, sender: Side) -> bool {
        self.scorer.close(session, sender)
    }
}

impl Pipeline<Scoring> {
    /// What a summary says of baselines, allowlist and ledger, by name.
    pub fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.baselines();
        let HistoryCounts { hosts_learning, hosts_ready, .. } = counts;
        let HistoryCounts { refused, receivers_evicted, withheld, .. } = counts;
        [
            ("baselines_learning", hosts_learning),
            ("baselines_ready", hosts_ready),
            ("baselines_refused", refused),
            ("baseline_receivers_evicted", receivers_evicted),
            ("sessions_excluded_from_baseline", withheld),
            ("alerts_allowed", self.mode().allow().entries().map(Allowed::hits).sum()),
        ]
        .into_iter()
        .chain(self.mode().ledger().left_out())
    }
}

/// The direction in which the sender sends over the flow.
fn outbound(look: &Look<'_>) -> Direction {
    match look.sender {
        Side::Client => look.flow.initiator,
        Side::Server => look.flow.initiator.reverse(),
    }
}

/// The two ends of what the sender sends over the flow, the sender first.
fn ends(look: &Look<'_>) -> ((Address, u16), (Address, u16)) {
    let direction = outbound(look);
    (look.flow.end(direction), look.flow.end(direction.reverse()))
}

fn scored(look: &Look<'_>, verdict: &SessionVerdict, ledger: &Ledger) -> Output {
    let ((src, _), (dst, _)) = ends(look);
    let sent = look.session.sent(look.sender);
    let unexplained = ledger.unexplained(src, dst).unwrap_or(sent.ip_bytes());
    let budget_verdict = match verdict {
        SessionVerdict { open: Some(_), .. } => BudgetVerdict::Flagged,
        SessionVerdict { known: true, .. } => BudgetVerdict::Known,
        _ if unexplained >= sent.ip_bytes() / 2 => BudgetVerdict::Unexplained,
        SessionVerdict { score, .. } => BudgetVerdict::Scored(*score),
    };
    Output::Budget { src, dst, payload_bytes: sent.payload_bytes(), budget_verdict }
}

/// Answers about other domains from which on a server is the client's resolver.
const RESOLVER_ANSWERS: u64 = 8;

/// What is wanted about unexplained bytes.
fn slow_down(finding: &Finding, wanted: Wanted, score: f64) -> BlockRequest {
    let Finding { sender, destination, .. } = finding;
    let initiator_port = destination.flow.initiator_port();
    let dst_port = if destination.from_client { destination.port } else { initiator_port };
    BlockRequest {
        alert: unexplained::alert_id(finding),
        technique: Technique::UnexplainedUpload,
        score,
        src: *sender,
        dst: destination.address,
        dst_port: has_ports(destination.protocol).then_some(dst_port),
        server_port: destination.port,
        dst_name: destination.name.clone(),
        domain: None,
        resolves: false,
        overflow: false,
        all_of_sender: wanted.reach == Reach::Sender,
        answered: wanted.answered,
        flow: destination.flow.key,
    }
}

fn block_request(alert: AlertId, look: &Look<'_>, verdict: &SessionVerdict) -> BlockRequest {
    let Look { session, flow, sender, .. } = *look;
    let ((src, _), (dst, dst_port)) = ends(look);
    let name = match sender {
        Side::Client => &session.name,
        Side::Server => &session.client_name,
    };
    BlockRequest {
        alert,
        technique: verdict.technique,
        score: verdict.score,
        src,
        dst,
        dst_port: has_ports(flow.key.protocol).then_some(dst_port),
        server_port: session.key.server_port,
        dst_name: name.clone(),
        domain: session.domain.clone(),
        resolves: session.other_answers >= RESOLVER_ANSWERS,
        overflow: session.overflow.is_some(),
        all_of_sender: false,
        answered: session.received(sender).seen_packets != 0,
        flow: flow.key,
    }
}

#[cfg(test)]
mod tests {
    use detector_common::FlowKey;
    use detector_common::flow::Direction;

    use super::*;
    use crate::features::{COLUMNS, HistoryConfig, Kind, example, index_of};
    use crate::flow::{Portion, SessionCheckpoint, SessionKey, TrackerConfig, Visitor as _};
    use crate::model::{RowKey, Schema, Table, TrainConfig, train};
    use crate::timestamp::Timestamp;
    use crate::verdict::Severity;
    use crate::verdict::allow::Entry;

    /// A forest that has learned one thing: a host that sends far more than it receives is
    /// malicious.
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

    fn pipeline(config: ScoringConfig) -> Pipeline<Scoring> {
        let scoring = Scoring::new(model(), config).unwrap();
        Pipeline::new(&TrackerConfig::default(), HistoryConfig::default(), scoring)
    }

    fn responding(respond: bool) -> Pipeline<Scoring> {
        pipeline(ScoringConfig { respond, ..ScoringConfig::default() })
    }

    /// What comes of a checkpoint of the session.
    fn checkpoint(pipeline: &mut Pipeline<Scoring>, session: &Session, port: u16) -> Vec<Output> {
        pipeline.stage.score(session, &flow(port), SessionCheckpoint::Packets, 2_000_000_000);
        std::mem::take(&mut pipeline.stage.outputs)
    }

    fn session() -> Session {
        let mut session = example::session(SessionKey {
            client: [10, 0, 0, 7].into(),
            server: [192, 0, 2, 1].into(),
            protocol: 6,
            server_port: 443,
        });
        session.down = Volume {
            seen_packets: 10,
            seen_bytes: 1_000,
            seen_payload_bytes: 600,
            ..Volume::default()
        };
        session.flows = 1;
        sent(&mut session, 20_000);
        session
    }

    fn sent(session: &mut Session, payload_bytes: u64) {
        session.up = Volume {
            seen_packets: 20,
            seen_bytes: payload_bytes + 800,
            seen_payload_bytes: payload_bytes,
            ..Volume::default()
        };
    }

    fn flow(port: u16) -> FlowView {
        let key = FlowKey {
            low: Address::from([10, 0, 0, 7]).octets(),
            high: Address::from([192, 0, 2, 1]).octets(),
            low_port: port.to_be_bytes(),
            high_port: 443_u16.to_be_bytes(),
            protocol: 6,
            ..FlowKey::default()
        };
        FlowView { key, initiator: Direction::FromLow, icmp: 0, first_seen_ns: 0, last_seen_ns: 0 }
    }

    /// Scores and says in short what came of it.
    fn score(pipeline: &mut Pipeline<Scoring>, session: &Session, port: u16) -> Vec<String> {
        let mut told = Vec::new();
        for output in checkpoint(pipeline, session, port) {
            told.push(match output {
                Output::Alert { alert, block_request, .. } => {
                    assert_eq!(block_request.unwrap().alert, alert.id);
                    format!("alert {} {}", alert.revision, alert.technique.name())
                }
                Output::Again(block_request) => {
                    assert_eq!(
                        (block_request.src, block_request.dst_port),
                        (flow(port).key.low.into(), Some(443))
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
        let mut pipeline = responding(false);
        let mut session = session();
        assert_eq!(score(&mut pipeline, &session, 1), ["alert 1 bulk_upload"]);
        assert!(score(&mut pipeline, &session, 1).is_empty());
        sent(&mut session, 60_000);
        assert!(score(&mut pipeline, &session, 1).is_empty());
        sent(&mut session, 80_000);
        assert_eq!(score(&mut pipeline, &session, 1), ["alert 2 bulk_upload"]);
        assert_eq!(pipeline.mode().alerts(), 1);
        assert!(checkpoint(&mut pipeline, &session, 1).is_empty());
    }

    /// What was dropped is neither sent nor growth, and what was told of the beginning stays.
    #[test]
    fn dropped_bytes_did_not_leave() {
        let mut pipeline = responding(false);
        let mut session = session();
        let look = |pipeline: &mut Pipeline<Scoring>, session: &Session, at_ns| {
            pipeline.stage.score(session, &flow(1), SessionCheckpoint::Packets, at_ns);
            let outputs = std::mem::take(&mut pipeline.stage.outputs);
            outputs.into_iter().find_map(|output| match output {
                Output::Alert { alert, .. } => Some(alert),
                _ => None,
            })
        };
        let opened = look(&mut pipeline, &session, 2_000_000_000).unwrap();
        assert_eq!((opened.bytes_out, opened.bytes_stopped), (20_800, 0));
        let dropped = |session: &mut Session, payload: u64| {
            session.up.dropped_packets = 10;
            session.up.dropped_payload_bytes = payload;
            session.up.dropped_bytes = payload;
        };
        sent(&mut session, 5_000_000);
        dropped(&mut session, 4_980_000);
        assert_eq!(look(&mut pipeline, &session, 3_000_000_000), None, "nothing grew");
        sent(&mut session, 5_080_000);
        dropped(&mut session, 5_000_000);
        let grown = look(&mut pipeline, &session, 9_000_000_000).unwrap();
        assert_eq!((grown.bytes_out, grown.bytes_stopped), (80_800, 5_000_000));
        assert_eq!(grown.bytes_attempted, 5_080_800);
        assert_eq!(grown.severity, Severity::of(80_000, grown.score, grown.threshold));
        assert_eq!((grown.bytes_leaked, grown.seconds_to_detect), (20_800, 2.0));
        let said = grown.reasons.iter().map(|reason| reason.text.as_str());
        assert!(!said.clone().any(|text| text.contains("5.")), "{:?}", said.collect::<Vec<_>>());
    }

    #[test]
    fn ordinary_or_little_traffic_is_left_alone() {
        let mut pipeline = responding(true);
        let mut session = session();
        session.down.seen_payload_bytes = 100_000;
        assert!(score(&mut pipeline, &session, 1).is_empty());
        session.down.seen_payload_bytes = 0;
        sent(&mut session, 100);
        assert!(score(&mut pipeline, &session, 1).is_empty());
        sent(&mut session, 20_000);
        session.client_home = false;
        session.server_home = true;
        assert!(score(&mut pipeline, &session, 1).is_empty());
        assert_eq!(pipeline.mode().alerts(), 0);
    }

    /// At one checkpoint, a technique that is recognised speaks for the bytes, and the ledger otherwise.
    #[test]
    fn what_is_recognised_is_not_told_as_unexplained() {
        for (received, told) in [(0, "bulk_upload"), (3_000_000, "unexplained_upload")] {
            let mut pipeline = responding(false);
            let mut session = session();
            sent(&mut session, 2_000_000);
            session.down.seen_payload_bytes = received;
            let flow = flow(1);
            let packets = 2_000;
            let sent = Portion {
                packets,
                payload_packets: packets,
                ip_bytes: 2_000_000,
                payload_bytes: 1_900_000,
            };
            let now_ns = 2_000_000_000;
            pipeline.stage.booked(&Booking {
                session: &session,
                flow: &flow,
                sender: Side::Client,
                sent,
                received: Portion::default(),
                now_ns,
            });
            let cause = SessionCheckpoint::Bytes { sender: Side::Client };
            pipeline.stage.score(&session, &flow, cause, now_ns);
            pipeline.stage.mode.observed(&mut pipeline.stage.outputs);
            pipeline.stage.all_booked(now_ns);
            pipeline.stage.mode.finished(now_ns, &mut pipeline.stage.outputs);
            let outputs = std::mem::take(&mut pipeline.stage.outputs);
            let alerts = outputs.iter().filter_map(|output| match output {
                Output::Alert { alert, .. } => Some(alert.technique.name()),
                _ => None,
            });
            assert_eq!(alerts.collect::<Vec<_>>(), [told]);
            assert_eq!(pipeline.mode().ledger().sums().total(), 2_000_000);
        }
    }

    #[test]
    fn a_thief_who_goes_on_is_accused_again() {
        let mut pipeline = responding(true);
        let session = session();
        assert_eq!(score(&mut pipeline, &session, 1), ["alert 1 bulk_upload"]);
        assert_eq!(score(&mut pipeline, &session, 1), ["again"]);
        pipeline.mode_mut().set_respond(false);
        assert!(score(&mut pipeline, &session, 2).is_empty());
    }

    #[test]
    fn what_is_allowed_meanwhile_is_told_no_further() {
        let mut pipeline = responding(true);
        let mut session = session();
        assert_eq!(score(&mut pipeline, &session, 1), ["alert 1 bulk_upload"]);
        let entry = Entry {
            destination: Some("192.0.2.1".parse().unwrap()),
            reason: "a backup".to_owned(),
            ..Entry::default()
        };
        let mut list = AllowList::default();
        list.add(Allowed::at_run_time("o1".to_owned(), entry, "uid 0".to_owned(), Timestamp::MAX));
        pipeline.mode_mut().set_allow(Arc::new(list));
        sent(&mut session, 9_000_000);
        assert!(score(&mut pipeline, &session, 1).is_empty());
        assert_eq!(pipeline.mode().allow().entries().next().unwrap().hits(), 1);
        pipeline.mode_mut().set_allow(Arc::default());
        assert_eq!(score(&mut pipeline, &session, 1), ["alert 2 bulk_upload"]);
    }

    #[test]
    fn a_judgement_says_what_it_means_for_a_budget() {
        let config = ScoringConfig { budgets: true, ..ScoringConfig::default() };
        let mut pipeline = pipeline(config);
        let mut session = session();
        let budget_verdict = |pipeline: &mut Pipeline<Scoring>, session: &Session| {
            let scored = |output| match output {
                Output::Budget { budget_verdict, .. } => Some(budget_verdict),
                _ => None,
            };
            checkpoint(pipeline, session, 1).into_iter().find_map(scored).unwrap()
        };
        assert_eq!(budget_verdict(&mut pipeline, &session), BudgetVerdict::Flagged);
        session.id += 1;
        session.down.seen_payload_bytes = 100_000;
        assert_eq!(budget_verdict(&mut pipeline, &session), BudgetVerdict::Unexplained);
        let portion = |payload_bytes| Portion {
            packets: 20,
            payload_packets: 20,
            ip_bytes: payload_bytes + 800,
            payload_bytes,
        };
        let flow = flow(1);
        pipeline.stage.booked(&Booking {
            session: &session,
            flow: &flow,
            sender: Side::Client,
            sent: portion(20_000),
            received: portion(100_000),
            now_ns: 2_000_000_000,
        });
        pipeline.stage.all_booked(2_000_000_000);
        let BudgetVerdict::Scored(score) = budget_verdict(&mut pipeline, &session) else {
            panic!()
        };
        assert!(score < 0.5);
    }

    #[test]
    fn reasons_sum_to_the_score() {
        let mut pipeline = responding(false);
        let outputs = checkpoint(&mut pipeline, &session(), 1);
        let Some(Output::Alert { alert, .. }) = outputs.first() else { panic!("no alert") };
        let model = pipeline.mode().model();
        let bias = model.forest.contributions(&alert.basis.vector, &mut vec![0.0; COLUMNS.len()]);
        let sum: f64 = alert.reasons.iter().map(|reason| reason.contribution).sum();
        assert!((bias + sum - alert.raw_score).abs() < 1e-12, "{sum} and {}", alert.raw_score);
        assert!(alert.reasons.iter().all(|reason| reason.feature != "bias"));
        let text = &alert.reasons[0].text;
        assert!(text.starts_with("sent 20 kB, received 600 B: 33 to 1 (ordinary: "), "{text}");
        assert_eq!(
            (alert.bytes_leaked, alert.src_port, alert.dst_port),
            (20_800, Some(1), Some(443))
        );
    }
}
