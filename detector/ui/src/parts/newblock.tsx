// The form of a block by hand: target, duration, effect and reason.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { EffectWanted } from "../api-types";
import { changed } from "../api/events";
import type { Problem } from "../api/request";
import { addBlock, removeBlock } from "../api/response";
import { useBlockTimes } from "./blocktimes";
import { DialogForm } from "./dialogs";
import { Checkbox, Field, Select, timeChoices } from "./fields";
import { notify } from "./toasts";

const CONFIRM_SECS = 60;
const KINDS: Record<string, string> = {
  pair: "all traffic between the two hosts",
  destination: "all traffic of internal hosts with the destination",
  service: "all traffic of internal hosts with this port",
  host: "all traffic of this host",
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
    const { block } = await addBlock({
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
      undo: () => removeBlock(block.number).then(() => changed("blocks")),
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
        label="Target"
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
          label="Duration"
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
            ["police", "limit the rate"],
          ]}
        />
        {kind === "police" && (
          <Field
            label="Bytes per second, outbound"
            name="bytes_per_second"
            type="number"
            value={bound}
            onValue={setBound}
            problem={problem}
          />
        )}
      </div>
      <Field
        label="Reason"
        name="reason"
        value={reason}
        onValue={setReason}
        problem={problem}
        placeholder="Ticket or person"
        required
      />
      <Checkbox label="Only count the packets" checked={simulate} onValue={setSimulate} />
      <Checkbox
        label={`Undo after ${CONFIRM_SECS} s unless I confirm`}
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
  const what = KINDS[target.trim().split(" ")[0] ?? ""] ?? "the target";
  if (simulate) return `The agent counts ${what} for ${time} and blocks nothing.`;
  const verb = kind === "police" ? "limits the rate of" : "drops";
  return `The agent ${verb} ${what} for ${time}. The block then expires. Exceptions are never blocked.`;
}
