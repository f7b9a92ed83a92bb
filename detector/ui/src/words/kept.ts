// A reader's preference: a signal with a closed list of values that outlives a reload.
import { effect, signal, type Signal } from "@preact/signals";

/** The first choice is the default. */
export function kept<T extends string>(name: string, choices: readonly [T, ...T[]]): Signal<T> {
  const key = `detector.${name}`;
  const stored = choices.find((choice) => choice === load(key));
  const value = signal<T>(stored ?? choices[0]);
  effect(() => save(key, value.value));
  return value;
}

// A browser may refuse to store anything; then the preference lasts as long as the page.
function load(key: string): string | null {
  try {
    return window.localStorage.getItem(key);
  } catch {
    return null;
  }
}

function save(key: string, value: string): void {
  try {
    window.localStorage.setItem(key, value);
  } catch {
    return;
  }
}
