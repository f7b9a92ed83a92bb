// Who changed what, and why.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useResource } from "../../api/resource";
import type { AuditLine } from "../../api/response";
import { Pivots } from "../../parts/address";
import { Empty, Loaded, Panel } from "../../parts/panels";
import { Table, type Column } from "../../parts/tables";
import { Time } from "../../parts/time";
import { bytes, duration, plural } from "../../words/amounts";

const STEP = 20;
const MOST = 500;

const COLUMNS: Column<AuditLine>[] = [
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

function more({ detail, ttl_secs, packets, bytes: size }: AuditLine): string {
  const parts = [
    detail,
    ttl_secs !== undefined && `for ${duration(ttl_secs)}`,
    size !== undefined && `${bytes(size)} in ${plural(packets ?? 0, "packet")} stopped`,
  ];
  return parts.filter(Boolean).join("; ");
}

export function Audit(): JSX.Element {
  const [limit, setLimit] = useState(STEP);
  const list = useResource<{ items: AuditLine[] }>(`/api/audit?limit=${limit}`, {
    on: ["blocks", "allow", "mode"],
  });
  return (
    <Panel title="Who changed what">
      <Loaded from={list} rows={5}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="Nothing has been changed yet">
              <p>Every block, release, exception and change of mode is written down here.</p>
            </Empty>
          ) : (
            <>
              <Table
                label="Who changed what"
                columns={COLUMNS}
                rows={items}
                rowKey={(line) => items.indexOf(line)}
              />
              {items.length >= limit && limit < MOST && (
                <div class="pager">
                  <button
                    type="button"
                    class="button"
                    onClick={() => setLimit(Math.min(MOST, limit * 5))}
                  >
                    Show more
                  </button>
                </div>
              )}
            </>
          )
        }
      </Loaded>
    </Panel>
  );
}
