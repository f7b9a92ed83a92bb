// Contacts, groups and rules are listed, added, edited and removed in one way. A removal can be undone.
import type { JSX } from "preact";
import type {} from "../../api-types";
import type {
  Contact,
  ContactBody,
  ContactPage,
  Group,
  GroupBody,
  GroupPage,
  Rule,
  RuleBody,
  RulePage,
} from "../../api-types";
import { changed } from "../../api/events";
import { post, put, remove } from "../../api/request";
import { useResource, type Resource } from "../../api/resource";
import { ActionButton } from "../../parts/action";
import { notify } from "../../parts/toasts";

/** The list of each kind, one entry, and the body of a request. */
interface Kinds {
  contacts: { list: ContactPage; one: Contact; body: ContactBody };
  groups: { list: GroupPage; one: Group; body: GroupBody };
  rules: { list: RulePage; one: Rule; body: RuleBody };
}
export type Kind = keyof Kinds;

export const useEntries = <K extends Kind>(kind: K, search = ""): Resource<Kinds[K]["list"]> =>
  useResource<Kinds[K]["list"]>(
    `/api/${kind}?limit=500${search === "" ? "" : `&q=${encodeURIComponent(search)}`}`,
    { on: ["contacts"] },
  );

/** Without an id it is new. */
export async function save<K extends Kind>(
  kind: K,
  entry: Kinds[K]["body"],
  id: number | null,
): Promise<void> {
  if (id === null) await post(`/api/${kind}`, entry);
  else await put(`/api/${kind}/${id}`, entry);
  changed("contacts");
  notify({ text: id === null ? "Added" : "Saved" });
}

async function discard<K extends Kind>(
  kind: K,
  entry: Kinds[K]["one"],
  name: string,
): Promise<void> {
  await remove(`/api/${kind}/${entry.id}`);
  changed("contacts");
  const rest = { ...entry, id: undefined, held: undefined };
  notify({
    text: `${name} is removed`,
    undo: () => post(`/api/${kind}`, rest).then(() => changed("contacts")),
  });
}

interface ButtonsProps<K extends Kind> {
  kind: K;
  entry: Kinds[K]["one"];
  name: string;
  edit: () => void;
}

export function EntryButtons<K extends Kind>({
  kind,
  entry,
  name,
  edit,
}: ButtonsProps<K>): JSX.Element {
  return (
    <span class="buttons end">
      <ActionButton scope="admin" run={edit} label={`Edit ${name}`}>
        Edit
      </ActionButton>
      <ActionButton scope="admin" run={() => discard(kind, entry, name)} label={`Remove ${name}`}>
        Remove
      </ActionButton>
    </span>
  );
}
