// The list of alerts, and what is done with several at once.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { StoredAlert } from "../../api-types";
import { aboutMonitor, changeAlerts } from "../../api/alerts";
import { place } from "../../navigation";
import { ActionButton } from "../../parts/action";
import { Address, Name } from "../../parts/address";
import { SeverityBadge, StatusBadge } from "../../parts/badges";
import { Time } from "../../parts/time";
import { notify } from "../../parts/toasts";
import { bytes, plural, score } from "../../words/amounts";
import { ACTION_TEXT } from "../../words/names";

interface Props {
  alerts: StoredAlert[];
  selected: string | null;
  reload: () => void;
}

export function AlertList({ alerts, selected, reload }: Props): JSX.Element {
  const [marked, setMarked] = useState<ReadonlySet<string>>(new Set());
  const search = window.location.search;
  useEffect(() => setMarked(new Set()), [place.value.query.toString()]);
  const mark = (id: string, on: boolean) => {
    const next = new Set(marked);
    if (on) next.add(id);
    else next.delete(id);
    setMarked(next);
  };
  const chosen = alerts.filter((alert) => marked.has(alert.id));
  const all = chosen.length === alerts.length && alerts.length > 0;
  return (
    <>
      <div class="bulk" hidden={alerts.length === 0}>
        <label class="checkbox">
          <input
            type="checkbox"
            checked={all}
            indeterminate={chosen.length > 0 && !all}
            onChange={() => setMarked(all ? new Set() : new Set(alerts.map((alert) => alert.id)))}
          />
          {chosen.length === 0
            ? "Select all on this page"
            : `${plural(chosen.length, "alert")} selected`}
        </label>
        {chosen.length > 0 && (
          <Bulk
            alerts={chosen}
            done={() => {
              setMarked(new Set());
              reload();
            }}
          />
        )}
      </div>
      <ul class="alert-rows" aria-label="Alerts">
        {alerts.map((alert) => (
          <Row
            key={alert.id}
            alert={alert}
            href={`/alerts/${alert.id}${search}`}
            current={alert.id === selected}
            marked={marked.has(alert.id)}
            mark={(on) => mark(alert.id, on)}
          />
        ))}
      </ul>
    </>
  );
}

function Row({
  alert,
  href,
  current,
  marked,
  mark,
}: {
  alert: StoredAlert;
  href: string;
  current: boolean;
  marked: boolean;
  mark: (on: boolean) => void;
}): JSX.Element {
  return (
    <li class="alert-row" data-row tabIndex={-1} aria-current={current ? "true" : undefined}>
      <input
        type="checkbox"
        aria-label={`Select: ${alert.headline}`}
        checked={marked}
        onChange={(event) => mark(event.currentTarget.checked)}
      />
      <div class="alert-row-body">
        <a class="headline" data-open href={href}>
          <bdi>{alert.headline}</bdi>
        </a>
        <div class="alert-row-facts">
          <SeverityBadge severity={alert.severity} />
          <StatusBadge status={alert.status} resolution={alert.resolution} />
          <span>{alert.technique_name}</span>
          {!aboutMonitor(alert) && <span class="nowrap">{bytes(alert.bytes_out)} out</span>}
          <span class="nowrap" title="Score; an alert from its threshold on">
            {score(alert.score)}
          </span>
          {!aboutMonitor(alert) && (
            <span class="ends">
              <Address address={alert.src} />
              <span aria-label="to">→</span> <Address address={alert.dst} />
            </span>
          )}
          {alert.action !== "none" && <span>{ACTION_TEXT[alert.action]}</span>}
          {alert.origin !== "live" && <span class="badge plain">{alert.origin}</span>}
          {alert.dst_name !== null && <Name text={alert.dst_name} />}
        </div>
      </div>
      <Time at={alert.time} />
    </li>
  );
}

function Bulk({ alerts, done }: { alerts: StoredAlert[]; done: () => void }): JSX.Element {
  const ids = alerts.map((alert) => alert.id);
  const change = async (what: "acknowledge" | "close" | "reopen", word: string) => {
    const { changed } = await changeAlerts(what, ids);
    notify({ text: `${plural(changed, "alert")} ${word}`, undo: () => restore(alerts).then(done) });
    done();
  };
  return (
    <span class="buttons">
      <ActionButton scope="respond" run={() => change("acknowledge", "acknowledged")}>
        Acknowledge
      </ActionButton>
      <ActionButton scope="respond" run={() => change("close", "closed")}>
        Close
      </ActionButton>
      <ActionButton scope="respond" run={() => change("reopen", "reopened")}>
        Reopen
      </ActionButton>
    </span>
  );
}

/** Gives each alert the status back that it was listed with. */
export async function restore(alerts: StoredAlert[]): Promise<void> {
  const were = (status: string) =>
    alerts.filter((alert) => alert.status === status).map((alert) => alert.id);
  const wanted = [
    ["reopen", were("open")],
    ["acknowledge", were("acknowledged")],
    ["close", were("closed")],
  ] as const;
  for (const [change, ids] of wanted) if (ids.length > 0) await changeAlerts(change, ids);
}
