// Blocks: what is cut off, for how long still, what it has stopped, and the way out.
import type { JSX } from "preact";
import type { BlockLine, EffectWanted } from "../api-types";
import { changed as tell, status } from "../api/events";
import { again, placeBlock, releaseBlock } from "../api/response";
import { bytes, count, duration, rate } from "../words/amounts";
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
    { title: "What", cell: (block) => <What block={block} /> },
    { title: "Still", number: true, cell: (block) => <Remaining block={block} /> },
    { title: "Stopped", number: true, cell: (block) => <Stopped block={block} /> },
    { title: "Why", wide: true, cell: (block) => <Why block={block} /> },
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
  if ("police" in of) return `held to ${rate(of.police.bytes_per_second)} outbound`;
  return `marked with DSCP ${of.mark.dscp}`;
}

/** Counts down by itself between two answers. */
function Remaining({ block }: { block: BlockLine }): JSX.Element {
  const ends = Date.parse(block.ends);
  const left = Number.isNaN(ends) ? block.remaining_secs : (ends - now.value) / 1_000;
  return <span title={block.ends}>{left <= 0 ? "ended" : duration(left)}</span>;
}

function Stopped({ block }: { block: BlockLine }): JSX.Element {
  return (
    <>
      <span title={`${count(block.bytes)} bytes`}>{bytes(block.bytes)}</span>
      <p class="hint">
        {count(block.packets)} packets
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
        {block.times > 1 && `, for the ${block.times}th time`}
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
    tell("blocks");
    changed?.();
  };
  const release = async () => {
    await releaseBlock(block.number);
    refresh();
    notify({
      text: `Released: ${block.target} passes again`,
      undo: () => placeBlock(again(block)).then(refresh),
    });
  };
  const gone = status.value?.mode === null ? "No agent is running here." : null;
  return (
    <span class="buttons end">
      <ActionButton
        scope="respond"
        unless={gone}
        run={() => verify(block)}
        label={`See whether ${block.target} holds`}
      >
        Verify
      </ActionButton>
      <ActionButton scope="respond" unless={gone} run={release} label={`Release ${block.target}`}>
        Release
      </ActionButton>
    </span>
  );
}
