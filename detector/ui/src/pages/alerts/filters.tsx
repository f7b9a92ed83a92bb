// The search: each field that an alert has. A value is taken over when it is entered, not with each
// letter; only the free text follows the typing.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ALERT_FILTERS, type AlertFilter } from "../../api/alerts";
import type { Problem } from "../../api/request";
import { go, place, queried, withQuery } from "../../navigation";
import { Select, wordsOf, type Choice } from "../../parts/fields";
import { TextField, TimeField } from "../../parts/filterfields";
import { Icon } from "../../parts/icons";
import {
  ACTIONS,
  ORIGINS,
  PROTOCOLS,
  SEVERITIES,
  STATUSES,
  TECHNIQUES,
  techniqueText,
} from "../../words/names";
import { absolute } from "../../words/times";

const WORDS: Record<AlertFilter, string> = {
  q: "Words",
  address: "Address",
  src: "Source",
  dst: "Destination",
  port: "Port",
  src_port: "Source port",
  dst_port: "Destination port",
  protocol: "Protocol",
  technique: "Technique",
  severity: "Severity",
  status: "Status",
  name: "Name",
  origin: "Origin",
  capture: "Capture",
  action: "Action",
  from: "From",
  to: "Until",
};

const TYPED: readonly [AlertFilter, string][] = [
  ["address", "10.0.0.7 or 10.0.0.0/8"],
  ["src", "10.0.0.7"],
  ["dst", "192.0.2.0/24"],
  ["port", "443"],
  ["src_port", "51234"],
  ["dst_port", "443"],
  ["name", "files.example.net"],
  ["capture", "1"],
];

const ANY: Choice = ["", "any"];
const CHOSEN: readonly [AlertFilter, Choice[]][] = [
  ["technique", [ANY, ...Object.entries(TECHNIQUES)]],
  ["protocol", [ANY, ...wordsOf(PROTOCOLS)]],
  ["origin", [ANY, ...wordsOf(ORIGINS)]],
  ["action", [ANY, ...wordsOf(ACTIONS)]],
];

export const activeFilters = (query: URLSearchParams): AlertFilter[] =>
  ALERT_FILTERS.filter((key) => query.has(key));

const set = (key: AlertFilter, value: string): void => go(withQuery({ [key]: value.trim() }));

export function Filters({ problem }: { problem: Problem | null }): JSX.Element {
  const { query } = place.value;
  const active = activeFilters(query);
  const more = active.some((key) => !["q", "status", "severity"].includes(key));
  return (
    <div class="filters">
      <div class="filter-bar">
        <FreeText />
        <Status />
        <Severities />
      </div>
      <details class="more" open={more || undefined}>
        <summary>More fields</summary>
        <div class="form-grid">
          {TYPED.map(([key, example]) => (
            <TextField
              key={key}
              field={{ name: key, label: WORDS[key], example }}
              problem={problem}
            />
          ))}
          {CHOSEN.map(([key, choices]) => (
            <Select
              key={key}
              label={WORDS[key]}
              name={key}
              value={queried(key)}
              choices={known(choices, queried(key))}
              onValue={(value) => set(key, value)}
            />
          ))}
          <TimeField field={{ name: "from", label: WORDS.from }} problem={problem} />
          <TimeField field={{ name: "to", label: WORDS.to }} problem={problem} />
        </div>
      </details>
      {active.length > 0 && <Active keys={active} />}
    </div>
  );
}

/** A value of the URL that is in no list, such as several at once, is kept as it is. */
const known = (choices: Choice[], value: string): Choice[] =>
  choices.some(([key]) => key === value) ? choices : [...choices, [value, value]];

const SETTLE_MS = 350;

function FreeText(): JSX.Element {
  const given = queried("q");
  const [text, setText] = useState(given);
  const timer = useRef(0);
  useEffect(() => setText(given), [given]);
  useEffect(() => () => window.clearTimeout(timer.current), []);
  const type = (value: string) => {
    setText(value);
    window.clearTimeout(timer.current);
    timer.current = window.setTimeout(() => {
      go(withQuery({ q: value.trim() }), { replace: true });
    }, SETTLE_MS);
  };
  return (
    <input
      class="free-text"
      type="search"
      name="q"
      data-search
      dir="auto"
      aria-label="Words in an alert"
      placeholder="Words: host, name, technique, note …"
      value={text}
      onInput={(event) => type(event.currentTarget.value)}
    />
  );
}

function Status(): JSX.Element {
  const current = queried("status");
  return (
    <div class="segmented" role="group" aria-label="Status">
      {["", ...STATUSES].map((status) => (
        <button
          key={status}
          type="button"
          aria-pressed={current === status}
          onClick={() => set("status", status)}
        >
          {status === "" ? "all" : status}
        </button>
      ))}
    </div>
  );
}

function Severities(): JSX.Element {
  const chosen = queried("severity").split(",").filter(Boolean);
  const toggle = (severity: string) => {
    const next = chosen.includes(severity)
      ? chosen.filter((one) => one !== severity)
      : [...chosen, severity];
    set("severity", next.join(","));
  };
  return (
    <div class="segmented" role="group" aria-label="Severity">
      {SEVERITIES.map((severity) => (
        <button
          key={severity}
          type="button"
          class="with-icon"
          aria-pressed={chosen.includes(severity)}
          onClick={() => toggle(severity)}
        >
          <Icon name={severity} />
          {severity}
        </button>
      ))}
    </div>
  );
}

function Active({ keys }: { keys: AlertFilter[] }): JSX.Element {
  return (
    <ul class="chips" aria-label="Active filters">
      {keys.map((key) => (
        <li key={key} class="chip">
          <span>
            {WORDS[key]}: <bdi>{shown(key, queried(key))}</bdi>
          </span>
          <a
            class="chip-remove"
            href={withQuery({ [key]: null })}
            aria-label={`Remove the filter ${WORDS[key]}`}
          >
            <Icon name="close" />
          </a>
        </li>
      ))}
      <li>
        <a href={withQuery(Object.fromEntries(keys.map((key) => [key, null])))}>Clear all</a>
      </li>
    </ul>
  );
}

function shown(key: AlertFilter, value: string): string {
  if (key === "technique") return techniqueText(value);
  const ms = key === "from" || key === "to" ? Date.parse(value) : NaN;
  return Number.isNaN(ms) ? value : absolute(ms, "minute");
}
