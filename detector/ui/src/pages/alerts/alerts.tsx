// Search at the top, the list, and beside it the alert that is selected. What is searched for stands
// in the URL, also while an alert is open.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { AlertPage } from "../../api-types";
import { alertsPath } from "../../api/alerts";
import { onAlert } from "../../api/events";
import { useResource, type Resource } from "../../api/resource";
import { place } from "../../navigation";
import { Empty, Loaded, PageHead } from "../../parts/panels";
import { Pager } from "../../parts/tables";
import { count, plural } from "../../words/amounts";
import { Detail } from "./detail";
import { activeFilters, Filters } from "./filters";
import { AlertList } from "./list";

const LIMIT = 50;

export function Alerts({ selected }: { selected: string | null }): JSX.Element {
  const { query } = place.value;
  const list = useResource<AlertPage>(alertsPath(query, { limit: LIMIT }));
  const fresh = useFresh(list);
  const refresh = () => {
    fresh.clear();
    list.reload();
  };
  return (
    <div class={selected === null ? "alerts" : "alerts selected"}>
      <div class="alerts-search">
        <PageHead title="Alerts">
          <Total page={list.value} />
          <Exports query={query} />
        </PageHead>
        <Filters problem={list.problem} />
      </div>
      <div class="alerts-list panel" aria-busy={list.loading}>
        {fresh.count > 0 && (
          <button type="button" class="fresh" onClick={refresh}>
            {plural(fresh.count, "new or changed alert")}: show
          </button>
        )}
        <Loaded from={list} rows={8}>
          {(page) => (
            <>
              <AlertList alerts={page.items} selected={selected} reload={refresh} />
              {page.items.length === 0 && <Nothing filtered={activeFilters(query).length > 0} />}
              <Pager
                next={page.next}
                shown={page.items.length}
                total={page.total}
                exact={page.total_exact}
                limit={LIMIT}
              />
            </>
          )}
        </Loaded>
      </div>
      {selected !== null && <Detail key={selected} id={selected} changed={refresh} />}
    </div>
  );
}

function Total({ page }: { page: AlertPage | null }): JSX.Element | null {
  if (page?.total === undefined) return null;
  const about = page.total_exact === false ? "at least " : "";
  return (
    <span class="muted">
      {about}
      {count(page.total)} found
    </span>
  );
}

function Exports({ query }: { query: URLSearchParams }): JSX.Element {
  const path = (format: string) => {
    const search = new URLSearchParams(query);
    search.delete("cursor");
    search.set("format", format);
    return `/api/alerts/export?${search.toString()}`;
  };
  return (
    <span class="buttons">
      <a class="button" href={path("csv")} download>
        Export CSV
      </a>
      <a class="button" href={path("json")} download>
        JSON
      </a>
    </span>
  );
}

function Nothing({ filtered }: { filtered: boolean }): JSX.Element {
  if (filtered) {
    return (
      <Empty title="Nothing matches">
        <p>
          Remove a filter or choose a longer period. <a href="/alerts">Show all alerts</a>
        </p>
      </Empty>
    );
  }
  return (
    <Empty title="No alerts yet">
      <p>
        An alert appears when the traffic of a host looks like exfiltration. To try it, upload a{" "}
        <a href="/captures">capture</a> or <a href="/record">check a record</a>.
      </p>
    </Empty>
  );
}

/**
 * What is listed is changed in place. What is new does not push the list away under one's hands; it
 * is counted, and shown when asked for.
 */
function useFresh(list: Resource<AlertPage>): { count: number; clear: () => void } {
  const [waiting, setWaiting] = useState<ReadonlySet<string>>(new Set());
  const { value, replace } = list;
  useEffect(
    () =>
      onAlert((alert) => {
        if (value?.items.some((one) => one.id === alert.id) === true) {
          replace({
            ...value,
            items: value.items.map((one) => (one.id === alert.id ? alert : one)),
          });
        } else {
          setWaiting((known) => new Set(known).add(alert.id));
        }
      }),
    [value, replace],
  );
  return { count: waiting.size, clear: () => setWaiting(new Set()) };
}
