// Groups of people, and whether they are notified of alerts.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Contact, Group } from "../../api-types";
import type { Problem } from "../../api/request";
import { ActionButton } from "../../parts/action";
import { StateBadge } from "../../parts/badges";
import { DialogForm, showDialog } from "../../parts/dialogs";
import { Checkbox, Field } from "../../parts/fields";
import { Empty, Loaded } from "../../parts/panels";
import { Table, type Column } from "../../parts/tables";
import { EntryButtons, save, useEntries } from "./entries";

export function Groups(): JSX.Element {
  const groups = useEntries("groups");
  const people = useEntries("contacts");
  const all = people.value?.items ?? [];
  const names = new Map(all.map((one) => [one.id, `${one.forename} ${one.surname}`.trim()]));
  const columns: Column<Group>[] = [
    {
      title: "Group",
      cell: (one) => (
        <b>
          <bdi>{one.name}</bdi>
        </b>
      ),
    },
    {
      title: "Notified",
      cell: (one) => (
        <StateBadge tone={one.alertable ? "good" : "idle"}>
          {one.alertable ? "yes" : "no"}
        </StateBadge>
      ),
    },
    {
      title: "Members",
      wide: true,
      cell: (one) => (
        <bdi>{one.contacts.map((id) => names.get(id) ?? id).join(", ") || "none"}</bdi>
      ),
    },
    {
      title: "",
      cell: (one) => (
        <EntryButtons
          kind="groups"
          entry={one}
          name={one.name}
          edit={() => showDialog(<Form group={one} people={all} />)}
        />
      ),
    },
  ];
  return (
    <>
      <div class="toolbar">
        <ActionButton
          scope="admin"
          look="primary"
          run={() => showDialog(<Form group={null} people={all} />)}
        >
          Add a group
        </ActionButton>
      </div>
      <section class="panel">
        <Loaded from={groups} rows={3}>
          {({ items }) =>
            items.length === 0 ? (
              <Empty title="No groups yet">
                <p>
                  A rule notifies a group. Pause a group to keep its members without notifying them.
                </p>
              </Empty>
            ) : (
              <Table label="Groups" columns={columns} rows={items} rowKey={(one) => one.id} />
            )
          }
        </Loaded>
      </section>
    </>
  );
}

function Form({ group, people }: { group: Group | null; people: Contact[] }): JSX.Element {
  const [name, setName] = useState(group?.name ?? "");
  const [alertable, setAlertable] = useState(group?.alertable ?? true);
  const [members, setMembers] = useState<number[]>(group?.contacts ?? []);
  const [problem, setProblem] = useState<Problem | null>(null);
  const run = () =>
    save("groups", { name: name.trim(), alertable, contacts: members }, group?.id ?? null);
  return (
    <DialogForm
      title={group === null ? "Add a group" : "Edit the group"}
      verb="Save"
      run={run}
      onProblem={setProblem}
    >
      <Field label="Name" name="name" value={name} onValue={setName} problem={problem} required />
      <Checkbox label="Notify of alerts" checked={alertable} onValue={setAlertable} />
      {people.length > 0 && (
        <fieldset class="choices">
          <legend>Members</legend>
          {people.map((one) => (
            <Checkbox
              key={one.id}
              label={`${one.forename} ${one.surname}`.trim()}
              checked={members.includes(one.id)}
              onValue={(on) =>
                setMembers(on ? [...members, one.id] : members.filter((id) => id !== one.id))
              }
            />
          ))}
        </fieldset>
      )}
    </DialogForm>
  );
}
