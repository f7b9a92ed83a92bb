// Checks one line of a connection log: the nine fields of POST /predict, a verdict and what spoke
// for it. Nothing is stored.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { LogRecord, Prediction } from "../api-types";
import { post, type Problem } from "../api/request";
import { asProblem } from "../api/resource";
import { StateBadge } from "../parts/badges";
import { ContributionBars, Track } from "../parts/bars";
import { Field } from "../parts/fields";
import { PageHead, Panel } from "../parts/panels";
import { score } from "../words/amounts";
import { signed, titled } from "./alerts/evidence";

interface Input {
  name: keyof LogRecord;
  label: string;
  sample: string;
  number?: boolean;
  list?: readonly string[];
  hint?: string;
}

const INPUTS: readonly Input[] = [
  {
    name: "timestamp",
    label: "Time",
    sample: "2024-01-01T12:00:00Z",
    hint: "RFC 3339, or Unix seconds",
  },
  { name: "source_ip", label: "Source address", sample: "192.168.1.100" },
  { name: "destination_ip", label: "Destination address", sample: "10.0.0.1" },
  { name: "source_port", label: "Source port", sample: "12345", number: true },
  { name: "destination_port", label: "Destination port", sample: "80", number: true },
  {
    name: "protocol",
    label: "Protocol",
    sample: "TCP",
    list: ["TCP", "UDP", "HTTP", "HTTPS", "ICMP"],
  },
  { name: "bytes_sent", label: "Bytes sent", sample: "1500", number: true },
  { name: "bytes_received", label: "Bytes received", sample: "500", number: true },
  {
    name: "action",
    label: "Action",
    sample: "allow",
    list: ["allow", "deny", "drop"],
    hint: "of the firewall",
  },
];

const SAMPLE = Object.fromEntries(INPUTS.map(({ name, sample }) => [name, sample]));
const BLANK = Object.fromEntries(INPUTS.map(({ name }) => [name, ""]));

export function RecordPage(): JSX.Element {
  const [values, setValues] = useState<Record<string, string>>(BLANK);
  const [verdict, setVerdict] = useState<Prediction | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const check = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    try {
      setVerdict(await post<Prediction>("/predict?reasons=true", asRecord(values)));
      setProblem(null);
    } catch (error) {
      setVerdict(null);
      setProblem(asProblem(error));
    }
    setBusy(false);
  };
  const known = INPUTS.some(({ name }) => name === problem?.field);
  return (
    <>
      <PageHead title="Check a record">
        <span class="muted">one line of a firewall's or proxy's log</span>
      </PageHead>
      <div class="grid two">
        <Panel title="Record">
          <form class="panel-body stack" onSubmit={(event) => void check(event)}>
            <div class="form-grid">
              {INPUTS.map((input) => (
                <Field
                  key={input.name}
                  label={input.label}
                  name={input.name}
                  value={values[input.name] ?? ""}
                  placeholder={input.sample}
                  list={input.list}
                  hint={input.hint}
                  problem={problem}
                  onValue={(value) => setValues((last) => ({ ...last, [input.name]: value }))}
                />
              ))}
            </div>
            {problem !== null && !known && (
              <p class="problem" role="alert">
                {problem.message}
              </p>
            )}
            <div class="buttons">
              <button type="submit" class="button primary" disabled={busy}>
                {busy ? "Checking …" : "Check"}
              </button>
              <button type="button" class="button" onClick={() => setValues(SAMPLE)}>
                Fill in the sample
              </button>
              <button
                type="button"
                class="button"
                onClick={() => {
                  setValues(BLANK);
                  setVerdict(null);
                  setProblem(null);
                }}
              >
                Clear
              </button>
            </div>
          </form>
        </Panel>
        <Panel title="Verdict">
          <div class="panel-body" aria-live="polite">
            {verdict === null ? <Explained /> : <Shown verdict={verdict} />}
          </div>
        </Panel>
      </div>
    </>
  );
}

/** Digits become a number; anything else is sent as it was typed, for the server to check. */
function asRecord(values: Record<string, string>): Record<string, string | number> {
  const record: Record<string, string | number> = {};
  for (const { name, number } of INPUTS) {
    const text = (values[name] ?? "").trim();
    if (text === "") continue;
    record[name] = number === true && /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
  }
  return record;
}

function Explained(): JSX.Element {
  return (
    <div class="stack muted">
      <p>
        The model for log records scores the nine fields. It uses hours, ports, protocol, bytes and
        the firewall's action. It ignores addresses and dates.
      </p>
      <p>
        To check many records, send an array or NDJSON to <code>POST /predict</code>. To read whole
        logs, use <code>detector ingest</code>.
      </p>
    </div>
  );
}

function Shown({ verdict }: { verdict: Prediction }): JSX.Element {
  const flagged = verdict.prediction === 1;
  const limit = verdict.threshold ?? 0.5;
  return (
    <div class="stack">
      <p class="verdict">
        <StateBadge tone={flagged ? "bad" : "good"}>
          {flagged ? "exfiltration" : "ordinary traffic"}
        </StateBadge>
      </p>
      <p>
        Prediction <b>{verdict.prediction}</b>, probability{" "}
        <b title={String(verdict.probability)}>{score(verdict.probability)}</b>, threshold{" "}
        {score(limit)}.
      </p>
      <Track share={verdict.probability} tone={flagged ? "alarm" : ""} />
      {verdict.reasons !== undefined && verdict.reasons.length > 0 && (
        <>
          <h3>Why</h3>
          <ContributionBars
            parts={verdict.reasons.map((reason) => ({
              key: reason.feature,
              text: reason.text,
              value: reason.contribution,
              amount: signed(reason.contribution),
              title: titled(reason),
            }))}
          />
        </>
      )}
    </div>
  );
}
