// The ways by which messages go, and whether they work. They are set up in the configuration, where
// their secrets are; here they are tried.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Channel, ChannelList } from "../../api-types";
import { changed } from "../../api/events";
import { testChannel } from "../../api/people";
import { useResource } from "../../api/resource";
import { ActionButton } from "../../parts/action";
import { StateBadge, type Tone } from "../../parts/badges";
import { DialogForm, showDialog } from "../../parts/dialogs";
import { Field } from "../../parts/fields";
import { Empty, Loaded } from "../../parts/panels";
import { Table, type Column } from "../../parts/tables";
import { notify } from "../../parts/toasts";
import { count } from "../../words/amounts";

const TONES: Record<Channel["state"], Tone> = { ok: "good", failing: "bad", unused: "idle" };

const COLUMNS: Column<Channel>[] = [
  {
    title: "Channel",
    cell: (one) => (
      <>
        <b>{one.name}</b>
        <p class="hint">{one.kind}</p>
      </>
    ),
  },
  { title: "State", cell: (one) => <State of={one} /> },
  { title: "Goes to", wide: true, cell: (one) => <bdi>{one.target}</bdi> },
  { title: "Sent", number: true, cell: (one) => count(one.sent) },
  { title: "Waiting", number: true, wide: true, cell: (one) => count(one.queued) },
  { title: "Failed", number: true, wide: true, cell: (one) => count(one.failed) },
  { title: "", cell: (one) => <Test of={one} /> },
];

export function Channels(): JSX.Element {
  const list = useResource<ChannelList>("/api/channels", { on: ["deliveries"], everySecs: 15 });
  return (
    <section class="panel">
      <Loaded from={list} rows={3}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No channel is configured">
              <p>
                Add e-mail, SMS, a webhook, Slack or syslog under <code>[notify]</code> in the
                configuration.
              </p>
            </Empty>
          ) : (
            <Table label="Channels" columns={COLUMNS} rows={items} rowKey={(one) => one.name} />
          )
        }
      </Loaded>
    </section>
  );
}

function State({ of: { state, last_error } }: { of: Channel }): JSX.Element {
  return (
    <>
      <StateBadge tone={TONES[state]}>{state}</StateBadge>
      {last_error !== null && (
        <p class="hint">
          <bdi>{last_error}</bdi>
        </p>
      )}
    </>
  );
}

function Test({ of: channel }: { of: Channel }): JSX.Element {
  const ask = () => showDialog(<TestDialog channel={channel} />);
  return (
    <span class="buttons end">
      <ActionButton scope="admin" run={ask} label={`Test ${channel.name}`}>
        Test …
      </ActionButton>
    </span>
  );
}

function TestDialog({ channel }: { channel: Channel }): JSX.Element {
  const [to, setTo] = useState("");
  const person = channel.kind === "email" || channel.kind === "sms";
  const run = async () => {
    const delivery = await testChannel(channel.name, to.trim());
    changed("deliveries");
    notify({
      text:
        delivery.error === null
          ? `Test message ${delivery.state}`
          : `Test message ${delivery.state}: ${delivery.error}`,
      tone: delivery.state === "failed" || delivery.state === "dropped" ? "bad" : "plain",
    });
  };
  return (
    <DialogForm title={`Test ${channel.name}`} verb="Send" run={run}>
      <p>
        The program sends one test message to <bdi>{channel.target}</bdi>.
      </p>
      {person && (
        <Field
          label={channel.kind === "email" ? "To the address" : "To the number"}
          name="to"
          value={to}
          onValue={setTo}
          placeholder={channel.kind === "email" ? "zoe@example.org" : "+44 7700 900123"}
          required
        />
      )}
    </DialogForm>
  );
}
