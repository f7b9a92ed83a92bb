// The evidence of an alert: reasons, timeline, payload samples and feature vector.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { AlertDetail, Cell, PayloadSample, Point, Reason } from "../../api-types";
import { SeverityBadge } from "../../parts/badges";
import { ContributionBars } from "../../parts/bars";
import { Panel } from "../../parts/panels";
import { Time } from "../../parts/time";
import { bytes, score } from "../../words/amounts";

const RULE = "rule:";

export function Reasons({ alert }: { alert: AlertDetail }): JSX.Element {
  const reasons = alert.reasons ?? [];
  const rules = reasons.filter((reason) => reason.feature.startsWith(RULE));
  const columns = reasons.filter((reason) => !reason.feature.startsWith(RULE));
  return (
    <Panel
      title="Why"
      aside={
        columns.length > 0 && <span class="muted">right: exfiltration, left: ordinary traffic</span>
      }
    >
      <div class="panel-body stack">
        {rules.length > 0 && (
          <ul class="rule-reasons">
            {rules.map((rule) => (
              <li key={rule.feature}>
                <bdi>{rule.text}</bdi>
                <span class="muted">
                  {" "}
                  (rule {rule.feature.slice(RULE.length)}
                  {rule.value !== null && `, certainty ${score(rule.value)}`})
                </span>
              </li>
            ))}
          </ul>
        )}
        <ContributionBars
          parts={columns.map((reason) => ({
            key: reason.feature,
            text: reason.text,
            value: reason.contribution,
            amount: signed(reason.contribution),
            title: titled(reason),
          }))}
        />
      </div>
    </Panel>
  );
}

/** The column and what it held; a sum of several holds nothing. */
export const titled = ({ feature, value }: Reason): string =>
  value === null ? feature : `${feature} = ${value}`;

export const signed = (value: number): string =>
  `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;

export function Timeline({ moments }: { moments: Point[] }): JSX.Element {
  return (
    <ol class="timeline panel-body">
      {moments.map((moment) => (
        <li key={`${moment.time} ${moment.what}`} class="moment">
          <Time at={moment.time} exact />
          <b>{moment.what.replaceAll("_", " ")}</b>
          <span class="moment-facts">
            {bytes(moment.bytes_out)} out, {bytes(moment.bytes_in)} in, score {score(moment.score)}
          </span>
          <SeverityBadge severity={moment.severity} />
        </li>
      ))}
    </ol>
  );
}

export function PayloadSamples({ samples }: { samples: PayloadSample[] }): JSX.Element {
  return (
    <div class="panel-body stack">
      {samples.map((sample, at) => (
        <figure key={at}>
          <figcaption class="hint">
            {sample.direction === "out" ? "Sent" : "Received"}, {sample.bytes} bytes
          </figcaption>
          <pre class="hex" tabIndex={0}>
            {dump(sample.hex)}
          </pre>
        </figure>
      ))}
    </div>
  );
}

const WIDTH = 16;

/** Offset, bytes, and what of them is readable: the form that every analyst knows. */
function dump(hex: string): string {
  const octets = hex.match(/../g) ?? [];
  const lines: string[] = [];
  for (let at = 0; at < octets.length; at += WIDTH) {
    const row = octets.slice(at, at + WIDTH);
    const text = row.map((octet) => readable(parseInt(octet, 16))).join("");
    const offset = at.toString(16).padStart(4, "0");
    lines.push(`${offset}  ${row.join(" ").padEnd(WIDTH * 3 - 1)}  ${text}`);
  }
  return lines.join("\n");
}

const readable = (octet: number): string =>
  octet >= 0x20 && octet < 0x7f ? String.fromCharCode(octet) : ".";

export function Vector({ columns }: { columns: Cell[] }): JSX.Element {
  const [open, setOpen] = useState(false);
  return (
    <details class="panel" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary class="panel-head">
        <h2>All {columns.length} columns of the vector</h2>
      </summary>
      {open && (
        <dl class="vector panel-body">
          {columns.map((one) => (
            <div key={one.column}>
              <dt class="mono">{one.column}</dt>
              <dd class="number">{one.value}</dd>
              <dd class="muted">{one.meaning}</dd>
            </div>
          ))}
        </dl>
      )}
    </details>
  );
}
