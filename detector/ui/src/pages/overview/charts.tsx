// Rates and threat probability over time, from the store, so that a reload or a restart loses
// nothing; the newest rate comes each second from the stream.
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { query } from "../../api/request";
import { useResource, type Resource } from "../../api/resource";
import type { Status } from "../../api/state";
import type { Traffic } from "../../api/traffic";
import { Loaded, Panel } from "../../parts/panels";
import type { Range } from "../../parts/ranges";
import { TimeChart } from "../../parts/timechart";
import { rate, score } from "../../words/amounts";
import { rfc3339 } from "../../words/times";

const DAY_SECS = 86_400;

function useTraffic(secs: number, step: number): Resource<Traffic> {
  const turn = Math.floor(Date.now() / 1_000 / step);
  const from = rfc3339((turn + 1) * step * 1_000 - secs * 1_000);
  return useResource<Traffic>(`/api/traffic${query({ from, step })}`, {
    everySecs: Math.max(10, Math.min(step, 60)),
  });
}

export function RateChart({ range, state }: { range: Range; state: Status | null }): JSX.Element {
  const traffic = useTraffic(range.secs, range.step);
  const now =
    state === null || !state.capturing ? null : (
      <span class="live-rates">
        now <b>{rate(state.rates.bytes_out)}</b> out, <b>{rate(state.rates.bytes_in)}</b> in
      </span>
    );
  return (
    <Panel title="Traffic" aside={now} class="chart-panel">
      <Loaded from={traffic} rows={6}>
        {(value) => <Rates traffic={value} />}
      </Loaded>
    </Panel>
  );
}

function Rates({ traffic }: { traffic: Traffic }): JSX.Element {
  const { times, lines } = useMemo(() => {
    const { points, step_secs } = traffic;
    return {
      times: points.map((point) => Date.parse(point.time)),
      lines: [
        {
          label: "Outbound",
          tint: "accent",
          filled: true,
          values: points.map((p) => p.bytes_out / step_secs),
        },
        {
          label: "Inbound",
          tint: "second",
          dashed: true,
          values: points.map((p) => p.bytes_in / step_secs),
        },
      ],
    };
  }, [traffic]);
  if (times.length === 0) return <p class="chart-empty">No traffic has been seen in this time.</p>;
  return <TimeChart label="Traffic over time" times={times} lines={lines} format={rate} />;
}

export function ProbabilityChart({ range }: { range: Range }): JSX.Element {
  const secs = Math.max(range.secs, DAY_SECS);
  const traffic = useTraffic(secs, secs === DAY_SECS ? 300 : range.step);
  return (
    <Panel
      title="Threat probability"
      aside={<span class="muted">{secs === DAY_SECS ? "24 h" : "7 d"}</span>}
      class="chart-panel"
    >
      <Loaded from={traffic} rows={6}>
        {(value) => <Probabilities traffic={value} />}
      </Loaded>
    </Panel>
  );
}

function Probabilities({ traffic }: { traffic: Traffic }): JSX.Element {
  const { times, lines, scored } = useMemo(() => {
    const { points } = traffic;
    return {
      times: points.map((point) => Date.parse(point.time)),
      lines: [
        { label: "Highest", tint: "alarm", values: points.map((point) => point.probability_max) },
        {
          label: "Mean",
          tint: "accent",
          dashed: true,
          values: points.map((point) => point.probability_mean),
        },
      ],
      scored: points.reduce((sum, point) => sum + point.scored, 0),
    };
  }, [traffic]);
  if (scored === 0) {
    return (
      <p class="chart-empty">
        Nothing has been judged in this time: a session is judged from its seventh packet on.
      </p>
    );
  }
  return (
    <TimeChart
      label="Threat probability over time"
      times={times}
      lines={lines}
      format={score}
      range={[0, 1]}
    />
  );
}
