// The response: mode, blocks, exceptions, byte budgets, and who
// changed what.
import type { JSX } from "preact";
import type { BlockLine, BlockList } from "../../api-types";
import { changed, status } from "../../api/events";
import { useResource, type Resource } from "../../api/resource";
import { flushBlocks, addBlock, again } from "../../api/response";
import { ActionButton, Lacking } from "../../parts/action";
import { BlockTable } from "../../parts/blocks";
import { DialogForm, showDialog } from "../../parts/dialogs";
import { NewBlock } from "../../parts/newblock";
import { Empty, Loaded, PageHead, Panel, Waiting } from "../../parts/panels";
import { notify } from "../../parts/toasts";
import { plural } from "../../words/amounts";
import { AllowPanel } from "./allow";
import { Audit } from "./audit";
import { Budgets } from "./budgets";
import { ModePanel } from "./mode";

export function Response(): JSX.Element {
  const state = status.value;
  return (
    <>
      <PageHead title="Response">
        <Lacking scope="respond" />
      </PageHead>
      {state === null && (
        <section class="panel">
          <Waiting rows={8} />
        </section>
      )}
      {state !== null && state.mode === null && (
        <section class="panel">
          <Empty title="No agent is running here">
            <p>
              This store has no agent, so it has no mode and cannot block. Start one with{" "}
              <code>detector run</code>.
            </p>
          </Empty>
        </section>
      )}
      {state !== null && state.mode !== null && (
        <>
          <ModePanel />
          <Blocks />
          <AllowPanel />
          <Budgets />
        </>
      )}
      <Audit />
    </>
  );
}

function Blocks(): JSX.Element {
  const list: Resource<BlockList> = useResource("/api/blocks", {
    on: ["blocks"],
    everySecs: 5,
  });
  const blocks = list.value?.items ?? [];
  const tools = (
    <span class="buttons">
      {blocks.length > 1 && (
        <ActionButton scope="respond" run={() => showDialog(<Flush blocks={blocks} />)}>
          Unblock all …
        </ActionButton>
      )}
      <ActionButton scope="respond" look="danger" run={() => showDialog(<NewBlock />)}>
        Block …
      </ActionButton>
    </span>
  );
  return (
    <Panel title="Blocks" aside={tools}>
      <Loaded from={list} rows={3}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No active blocks">
              <p>Block from an alert, from the page of a host, or here. Every block expires.</p>
            </Empty>
          ) : (
            <BlockTable blocks={items} changed={list.reload} />
          )
        }
      </Loaded>
    </Panel>
  );
}

function Flush({ blocks }: { blocks: BlockLine[] }): JSX.Element {
  const run = async () => {
    await flushBlocks();
    changed("blocks");
    notify({ text: `${plural(blocks.length, "block")} removed`, undo: () => addAll(blocks) });
  };
  return (
    <DialogForm
      title="Unblock all"
      verb={`Remove ${plural(blocks.length, "block")}`}
      danger
      run={run}
    >
      <p>
        The traffic passes again at once. The agent does not block these targets again for a while.
      </p>
    </DialogForm>
  );
}

async function addAll(blocks: BlockLine[]): Promise<void> {
  for (const block of blocks) await addBlock(again(block));
  changed("blocks");
}
