// The interfaces of this machine: which are watched, how, and what passes them.
import type { JSX } from "preact";
import { useMemo, useRef } from "preact/hooks";
import type { InterfaceLine, InterfaceList } from "../../api-types";
import { post } from "../../api/request";
import { useResource } from "../../api/resource";
import { ActionButton, Lacking } from "../../parts/action";
import { StateBadge } from "../../parts/badges";
import { DialogForm, showDialog } from "../../parts/dialogs";
import { Empty, Loaded, Panel } from "../../parts/panels";
import { Table, type Column } from "../../parts/tables";
import { notify } from "../../parts/toasts";
import { bytes, count, percent, rate } from "../../words/amounts";

export function Interfaces({ everySecs }: { everySecs?: number }): JSX.Element {
  const list = useResource<InterfaceList>("/api/interfaces", { everySecs });
  const rates = useRates(list.value?.items ?? null);
  const rateOf = (one: InterfaceLine, way: keyof Rates) => {
    const known = rates.get(one.name);
    return one.attached && (known === undefined ? "–" : rate(known[way]));
  };
  const columns: Column<InterfaceLine>[] = [
    { title: "Interface", cell: (one) => <b class="mono">{one.name}</b> },
    {
      title: "State",
      cell: (one) => (
        <StateBadge tone={one.attached ? "good" : "idle"}>
          {one.attached ? "watched" : "not watched"}
        </StateBadge>
      ),
    },
    { title: "Attached as", wide: true, grow: true, cell: (one) => <Attached of={one} /> },
    { title: "Sent", number: true, cell: (one) => rateOf(one, "out") },
    { title: "Received", number: true, cell: (one) => rateOf(one, "in") },
    { title: "Seen", number: true, wide: true, cell: (one) => <Seen of={one} /> },
    { title: "Coverage", number: true, cell: (one) => <Coverage of={one} /> },
    { title: "", cell: (one) => <Switch of={one} reload={list.reload} /> },
  ];
  return (
    <Panel title="Interfaces" aside={<Lacking scope="admin" />}>
      <Loaded from={list} rows={3}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No interfaces" />
          ) : (
            <Table label="Interfaces" columns={columns} rows={items} rowKey={(one) => one.name} />
          )
        }
      </Loaded>
    </Panel>
  );
}

interface Rates {
  in: number;
  out: number;
}

/** Counters are answered: a rate is what they grew by since the look before. */
function useRates(items: InterfaceLine[] | null): Map<string, Rates> {
  const before = useRef<{ at: number; items: InterfaceLine[] } | null>(null);
  return useMemo(() => {
    const rates = new Map<string, Rates>();
    if (items === null) return rates;
    const now = performance.now();
    const last = before.current;
    before.current = { at: now, items };
    const secs = last === null ? 0 : (now - last.at) / 1_000;
    if (last === null || secs <= 0) return rates;
    for (const one of items) {
      const then = last.items.find(({ name }) => name === one.name);
      // Counters begin again after a new attach.
      if (then === undefined || one.bytes_in < then.bytes_in || one.bytes_out < then.bytes_out)
        continue;
      rates.set(one.name, {
        in: (one.bytes_in - then.bytes_in) / secs,
        out: (one.bytes_out - then.bytes_out) / secs,
      });
    }
    return rates;
  }, [items]);
}

function Attached({ of: { attached, ingress, egress, notes } }: { of: InterfaceLine }) {
  if (!attached) return null;
  return (
    <>
      {ingress ?? "nothing"} in, {egress ?? "nothing"} out
      {notes.map((note) => (
        <p key={note} class="hint">
          <bdi>{note}</bdi>
        </p>
      ))}
    </>
  );
}

function Seen({ of: one }: { of: InterfaceLine }): JSX.Element | null {
  if (!one.attached) return null;
  const title = `${count(one.frames_in)} frames received, ${count(one.frames_out)} sent; ${bytes(one.skipped_bytes)} of them not IP`;
  return <span title={title}>{bytes(one.bytes_in + one.bytes_out)}</span>;
}

function Coverage({ of: one }: { of: InterfaceLine }): JSX.Element | null {
  const seen = one.bytes_in + one.bytes_out;
  if (!one.attached || seen === 0) return null;
  const missing = Math.abs(one.unaccounted_bytes);
  return <span title={`${count(missing)} bytes unaccounted`}>{percent(1 - missing / seen)}</span>;
}

function Switch({
  of: { name, attached },
  reload,
}: {
  of: InterfaceLine;
  reload: () => void;
}): JSX.Element {
  const change = async (verb: "attach" | "detach") => {
    await post(`/api/interfaces/${encodeURIComponent(name)}/${verb}`);
    reload();
  };
  const attach = async () => {
    await change("attach");
    notify({ text: `The agent watches ${name}` });
  };
  const detach = async () => {
    await change("detach");
    notify({ text: `The agent no longer watches ${name}`, undo: () => change("attach") });
  };
  const ask = () =>
    showDialog(
      <DialogForm title={`Stop watching ${name}`} verb="Stop watching" danger run={detach}>
        <p>
          The agent sees no traffic of {name} and blocks nothing there until you start it again.
          Recorded traffic stays.
        </p>
      </DialogForm>,
    );
  return (
    <span class="buttons end">
      {attached ? (
        <ActionButton scope="admin" run={ask} label={`Stop watching ${name}`}>
          Stop
        </ActionButton>
      ) : (
        <ActionButton scope="admin" run={attach} label={`Watch ${name}`}>
          Start
        </ActionButton>
      )}
    </span>
  );
}
