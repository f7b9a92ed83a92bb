// Rates and threat probability over time, from the store, so that a reload or a restart loses
// nothing; the newest rate comes each second from the stream.
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import type { Curve, Status, TrafficPoint } from "../../api-types";
import { query } from "../../api/request";
import { useResource, type Resource } from "../../api/resource";
import { Loaded, Panel } from "../../parts/panels";
import type { Range } from "../../parts/ranges";
import { secsOf, withGaps, type Span } from "../../parts/steps";
import { TimeChart } from "../../parts/timechart";
import { rate, score } from "../../words/amounts";
import { rfc3339 } from "../../words/times";

const DAY_SECS = 86_400;

const EVERY_SECS = 30;

function useTraffic(secs: number, step: number): { traffic: Resource<Curve>; span: Span } {
  const turn = Math.floor(Date.now() / 1_000 / step) + 1;
  const span = useMemo(
    (): Span => [(turn * step - secs) * 1_000, turn * step * 1_000],
    [turn, step, secs],
  );
  const from = rfc3339(span[0]);
  const traffic = useResource<Curve>(`/api/traffic${query({ from, step })}`, {
    everySecs: EVERY_SECS,
  });
  return { traffic, span };
}

export function RateChart({ range, state }: { range: Range; state: Status | null }): JSX.Element {
  const { traffic, span } = useTraffic(range.secs, range.step);
  const now =
    state === null || !state.capturing ? null : (
      <span class="live-rates">
        now <b>{rate(state.rates.bytes_out)}</b> out, <b>{rate(state.rates.bytes_in)}</b> in
      </span>
    );
  return (
    <Panel title="Traffic" aside={now} class="chart-panel">
      <Loaded from={traffic} rows={6}>
        {(value) => <Rates traffic={value} span={span} />}
      </Loaded>
    </Panel>
  );
}

interface CurveProps {
  traffic: Curve;
  span: Span;
}

function Rates({ traffic: { points, step_secs }, span }: CurveProps): JSX.Element {
  const { times, lines } = useMemo(() => {
    const { times, values } = withGaps(points, step_secs);
    const rates = (bytes: (point: TrafficPoint) => number) =>
      values.map((point) => point && bytes(point) / secsOf(point.time, step_secs));
    return {
      times,
      lines: [
        {
          label: "Outbound",
          tint: "accent",
          filled: true,
          values: rates((point) => point.bytes_out),
        },
        {
          label: "Inbound",
          tint: "second",
          dashed: true,
          values: rates((point) => point.bytes_in),
        },
      ],
    };
  }, [points, step_secs]);
  if (times.length === 0) return <p class="chart-empty">No traffic in this period.</p>;
  return (
    <TimeChart label="Traffic over time" times={times} lines={lines} format={rate} span={span} />
  );
}

export function ProbabilityChart({ range }: { range: Range }): JSX.Element {
  const secs = Math.max(range.secs, DAY_SECS);
  const { traffic, span } = useTraffic(secs, secs === DAY_SECS ? 300 : range.step);
  return (
    <Panel
      title="Threat probability"
      aside={<span class="muted">{secs === DAY_SECS ? "24 h" : "7 d"}</span>}
      class="chart-panel"
    >
      <Loaded from={traffic} rows={6}>
        {(value) => <Probabilities traffic={value} span={span} />}
      </Loaded>
    </Panel>
  );
}

function Probabilities({ traffic: { points, step_secs }, span }: CurveProps): JSX.Element {
  const { times, lines, scored } = useMemo(() => {
    const { times, values } = withGaps(points, step_secs);
    return {
      times,
      lines: [
        {
          label: "Highest",
          tint: "alarm",
          values: values.map((point) => point && point.probability_max),
        },
        {
          label: "Mean",
          tint: "accent",
          dashed: true,
          values: values.map((point) => point && point.probability_mean),
        },
      ],
      scored: points.reduce((sum, point) => sum + point.scored, 0),
    };
  }, [points, step_secs]);
  if (scored === 0) {
    return (
      <p class="chart-empty">
        No session was scored in this period. A session is scored from its seventh packet.
      </p>
    );
  }
  return (
    <TimeChart
      label="Threat probability over time"
      times={times}
      lines={lines}
      format={score}
      span={span}
      range={[0, 1]}
    />
  );
}
