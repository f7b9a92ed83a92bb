// Alerts, as they are listed and in full.
import type {
  Benign,
  BenignDone,
  BenignScope,
  BlockAlert,
  BlockDone,
  Changed,
  Confirmation,
  ConfirmationDone,
  Detail,
  Marked,
  NewNote,
  Released,
  Replayed,
  StoredAlert,
  operations,
} from "../api-types";
import { post, query } from "./request";

/** Whether it is about the monitor itself, and so about no traffic. */
export const aboutMonitor = (alert: StoredAlert): boolean =>
  typeof alert.monitor_event === "string";

type AlertQuery = NonNullable<operations["get_api_alerts"]["parameters"]["query"]>;

/** Every field that alerts are searched by, in the order in which the filter shows them. */
export const ALERT_FILTERS = [
  "q",
  "address",
  "src",
  "dst",
  "port",
  "src_port",
  "dst_port",
  "protocol",
  "technique",
  "severity",
  "status",
  "name",
  "origin",
  "capture",
  "action",
  "from",
  "to",
] as const satisfies readonly (keyof AlertQuery)[];
export type AlertFilter = (typeof ALERT_FILTERS)[number];

export const alertPath = (id: string): string => `/api/alerts/${encodeURIComponent(id)}`;

/** What the URL filters by, as the server takes it. */
export function alertsPath(from: URLSearchParams, more: Record<string, string | number> = {}) {
  const values: Record<string, string | number> = {};
  for (const key of [...ALERT_FILTERS, "cursor"]) {
    const value = from.get(key);
    if (value !== null) values[key] = value;
  }
  return `/api/alerts${query({ ...values, ...more })}`;
}

type Change = "acknowledge" | "close" | "reopen";

export const changeAlerts = (change: Change, ids: string[], note?: string) =>
  post<Changed>(`/api/alerts/${change}`, { ids, note } satisfies Marked);

export const addNote = (id: string, text: string) =>
  post<Detail>(`${alertPath(id)}/notes`, { text } satisfies NewNote);

export const replay = (id: string) => post<Replayed>(`${alertPath(id)}/replay`);

export const BENIGN_SCOPES = [
  "destination",
  "name",
  "pair",
  "service",
] as const satisfies readonly BenignScope[];

export const markBenign = (id: string, wish: Benign) =>
  post<BenignDone>(`${alertPath(id)}/benign`, wish);

export const confirmAlert = (id: string) =>
  post<ConfirmationDone>(`${alertPath(id)}/confirm`, {} satisfies Confirmation);

export const blockAlert = (id: string, wish: BlockAlert) =>
  post<BlockDone>(`${alertPath(id)}/block`, wish);

export const unblockAlert = (id: string) => post<Released>(`${alertPath(id)}/release`);
