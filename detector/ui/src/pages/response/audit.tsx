// The audit log.
import type { JSX } from "preact";
import type { AuditList, AuditRecord } from "../../api-types";
import { query } from "../../api/request";
import { useResource } from "../../api/resource";
import { place, queried } from "../../navigation";
import { Pivots } from "../../parts/address";
import { FilterFields, type FilterField } from "../../parts/filterfields";
import { Empty, Loaded, Panel } from "../../parts/panels";
import { Pager, Table, type Column } from "../../parts/tables";
import { Time } from "../../parts/time";
import { bytes, duration, plural } from "../../words/amounts";

const LIMIT = 20;

const COLUMNS: Column<AuditRecord>[] = [
  { title: "Time", cell: (line) => <Time at={line.time} /> },
  { title: "Actor", cell: (line) => <bdi>{line.who}</bdi> },
  {
    title: "Change",
    cell: (line) => (
      <>
        {line.action.replaceAll("_", " ")} {line.mode}{" "}
        {line.target !== undefined && <Pivots text={line.target} />}
      </>
    ),
  },
  {
    title: "Reason",
    wide: true,
    cell: (line) => (
      <>
        <bdi>{line.why}</bdi>{" "}
        {line.alert !== undefined && <a href={`/alerts/${line.alert}`}>alert</a>}
        <p class="hint">
          <bdi>{more(line)}</bdi>
        </p>
      </>
    ),
  },
];

function more({ detail, ttl_secs, packets, bytes: size }: AuditRecord): string {
  const parts = [
    detail,
    ttl_secs !== undefined && `for ${duration(ttl_secs)}`,
    size !== undefined && `${bytes(size)} in ${plural(packets ?? 0, "packet")} blocked`,
  ];
  return parts.filter(Boolean).join("; ");
}

const FIELDS: readonly FilterField[] = [{ name: "q", label: "Search", example: "10.0.0.7" }];

export function Audit(): JSX.Element {
  const q = queried("q");
  const cursor = place.value.query.get("cursor");
  const list = useResource<AuditList>(`/api/audit${query({ q, cursor, limit: LIMIT })}`, {
    on: ["alerts", "blocks", "allow", "mode"],
  });
  return (
    <Panel title="Audit log">
      <div class="panel-body">
        <FilterFields fields={FIELDS} problem={list.problem} />
      </div>
      <Loaded from={list} rows={5}>
        {({ items, next }) =>
          items.length === 0 ? (
            <Empty title={q === "" ? "No changes yet" : "No record matches"}>
              <p>
                The audit log records every block, unblock, exception, change of mode and resolution
                of an alert.
              </p>
            </Empty>
          ) : (
            <>
              <Table
                label="Audit log"
                columns={COLUMNS}
                rows={items}
                rowKey={(line) => items.indexOf(line)}
              />
              <Pager next={next} shown={items.length} limit={LIMIT} />
            </>
          )
        }
      </Loaded>
    </Panel>
  );
}
