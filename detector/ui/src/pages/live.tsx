// What is happening now: the interfaces that are watched, and the sessions in memory.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { status } from "../api/events";
import { post } from "../api/request";
import { useResource } from "../api/resource";
import type { Interface, LiveSession } from "../api/traffic";
import { go, queried, withQuery } from "../navigation";
import { ActionButton, Lacking } from "../parts/action";
import { Address, Name } from "../parts/address";
import { StateBadge } from "../parts/badges";
import { DialogForm, showDialog } from "../parts/dialogs";
import { TextField } from "../parts/filterfields";
import { Empty, Loaded, PageHead, Panel } from "../parts/panels";
import { Table, type Column } from "../parts/tables";
import { Time } from "../parts/time";
import { notify } from "../parts/toasts";
import { bytes, count, percent, rate, score } from "../words/amounts";

const EVERY_SECS = 2;
const LIMIT = 500;

export function Live(): JSX.Element {
  const [paused, setPaused] = useState(false);
  return (
    <>
      <PageHead title="Live">
        <button
          type="button"
          class="button"
          aria-pressed={paused}
          onClick={() => setPaused(!paused)}
        >
          {paused ? "Go on" : "Hold still"}
        </button>
      </PageHead>
      <Interfaces everySecs={paused ? undefined : EVERY_SECS} />
      <Sessions everySecs={paused ? undefined : EVERY_SECS} />
    </>
  );
}

function Interfaces({ everySecs }: { everySecs?: number }): JSX.Element {
  const list = useResource<{ items: Interface[] }>("/api/interfaces", { everySecs });
  const columns: Column<Interface>[] = [
    { title: "Interface", cell: (one) => <InterfaceName of={one} /> },
    {
      title: "State",
      cell: (one) => (
        <StateBadge tone={one.attached ? "good" : "idle"}>
          {one.attached ? "watched" : "not watched"}
        </StateBadge>
      ),
    },
    {
      title: "Attached as",
      wide: true,
      cell: (one) => (one.attached ? `${one.ingress ?? "–"} in, ${one.egress ?? "–"} out` : ""),
    },
    { title: "Out", number: true, cell: (one) => one.attached && rate(one.rate_out) },
    { title: "In", number: true, cell: (one) => one.attached && rate(one.rate_in) },
    {
      title: "Seen",
      number: true,
      wide: true,
      cell: (one) =>
        one.attached && <span title={`${count(one.frames)} frames`}>{bytes(one.seen_bytes)}</span>,
    },
    { title: "Coverage", number: true, wide: true, cell: (one) => <Coverage of={one} /> },
    { title: "", cell: (one) => <Switch of={one} reload={list.reload} /> },
  ];
  return (
    <Panel title="Interfaces" aside={<Lacking scope="admin" />}>
      <Loaded from={list} rows={3}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No interface is watched">
              <p>
                Start watching with <code>detector run --interface eth0</code>.
              </p>
            </Empty>
          ) : (
            <Table label="Interfaces" columns={columns} rows={items} rowKey={(one) => one.name} />
          )
        }
      </Loaded>
    </Panel>
  );
}

function InterfaceName({ of: { name, note } }: { of: Interface }): JSX.Element {
  return (
    <>
      <b class="mono">{name}</b>
      {note !== null && <p class="hint">{note}</p>}
    </>
  );
}

function Coverage({ of: { coverage, unaccounted_bytes } }: { of: Interface }): JSX.Element | null {
  if (coverage === null) return null;
  return <span title={`${count(unaccounted_bytes)} bytes unaccounted`}>{percent(coverage)}</span>;
}

