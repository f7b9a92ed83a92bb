// One alert: a sentence, its evidence, and the actions.
import type { ComponentChildren, JSX } from "preact";
import type { AlertDetail, BlockLine, BlockList, DeliveryPage } from "../../api-types";
import { aboutMonitor, alertPath } from "../../api/alerts";
import { status } from "../../api/events";
import { query } from "../../api/request";
import { useResource } from "../../api/resource";
import { isBecauseOf } from "../../api/response";
import { place } from "../../navigation";
import { Address, Name } from "../../parts/address";
import { SeverityBadge, StatusBadge } from "../../parts/badges";
import { BlockTable } from "../../parts/blocks";
import { DeliveryTable } from "../../parts/deliveries";
import { Icon } from "../../parts/icons";
import { Loaded, Panel } from "../../parts/panels";
import { Time } from "../../parts/time";
import { brief, bytes, plural, score } from "../../words/amounts";
import { ACTION_TEXT } from "../../words/names";
import { Actions } from "./actions";
import { PayloadSamples, Reasons, Timeline, Vector } from "./evidence";
import { Notes, Related } from "./notes";

export function Detail({ id, changed }: { id: string; changed: () => void }): JSX.Element {
  const detail = useResource<AlertDetail>(alertPath(id), { on: ["alerts"] });
  // By themselves, because their counters go on while nothing else changes.
  const listed = useResource<BlockList>(status.value?.mode == null ? null : "/api/blocks", {
    on: ["blocks"],
    everySecs: 5,
  });
  const blocks = (listed.value?.items ?? []).filter((block) => isBecauseOf(block, id));
  const after = () => {
    detail.reload();
    listed.reload();
    changed();
  };
  const search = place.value.query.toString();
  return (
    <article class="alert-detail" aria-label="The selected alert">
      <a
        class="quiet back"
        href={search === "" ? "/alerts" : `/alerts?${search}`}
        title="Back to the list (Esc)"
      >
        <Icon name="close" /> Close
      </a>
      <Loaded from={detail} rows={12}>
        {(alert) => (
          <>
            <Sentence alert={alert} />
            <Evidence alert={alert} blocks={blocks} changed={after} />
            <Actions alert={alert} blocked={blocks.length > 0} changed={after} />
          </>
        )}
      </Loaded>
    </article>
  );
}

function Sentence({ alert }: { alert: AlertDetail }): JSX.Element {
  return (
    <header class="sentence">
      <h2>
        <bdi>{alert.headline}</bdi>
      </h2>
      <p class="sentence-facts">
        <SeverityBadge severity={alert.severity} />
        <StatusBadge status={alert.status} resolution={alert.resolution} />
        <span>
          score <b>{score(alert.score)}</b>, threshold {score(alert.threshold)}
        </span>
        <span>
          {alert.technique_name} (ATT&amp;CK {alert.attack_id})
        </span>
        <Time at={alert.time} />
      </p>
      {!aboutMonitor(alert) && (
        <p>
          <b>{ACTION_TEXT[alert.action]}.</b>{" "}
          {alert.action_note !== null && <bdi>{alert.action_note}. </bdi>}
          {leaked(alert)}
        </p>
      )}
    </header>
  );
}

function leaked(alert: AlertDetail): string {
  const before = alert.bytes_leaked_before_block;
  if (before !== null) {
    const stopped = `${bytes(alert.bytes_stopped ?? 0)} stopped.`;
    const ended = (alert.block_ended ?? null) === null ? "" : " The block has ended.";
    return `${bytes(before)} left before the block, ${stopped}${ended}`;
  }
  return `${bytes(alert.bytes_out)} left, ${bytes(alert.bytes_leaked)} of it before the alert.`;
}

interface EvidenceProps {
  alert: AlertDetail;
  blocks: BlockLine[];
  changed: () => void;
}

