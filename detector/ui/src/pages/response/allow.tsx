// Exceptions: traffic that is never blocked or raises no alert, and how often each applied.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { AllowLine, AllowList, NewAllow } from "../../api-types";
import { changed } from "../../api/events";
import type { Problem } from "../../api/request";
import { useResource } from "../../api/resource";
import { allow, disallow } from "../../api/response";
import { ActionButton } from "../../parts/action";
import { Name, Pivots } from "../../parts/address";
import { DialogForm, showDialog } from "../../parts/dialogs";
import { Field, Select, timeChoices } from "../../parts/fields";
import { Empty, Loaded, Panel } from "../../parts/panels";
import { Table, type Column } from "../../parts/tables";
import { Time } from "../../parts/time";
import { notify } from "../../parts/toasts";
import { count } from "../../words/amounts";
import { ALLOW_TIMES } from "../../words/names";

const KINDS: Record<string, string> = {
  own: "address of this machine",
  gateway: "gateway of this machine",
  resolver: "DNS resolver",
  administrator: "peer of an administrative connection",
  messages: "server of a notification channel",
  configured: "in the configuration",
  operator: "added by an operator",
};

const COLUMNS: Column<AllowLine>[] = [
  { title: "Traffic", cell: (line) => <What line={line} /> },
  { title: "Effect", wide: true, cell: (line) => line.effect },
  {
    title: "Reason",
    wide: true,
    cell: (line) => (
      <>
        {line.reason !== line.kind && <bdi>{line.reason}</bdi>}
        <p class="hint">{KINDS[line.kind] ?? line.kind}</p>
      </>
    ),
  },
  { title: "Hits", number: true, cell: (line) => <Hits line={line} /> },
  {
    title: "Expires",
    wide: true,
    cell: (line) => (line.expires === null ? "never" : <Time at={line.expires} />),
  },
  { title: "", cell: (line) => <Remove line={line} /> },
];

export function AllowPanel(): JSX.Element {
  const list = useResource<AllowList>("/api/allow", { on: ["allow"], everySecs: 15 });
  const add = (
    <ActionButton scope="respond" run={() => showDialog(<NewAllow />)}>
      Allow …
    </ActionButton>
  );
  return (
    <Panel title="Exceptions" aside={add}>
      <Loaded from={list} rows={4}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No exceptions">
              <p>
                The agent adds gateways, resolvers and administrative peers by itself when it runs.
              </p>
            </Empty>
          ) : (
            <Table label="Exceptions" columns={COLUMNS} rows={items} rowKey={(line) => line.id} />
          )
        }
      </Loaded>
    </Panel>
  );
}

function What({ line }: { line: AllowLine }): JSX.Element {
  const { network, source, destination, name, port } = line;
  return (
    <span class="pivots">
      {network !== null && network !== destination && <Pivots text={bare(network)} />}
      {source !== null && (
        <>
          from <Pivots text={bare(source)} />
        </>
      )}
      {destination !== null && (
        <>
          to <Pivots text={bare(destination)} />
        </>
      )}
      {name !== null && <Name text={name} whole />}
      {port !== null && <> port {port}</>}
    </span>
  );
}

/** A network of one address is that address. */
const bare = (network: string): string => network.replace(/(?<=\.\d+)\/32$|\/128$/, "");

function Hits({ line }: { line: AllowLine }): JSX.Element {
  const title = `${count(line.hits)} decisions changed in the kernel, ${count(line.sessions)} sessions without an alert`;
  return <span title={title}>{count(line.hits + line.sessions)}</span>;
}

function Remove({ line }: { line: AllowLine }): JSX.Element | null {
  if (line.kind !== "operator") return null;
  const run = async () => {
    await disallow(line.id);
    changed("allow");
    notify({
      text: "The exception is removed",
      undo: () => allow(asRequest(line)).then(() => changed("allow")),
    });
  };
  return (
    <span class="buttons end">
      <ActionButton scope="respond" run={run}>
        Remove
      </ActionButton>
    </span>
  );
}

function asRequest(line: AllowLine): NewAllow {
  const left = line.expires === null ? null : (Date.parse(line.expires) - Date.now()) / 1_000;
  return {
    source: line.source ?? undefined,
    destination: line.destination ?? line.network ?? undefined,
    name: line.name ?? undefined,
    port: line.port ?? undefined,
    reason: line.reason,
    ttl_secs: left === null ? undefined : Math.max(1, Math.round(left)),
  };
}

const FOR_GOOD = "";

function NewAllow(): JSX.Element {
  const [values, setValues] = useState({
    destination: "",
    source: "",
    name: "",
    port: "",
    reason: "",
    ttl: FOR_GOOD,
  });
  const [problem, setProblem] = useState<Problem | null>(null);
  const set = (key: keyof typeof values) => (value: string) =>
    setValues((last) => ({ ...last, [key]: value }));
  const text = (value: string) => (value.trim() === "" ? undefined : value.trim());
  const run = async () => {
    const { destination, source, name, port, reason, ttl } = values;
    await allow({
      destination: text(destination),
      source: text(source),
      name: text(name),
      port: text(port) === undefined ? undefined : Number(port),
      reason: reason.trim(),
      ttl_secs: ttl === FOR_GOOD ? undefined : Number(ttl),
    });
    changed("allow", "blocks");
    notify({ text: "The exception is active" });
  };
  return (
    <DialogForm title="Never block" verb="Allow" run={run} onProblem={setProblem}>
      <div class="form-grid">
        <Field
          label="Destination"
          name="destination"
          value={values.destination}
          onValue={set("destination")}
          problem={problem}
          placeholder="192.0.2.10"
        />
        <Field
          label="Source (optional)"
          name="source"
          value={values.source}
          onValue={set("source")}
          problem={problem}
          placeholder="10.0.0.0/24"
        />
        <Field
          label="or a name"
          name="name"
          value={values.name}
          onValue={set("name")}
          problem={problem}
          placeholder="backup.example"
        />
        <Field
          label="Port (optional)"
          name="port"
          value={values.port}
          onValue={set("port")}
          problem={problem}
          placeholder="443"
        />
        <Select
          label="Duration"
          name="ttl_secs"
          value={values.ttl}
          onValue={set("ttl")}
          choices={[[FOR_GOOD, "no expiry"], ...timeChoices(ALLOW_TIMES)]}
        />
      </div>
      <Field
        label="Reason"
        name="reason"
        value={values.reason}
        onValue={set("reason")}
        problem={problem}
        placeholder="Nightly backup"
        required
      />
      <p>
        An address is never blocked and raises no alert. A name raises no alert. Active blocks of
        the address end at once.
      </p>
    </DialogForm>
  );
}
