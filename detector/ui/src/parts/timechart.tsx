// Values over time, by uPlot: a crosshair with values by pointer or arrow keys, and the newest
// values where nobody points. The chart is drawn anew for another theme, zone or set of series;
// new values alone only replace the old ones.
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { absolute, zone } from "../words/times";
import type { Span } from "./steps";
import { colour, dark } from "./theme";

export interface Line {
  label: string;
  /** A colour of the theme. */
  tint: string;
  /** A dashed line tells apart what colour alone would not. */
  dashed?: boolean;
  filled?: boolean;
  values: (number | null)[];
}

interface Props {
  label: string;
  /** Milliseconds. */
  times: number[];
  lines: Line[];
  format: (value: number) => string;
  height?: number;
  /** What is shown, also where nothing is known of a part of it. */
  span: Span;
  /** The axis' lowest and highest value; otherwise 0 and what is there. */
  range?: [number, number];
  /** A level to compare with, such as the threshold. */
  level?: { value: number; label: string };
}

export function TimeChart(props: Props): JSX.Element {
  const { label, times, lines, format, height = 180 } = props;
  const frame = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const [pointed, setPointed] = useState<number | null>(null);
  const shape = lines.map((line) => line.label).join("|");
  const points = useMemo(() => toPoints(times, lines), [times, lines]);
  const latest = useRef(points);
  latest.current = points;

  useEffect(() => {
    const element = frame.current!;
    const options = optionsOf(props, element.clientWidth, setPointed);
    const made = new uPlot(options, latest.current, element);
    chart.current = made;
    const watcher = new ResizeObserver(() => {
      made.setSize({ width: element.clientWidth, height });
    });
    watcher.observe(element);
    return () => {
      watcher.disconnect();
      made.destroy();
    };
  }, [shape, dark.value, zone.value, height, props.level?.value]);

  const [from, to] = props.span;
  useEffect(() => {
    chart.current?.setScale("x", { min: from / 1_000, max: to / 1_000 });
  }, [from, to, points]);

  // The scale is that of the span, not that of the values.
  useEffect(() => chart.current?.setData(points, false), [points]);

  const at = pointed ?? lastFilled(lines, times.length);
  return (
    <figure class="chart">
      <Readout times={times} lines={lines} at={at} format={format} pointed={pointed !== null} />
      <div
        ref={frame}
        class="chart-frame"
        role="img"
        tabIndex={0}
        aria-label={`${label}. ${sentence(lines, at, format)} Arrow keys move the crosshair.`}
        onKeyDown={(event) => step(event, chart.current, pointed, times.length)}
        onBlur={() => chart.current?.setCursor({ left: -10, top: -10 })}
      />
    </figure>
  );
}

function Readout({
  times,
  lines,
  at,
  format,
  pointed,
}: {
  times: number[];
  lines: Line[];
  at: number;
  format: (value: number) => string;
  pointed: boolean;
}): JSX.Element {
  const time = times[at];
  return (
    <figcaption class={pointed ? "readout pointed" : "readout"}>
      {lines.map((line) => (
        <span key={line.label} class="readout-value">
          <Swatch line={line} />
          {line.label} <b>{valueAt(line, at, format)}</b>
        </span>
      ))}
      <span class="readout-time">{time === undefined ? "" : absolute(time, "short")}</span>
    </figcaption>
  );
}

function Swatch({ line }: { line: Line }): JSX.Element {
  return (
    <svg class="swatch" viewBox="0 0 18 6" aria-hidden="true">
      <line
        x1="0"
        x2="18"
        y1="3"
        y2="3"
        style={{ stroke: `var(--${line.tint})` }}
        stroke-width="3"
        stroke-dasharray={line.dashed === true ? "5 3" : undefined}
      />
    </svg>
  );
}

function valueAt(line: Line, at: number, format: (value: number) => string): string {
  const value = line.values[at];
  return value === null || value === undefined ? "–" : format(value);
}

