// The live sessions, and the open alert of each.
import type { JSX } from "preact";
import type { AlertPage, SessionLine, SessionList, StoredAlert } from "../../api-types";
import { useResource } from "../../api/resource";
import { go, queried, withQuery } from "../../navigation";
import { Address, Name } from "../../parts/address";
import { SeverityBadge } from "../../parts/badges";
import { TextField } from "../../parts/filterfields";
import { Empty, Loaded } from "../../parts/panels";
import { Table, type Column } from "../../parts/tables";
import { Time } from "../../parts/time";
import { bytes, count, plural, rate } from "../../words/amounts";

const LIMIT = 500;
const SORTS = ["rate", "bytes_out", "last_seen"] as const;

type Alerted = ReadonlyMap<string, StoredAlert>;

const pair = ({ src, dst }: { src: string; dst: string }): string => `${src} ${dst}`;

const columnsFor = (alerted: Alerted): Column<SessionLine>[] => [
  { title: "Source", cell: (one) => <Address address={one.src} /> },
  { title: "Destination", cell: (one) => <Address address={one.dst} port={one.dst_port} /> },
  {
    title: "Name",
    grow: true,
    wide: true,
    cell: (one) => one.name !== null && <Name text={one.name} />,
  },
  {
    title: "Protocol",
    wide: true,
    cell: (one) => <span title={plural(one.flows, "flow")}>{one.protocol}</span>,
  },
  { title: "Alert", cell: (one) => <OpenAlert alert={alerted.get(pair(one))} /> },
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
  {
    title: "Last seen",
    number: true,
    wide: true,
    sort: "last_seen",
    cell: (one) => <Time at={one.last_seen} />,
  },
];

function OpenAlert({ alert }: { alert?: StoredAlert }): JSX.Element | null {
  if (alert === undefined) return null;
  return (
    <a data-open href={`/alerts/${alert.id}?status=open`} title={alert.headline}>
      <SeverityBadge severity={alert.severity} />
    </a>
  );
}

export function Sessions({ everySecs }: { everySecs?: number }): JSX.Element {
  const by = SORTS.find((one) => one === queried("sort")) ?? "rate";
  const up = queried("order") === "up";
  const list = useResource<SessionList>(`/api/sessions?sort=${by}&limit=${LIMIT}`, {
    everySecs,
  });
  const open = useResource<AlertPage>("/api/alerts?status=open&origin=live&limit=500", {
    on: ["alerts"],
  });
  // The newest is the last to be entered.
  const alerts = [...(open.value?.items ?? [])].reverse();
  const alerted = new Map(alerts.map((alert) => [pair(alert), alert]));
  const onSort = (next: string) =>
    go(withQuery({ sort: next, order: next === by && !up ? "up" : null }), { replace: true });
  const wanted = queried("find").toLowerCase();
  return (
    <>
      <div class="toolbar">
        <TextField
          field={{ name: "find", label: "Filter", example: "address, port, name", search: true }}
          problem={null}
        />
      </div>
      <section class="panel">
        <Loaded from={list} rows={10}>
          {({ items }) => {
            const shown = items.filter((one) => matches(one, wanted));
            if (shown.length === 0)
              return <Empty title={wanted === "" ? "No live sessions" : "Nothing matches"} />;
            return (
              <Table
                label="Sessions"
                columns={columnsFor(alerted)}
                rows={up ? [...shown].reverse() : shown}
                rowKey={(one) => `${pair(one)} ${one.dst_port} ${one.protocol} ${one.started}`}
                sorted={{ by, down: !up, onSort }}
              />
            );
          }}
        </Loaded>
      </section>
    </>
  );
}

const matches = (one: SessionLine, wanted: string): boolean =>
  wanted === "" ||
  `${one.src} ${one.dst} ${one.dst_port} ${one.protocol} ${one.name ?? ""}`
    .toLowerCase()
    .includes(wanted);