function Evidence({ alert, blocks, changed }: EvidenceProps): JSX.Element {
  return (
    <>
      <Reasons alert={alert} />
      <Panel title="Timeline">
        <Timeline moments={alert.timeline} />
      </Panel>
      <Panel title="Details">
        <Facts alert={alert} />
      </Panel>
      {blocks.length > 0 && (
        <Panel title="Blocks">
          <BlockTable blocks={blocks} changed={changed} />
        </Panel>
      )}
      {alert.payload_samples.length > 0 && (
        <Panel title="Payload samples">
          <PayloadSamples samples={alert.payload_samples} />
        </Panel>
      )}
      <Panel title="Notes">
        <Notes alert={alert} changed={changed} />
      </Panel>
      {alert.related.length > 0 && (
        <Panel title="Related alerts">
          <Related alerts={alert.related} />
        </Panel>
      )}
      <Messages alert={alert.id} />
      {alert.vector.length > 0 && <Vector columns={alert.vector} />}
    </>
  );
}

/** Messages to people about it. */
function Messages({ alert }: { alert: string }): JSX.Element | null {
  const list = useResource<DeliveryPage>(`/api/deliveries${query({ alert, limit: 100 })}`, {
    on: ["deliveries"],
  });
  const deliveries = list.value?.items ?? [];
  if (deliveries.length === 0) return null;
  return (
    <Panel title="Messages">
      <DeliveryTable deliveries={deliveries} />
    </Panel>
  );
}

function Facts({ alert }: { alert: AlertDetail }): JSX.Element {
  return (
    <dl class="facts panel-body">
      {!aboutMonitor(alert) && <TrafficFacts alert={alert} />}
      <Fact name="First seen">
        <Time at={alert.first_seen} exact />
      </Fact>
      <Fact name="Origin">
        {alert.capture === null ? (
          alert.origin
        ) : (
          <a href={`/alerts?capture=${alert.capture}`}>capture {alert.capture}</a>
        )}
      </Fact>
      {alert.sensor !== null && (
        <Fact name="Sensor">
          <bdi>{alert.sensor}</bdi>
        </Fact>
      )}
      {!aboutMonitor(alert) && (
        <Fact name="Model">
          {alert.model} <span class="mono muted">{alert.model_hash}</span>
        </Fact>
      )}
      <Fact name="Configuration">
        <span class="mono">{alert.config_hash}</span>
      </Fact>
      <Fact name="Alert">
        <span class="mono">{alert.id}</span>, revision {alert.revision}
      </Fact>
    </dl>
  );
}

function TrafficFacts({ alert }: { alert: AlertDetail }): JSX.Element {
  return (
    <>
      <Fact name="Source">
        <Address address={alert.src} port={alert.src_port} />
      </Fact>
      <Fact name="Destination">
        <Address address={alert.dst} port={alert.dst_port} />
      </Fact>
      <Fact name="Protocol">{alert.protocol}</Fact>
      {alert.dst_name !== null && (
        <Fact name="Destination name">
          <Name text={alert.dst_name} whole />
        </Fact>
      )}
      {alert.domain !== null && (
        <Fact name="Domain">
          <Name text={alert.domain} whole />
        </Fact>
      )}
      <Fact name="Opened by">{alert.initiator === "src" ? "the source" : "the destination"}</Fact>
      <Fact name="Sent">
        {bytes(alert.bytes_out)} in {plural(alert.packets_out, "packet")}
      </Fact>
      <Fact name="Received">
        {bytes(alert.bytes_in)} in {plural(alert.packets_in, "packet")}
      </Fact>
      <Fact name="Detected after">{brief(alert.seconds_to_detect)}</Fact>
      {typeof alert.blocked_at === "string" && (
        <Fact name="Blocked after">
          {brief((Date.parse(alert.blocked_at) - Date.parse(alert.first_seen)) / 1_000)}
        </Fact>
      )}
      <Fact name="Community ID">
        <span class="mono">{alert.community_id}</span>
      </Fact>
      {alert.ja4 !== null && (
        <Fact name="JA4">
          <span class="mono">{alert.ja4}</span>
        </Fact>
      )}
    </>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
