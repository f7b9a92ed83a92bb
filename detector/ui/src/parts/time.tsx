// A time: how long ago, and exactly when on pointing at it.
import type { JSX } from "preact";
import { absolute, now, relative } from "../words/times";

interface Props {
  at: string | null;
  /** Shows the absolute time and keeps the relative one for the title. */
  exact?: boolean;
}

export function Time({ at, exact = false }: Props): JSX.Element {
  const ms = at === null ? NaN : Date.parse(at);
  if (Number.isNaN(ms)) return <span class="muted">never</span>;
  const [near, far] = [relative(ms, now.value), absolute(ms)];
  return (
    <time class="time" dateTime={at!} title={exact ? near : far}>
      {exact ? far : near}
    </time>
  );
}
