// Everything about one address: what it usually does, what it sends and to whom, its alerts, and
// whether it is blocked.
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import type { Explanation, HostDetail } from "../api-types";
import { status } from "../api/events";
import { query } from "../api/request";
import { useResource } from "../api/resource";
import { queried, to } from "../navigation";
import { ActionButton } from "../parts/action";
import { copy } from "../parts/address";
import { BlockTable } from "../parts/blocks";
import { showDialog } from "../parts/dialogs";
import { Icon } from "../parts/icons";
import { Empty, Failure, Loaded, PageHead, Panel, Waiting } from "../parts/panels";
import { NewBlock } from "../parts/newblock";
import { rangeOf, RangeLinks, type Range } from "../parts/ranges";
import { TalkBars } from "../parts/talks";
import { Time } from "../parts/time";
import { secsOf, withGaps, type Span } from "../parts/steps";
import { TimeChart } from "../parts/timechart";
import { bytes, plural, rate } from "../words/amounts";
import { rfc3339 } from "../words/times";
import { Related } from "./alerts/notes";
import { BaselineText } from "./hosts";

export function HostPage({ address }: { address: string }): JSX.Element {
  const range = rangeOf(queried("range"));
  const minute = Math.floor(Date.now() / 60_000);
  const span: Span = [(minute + 1) * 60_000 - range.secs * 1_000, (minute + 1) * 60_000];
  const from = rfc3339(span[0]);
  const host = useResource<HostDetail>(
    `/api/hosts/${encodeURIComponent(address)}${query({ from, step: range.step })}`,
    { on: ["alerts"], everySecs: 60 },
  );
  return (
    <>
      <PageHead title={<Title address={address} />}>
        <RangeLinks current={range.name} />
        <BlockHost address={address} home={host.value?.home ?? false} />
      </PageHead>
      {host.problem !== null ? (
        <Failure problem={host.problem} retry={host.reload} />
      ) : (
        <>
          <section class="panel host-facts">
            {host.value === null ? <Waiting rows={1} /> : <Facts host={host.value} range={range} />}
          </section>
          <Panel title="Traffic" class="chart-panel">
            <Loaded from={host} rows={6}>
              {(value) => <History host={value} span={span} />}
            </Loaded>
          </Panel>
          <div class="grid two">
            <Panel title="Peers" aside={<a href={to("/flows", { address })}>All flows</a>}>
              <Loaded from={host}>{(value) => <TalkBars talks={value.peers} />}</Loaded>
            </Panel>
            <Panel title="Alerts" aside={<a href={to("/alerts", { address })}>All alerts</a>}>
              <Loaded from={host}>
                {(value) =>
                  value.alerts.length === 0 ? (
                    <Empty title="No alerts for this address" />
                  ) : (
                    <Related alerts={value.alerts} />
                  )
                }
              </Loaded>
            </Panel>
          </div>
          <Blocked address={address} />
        </>
      )}
    </>
  );
}

function Title({ address }: { address: string }): JSX.Element {
  return (
    <span class="host-title">
      <bdi class="mono">{address}</bdi>
      <button
        type="button"
        class="quiet"
        aria-label={`Copy ${address}`}
        onClick={() => void copy(address)}
      >
        <Icon name="copy" />
      </button>
    </span>
  );
}

function Facts({ host, range }: { host: HostDetail; range: Range }): JSX.Element {
  return (
    <dl class="facts panel-body">
      <div>
        <dt>Network</dt>
        <dd>{host.home ? "internal" : "external"}</dd>
      </div>
      {host.home ? <Internal host={host} /> : <External host={host} range={range} />}
    </dl>
  );
}

function Internal({ host }: { host: HostDetail }): JSX.Element {
  const { baseline } = host;
  return (
    <>
      <div>
        <dt>Baseline</dt>
        <dd>
          <BaselineText baseline={baseline} />
        </dd>
      </div>
      <div>
        <dt>Known destinations</dt>
        <dd>
          {baseline.receivers} in {plural(baseline.days_seen, "day")}
        </dd>
      </div>
      <div>
        <dt>Sent in total</dt>
        <dd>{bytes(host.bytes_out)}</dd>
      </div>
      <div>
        <dt>Received in total</dt>
        <dd>{bytes(host.bytes_in)}</dd>
      </div>
      <div>
        <dt>Open alerts</dt>
        <dd>{host.alerts_open}</dd>
      </div>
      <div>
        <dt>Last seen</dt>
        <dd>
          <Time at={host.last_seen} />
        </dd>
      </div>
    </>
  );
}

/** External hosts have no totals of their own: these are the bytes that internal hosts exchanged with them. */
function External({ host, range }: { host: HostDetail; range: Range }): JSX.Element {
  const sum = (way: "bytes_out" | "bytes_in") =>
    host.points.reduce((total, point) => total + point[way], 0);
  return (
    <>
      <div>
        <dt>Sent in {range.name}</dt>
        <dd>{bytes(sum("bytes_out"))}</dd>
      </div>
      <div>
        <dt>Received</dt>
        <dd>{bytes(sum("bytes_in"))}</dd>
      </div>
      <div>
        <dt>Alerts</dt>
        <dd>{host.alerts.length}</dd>
      </div>
    </>
  );
}

function History({ host, span }: { host: HostDetail; span: Span }): JSX.Element {
  const { times, lines } = useMemo(() => {
    const { points, step_secs } = host;
    const { times, values } = withGaps(points, step_secs);
    const rates = (way: "bytes_out" | "bytes_in") =>
      values.map((point) => point && point[way] / secsOf(point.time, step_secs));
    return {
      times,
      lines: [
        {
          label: "Outbound",
          tint: "accent",
          filled: true,
          values: rates("bytes_out"),
        },
        {
          label: "Inbound",
          tint: "second",
          dashed: true,
          values: rates("bytes_in"),
        },
      ],
    };
  }, [host]);
  if (times.length === 0) return <p class="chart-empty">No traffic in this period.</p>;
  return (
    <TimeChart
      label="Traffic of this host over time"
      times={times}
      lines={lines}
      format={rate}
      span={span}
    />
  );
}

function Blocked({ address }: { address: string }): JSX.Element {
  const explained = useResource<Explanation>(`/api/explain/${encodeURIComponent(address)}`, {
    on: ["blocks", "allow", "mode"],
  });
  const { value, problem } = explained;
  return (
    <Panel title="Block state">
      {problem?.status === 409 && (
        <Empty title="No agent is running here">
          <p>Start one: detector run</p>
        </Empty>
      )}
      {problem !== null && problem.status !== 409 && (
        <Failure problem={problem} retry={explained.reload} />
      )}
      {problem === null && value === null && <Waiting rows={2} />}
      {value !== null && (
        <div class="panel-body stack">
          <div>
            {value.sentences.map((sentence) => (
              <p key={sentence}>
                <bdi>{sentence}</bdi>
              </p>
            ))}
          </div>
          {value.blocks.length > 0 && (
            <BlockTable blocks={value.blocks} changed={explained.reload} />
          )}
        </div>
      )}
    </Panel>
  );
}

function BlockHost({ address, home }: { address: string; home: boolean }): JSX.Element {
  const none =
    status.value !== null && status.value.mode === null
      ? "No agent is running here. Start one: detector run"
      : null;
  return (
    <ActionButton
      scope="respond"
      look="danger"
      unless={none}
      run={() => showDialog(<NewBlock target={`${home ? "host" : "destination"} ${address}`} />)}
    >
      Block …
    </ActionButton>
  );
}
