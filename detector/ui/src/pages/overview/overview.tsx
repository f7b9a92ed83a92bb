// The first screen. It answers, without a click: is anything leaving, are we seeing everything, are
// we blocking. Below that, what the answers rest on.
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import type { Status } from "../../api-types";
import { status } from "../../api/events";
import { query } from "../../api/request";
import { useResource } from "../../api/resource";
import { queried } from "../../navigation";
import { PageHead } from "../../parts/panels";
import { rangeOf, RangeLinks } from "../../parts/ranges";
import { plural } from "../../words/amounts";
import { rfc3339 } from "../../words/times";
import { Answers } from "./answers";
import { ProbabilityChart, RateChart } from "./charts";
import { Unexplained } from "./outbound";
import { OpenAlerts, Talks, Top } from "./ranks";

export function Overview(): JSX.Element {
  // The stream brings the state each second; this is for the moment before its first word.
  const first = useResource<Status>("/api/status");
  const state = status.value ?? first.value;
  const range = rangeOf(queried("range") || "24h");
  // One beginning for all that is shown, moved on once a minute.
  const minute = Math.floor(Date.now() / 60_000);
  const from = useMemo(() => rfc3339(minute * 60_000 - range.secs * 1_000), [minute, range.secs]);
  return (
    <>
      <PageHead title="Overview">
        <Learning state={state} />
        <RangeLinks current={range.name} />
      </PageHead>
      <Answers state={state} problem={state === null ? first.problem : null} />
      <div class="grid two">
        <RateChart range={range} state={state} />
        <ProbabilityChart range={range} />
      </div>
      <div class="grid two">
        <OpenAlerts />
        <Unexplained state={state} />
        <Talks path={`/api/talks${query({ from, limit: 8 })}`} />
        <Top
          title="Top talkers"
          by="sources"
          path={`/api/top${query({ by: "sources", from, limit: 8 })}`}
        />
        <Top
          title="Top destinations"
          by="destinations"
          path={`/api/top${query({ by: "destinations", from, limit: 8 })}`}
        />
      </div>
    </>
  );
}

function Learning({ state }: { state: Status | null }): JSX.Element {
  const { ready = 0, learning = 0 } = state?.baselines ?? {};
  const words = state?.learning ?? (ready > 0 ? `${plural(ready, "baseline")} ready` : "");
  const title = `Baselines of hosts: ${ready} ready, ${learning} learning`;
  return (
    <span class="muted" title={title}>
      {words}
    </span>
  );
}
