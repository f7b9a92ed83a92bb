// The people.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Contact, Group } from "../../api-types";
import type { Problem } from "../../api/request";
import { queried } from "../../navigation";
import { ActionButton } from "../../parts/action";
import { DialogForm, showDialog } from "../../parts/dialogs";
import { Checkbox, Field } from "../../parts/fields";
import { TextField } from "../../parts/filterfields";
import { Empty, Loaded } from "../../parts/panels";
import { Table, type Column } from "../../parts/tables";
import { EntryButtons, save, useEntries } from "./entries";

export function People(): JSX.Element {
  const search = queried("q");
  const people = useEntries("contacts", search);
  const groups = useEntries("groups");
  const all = groups.value?.items ?? [];
  const names = new Map(all.map((group) => [group.id, group.name]));
  const columns: Column<Contact>[] = [
    {
      title: "Name",
      cell: (one) => (
        <b>
          <bdi>{nameOf(one)}</bdi>
        </b>
      ),
    },
    { title: "E-mail", cell: (one) => <bdi>{one.email ?? "–"}</bdi> },
    { title: "Phone", wide: true, cell: (one) => <span class="nowrap">{one.phone ?? "–"}</span> },
    {
      title: "Groups",
      wide: true,
      cell: (one) => <bdi>{one.groups.map((id) => names.get(id) ?? id).join(", ") || "none"}</bdi>,
    },
    {
      title: "",
      cell: (one) => (
        <EntryButtons
          kind="contacts"
          entry={one}
          name={nameOf(one)}
          edit={() => showDialog(<Form contact={one} groups={all} />)}
        />
      ),
    },
  ];
  return (
    <>
      <div class="toolbar">
        <TextField
          field={{ name: "q", label: "Find", example: "a name, an address", search: true }}
          problem={people.problem}
        />
        <ActionButton
          scope="admin"
          look="primary"
          run={() => showDialog(<Form contact={null} groups={all} />)}
        >
          Add a contact
        </ActionButton>
      </div>
      <section class="panel">
        <Loaded from={people} rows={4}>
          {({ items }) =>
            items.length === 0 ? (
              <Empty title={search === "" ? "No contacts yet" : "No contact matches"}>
                <p>Add the people to notify. Then add a rule with severity and channel.</p>
              </Empty>
            ) : (
              <Table label="Contacts" columns={columns} rows={items} rowKey={(one) => one.id} />
            )
          }
        </Loaded>
      </section>
    </>
  );
}

const nameOf = (contact: Contact): string => `${contact.forename} ${contact.surname}`.trim();

function Form({ contact, groups }: { contact: Contact | null; groups: Group[] }): JSX.Element {
  const [values, setValues] = useState({
    forename: contact?.forename ?? "",
    surname: contact?.surname ?? "",
    email: contact?.email ?? "",
    phone: contact?.phone ?? "",
  });
  const [member, setMember] = useState<number[]>(contact?.groups ?? []);
  const [problem, setProblem] = useState<Problem | null>(null);
  const set = (key: keyof typeof values) => (value: string) =>
    setValues((last) => ({ ...last, [key]: value }));
  const orNull = (text: string) => (text.trim() === "" ? null : text.trim());
  const run = () =>
    save(
      "contacts",
      {
        forename: values.forename.trim(),
        surname: values.surname.trim(),
        email: orNull(values.email),
        phone: orNull(values.phone),
        groups: member,
      },
      contact?.id ?? null,
    );
  return (
    <DialogForm
      title={contact === null ? "Add a contact" : "Edit the contact"}
      verb="Save"
      run={run}
      onProblem={setProblem}
    >
      <div class="form-grid">
        <Field
          label="Forename"
          name="forename"
          value={values.forename}
          onValue={set("forename")}
          problem={problem}
        />
        <Field
          label="Surname"
          name="surname"
          value={values.surname}
          onValue={set("surname")}
          problem={problem}
        />
        <Field
          label="E-mail"
          name="email"
          value={values.email}
          onValue={set("email")}
          problem={problem}
          placeholder="zoe@example.org"
        />
        <Field
          label="Phone"
          name="phone"
          value={values.phone}
          onValue={set("phone")}
          problem={problem}
          placeholder="+44 7700 900123"
        />
      </div>
      {groups.length > 0 && (
        <fieldset class="choices">
          <legend>Groups</legend>
          {groups.map((group) => (
            <Checkbox
              key={group.id}
              label={group.name}
              checked={member.includes(group.id)}
              onValue={(on) =>
                setMember(on ? [...member, group.id] : member.filter((id) => id !== group.id))
              }
            />
          ))}
        </fieldset>
      )}
    </DialogForm>
  );
}
