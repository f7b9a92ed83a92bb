// How far back one looks. The choice stands in the URL.
import type { JSX } from "preact";
import { withQuery } from "../navigation";

export interface Range {
  name: string;
  secs: number;
  /** One point of a chart. */
  step: number;
}

export const RANGES: readonly [Range, ...Range[]] = [
  { name: "24h", secs: 86_400, step: 300 },
  { name: "1h", secs: 3_600, step: 60 },
  { name: "6h", secs: 21_600, step: 60 },
  { name: "7d", secs: 604_800, step: 1_800 },
];

const ORDER = ["1h", "6h", "24h", "7d"];

export const rangeOf = (name: string): Range =>
  RANGES.find((range) => range.name === name) ?? RANGES[0];

export function RangeLinks({ current }: { current: string }): JSX.Element {
  return (
    <nav class="segmented" aria-label="Time range">
      {ORDER.map((name) => (
        <a
          key={name}
          href={withQuery({ range: name })}
          aria-current={name === current ? "true" : undefined}
        >
          {name.replace(/(\d+)/, "$1 ")}
        </a>
      ))}
    </nav>
  );
}
