// Asks for the target and the duration of a block.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { AlertDetail, BlockedWhat } from "../../api-types";
import { blockAlert } from "../../api/alerts";
import { changed as invalidate } from "../../api/events";
import { removeBlock } from "../../api/response";
import { endpoint } from "../../parts/address";
import { DialogForm } from "../../parts/dialogs";
import { Checkbox, Select, timeChoices } from "../../parts/fields";
import { useBlockTimes } from "../../parts/blocktimes";
import { notify } from "../../parts/toasts";

const CONFIRM_SECS = 60;

export function BlockDialog({
  alert,
  changed,
}: {
  alert: AlertDetail;
  changed: () => void;
}): JSX.Element {
  const [what, setWhat] = useState<BlockedWhat>("pair");
  const times = useBlockTimes();
  const [secs, setSecs] = useState(String(times[0]![0]));
  const [careful, setCareful] = useState(false);
  const words = inWords(alert);
  const time = times.find(([one]) => String(one) === secs)?.[1] ?? `${secs} s`;
  // What has no ports, such as ICMP, has no service to block.
  const kinds = (Object.keys(words) as BlockedWhat[]).filter(
    (key) => key !== "service" || alert.dst_port !== null,
  );
  const run = async () => {
    const { block } = await blockAlert(alert.id, {
      what,
      ttl_secs: Number(secs),
      confirm_within_secs: careful ? CONFIRM_SECS : undefined,
    });
    invalidate("blocks");
    notify({
      text: `Blocked for ${time}: ${block.target}`,
      undo: () => removeBlock(block.number).then(changed),
    });
    changed();
  };
  return (
    <DialogForm title="Block" verb={`Block for ${time}`} danger run={run}>
      <Select
        label="Target"
        name="what"
        value={what}
        onValue={(value) => setWhat(value as BlockedWhat)}
        choices={kinds.map((key) => [key, words[key].title])}
      />
      <Select
        label="Duration"
        name="ttl_secs"
        value={secs}
        onValue={setSecs}
        choices={timeChoices(times)}
      />
      <p>
        <bdi>{words[what].effect}</bdi> The block expires after {time}, even when the agent is gone.
      </p>
      <Checkbox
        label={`Undo after ${CONFIRM_SECS} s unless I confirm`}
        checked={careful}
        onValue={setCareful}
      />
    </DialogForm>
  );
}

function inWords(alert: AlertDetail): Record<BlockedWhat, { title: string; effect: string }> {
  const { src, dst, dst_port: port } = alert;
  return {
    pair: {
      title: "All traffic between the two hosts",
      effect: `The agent drops all traffic between ${src} and ${dst}. Their other connections continue.`,
    },
    service: {
      title: "The destination's port, for every host",
      effect: `No internal host can reach ${endpoint(dst, port)}.`,
    },
    destination: {
      title: "The destination, for every host",
      effect: `No internal host can reach ${dst}.`,
    },
    host: {
      title: "All traffic of the sender",
      effect: `The agent drops all traffic of ${src}, sent and received.`,
    },
  };
}
