// A row of filters whose values stand in the URL; a value is taken over on Enter or on leaving.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Problem } from "../api/request";
import { go, place, queried, withQuery } from "../navigation";
import { fromInput, rfc3339, toInput } from "../words/times";
import { Field } from "./fields";

export interface FilterField {
  name: string;
  label: string;
  example?: string;
  /** Where `/` leads. */
  search?: boolean;
  time?: boolean;
}

export function FilterFields({
  fields,
  problem,
}: {
  fields: readonly FilterField[];
  problem: Problem | null;
}): JSX.Element {
  const set = fields.filter(({ name }) => place.value.query.has(name));
  return (
    <div class="filter-fields">
      {fields.map((field) =>
        field.time === true ? (
          <TimeField key={field.name} field={field} problem={problem} />
        ) : (
          <TextField key={field.name} field={field} problem={problem} />
        ),
      )}
      {set.length > 0 && (
        <a
          class="button clear"
          href={withQuery(Object.fromEntries(set.map(({ name }) => [name, null])))}
        >
          Clear
        </a>
      )}
    </div>
  );
}

interface Props {
  field: FilterField;
  problem: Problem | null;
}

export function TextField({
  field: { name, label, example, search },
  problem,
}: Props): JSX.Element {
  const given = queried(name);
  const [text, setText] = useState(given);
  useEffect(() => setText(given), [given]);
  const commit = () => {
    if (text.trim() !== given) go(withQuery({ [name]: text.trim() }));
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        commit();
      }}
      onFocusOut={commit}
    >
      <Field
        label={label}
        name={name}
        value={text}
        onValue={setText}
        placeholder={example}
        problem={problem}
        search={search}
      />
    </form>
  );
}

export function TimeField({ field: { name, label }, problem }: Props): JSX.Element {
  const ms = Date.parse(queried(name));
  const change = (text: string) => {
    const at = fromInput(text);
    go(withQuery({ [name]: at === null ? null : rfc3339(at) }));
  };
  return (
    <div class="span">
      <Field
        label={label}
        name={name}
        type="datetime-local"
        value={Number.isNaN(ms) ? "" : toInput(ms)}
        onValue={change}
        problem={problem}
      />
    </div>
  );
}
