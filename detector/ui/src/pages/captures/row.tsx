// One capture: what it is, how far it has come, what was found in it by which model.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Analysis, Capture, Model } from "../../api-types";
import { analyseAgain, cancelCapture, deleteCapture } from "../../api/captures";
import { to } from "../../navigation";
import { ActionButton } from "../../parts/action";
import { StateBadge, type Tone } from "../../parts/badges";
import { Track } from "../../parts/bars";
import { DialogForm, showDialog } from "../../parts/dialogs";
import { Select } from "../../parts/fields";
import { Time } from "../../parts/time";
import { notify } from "../../parts/toasts";
import { brief, bytes, percent, plural } from "../../words/amounts";

const TONES: Record<Capture["state"], Tone> = {
  uploading: "idle",
  queued: "idle",
  analysing: "idle",
  done: "good",
  failed: "bad",
  cancelled: "warning",
};

interface Props {
  capture: Capture;
  models: Model[];
  changed: () => void;
}

export function CaptureRow({ capture, models, changed }: Props): JSX.Element {
  const { id, name, state, progress, error } = capture;
  const busy = state === "uploading" || state === "queued" || state === "analysing";
  const whole = capture.analyses.find((one) => one.seconds !== null && one.error === null);
  return (
    <li class="capture" data-row tabIndex={-1}>
      <div class="capture-head">
        <bdi class="capture-name">{name}</bdi>
        <StateBadge tone={TONES[state]}>
          {busy && state !== "queued" ? `${state} ${percent(progress)}` : state}
        </StateBadge>
      </div>
      {busy && (
        <div
          role="progressbar"
          aria-label={`Analysis of ${name}`}
          aria-valuemin={0}
          aria-valuemax={100}
          aria-valuenow={Math.floor(progress * 100)}
        >
          <Track share={progress} />
        </div>
      )}
      {error !== null && capture.analyses[0]?.error !== error && (
        <p class="problem">
          <bdi>{error}</bdi>
        </p>
      )}
      <p class="hint">
        number {id}, {bytes(capture.bytes)}, uploaded <Time at={capture.uploaded} />
        {whole !== undefined && <Span of={whole} />}
      </p>
      {capture.analyses.length > 0 && <Analyses capture={capture} />}
      <Buttons capture={capture} models={models} changed={changed} busy={busy} />
    </li>
  );
}

/** How much there is in it, and when that was; every whole analysis finds the same. */
function Span({ of: { packets, flows, first_packet, last_packet } }: { of: Analysis }) {
  return (
    <>
      ; {plural(packets ?? 0, "packet")}, {plural(flows ?? 0, "flow")}
      {first_packet !== null && (
        <>
          , from <Time at={first_packet} exact />
        </>
      )}
      {last_packet !== null && (
        <>
          {" "}
          to <Time at={last_packet} exact />
        </>
      )}
    </>
  );
}

function Analyses({ capture }: { capture: Capture }): JSX.Element {
  return (
    <ul class="analyses">
      {capture.analyses.map((analysis) => (
        <li key={analysis.id}>
          <Found analysis={analysis} capture={capture.id} />
          <span class="muted">
            {" "}
            by model <span class="mono">{analysis.model}</span>, <Time at={analysis.started} />
            {analysis.seconds !== null && ` in ${brief(analysis.seconds)}`}
          </span>
        </li>
      ))}
    </ul>
  );
}

function Found({ analysis, capture }: { analysis: Analysis; capture: number }): JSX.Element {
  if (analysis.error !== null)
    return (
      <span class="problem">
        <bdi>{analysis.error}</bdi>
      </span>
    );
  if (analysis.alerts === null) return <span>in progress</span>;
  if (analysis.alerts === 0) return <span>no alert in {plural(analysis.flows ?? 0, "flow")}</span>;
  return (
    <a data-open href={to("/alerts", { capture })}>
      {plural(analysis.alerts, "alert")}
    </a>
  );
}

function Buttons({ capture, models, changed, busy }: Props & { busy: boolean }): JSX.Element {
  const { id, name, state } = capture;
  const cancel = async () => {
    await cancelCapture(id);
    notify({ text: `The analysis of ${name} is cancelled` });
    changed();
  };
  return (
    <div class="buttons">
      {busy ? (
        <ActionButton scope="respond" run={cancel}>
          Cancel
        </ActionButton>
      ) : (
        <ActionButton
          scope="respond"
          run={() =>
            showDialog(<AgainDialog capture={capture} models={models} changed={changed} />)
          }
        >
          Analyse again …
        </ActionButton>
      )}
      {state === "done" && (
        <>
          <a class="button" href={to("/alerts", { capture: id })}>
            Its alerts
          </a>
          <a class="button" href={`/api/captures/${id}/features`} download={`${name}.csv`}>
            Features (CSV)
          </a>
        </>
      )}
      {!busy && (
        <ActionButton
          scope="respond"
          look="danger"
          run={() => showDialog(<DeleteDialog capture={capture} changed={changed} />)}
        >
          Delete …
        </ActionButton>
      )}
    </div>
  );
}

function AgainDialog({ capture, models, changed }: Props): JSX.Element {
  const [model, setModel] = useState(models.find((one) => one.active)?.hash ?? "");
  const run = async () => {
    await analyseAgain(capture.id, model === "" ? undefined : model);
    notify({ text: `${capture.name} is analysed again` });
    changed();
  };
  return (
    <DialogForm title="Analyse again" verb="Analyse" run={run}>
      <Select
        label="With the model"
        name="model"
        value={model}
        onValue={setModel}
        choices={models.map((one) => [
          one.hash,
          `${one.name} ${one.hash}${one.active ? " (active)" : ""}`,
        ])}
      />
      <p>Earlier results stay. The new results are added.</p>
    </DialogForm>
  );
}

function DeleteDialog({ capture, changed }: Omit<Props, "models">): JSX.Element {
  const run = async () => {
    await deleteCapture(capture.id);
    notify({ text: `${capture.name} is deleted` });
    changed();
  };
  return (
    <DialogForm title="Delete the capture" verb="Delete" danger run={run}>
      <p>
        <bdi>{capture.name}</bdi> ({bytes(capture.bytes)}) is removed from the disk. You cannot undo
        this.
      </p>
    </DialogForm>
  );
}
