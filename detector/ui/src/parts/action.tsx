// A button that changes something: it knows which scope that needs and says so where it is missing,
// it is pressed once, and what went wrong is told.
import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import type { ScopeName } from "../api-types";
import { loginWanted } from "../api/request";
import { lacking, session } from "../api/session";
import { complain, notify } from "./toasts";

interface Props {
  scope: ScopeName;
  run: () => unknown;
  children: ComponentChildren;
  look?: "primary" | "danger" | "plain" | "quiet";
  /** A reason besides the scope why it cannot be pressed. */
  unless?: string | null;
  label?: string;
}

/**
 * Not pressable is `aria-disabled`, not `disabled`: the keyboard still reaches it, and pressing it
 * tells the reason.
 */
export function ActionButton(props: Props): JSX.Element {
  const { scope, run, children, look = "plain", unless = null, label } = props;
  const [busy, setBusy] = useState(false);
  const missing = lacking(scope);
  const reason = missing ?? unless;
  const press = async () => {
    if (busy) return;
    if (reason !== null) {
      refuse(missing, reason);
      return;
    }
    setBusy(true);
    await attempt(run);
    setBusy(false);
  };
  return (
    <button
      type="button"
      class={look === "quiet" ? "quiet" : `button ${look === "plain" ? "" : look}`}
      aria-disabled={reason !== null}
      aria-busy={busy}
      aria-label={label}
      title={reason ?? undefined}
      onClick={() => void press()}
    >
      {children}
    </button>
  );
}

function refuse(missing: string | null, reason: string): void {
  if (missing !== null && session.value?.authenticated !== true) loginWanted.value = true;
  else notify({ text: reason, tone: "bad" });
}

/** Runs it and tells what went wrong. */
export async function attempt(run: () => unknown): Promise<void> {
  try {
    await run();
  } catch (error) {
    complain(error);
  }
}

/** One line for a group of buttons that cannot be pressed. */
export function Lacking({ scope }: { scope: ScopeName }): JSX.Element | null {
  const reason = lacking(scope);
  if (reason === null) return null;
  return (
    <p class="note">
      {reason}{" "}
      {session.value?.authenticated !== true && (
        <button
          type="button"
          class="link"
          onClick={() => {
            loginWanted.value = true;
          }}
        >
          Log in
        </button>
      )}
    </p>
  );
}
