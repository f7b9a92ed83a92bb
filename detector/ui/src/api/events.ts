// The stream of events: the state each second, alerts as they come, and which lists have changed.
// The browser reconnects by itself after some failures and not after others, and a proxy may keep a
// dead connection open; so this file watches for silence and opens the stream again.
import { signal } from "@preact/signals";
import type { Capture, LiveEvent, Status, StoredAlert, Topic } from "../api-types";

export type Connection = "connecting" | "live" | "lost";

export const connection = signal<Connection>("connecting");
export const status = signal<Status | null>(null);
/** Counts up with every change of a topic; whoever shows it loads again. */
const versions = signal<Partial<Record<Topic, number>>>({});

type Heard = { alert: (alert: StoredAlert) => void; capture: (capture: Capture) => void };
const listeners = { alert: new Set<Heard["alert"]>(), capture: new Set<Heard["capture"]>() };

const SILENCE_MS = 6_000;
const RETRY_MS = [1_000, 2_000, 5_000, 10_000];

let source: EventSource | null = null;
let heardAt = 0;
let failures = 0;
let wasLost = false;

export const version = (topics: readonly Topic[]): number =>
  topics.reduce((sum, topic) => sum + (versions.value[topic] ?? 0), 0);

export function changed(...topics: Topic[]): void {
  const next = { ...versions.value };
  for (const topic of topics) next[topic] = (next[topic] ?? 0) + 1;
  versions.value = next;
}

export function onAlert(listener: Heard["alert"]): () => void {
  listeners.alert.add(listener);
  return () => listeners.alert.delete(listener);
}

export function onCapture(listener: Heard["capture"]): () => void {
  listeners.capture.add(listener);
  return () => listeners.capture.delete(listener);
}

export function startEvents(): void {
  if (heardAt !== 0) return;
  open();
  window.setInterval(() => {
    const silent = source !== null && Date.now() - heardAt > SILENCE_MS;
    if (silent && !document.hidden) lose();
  }, 1_000);
  // A page in the background gets its timers throttled; what it missed is asked for on return.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && Date.now() - heardAt > SILENCE_MS) lose();
  });
}

function open(): void {
  heardAt = Date.now();
  source = new EventSource("/api/events");
  source.onopen = () => alive();
  source.onerror = () => lose();
  hear("status", (value) => {
    status.value = value;
  });
  hear("alert", (alert) => {
    listeners.alert.forEach((listener) => listener(alert));
    changed("alerts");
  });
  hear("change", ({ what }) => changed(what));
  hear("capture", (capture) => listeners.capture.forEach((listener) => listener(capture)));
}

type Data<Name> = Extract<LiveEvent, { event: Name }>["data"];

function hear<Name extends LiveEvent["event"]>(name: Name, take: (data: Data<Name>) => void): void {
  source?.addEventListener(name, (event) => {
    alive();
    take(JSON.parse((event as MessageEvent<string>).data) as Data<Name>);
  });
}

function alive(): void {
  heardAt = Date.now();
  failures = 0;
  connection.value = "live";
  if (!wasLost) return;
  wasLost = false;
  changed("blocks", "allow", "mode", "captures", "contacts", "deliveries", "alerts", "models");
}

function lose(): void {
  source?.close();
  source = null;
  wasLost = true;
  connection.value = "lost";
  const wait = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)];
  failures += 1;
  window.setTimeout(() => {
    if (source === null) open();
  }, wait);
}
