// Alerts, as they are listed and in full.
import { post, query } from "./request";
import type { AllowLine, BlockLine } from "./response";
import type { Pending } from "./state";

export type Severity = "low" | "medium" | "high" | "critical";
export type AlertState = "open" | "acknowledged" | "closed";
export type Origin = "live" | "capture" | "record";

export interface AlertSummary {
  id: string;
  origin: Origin;
  capture: number | null;
  revision: number;
  status: AlertState;
  resolution: "benign" | "confirmed" | null;
  time: string;
  first_seen: string;
  src: string;
  /** None where the protocol has no ports. */
  src_port: number | null;
  dst: string;
  dst_port: number | null;
  dst_name: string | null;
  domain: string | null;
  protocol: string;
  technique: string;
  technique_name: string;
  attack_id: string;
  severity: Severity;
  score: number;
  threshold: number;
  bytes_out: number;
  bytes_in: number;
  bytes_leaked: number;
  bytes_leaked_before_block: number | null;
  action: string;
  action_note: string | null;
  packets_out: number;
  packets_in: number;
  /** Which end opened the session. */
  initiator: "src" | "dst";
  headline: string;
}

export interface Reason {
  feature: string;
  /** None where it is no column's. */
  value: number | null;
  contribution: number;
  text: string;
}

export interface Moment {
  time: string;
  bytes_out: number;
  bytes_in: number;
  score: number;
  severity: Severity;
  what: string;
}

export interface PayloadSample {
  direction: "out" | "in";
  hex: string;
  bytes: number;
}

export interface Note {
  time: string;
  who: string;
  text: string;
}

export interface VectorColumn {
  column: string;
  value: number;
  meaning: string;
}

export interface AlertDetail extends AlertSummary {
  raw_score: number;
  seconds_to_detect: number;
  community_id: string;
  ja4: string | null;
  model: string;
  model_hash: string;
  config_hash: string;
  reasons: Reason[];
  timeline: Moment[];
  payload_samples: PayloadSample[];
  related: AlertSummary[];
  notes: Note[];
  vector: VectorColumn[];
}

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
] as const;
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
  post<{ changed: number }>(`/api/alerts/${change}`, { ids, note });

export const addNote = (id: string, text: string) => post(`${alertPath(id)}/notes`, { text });

export interface Replay {
  score: number;
  stored_score: number;
  identical: boolean;
  text: string;
}

export const replay = (id: string) => post<Replay>(`${alertPath(id)}/replay`);

export const BENIGN_SCOPES = ["destination", "name", "pair", "service"] as const;

export interface BenignWish {
  scope: (typeof BENIGN_SCOPES)[number];
  ttl_secs: number;
  note?: string;
}

export const markBenign = (id: string, wish: BenignWish) =>
  post<{ allow: AllowLine | null; samples: number; text: string }>(`${alertPath(id)}/benign`, wish);

export interface BlockWish {
  what: "pair" | "service" | "destination" | "host";
  ttl_secs: number;
  confirm_within_secs?: number;
}

export const blockAlert = (id: string, wish: BlockWish) =>
  post<{ block: BlockLine; pending: Pending | null }>(`${alertPath(id)}/block`, wish);

export const releaseAlert = (id: string) => post(`${alertPath(id)}/release`);
