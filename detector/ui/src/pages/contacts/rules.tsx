// Rules: which alerts go to which group over which channel, and how often.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Channel, ChannelList, Group, Rule } from "../../api-types";
import type { Problem } from "../../api/request";
import { useResource } from "../../api/resource";
import { ActionButton } from "../../parts/action";
import { StateBadge } from "../../parts/badges";
import { DialogForm, showDialog } from "../../parts/dialogs";
import { Checkbox, Field, Select, wordsOf, type Choice } from "../../parts/fields";
import { Empty, Loaded } from "../../parts/panels";
import { Table, type Column } from "../../parts/tables";
import { duration } from "../../words/amounts";
import { SEVERITIES, TECHNIQUES, techniqueText } from "../../words/names";
import { EntryButtons, save, useEntries } from "./entries";

export function Rules(): JSX.Element {
  const rules = useEntries("rules");
  const groups = useEntries("groups").value?.items ?? [];
  const channels = useResource<ChannelList>("/api/channels").value?.items ?? [];
  const names = new Map(groups.map((group) => [group.id, group.name]));
  const form = (rule: Rule | null) =>
    showDialog(<Form rule={rule} groups={groups} channels={channels} />);
  const columns: Column<Rule>[] = [
    {
      title: "Rule",
      cell: (one) => (
        <>
          <b>
            <bdi>{one.name}</bdi>
          </b>
          <p class="hint">{inWords(one)}</p>
        </>
      ),
    },
    {
      title: "State",
      cell: (one) => <State of={one} />,
    },
    {
      title: "Notifies",
      cell: (one) => (
        <>
          <bdi>
            {one.group === null
              ? "the channel's own recipients"
              : (names.get(one.group) ?? one.group)}
          </bdi>
          <p class="hint">by {one.channel}</p>
        </>
      ),
    },
    {
      title: "",
      cell: (one) => (
        <EntryButtons kind="rules" entry={one} name={one.name} edit={() => form(one)} />
      ),
    },
  ];
  return (
    <>
      <div class="toolbar">
        <ActionButton scope="admin" look="primary" run={() => form(null)}>
          Add a rule
        </ActionButton>
      </div>
      <section class="panel">
        <Loaded from={rules} rows={3}>
          {({ items }) =>
            items.length === 0 ? (
              <Empty title="No rules yet">
                <p>
                  Without a rule the program notifies nobody. Add a rule with severity, group and
                  channel.
                </p>
              </Empty>
            ) : (
              <Table label="Rules" columns={columns} rows={items} rowKey={(one) => one.id} />
            )
          }
        </Loaded>
      </section>
    </>
  );
}

/** A rule that is on and notifies nobody says why. */
function State({ of: { enabled, held } }: { of: Rule }): JSX.Element {
  if (!enabled) return <StateBadge tone="idle">off</StateBadge>;
  if (held === null) return <StateBadge tone="good">on</StateBadge>;
  return (
    <>
      <StateBadge tone="warning">inactive</StateBadge>
      <p class="hint">
        <bdi>{held}</bdi>
      </p>
    </>
  );
}

function inWords(rule: Rule): string {
  const techniques = rule.techniques.map(techniqueText).join(", ");
  const parts = [
    `${rule.min_severity} and above`,
    techniques === "" ? "any technique" : techniques,
    rule.host === null ? "any host" : `hosts in ${rule.host}`,
    rule.digest_secs > 0 ? `one message per ${duration(rule.digest_secs)}` : "at once",
    rule.repeat_secs > 0 ? `repeated after ${duration(rule.repeat_secs)}` : "once",
  ];
  return parts.join("; ");
}

interface FormProps {
  rule: Rule | null;
  groups: Group[];
  channels: Channel[];
}

const NOBODY = "";

function Form({ rule, groups, channels }: FormProps): JSX.Element {
  const [values, setValues] = useState({
    name: rule?.name ?? "",
    group: String(rule?.group ?? groups[0]?.id ?? NOBODY),
    channel: rule?.channel ?? channels[0]?.name ?? "",
    severity: rule?.min_severity ?? "high",
    host: rule?.host ?? "",
    digest: String(rule?.digest_secs ?? 0),
    repeat: String(rule?.repeat_secs ?? ""),
  });
  const [enabled, setEnabled] = useState(rule?.enabled ?? true);
  const [techniques, setTechniques] = useState<string[]>(rule?.techniques ?? []);
  const [problem, setProblem] = useState<Problem | null>(null);
  const set = (key: keyof typeof values) => (value: string) =>
    setValues((last) => ({ ...last, [key]: value }));
  const run = () =>
    save(
      "rules",
      {
        name: values.name.trim(),
        enabled,
        group: values.group === NOBODY ? null : Number(values.group),
        channel: values.channel,
        min_severity: values.severity,
        techniques,
        host: values.host.trim() === "" ? null : values.host.trim(),
        digest_secs: Number(values.digest),
        repeat_secs: values.repeat === "" ? null : Number(values.repeat),
      },
      rule?.id ?? null,
    );
  return (
    <DialogForm
      title={rule === null ? "Add a rule" : "Edit the rule"}
      verb="Save"
      run={run}
      onProblem={setProblem}
    >
      <div class="form-grid">
        <Field
          label="Name"
          name="name"
          value={values.name}
          onValue={set("name")}
          problem={problem}
          required
        />
        <Select
          label="Lowest severity"
          name="min_severity"
          value={values.severity}
          onValue={set("severity")}
          choices={wordsOf(SEVERITIES)}
          problem={problem}
        />
        <Select
          label="Group"
          name="group"
          value={values.group}
          onValue={set("group")}
          choices={groupChoices(groups)}
          problem={problem}
        />
        <Select
          label="Channel"
          name="channel"
          value={values.channel}
          onValue={set("channel")}
          choices={channelChoices(channels)}
          problem={problem}
        />
        <Field
          label="Hosts (optional)"
          name="host"
          value={values.host}
          onValue={set("host")}
          problem={problem}
          placeholder="10.0.4.0/24"
        />
        <Field
          label="One message per, seconds"
          name="digest_secs"
          type="number"
          value={values.digest}
          onValue={set("digest")}
          problem={problem}
          hint="0: at once"
        />
        <Field
          label="Repeat after, seconds"
          name="repeat_secs"
          type="number"
          value={values.repeat}
          onValue={set("repeat")}
          problem={problem}
          hint="0: once; empty: an hour, and once for webhooks and syslog"
        />
      </div>
      <fieldset class="choices">
        <legend>Techniques (none selected: all)</legend>
        {Object.entries(TECHNIQUES).map(([key, text]) => (
          <Checkbox
            key={key}
            label={text}
            checked={techniques.includes(key)}
            onValue={(on) =>
              setTechniques(on ? [...techniques, key] : techniques.filter((one) => one !== key))
            }
          />
        ))}
      </fieldset>
      <Checkbox label="Enabled" checked={enabled} onValue={setEnabled} />
    </DialogForm>
  );
}

const groupChoices = (groups: Group[]): Choice[] => [
  [NOBODY, "the channel's own recipients"],
  ...groups.map((one): Choice => [String(one.id), one.name]),
];

const channelChoices = (channels: Channel[]): Choice[] =>
  channels.length === 0
    ? [["", "no channel is configured"]]
    : channels.map((one) => [one.name, `${one.name} (${one.kind})`]);
