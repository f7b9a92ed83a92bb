// What contacts, groups and rules have in common: they are listed, added, changed and removed, and a
// removal can be taken back.
import type { JSX } from "preact";
import { changed } from "../../api/events";
import { post, put, remove, type Page } from "../../api/request";
import { useResource, type Resource } from "../../api/resource";
import { ActionButton } from "../../parts/action";
import { notify } from "../../parts/toasts";

export type Kind = "contacts" | "groups" | "rules";

interface Entry {
  id: number;
}

export const useEntries = <T,>(kind: Kind, search = ""): Resource<Page<T>> =>
  useResource<Page<T>>(
    `/api/${kind}?limit=500${search === "" ? "" : `&q=${encodeURIComponent(search)}`}`,
    { on: ["contacts"] },
  );

/** Without an id it is new. */
export async function save<T extends Entry>(
  kind: Kind,
  entry: Omit<T, "id" | "held">,
  id: number | null,
): Promise<void> {
  if (id === null) await post(`/api/${kind}`, entry);
  else await put(`/api/${kind}/${id}`, entry);
  changed("contacts");
  notify({ text: id === null ? "Added" : "Saved" });
}

async function discard<T extends Entry>(kind: Kind, entry: T, name: string): Promise<void> {
  await remove(`/api/${kind}/${entry.id}`);
  changed("contacts");
  const rest = { ...entry, id: undefined, held: undefined };
  notify({
    text: `${name} is removed`,
    undo: () => post(`/api/${kind}`, rest).then(() => changed("contacts")),
  });
}

interface ButtonsProps<T> {
  kind: Kind;
  entry: T;
  name: string;
  edit: () => void;
}

export function EntryButtons<T extends Entry>({
  kind,
  entry,
  name,
  edit,
}: ButtonsProps<T>): JSX.Element {
  return (
    <span class="buttons end">
      <ActionButton scope="admin" run={edit} label={`Change ${name}`}>
        Change
      </ActionButton>
      <ActionButton scope="admin" run={() => discard(kind, entry, name)} label={`Remove ${name}`}>
        Remove
      </ActionButton>
    </span>
  );
}
