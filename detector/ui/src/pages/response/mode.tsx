// How far the agent's own blocks go. Another mode is asked for twice, and may be had on trial.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { ModeName, ModeState } from "../../api-types";
import { changed } from "../../api/events";
import { useResource } from "../../api/resource";
import { setMode } from "../../api/response";
import { ActionButton, Lacking } from "../../parts/action";
import { DialogForm, showDialog } from "../../parts/dialogs";
import { Checkbox } from "../../parts/fields";
import { Loaded, Panel } from "../../parts/panels";
import { Time } from "../../parts/time";
import { notify } from "../../parts/toasts";
import { MODE_TEXT } from "../../words/names";

const TRIAL_SECS = 60;
const MODES: readonly ModeName[] = ["observe", "simulate", "block"];

export function ModePanel(): JSX.Element {
  const state = useResource<ModeState>("/api/mode", { on: ["mode"] });
  return (
    <Panel title="Mode" aside={<Lacking scope="admin" />}>
      <div class="panel-body">
        <Loaded from={state} rows={2}>
          {(value) => (
            <>
              <div class="modes">
                {MODES.map((mode) => (
                  <Choice key={mode} mode={mode} state={value} />
                ))}
              </div>
              <p class="hint">
                In this mode since <Time at={value.since} />. Blocks by hand are active in every
                mode.
                {value.pending !== null &&
                  ` Returns to ${value.pending.returns_to} unless you confirm it.`}
              </p>
            </>
          )}
        </Loaded>
      </div>
    </Panel>
  );
}

function Choice({ mode, state }: { mode: ModeName; state: ModeState }): JSX.Element {
  const { title, text } = MODE_TEXT[mode];
  const current = mode === state.mode;
  return (
    <div class={current ? "mode current" : "mode"} aria-current={current ? "true" : undefined}>
      <h3>{title}</h3>
      <p class="hint">{text}</p>
      {current ? (
        <p class="mode-now">Active</p>
      ) : (
        <ActionButton
          scope="admin"
          look={mode === "block" ? "danger" : "plain"}
          run={() => showDialog(<ModeDialog mode={mode} from={state.mode} />)}
        >
          Change to {mode} …
        </ActionButton>
      )}
    </div>
  );
}

const CONSEQUENCE: Record<ModeName, string> = {
  observe: "The agent removes its own blocks. It still alerts and notifies.",
  simulate: "The agent counts the packets that its blocks would drop, and drops none.",
  block:
    "From the next alert on, the agent blocks. Each block expires, and exceptions are never blocked. Simulated blocks become real with the next score of their session.",
};

function ModeDialog({ mode, from }: { mode: ModeName; from: ModeName }): JSX.Element {
  const [trial, setTrial] = useState(mode === "block");
  const run = async () => {
    await setMode(mode, trial ? TRIAL_SECS : undefined);
    changed("mode", "blocks");
    notify({
      text: `The mode is ${mode}`,
      undo: () => setMode(from).then(() => changed("mode", "blocks")),
    });
  };
  return (
    <DialogForm
      title={`Change the mode to ${mode}`}
      verb={`Change to ${mode}`}
      danger={mode === "block"}
      run={run}
    >
      <p>{CONSEQUENCE[mode]}</p>
      <Checkbox
        label={`Return to ${from} after ${TRIAL_SECS} s unless I confirm`}
        checked={trial}
        onValue={setTrial}
      />
    </DialogForm>
  );
}
