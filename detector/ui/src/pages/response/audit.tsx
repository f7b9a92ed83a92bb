// Who changed what, and why.
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
  { title: "When", cell: (line) => <Time at={line.time} /> },
  { title: "Who", cell: (line) => <bdi>{line.who}</bdi> },
  {
    title: "What",
    cell: (line) => (
      <>
        {line.action.replaceAll("_", " ")} {line.mode}{" "}
        {line.target !== undefined && <Pivots text={line.target} />}
      </>
    ),
  },
  {
    title: "Why",
    wide: true,
    cell: (line) => (
      <>
        <bdi>{line.why}</bdi>{" "}
        {line.alert !== undefined && <a href={`/alerts/${line.alert}`}>its alert</a>}
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
    size !== undefined && `${bytes(size)} in ${plural(packets ?? 0, "packet")} stopped`,
  ];
  return parts.filter(Boolean).join("; ");
}

const FIELDS: readonly FilterField[] = [{ name: "q", label: "In the record", example: "10.0.0.7" }];

export function Audit(): JSX.Element {
  const q = queried("q");
  const cursor = place.value.query.get("cursor");
  const list = useResource<AuditList>(`/api/audit${query({ q, cursor, limit: LIMIT })}`, {
    on: ["alerts", "blocks", "allow", "mode"],
  });
  return (
    <Panel title="Who changed what">
      <div class="panel-body">
        <FilterFields fields={FIELDS} problem={list.problem} />
      </div>
      <Loaded from={list} rows={5}>
        {({ items, next }) =>
          items.length === 0 ? (
            <Empty title={q === "" ? "Nothing has been changed yet" : "No record has that in it"}>
              <p>
                Every block, release, exception, change of mode and judgement of an alert is written
                down here.
              </p>
            </Empty>
          ) : (
            <>
              <Table
                label="Who changed what"
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
