// Shapes, drawn here: severity and state are told by form as well as by colour.
import type { JSX } from "preact";

const PATHS = {
  low: <circle cx="8" cy="8" r="5" fill="none" stroke="currentColor" stroke-width="2" />,
  medium: (
    <path
      d="M8 2.5 14.5 13.5H1.5Z"
      fill="none"
      stroke="currentColor"
      stroke-width="2"
      stroke-linejoin="round"
    />
  ),
  high: <path d="M8 1 15 8 8 15 1 8Z" fill="currentColor" />,
  critical: (
    <path
      d="M5 1h6l4 4v6l-4 4H5l-4-4V5Zm2 2.8v5.2h2V3.8Zm0 6.7v2h2v-2Z"
      fill="currentColor"
      fill-rule="evenodd"
    />
  ),
  good: (
    <path
      d="m2.5 8.5 3.5 3.5 7.5-8"
      fill="none"
      stroke="currentColor"
      stroke-width="2.2"
      stroke-linecap="round"
      stroke-linejoin="round"
    />
  ),
  idle: <path d="M3 8h10" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" />,
  copy: (
    <path
      d="M5.5 5.5v-3h8v8h-3m-8-5h8v8h-8Z"
      fill="none"
      stroke="currentColor"
      stroke-width="1.4"
      stroke-linejoin="round"
    />
  ),
  menu: (
    <path
      d="M2 4h12M2 8h12M2 12h12"
      stroke="currentColor"
      stroke-width="1.8"
      stroke-linecap="round"
    />
  ),
  close: (
    <path
      d="m3.5 3.5 9 9m0-9-9 9"
      stroke="currentColor"
      stroke-width="1.8"
      stroke-linecap="round"
    />
  ),
  arrow: (
    <path
      d="M2 8h11m-4-4 4 4-4 4"
      fill="none"
      stroke="currentColor"
      stroke-width="1.6"
      stroke-linecap="round"
      stroke-linejoin="round"
    />
  ),
  theme: (
    <>
      <circle cx="8" cy="8" r="6.2" fill="none" stroke="currentColor" stroke-width="1.6" />
      <path d="M8 2a6 6 0 0 1 0 12Z" fill="currentColor" />
    </>
  ),
} as const;

export type IconName = keyof typeof PATHS;

/** Decoration: the word that means the same always stands beside it. */
export function Icon({ name, class: extra = "" }: { name: IconName; class?: string }): JSX.Element {
  return (
    <svg class={`icon ${extra}`} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      {PATHS[name]}
    </svg>
  );
}
