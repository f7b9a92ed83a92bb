// A block that a person places: what, for how long, why, and with which effect.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { EffectWanted } from "../api-types";
import { changed } from "../api/events";
import type { Problem } from "../api/request";
import { placeBlock, releaseBlock } from "../api/response";
import { useBlockTimes } from "./blocktimes";
import { DialogForm } from "./dialogs";
import { Checkbox, Field, Select, timeChoices } from "./fields";
import { notify } from "./toasts";

const CONFIRM_SECS = 60;
const KINDS: Record<string, string> = {
  pair: "everything between the two",
  destination: "what anybody at home exchanges with it",
  service: "what anybody at home exchanges with this port",
  host: "everything of this host",
  flow: "this connection",
};

export function NewBlock({ target: given = "" }: { target?: string }): JSX.Element {
  const [target, setTarget] = useState(given);
  const times = useBlockTimes();
  const [secs, setSecs] = useState(String(times[0]![0]));
  const [kind, setKind] = useState("drop");
  const [bound, setBound] = useState("65536");
  const [reason, setReason] = useState("");
  const [simulate, setSimulate] = useState(false);
  const [careful, setCareful] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const time = times.find(([one]) => String(one) === secs)?.[1] ?? `${secs} s`;
  const run = async () => {
    const { block } = await placeBlock({
      target: target.trim(),
      ttl_secs: Number(secs),
      effect: effectOf(kind, bound),
      simulate,
      reason: reason.trim(),
      confirm_within_secs: careful ? CONFIRM_SECS : undefined,
    });
    changed("blocks");
    notify({
      text: `Blocked for ${time}: ${block.target}`,
      undo: () => releaseBlock(block.number).then(() => changed("blocks")),
    });
  };
  return (
    <DialogForm
      title="Block"
      verb={`${simulate ? "Count" : "Block"} for ${time}`}
      danger={!simulate}
      run={run}
      onProblem={setProblem}
    >
      <Field
        label="What"
        name="target"
        value={target}
        onValue={setTarget}
        problem={problem}
        placeholder="pair 10.0.0.7 192.0.2.1"
        hint="pair A B, destination A, service A:PORT, host A, or flow tcp A:PORT B:PORT"
        required
      />
      <div class="form-grid">
        <Select
          label="For how long"
          name="ttl_secs"
          value={secs}
          onValue={setSecs}
          choices={timeChoices(times)}
        />
        <Select
          label="Effect"
          name="effect"
          value={kind}
          onValue={setKind}
          choices={[
            ["drop", "drop"],
            ["police", "hold to a rate"],
          ]}
        />
        {kind === "police" && (
          <Field
            label="Bytes a second, outbound"
            name="bytes_per_second"
            type="number"
            value={bound}
            onValue={setBound}
            problem={problem}
          />
        )}
      </div>
      <Field
        label="Why"
        name="reason"
        value={reason}
        onValue={setReason}
        problem={problem}
        placeholder="Who asked for it"
        required
      />
      <Checkbox label="Only count what it would stop" checked={simulate} onValue={setSimulate} />
      <Checkbox
        label={`Undo it after ${CONFIRM_SECS} s unless I confirm`}
        checked={careful}
        onValue={setCareful}
      />
      <p>{consequence(target, time, kind, simulate)}</p>
    </DialogForm>
  );
}

const effectOf = (kind: string, bound: string): EffectWanted =>
  kind === "police" ? { police: { bytes_per_second: Number(bound) } } : "drop";

function consequence(target: string, time: string, kind: string, simulate: boolean): string {
  const what = KINDS[target.trim().split(" ")[0] ?? ""] ?? "what you name";
  if (simulate) return `For ${time}, ${what} is counted, and passes.`;
  const done = kind === "police" ? "is held to that rate" : "is dropped, both ways";
  return `For ${time}, ${what} ${done}. It ends by itself. What must never be cut off is refused.`;
}
