// Blocks: what is cut off, for how long still, what it has stopped, and the way out.
import type { JSX } from "preact";
import type { BlockLine, EffectWanted } from "../api-types";
import { changed as invalidate, status } from "../api/events";
import { again, addBlock, removeBlock } from "../api/response";
import { bytes, count, duration, plural, rate } from "../words/amounts";
import { now } from "../words/times";
import { ActionButton } from "./action";
import { Pivots } from "./address";
import { Table, type Column } from "./tables";
import { Time } from "./time";
import { notify } from "./toasts";
import { verify } from "./verify";

interface Props {
  blocks: BlockLine[];
  changed?: () => void;
}

export function BlockTable({ blocks, changed }: Props): JSX.Element {
  const columns: Column<BlockLine>[] = [
    { title: "Target", cell: (block) => <What block={block} /> },
    { title: "Expires in", number: true, cell: (block) => <Remaining block={block} /> },
    { title: "Blocked", number: true, cell: (block) => <Stopped block={block} /> },
    { title: "Reason", wide: true, cell: (block) => <Why block={block} /> },
    { title: "", cell: (block) => <Buttons block={block} changed={changed} /> },
  ];
  return <Table label="Blocks" columns={columns} rows={blocks} rowKey={(block) => block.number} />;
}

function What({ block }: { block: BlockLine }): JSX.Element {
  return (
    <>
      <Pivots text={block.target} />
      <p class="hint">
        {effect(block.effect)}, {block.state}
      </p>
    </>
  );
}

export function effect(of: EffectWanted): string {
  if (of === "drop") return "dropped";
  if ("police" in of) return `limited to ${rate(of.police.bytes_per_second)} outbound`;
  return `marked with DSCP ${of.mark.dscp}`;
}

/** Counts down by itself between two answers. */
function Remaining({ block }: { block: BlockLine }): JSX.Element {
  const ends = Date.parse(block.ends);
  const left = Number.isNaN(ends) ? block.remaining_secs : (ends - now.value) / 1_000;
  return <span title={block.ends}>{left <= 0 ? "expired" : duration(left)}</span>;
}

function Stopped({ block }: { block: BlockLine }): JSX.Element {
  return (
    <>
      <span title={`${count(block.bytes)} bytes`}>{bytes(block.bytes)}</span>
      <p class="hint">
        {plural(block.packets, "packet")}
        {block.last_hit !== null && (
          <>
            , <Time at={block.last_hit} />
          </>
        )}
      </p>
    </>
  );
}

function Why({ block }: { block: BlockLine }): JSX.Element {
  return (
    <>
      <bdi>{block.reason}</bdi>
      <p class="hint">
        by <bdi>{block.by}</bdi>, <Time at={block.placed} />
        {block.times > 1 && `, blocked ${plural(block.times, "time")}`}
        {block.alert !== null && (
          <>
            , <a href={`/alerts/${block.alert}`}>alert</a>
          </>
        )}
      </p>
    </>
  );
}

function Buttons({ block, changed }: { block: BlockLine; changed?: () => void }): JSX.Element {
  const refresh = () => {
    invalidate("blocks");
    changed?.();
  };
  const unblock = async () => {
    await removeBlock(block.number);
    refresh();
    notify({
      text: `Unblocked: ${block.target}`,
      undo: () => addBlock(again(block)).then(refresh),
    });
  };
  const gone =
    status.value?.mode === null ? "No agent is running here. Start one: detector run" : null;
  return (
    <span class="buttons end">
      <ActionButton
        scope="respond"
        unless={gone}
        run={() => verify(block)}
        label={`Verify the block of ${block.target}`}
      >
        Verify
      </ActionButton>
      <ActionButton scope="respond" unless={gone} run={unblock} label={`Unblock ${block.target}`}>
        Unblock
      </ActionButton>
    </span>
  );
}
