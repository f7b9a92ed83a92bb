// Byte budgets: the payload that a host can send to a destination before the kernel holds the rest.
import type { JSX } from "preact";
import type { BudgetLine, BudgetList } from "../../api-types";
import { useResource } from "../../api/resource";
import { raiseBudget } from "../../api/response";
import { ActionButton } from "../../parts/action";
import { Address } from "../../parts/address";
import { Empty, Loaded, Panel } from "../../parts/panels";
import { Table, type Column } from "../../parts/tables";
import { notify } from "../../parts/toasts";
import { bytes, count, duration } from "../../words/amounts";

const EVERY_SECS = 5;

export function Budgets(): JSX.Element {
  const list = useResource<BudgetList>("/api/budgets", { everySecs: EVERY_SECS });
  const columns: Column<BudgetLine>[] = [
    { title: "Host", cell: (line) => <Address address={line.home} /> },
    { title: "Destination", cell: (line) => <Address address={line.destination} /> },
    { title: "State", cell: (line) => line.state },
    {
      title: "Sent / limit",
      number: true,
      cell: (line) =>
        `${bytes(line.charged)} of ${line.limit === null ? "any" : bytes(line.limit)}`,
    },
    { title: "Held", number: true, wide: true, cell: (line) => <Held line={line} /> },
    { title: "", cell: (line) => <Raise line={line} done={list.reload} /> },
  ];
  return (
    <Panel title="Byte budgets">
      <Loaded from={list} rows={2}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No budgets">
              <p>
                With <code>[budget] bytes</code> set, the kernel holds payload to a new destination
                until the verdict.
              </p>
            </Empty>
          ) : (
            <Table
              label="Byte budgets"
              columns={columns}
              rows={items}
              rowKey={(line) => `${line.home} ${line.destination}`}
            />
          )
        }
      </Loaded>
    </Panel>
  );
}

function Held({ line }: { line: BudgetLine }): JSX.Element {
  if (line.held_secs === null) return <span class="muted">no</span>;
  return (
    <span title={`${count(line.held_packets)} packets`}>
      {bytes(line.held_bytes)} for {duration(line.held_secs)}
    </span>
  );
}

function Raise({ line, done }: { line: BudgetLine; done: () => void }): JSX.Element | null {
  if (line.limit === null) return null;
  const run = async () => {
    await raiseBudget(line.home, line.destination, null);
    notify({
      text: `No byte limit from ${line.home} to ${line.destination}`,
      undo: () => raiseBudget(line.home, line.destination, line.limit).then(done),
    });
    done();
  };
  return (
    <span class="buttons end">
      <ActionButton scope="respond" run={run}>
        Remove limit
      </ActionButton>
    </span>
  );
}