function Switch({
  of: { name, attached },
  reload,
}: {
  of: Interface;
  reload: () => void;
}): JSX.Element {
  const change = async (verb: "attach" | "detach") => {
    await post(`/api/interfaces/${encodeURIComponent(name)}/${verb}`);
    reload();
  };
  const attach = async () => {
    await change("attach");
    notify({ text: `${name} is watched` });
  };
  const detach = async () => {
    await change("detach");
    notify({ text: `${name} is no longer watched`, undo: () => change("attach") });
  };
  const ask = () =>
    showDialog(
      <DialogForm title={`Stop watching ${name}`} verb="Stop watching" danger run={detach}>
        <p>
          Until it is started again, nothing that passes {name} is seen, and no block holds there.
          What was seen stays.
        </p>
      </DialogForm>,
    );
  return (
    <span class="buttons end">
      {attached ? (
        <ActionButton scope="admin" run={ask} label={`Stop watching ${name}`}>
          Stop
        </ActionButton>
      ) : (
        <ActionButton scope="admin" run={attach} label={`Watch ${name}`}>
          Start
        </ActionButton>
      )}
    </span>
  );
}

const SORTS = ["rate", "bytes_out", "score", "last_seen"] as const;

const COLUMNS: Column<LiveSession>[] = [
  { title: "Source", cell: (one) => <Address address={one.src} /> },
  { title: "Destination", cell: (one) => <Address address={one.dst} port={one.dst_port} /> },
  {
    title: "Name",
    grow: true,
    wide: true,
    cell: (one) => one.name !== null && <Name text={one.name} />,
  },
  { title: "Protocol", wide: true, cell: (one) => one.protocol },
  { title: "Rate", number: true, sort: "rate", cell: (one) => rate(one.rate) },
  {
    title: "Out",
    number: true,
    sort: "bytes_out",
    cell: (one) => <span title={count(one.bytes_out)}>{bytes(one.bytes_out)}</span>,
  },
  {
    title: "In",
    number: true,
    wide: true,
    cell: (one) => <span title={count(one.bytes_in)}>{bytes(one.bytes_in)}</span>,
  },
  { title: "Score", number: true, sort: "score", cell: (one) => <Score of={one} /> },
  {
    title: "Last seen",
    number: true,
    wide: true,
    sort: "last_seen",
    cell: (one) => <Time at={one.last_seen} />,
  },
];

function Score({ of: { score: value, alert } }: { of: LiveSession }): JSX.Element {
  const text = value === null ? "–" : score(value);
  if (alert === null) return <>{text}</>;
  return (
    <a class="alarm" data-open href={`/alerts/${alert}`}>
      {text} alert
    </a>
  );
}

function Sessions({ everySecs }: { everySecs?: number }): JSX.Element {
  const by = SORTS.find((one) => one === queried("sort")) ?? "rate";
  const up = queried("order") === "up";
  const none = status.value?.mode === null;
  const list = useResource<{ items: LiveSession[] }>(
    none ? null : `/api/sessions?sort=${by}&limit=${LIMIT}`,
    { everySecs: none ? undefined : everySecs },
  );
  const onSort = (next: string) =>
    go(withQuery({ sort: next, order: next === by && !up ? "up" : null }), { replace: true });
  const wanted = queried("find").toLowerCase();
  const noAgent = none || list.problem?.status === 409;
  return (
    <>
      <div class="toolbar">
        <TextField
          field={{ name: "find", label: "Show only", example: "address, port, name", search: true }}
          problem={null}
        />
      </div>
      <section class="panel">
        {noAgent ? (
          <Empty title="No agent is running here">
            <p>
              Live sessions are in the agent's memory. Past ones are under{" "}
              <a href="/flows">Flows</a>.
            </p>
          </Empty>
        ) : (
          <Loaded from={list} rows={10}>
            {({ items }) => {
              const shown = items.filter((one) => matches(one, wanted));
              if (shown.length === 0)
                return <Empty title={wanted === "" ? "No sessions now" : "Nothing matches"} />;
              return (
                <Table
                  label="Sessions"
                  columns={COLUMNS}
                  rows={up ? [...shown].reverse() : shown}
                  rowKey={(one) =>
                    `${one.src} ${one.dst} ${one.dst_port} ${one.protocol} ${one.started}`
                  }
                  sorted={{ by, down: !up, onSort }}
                />
              );
            }}
          </Loaded>
        )}
      </section>
    </>
  );
}

const matches = (one: LiveSession, wanted: string): boolean =>
  wanted === "" ||
  `${one.src} ${one.dst} ${one.dst_port} ${one.protocol} ${one.name ?? ""}`
    .toLowerCase()
    .includes(wanted);
