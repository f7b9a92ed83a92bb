// Small words with a shape: severity, state, origin.
import type { JSX } from "preact";
import type { AlertStatus, Severity } from "../api-types";
import { Icon, type IconName } from "./icons";

export function SeverityBadge({ severity }: { severity: Severity }): JSX.Element {
  return (
    <span class={`badge severity-${severity}`}>
      <Icon name={severity} />
      {severity}
    </span>
  );
}

export function StatusBadge({
  status,
  resolution,
}: {
  status: AlertStatus;
  resolution?: string | null;
}): JSX.Element {
  const words =
    resolution === null || resolution === undefined ? status : `${status}: ${resolution}`;
  return <span class={`badge plain status-${status}`}>{words}</span>;
}

export type Tone = "good" | "warning" | "bad" | "idle";

const TONE_ICON: Record<Tone, IconName> = {
  good: "good",
  warning: "medium",
  bad: "critical",
  idle: "idle",
};

/** A state in a word; the tone adds shape and colour. */
export function StateBadge({ tone, children }: { tone: Tone; children: string }): JSX.Element {
  return (
    <span class={`badge tone-${tone}`}>
      <Icon name={TONE_ICON[tone]} />
      {children}
    </span>
  );
}
