// The hosts that were seen, and what is known of what each usually does.
import type { JSX } from "preact";
import { query } from "../api/request";
import { useResource } from "../api/resource";
import { go, place, to } from "../navigation";
import { Address, hostPath } from "../parts/address";
import { StateBadge } from "../parts/badges";
import { Empty, Loaded, PageHead } from "../parts/panels";
import { Pager, Table, type Column } from "../parts/tables";
import { Time } from "../parts/time";
import { bytes, count, plural } from "../words/amounts";
import { useState } from "preact/hooks";
import type { Baseline, Host, HostList } from "../api-types";

const LIMIT = 100;

const COLUMNS: Column<Host>[] = [
  { title: "Address", cell: (host) => <Address address={host.address} /> },
  { title: "Network", wide: true, cell: (host) => (host.home ? "internal" : "external") },
  { title: "Baseline", cell: (host) => <BaselineText baseline={host.baseline} /> },
  {
    title: "Out",
    number: true,
    cell: (host) => <span title={count(host.bytes_out)}>{bytes(host.bytes_out)}</span>,
  },
  {
    title: "In",
    number: true,
    wide: true,
    cell: (host) => <span title={count(host.bytes_in)}>{bytes(host.bytes_in)}</span>,
  },
  { title: "Open alerts", number: true, cell: (host) => <OpenAlerts host={host} /> },
  { title: "Last seen", wide: true, cell: (host) => <Time at={host.last_seen} /> },
];

export function BaselineText({ baseline }: { baseline: Baseline }): JSX.Element {
  const { state, days_left, receivers, days_seen } = baseline;
  const title = `${plural(receivers, "known destination")}, seen on ${plural(days_seen, "day")}`;
  if (state === "ready")
    return (
      <span title={title}>
        <StateBadge tone="good">known</StateBadge>
      </span>
    );
  if (state === "none")
    return (
      <span class="muted" title={title}>
        none
      </span>
    );
  const left = days_left === null ? "learning" : `learning, ${days_left} d left`;
  return (
    <span title={title}>
      <StateBadge tone="idle">{left}</StateBadge>
    </span>
  );
}

function OpenAlerts({ host }: { host: Host }): JSX.Element {
  if (host.alerts_open === 0) return <span class="muted">0</span>;
  return (
    <a href={to("/alerts", { address: host.address, status: "open" })}>{count(host.alerts_open)}</a>
  );
}

export function Hosts(): JSX.Element {
  const cursor = place.value.query.get("cursor");
  const list = useResource<HostList>(`/api/hosts${query({ cursor, limit: LIMIT })}`, {
    everySecs: 60,
  });
  return (
    <>
      <PageHead title="Hosts">
        <GoTo />
      </PageHead>
      <section class="panel" aria-busy={list.loading}>
        <Loaded from={list} rows={10}>
          {(page) =>
            page.items.length === 0 ? (
              <Empty title="No hosts yet">
                <p>
                  A host appears after its first traffic. The agent learns its baseline for 28 days.
                </p>
              </Empty>
            ) : (
              <>
                <Table
                  label="Hosts"
                  columns={COLUMNS}
                  rows={page.items}
                  rowKey={(host) => host.address}
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

/** Any address has a page, listed or not. */
function GoTo(): JSX.Element {
  const [text, setText] = useState("");
  const submit = (event: Event) => {
    event.preventDefault();
    if (text.trim() !== "") go(hostPath(text.trim()));
  };
  return (
    <form onSubmit={submit}>
      <input
        class="free-text"
        data-search
        aria-label="Go to an address"
        placeholder="Go to an address"
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
    </form>
  );
}
