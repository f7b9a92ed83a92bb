// Inputs with their labels, hints and what the server found wrong with them.
import type { ComponentChildren, JSX } from "preact";
import { useId } from "preact/hooks";
import type { Problem } from "../api/request";

interface FieldProps {
  label: string;
  name: string;
  value: string;
  onValue: (value: string) => void;
  problem?: Problem | null;
  hint?: ComponentChildren;
  placeholder?: string;
  type?: string;
  list?: readonly string[];
  required?: boolean;
  /** Where the key `/` leads on its page. */
  search?: boolean;
}

export function Field(props: FieldProps): JSX.Element {
  const { label, name, value, onValue, problem, hint, list } = props;
  const id = useId();
  const wrong = problem?.field === name ? problem : null;
  return (
    <div class={wrong === null ? "field" : "field wrong"}>
      <label for={id}>{label}</label>
      <input
        id={id}
        name={name}
        type={props.type ?? "text"}
        value={value}
        placeholder={props.placeholder}
        required={props.required}
        data-search={props.search === true || undefined}
        list={list === undefined ? undefined : `${id}-list`}
        autoComplete="off"
        spellcheck={false}
        dir="auto"
        aria-invalid={wrong !== null}
        aria-describedby={wrong === null && hint === undefined ? undefined : `${id}-hint`}
        onInput={(event) => onValue(event.currentTarget.value)}
      />
      {list !== undefined && (
        <datalist id={`${id}-list`}>
          {list.map((one) => (
            <option value={one} />
          ))}
        </datalist>
      )}
      {(wrong !== null || hint !== undefined) && (
        <p id={`${id}-hint`} class={wrong === null ? "hint" : "problem"}>
          {wrong === null ? hint : wrong.message}
        </p>
      )}
    </div>
  );
}

export type Choice = readonly [value: string, text: string];

interface SelectProps {
  label: string;
  name: string;
  value: string;
  onValue: (value: string) => void;
  choices: readonly Choice[];
  problem?: Problem | null;
  hint?: ComponentChildren;
}

export function Select(props: SelectProps): JSX.Element {
  const { label, name, value, onValue, choices, problem, hint } = props;
  const id = useId();
  const wrong = problem?.field === name ? problem : null;
  return (
    <div class={wrong === null ? "field" : "field wrong"}>
      <label for={id}>{label}</label>
      <select
        id={id}
        name={name}
        value={value}
        aria-invalid={wrong !== null}
        onChange={(event) => onValue(event.currentTarget.value)}
      >
        {choices.map(([key, text]) => (
          <option key={key} value={key}>
            {text}
          </option>
        ))}
      </select>
      {wrong !== null && <p class="problem">{wrong.message}</p>}
      {wrong === null && hint !== undefined && <p class="hint">{hint}</p>}
    </div>
  );
}

interface CheckboxProps {
  label: string;
  checked: boolean;
  onValue: (checked: boolean) => void;
}

export function Checkbox({ label, checked, onValue }: CheckboxProps): JSX.Element {
  return (
    <label class="checkbox">
      <input
        type="checkbox"
        checked={checked}
        onChange={(event) => onValue(event.currentTarget.checked)}
      />
      {label}
    </label>
  );
}

/** Times as choices of a select. */
export const timeChoices = (times: readonly [number, string][]): Choice[] =>
  times.map(([seconds, text]) => [String(seconds), text]);

export const wordsOf = (list: readonly { toString(): string }[]): Choice[] =>
  list.map((one) => [String(one), String(one)]);
