// The top senders, destinations and pairs, and the open alerts.
import type { JSX } from "preact";
import type { AlertPage, StoredAlert, TalkList, Top, TopList } from "../../api-types";
import { useResource } from "../../api/resource";
import { to } from "../../navigation";
import { Address, Name } from "../../parts/address";
import { SeverityBadge } from "../../parts/badges";
import { RankedBars } from "../../parts/bars";
import { Empty, Loaded, Panel } from "../../parts/panels";
import { TalkBars } from "../../parts/talks";
import { Time } from "../../parts/time";
import { bytes, plural } from "../../words/amounts";

const EVERY_SECS = 30;

export function OpenAlerts(): JSX.Element {
  const list = useResource<AlertPage>("/api/alerts?status=open&limit=6", {
    on: ["alerts"],
    everySecs: EVERY_SECS,
  });
  const all = <a href={to("/alerts", { status: "open" })}>All open alerts</a>;
  return (
    <Panel title="Open alerts" aside={all} class="rank-panel">
      <Loaded from={list} rows={6}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No open alerts">
              <p>New alerts appear here.</p>
            </Empty>
          ) : (
            <ul class="alert-briefs">
              {items.map((alert) => (
                <Brief key={alert.id} alert={alert} />
              ))}
            </ul>
          )
        }
      </Loaded>
    </Panel>
  );
}

function Brief({ alert }: { alert: StoredAlert }): JSX.Element {
  return (
    <li class="alert-brief" data-row tabIndex={-1}>
      <SeverityBadge severity={alert.severity} />
      <a data-open class="headline" href={`/alerts/${alert.id}?status=open`}>
        <bdi>{alert.headline}</bdi>
      </a>
      <Time at={alert.time} />
    </li>
  );
}

export function Talks({ path }: { path: string }): JSX.Element {
  const list = useResource<TalkList>(path, { everySecs: EVERY_SECS });
  return (
    <Panel title="Top pairs" aside={<span class="muted">by bytes out</span>} class="rank-panel">
      <Loaded from={list} rows={8}>
        {({ items }) => <TalkBars talks={items} />}
      </Loaded>
    </Panel>
  );
}

interface TopProps {
  title: string;
  by: "sources" | "destinations";
  path: string;
}

export function Top({ title, by, path }: TopProps): JSX.Element {
  const list = useResource<TopList>(path, { everySecs: EVERY_SECS });
  return (
    <Panel title={title} aside={<span class="muted">by bytes out</span>} class="rank-panel">
      <Loaded from={list} rows={8}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No traffic yet">
              <p>
                {by === "sources" ? "Hosts" : "Destinations"} appear after the first minute of
                traffic.
              </p>
            </Empty>
          ) : (
            <RankedBars label={title} bars={items.map(toBar)} />
          )
        }
      </Loaded>
    </Panel>
  );
}

const toBar = (item: Top) => ({
  key: item.key,
  label: (
    <>
      <Address address={item.key} />
      {item.name !== null && <Name text={item.name} />}
    </>
  ),
  value: item.bytes_out,
  amount: bytes(item.bytes_out),
  title: `${bytes(item.bytes_out)} out, ${bytes(item.bytes_in)} in, ${plural(item.sessions, "session")}`,
});
