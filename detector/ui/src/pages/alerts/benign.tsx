// Marks the traffic of an alert as expected, by an exception that expires.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { AlertDetail, BenignScope } from "../../api-types";
import { BENIGN_SCOPES, markBenign } from "../../api/alerts";
import { changed as invalidate } from "../../api/events";
import { disallow } from "../../api/response";
import { endpoint } from "../../parts/address";
import { DialogForm } from "../../parts/dialogs";
import { Field, Select, timeChoices } from "../../parts/fields";
import { notify } from "../../parts/toasts";
import { ALLOW_TIMES } from "../../words/names";
import { restore } from "./list";

const DEFAULT_SECS = 2_592_000;

export function BenignDialog({
  alert,
  changed,
}: {
  alert: AlertDetail;
  changed: () => void;
}): JSX.Element {
  const name = alert.domain ?? alert.dst_name;
  const [scope, setScope] = useState<BenignScope>("pair");
  const [secs, setSecs] = useState(String(DEFAULT_SECS));
  const [note, setNote] = useState("");
  const time = ALLOW_TIMES.find(([one]) => String(one) === secs)?.[1] ?? `${secs} s`;
  const words: Record<BenignScope, string> = {
    pair: `traffic from ${alert.src} to ${alert.dst}`,
    service: `traffic from any host to ${endpoint(alert.dst, alert.dst_port)}`,
    destination: `traffic from any host to ${alert.dst}`,
    name: `traffic from any host to ${name ?? "a name"}`,
  };
  const run = async () => {
    const answer = await markBenign(alert.id, {
      scope,
      ttl_secs: Number(secs),
      note: note.trim() === "" ? undefined : note.trim(),
    });
    invalidate("allow", "alerts");
    notify({
      text: answer.text,
      undo: () => takeBack(alert, answer.allow?.id ?? null).then(changed),
    });
    changed();
  };
  const known = { pair: true, destination: true, name, service: alert.dst_port };
  const scopes = BENIGN_SCOPES.filter((one) => known[one] !== null);
  return (
    <DialogForm title="Expected traffic" verb={`Allow for ${time}`} run={run}>
      <Select
        label="Expected"
        name="scope"
        value={scope}
        onValue={(value) => setScope(value as BenignScope)}
        choices={scopes.map((one) => [one, words[one]])}
      />
      <Select
        label="Duration"
        name="ttl_secs"
        value={secs}
        onValue={setSecs}
        choices={timeChoices(ALLOW_TIMES)}
      />
      <Field
        label="Reason (optional)"
        name="note"
        value={note}
        onValue={setNote}
        placeholder="Nightly backup"
      />
      <p>
        This closes the alert as benign. For {time}, <bdi>{words[scope]}</bdi> raises no alert and
        is not blocked. The program keeps the feature vector as a benign sample for training.
      </p>
    </DialogForm>
  );
}

async function takeBack(alert: AlertDetail, entry: string | null): Promise<void> {
  if (entry !== null) await disallow(entry);
  await restore([alert]);
  invalidate("allow", "alerts");
}
