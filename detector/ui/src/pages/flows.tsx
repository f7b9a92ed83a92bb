// Past traffic: sessions by minute, as they are stored.
import type { JSX } from "preact";
import type { FlowPage, SessionRow } from "../api-types";
import { query } from "../api/request";
import { useResource } from "../api/resource";
import { place, queried } from "../navigation";
import { Address, Name } from "../parts/address";
import { FilterFields, type FilterField } from "../parts/filterfields";
import { Empty, Loaded, PageHead } from "../parts/panels";
import { Pager, Table, type Column } from "../parts/tables";
import { Time } from "../parts/time";
import { bytes, count, duration, score } from "../words/amounts";

const LIMIT = 100;

const FIELDS: readonly FilterField[] = [
  { name: "address", label: "Address", example: "10.0.0.7", search: true },
  { name: "src", label: "Source", example: "10.0.0.0/8" },
  { name: "dst", label: "Destination", example: "192.0.2.1" },
  { name: "port", label: "Port", example: "443" },
  { name: "protocol", label: "Protocol", example: "tcp" },
  { name: "name", label: "Name", example: "files.example.net" },
  { name: "from", label: "From", time: true },
  { name: "to", label: "Until", time: true },
];

const COLUMNS: Column<SessionRow>[] = [
  { title: "When", cell: (flow) => <Time at={flow.start} /> },
  { title: "Source", cell: (flow) => <Address address={flow.src} /> },
  { title: "Destination", cell: (flow) => <Address address={flow.dst} port={flow.dst_port} /> },
  {
    title: "Name",
    wide: true,
    grow: true,
    cell: (flow) => flow.name !== null && <Name text={flow.name} />,
  },
  { title: "Protocol", wide: true, cell: (flow) => flow.protocol },
  {
    title: "Out",
    number: true,
    cell: (flow) => <Amount bytes={flow.bytes_out} packets={flow.packets_out} />,
  },
  {
    title: "In",
    number: true,
    wide: true,
    cell: (flow) => <Amount bytes={flow.bytes_in} packets={flow.packets_in} />,
  },
  { title: "Flows", number: true, wide: true, cell: (flow) => count(flow.flows) },
  {
    title: "Length",
    number: true,
    wide: true,
    cell: (flow) => duration((Date.parse(flow.end) - Date.parse(flow.start)) / 1_000),
  },
  { title: "Score", number: true, cell: (flow) => score(flow.score) },
];

function Amount(of: { bytes: number; packets: number }): JSX.Element {
  return (
    <span title={`${count(of.bytes)} bytes, ${count(of.packets)} packets`}>{bytes(of.bytes)}</span>
  );
}

export function Flows(): JSX.Element {
  const values = Object.fromEntries(FIELDS.map(({ name }) => [name, queried(name)]));
  const cursor = place.value.query.get("cursor");
  const list = useResource<FlowPage>(`/api/flows${query({ ...values, cursor, limit: LIMIT })}`);
  return (
    <>
      <PageHead title="Flows">
        <span class="muted">sessions by minute, newest first</span>
      </PageHead>
      <FilterFields fields={FIELDS} problem={list.problem} />
      <section class="panel" aria-busy={list.loading}>
        <Loaded from={list} rows={12}>
          {(page) =>
            page.items.length === 0 ? (
              <Nothing />
            ) : (
              <>
                <Table
                  label="Flows"
                  columns={COLUMNS}
                  rows={page.items}
                  rowKey={(flow) => page.items.indexOf(flow)}
                />
                <Pager next={page.next} shown={page.items.length} limit={LIMIT} />
              </>
            )
          }
        </Loaded>
      </section>
    </>
  );
}

function Nothing(): JSX.Element {
  return (
    <Empty title="No flows">
      <p>
        The agent stores the sessions of every minute: hosts, ports and bytes. Start one with{" "}
        <code>detector run</code>, or remove a filter.
      </p>
    </Empty>
  );
}
