// Asks what of an alert is to be blocked, and for how long.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { blockAlert, type AlertDetail, type BlockWish } from "../../api/alerts";
import { changed as tell } from "../../api/events";
import { releaseBlock } from "../../api/response";
import { endpoint } from "../../parts/address";
import { DialogForm } from "../../parts/dialogs";
import { Checkbox, Select, timeChoices } from "../../parts/fields";
import { notify } from "../../parts/toasts";
import { BLOCK_TIMES } from "../../words/names";

type What = BlockWish["what"];

const CONFIRM_SECS = 60;

export function BlockDialog({
  alert,
  changed,
}: {
  alert: AlertDetail;
  changed: () => void;
}): JSX.Element {
  const [what, setWhat] = useState<What>("pair");
  const [secs, setSecs] = useState(String(BLOCK_TIMES[0]![0]));
  const [careful, setCareful] = useState(false);
  const words = inWords(alert);
  const time = BLOCK_TIMES.find(([one]) => String(one) === secs)?.[1] ?? `${secs} s`;
  const run = async () => {
    const { block } = await blockAlert(alert.id, {
      what,
      ttl_secs: Number(secs),
      confirm_within_secs: careful ? CONFIRM_SECS : undefined,
    });
    tell("blocks");
    notify({
      text: `Blocked for ${time}: ${block.target}`,
      undo: () => releaseBlock(block.number).then(changed),
    });
    changed();
  };
  return (
    <DialogForm title="Block" verb={`Block for ${time}`} danger run={run}>
      <Select
        label="What is cut off"
        name="what"
        value={what}
        onValue={(value) => setWhat(value as What)}
        choices={(Object.keys(words) as What[]).map((key) => [key, words[key].title])}
      />
      <Select
        label="For how long"
        name="ttl_secs"
        value={secs}
        onValue={setSecs}
        choices={timeChoices(BLOCK_TIMES)}
      />
      <p>
        <bdi>{words[what].effect}</bdi> The block ends by itself after {time}, also when the agent
        is gone.
      </p>
      <Checkbox
        label={`Undo it after ${CONFIRM_SECS} s unless I confirm`}
        checked={careful}
        onValue={setCareful}
      />
    </DialogForm>
  );
}

function inWords(alert: AlertDetail): Record<What, { title: string; effect: string }> {
  const { src, dst, dst_port: port, protocol } = alert;
  return {
    pair: {
      title: "Everything between the two",
      effect: `Nothing passes between ${src} and ${dst} any more; both keep their other connections.`,
    },
    flow: {
      title: "This connection only",
      effect: `This ${protocol} connection of ${src} to ${endpoint(dst, port)} is dropped; a new one passes.`,
    },
    service: {
      title: "The destination's port, for everybody",
      effect: `Nobody at home reaches ${endpoint(dst, port)} any more.`,
    },
    destination: {
      title: "The destination, for everybody",
      effect: `Nobody at home reaches ${dst} any more.`,
    },
    host: {
      title: "The whole host",
      effect: `${src} is cut off from everything: it neither sends nor receives.`,
    },
  };
}