const sentence = (lines: Line[], at: number, format: (value: number) => string): string =>
  lines.map((line) => `${line.label} ${valueAt(line, at, format)}.`).join(" ");

function lastFilled(lines: Line[], length: number): number {
  for (let at = length - 1; at >= 0; at -= 1) {
    if (lines.some((line) => (line.values[at] ?? null) !== null)) return at;
  }
  return length - 1;
}

function step(event: KeyboardEvent, chart: uPlot | null, pointed: number | null, length: number) {
  if (chart === null || (event.key !== "ArrowLeft" && event.key !== "ArrowRight")) return;
  event.preventDefault();
  const by = event.key === "ArrowLeft" ? -1 : 1;
  const at = Math.max(0, Math.min(length - 1, (pointed ?? length) + by));
  chart.setCursor({ left: chart.valToPos(chart.data[0][at]!, "x"), top: 1 });
}

const toPoints = (times: number[], lines: Line[]): uPlot.AlignedData => [
  times.map((ms) => ms / 1_000),
  ...lines.map((line) => line.values),
];

function optionsOf(props: Props, width: number, point: (at: number | null) => void): uPlot.Options {
  const { lines, height = 180, format, range, span } = props;
  const axis = {
    stroke: colour("muted"),
    grid: { stroke: colour("line"), width: 1 },
    ticks: { show: false },
    font: "12px system-ui, sans-serif",
  };
  return {
    width,
    height,
    legend: { show: false },
    cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } },
    tzDate: (seconds) =>
      zone.value === "utc"
        ? uPlot.tzDate(new Date(seconds * 1e3), "Etc/UTC")
        : new Date(seconds * 1e3),
    scales: {
      x: { min: span[0] / 1_000, max: span[1] / 1_000 },
      y: { range: (_, low, high) => range ?? spread(low, high) },
    },
    axes: [
      { ...axis, size: 40, values: CLOCK_LABELS },
      { ...axis, size: 68, values: (_, marks) => marks.map((mark) => format(mark)) },
    ],
    series: [{}, ...lines.map(seriesOf)],
    hooks: {
      setCursor: [(chart) => point(chart.cursor.idx ?? null)],
      draw: [(chart) => drawLevel(chart, props.level)],
    },
  };
}

// uPlot's own labels are in twelve hours.
const CLOCK_LABELS: uPlot.Axis.Values = [
  [86_400, "{D} {MMM}", null, null, null, null, null, null, 1],
  [3_600, "{HH}:{mm}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
  [60, "{HH}:{mm}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
];

const seriesOf = (line: Line): uPlot.Series => ({
  label: line.label,
  stroke: colour(line.tint),
  width: 1.5,
  dash: line.dashed === true ? [6, 4] : undefined,
  fill: line.filled === true ? colour(`${line.tint}-soft`) : undefined,
  points: { show: true, size: 5, filter: alone },
});

/** A value between two gaps makes no line: it is a dot. */
function alone(chart: uPlot, series: number): number[] {
  const values = chart.data[series] ?? [];
  const none = (at: number) => (values[at] ?? null) === null;
  return Array.from(values.keys()).filter((at) => !none(at) && none(at - 1) && none(at + 1));
}

// From zero, with a little air; a chart without traffic still has an axis.
const spread = (_low: number | null, high: number | null): [number, number] => [
  0,
  high === null || high <= 0 ? 1 : high * 1.08,
];

function drawLevel(chart: uPlot, level: Props["level"]): void {
  if (level === undefined) return;
  const { ctx, bbox } = chart;
  const y = chart.valToPos(level.value, "y", true);
  ctx.save();
  ctx.strokeStyle = colour("muted");
  ctx.setLineDash([2, 4]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.fillStyle = colour("muted");
  ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
  ctx.fillText(level.label, bbox.left + 6, y - 5);
  ctx.restore();
}
