// One dialog at a time, on the browser's own element: it keeps the focus inside, closes on Escape
// and gives the focus back.
import { signal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { asProblem } from "../api/resource";
import type { Problem } from "../api/request";
import { Icon } from "./icons";

const shown = signal<JSX.Element | null>(null);

export const showDialog = (content: JSX.Element): void => {
  shown.value = content;
};

export const closeDialog = (): void => {
  shown.value = null;
};

export function DialogHost(): JSX.Element | null {
  const frame = useRef<HTMLDialogElement>(null);
  /** The dialog was closed from here, not by the browser on Escape. */
  const ours = useRef(false);
  const content = shown.value;
  useEffect(() => {
    const dialog = frame.current;
    if (dialog === null) return;
    if (content !== null && !dialog.open) dialog.showModal();
    if (content === null && dialog.open) {
      ours.current = true;
      dialog.close();
    }
  }, [content]);
  // The event comes late: by then the next dialog may have been asked for.
  const onClose = () => {
    if (!ours.current) closeDialog();
    ours.current = false;
  };
  const onBackdrop = (event: MouseEvent) => {
    if (event.target === frame.current) closeDialog();
  };
  return (
    <dialog
      ref={frame}
      class="dialog"
      aria-labelledby="dialog-title"
      onClose={onClose}
      onMouseDown={onBackdrop}
    >
      {content}
    </dialog>
  );
}

interface FrameProps {
  title: string;
  children: ComponentChildren;
}

export function DialogFrame({ title, children }: FrameProps): JSX.Element {
  return (
    <div class="dialog-body">
      <header class="dialog-head">
        <h2 id="dialog-title">{title}</h2>
        <button type="button" class="quiet" aria-label="Close" onClick={closeDialog}>
          <Icon name="close" />
        </button>
      </header>
      {children}
    </div>
  );
}

interface FormProps extends FrameProps {
  /** What the button that does it is called. */
  verb: string;
  danger?: boolean;
  /** Closes the dialog when it is through. */
  run: () => Promise<unknown>;
  /** Shows a refusal beside the field it names; others stand above the buttons. */
  onProblem?: (problem: Problem | null) => void;
}

/** Asks before something is done, and says what went wrong without losing what was typed. */
export function DialogForm({ title, children, verb, danger = false, run, onProblem }: FormProps) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [beside, setBeside] = useState(false);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const inputs = (event.currentTarget as HTMLFormElement).elements;
    setBusy(true);
    try {
      await run();
      closeDialog();
    } catch (error) {
      const found = asProblem(error);
      setProblem(found);
      setBeside(
        onProblem !== undefined && found.field !== null && inputs.namedItem(found.field) !== null,
      );
      onProblem?.(found);
    }
    setBusy(false);
  };
  return (
    <DialogFrame title={title}>
      <form onSubmit={(event) => void submit(event)}>
        <div class="dialog-content">{children}</div>
        {problem !== null && !beside && (
          <p class="problem" role="alert">
            {problem.message}
          </p>
        )}
        <footer class="dialog-foot">
          <button type="button" class="button" onClick={closeDialog}>
            Cancel
          </button>
          <button type="submit" class={danger ? "button danger" : "button primary"} disabled={busy}>
            {busy ? "Working …" : verb}
          </button>
        </footer>
      </form>
    </DialogFrame>
  );
}
