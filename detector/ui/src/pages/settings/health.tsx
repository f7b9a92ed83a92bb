// Losses by reason, tables, store and outputs.
import type { JSX } from "preact";
import type { Loss, SinkState, Status, StoreState, TableUse } from "../../api-types";
import { StateBadge, type Tone } from "../../parts/badges";
import { Track } from "../../parts/bars";
import { Empty, Panel } from "../../parts/panels";
import { Table, type Column } from "../../parts/tables";
import { bytes, count, percent } from "../../words/amounts";

const LOSS: Column<Loss>[] = [
  {
    title: "Reason",
    cell: (loss) => (
      <>
        <b>{loss.name.replaceAll("_", " ")}</b>
        <p class="hint">
          <bdi>{loss.text}</bdi>
        </p>
      </>
    ),
  },
  { title: "Count", number: true, cell: (loss) => count(loss.count) },
];

export function LossPanel({ state: { loss, coverage } }: { state: Status }): JSX.Element {
  const lost = loss.filter((one) => one.count > 0);
  return (
    <Panel
      title="Loss by reason"
      aside={
        <span class="muted">
          {percent(coverage.ratio ?? 1)} of {bytes(coverage.seen_bytes)} seen
        </span>
      }
    >
      {lost.length === 0 ? (
        <Empty title="Nothing was lost">
          <p>{count(coverage.unaccounted_bytes)} bytes are unaccounted.</p>
        </Empty>
      ) : (
        <Table label="Loss by reason" columns={LOSS} rows={lost} rowKey={(one) => one.name} />
      )}
    </Panel>
  );
}

const STORE_TONE: Record<StoreState["state"], Tone> = { ok: "good", failing: "bad", off: "idle" };

export function StorePanel({ store }: { store: StoreState }): JSX.Element {
  const lost = store.not_stored.filter((one) => one.count > 0);
  return (
    <Panel
      title="Store"
      aside={<StateBadge tone={STORE_TONE[store.state]}>{store.state}</StateBadge>}
    >
      <dl class="facts panel-body">
        <div>
          <dt>File</dt>
          <dd>
            <span class="mono">{store.path ?? "none"}</span>
          </dd>
        </div>
        <div>
          <dt>Size</dt>
          <dd>{bytes(store.bytes)}</dd>
        </div>
        <div>
          <dt>Not stored</dt>
          <dd>
            {lost.length === 0
              ? "nothing"
              : lost.map((one) => `${count(one.count)} ${one.name}`).join(", ")}
          </dd>
        </div>
        {store.error !== null && (
          <div>
            <dt>Error</dt>
            <dd class="problem">
              <bdi>{store.error}</bdi>
            </dd>
          </div>
        )}
      </dl>
    </Panel>
  );
}

const SINKS: Column<SinkState>[] = [
  {
    title: "Output",
    cell: (sink) => (
      <>
        <b>{sink.name}</b>
        {sink.note !== null && <div class="muted">{sink.note}</div>}
        {sink.error !== null && (
          <div class={sink.state === "failing" ? "problem" : "muted"}>
            <bdi>{sink.error}</bdi>
          </div>
        )}
      </>
    ),
  },
  {
    title: "State",
    cell: (sink) => (
      <StateBadge tone={sink.state === "ok" ? "good" : "bad"}>{sink.state}</StateBadge>
    ),
  },
  { title: "Sent", number: true, cell: (sink) => count(sink.sent) },
  { title: "Waiting", number: true, wide: true, cell: (sink) => count(sink.queued) },
  { title: "Retried", number: true, wide: true, cell: (sink) => count(sink.retried) },
  { title: "Failed", number: true, cell: (sink) => count(sink.failed) },
  { title: "Dropped", number: true, cell: (sink) => count(sink.dropped) },
];

export function SinksPanel({ sinks }: { sinks: SinkState[] }): JSX.Element {
  return (
    <Panel title="Outputs">
      {sinks.length === 0 ? (
        <Empty title="No output is running">
          <p>
            <code>detector run</code> starts the outputs: standard output, the store, live pages and
            notifications.
          </p>
        </Empty>
      ) : (
        <Table label="Outputs" columns={SINKS} rows={sinks} rowKey={(sink) => sink.name} />
      )}
    </Panel>
  );
}

const TABLES: Column<TableUse>[] = [
  { title: "Table", cell: (table) => <span class="mono">{table.name}</span> },
  {
    title: "Used",
    number: true,
    cell: (table) => `${count(table.used)} of ${count(table.capacity)}`,
  },
  {
    title: "",
    cell: (table) => (
      <span class="gauge">
        <Track
          share={table.used / Math.max(1, table.capacity)}
          tone={table.used / table.capacity > 0.8 ? "alarm" : ""}
        />
      </span>
    ),
  },
  { title: "Memory", number: true, wide: true, cell: (table) => bytes(table.bytes) },
  { title: "When full", wide: true, cell: (table) => table.when_full },
];

export function TablesPanel({ tables }: { tables: TableUse[] }): JSX.Element {
  return (
    <Panel title="Tables in the kernel">
      {tables.length === 0 ? (
        <Empty title="No agent is running here" />
      ) : (
        <Table
          label="Tables in the kernel"
          columns={TABLES}
          rows={tables}
          rowKey={(table) => table.name}
        />
      )}
    </Panel>
  );
}
