// What has just been done, for a few seconds, with a way back where there is one.
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { asProblem } from "../api/resource";
import { Icon } from "./icons";

export interface Toast {
  text: string;
  tone?: "plain" | "bad";
  undo?: () => Promise<unknown>;
}

const SHOWN_MS = 6_000;
const UNDO_MS = 15_000;

const toasts = signal<(Toast & { key: number })[]>([]);
let lastKey = 0;

export function notify(toast: Toast): void {
  const key = ++lastKey;
  toasts.value = [...toasts.value.slice(-3), { ...toast, key }];
  window.setTimeout(() => drop(key), toast.undo === undefined ? SHOWN_MS : UNDO_MS);
}

/** Says what went wrong. */
export function complain(error: unknown): void {
  const { title, detail } = asProblem(error);
  notify({ text: detail === "" || detail === title ? title : `${title}: ${detail}`, tone: "bad" });
}

function drop(key: number): void {
  toasts.value = toasts.value.filter((toast) => toast.key !== key);
}

function takeBack(toast: Toast & { key: number }): void {
  drop(toast.key);
  toast.undo?.().then(() => notify({ text: "Undone" }), complain);
}

export function Toasts(): JSX.Element {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map((toast) => (
        <div key={toast.key} class={`toast ${toast.tone === "bad" ? "bad" : ""}`}>
          <Icon name={toast.tone === "bad" ? "critical" : "good"} />
          <bdi class="toast-text">{toast.text}</bdi>
          {toast.undo !== undefined && (
            <button type="button" class="button" onClick={() => takeBack(toast)}>
              Undo
            </button>
          )}
          <button type="button" class="quiet" aria-label="Dismiss" onClick={() => drop(toast.key)}>
            <Icon name="close" />
          </button>
        </div>
      ))}
    </div>
  );
}
