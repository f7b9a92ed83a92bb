// Blocks, exceptions and the mode, as the agent answers them.
import { post, put, query, remove } from "./request";
import type { Mode, Pending } from "./state";

export type Effect = "drop" | { police: { bytes_per_second: number } } | { mark: { dscp: number } };

export interface BlockLine {
  number: number;
  target: string;
  effect: Effect;
  simulated: boolean;
  by: string;
  reason: string;
  alert: string | null;
  placed: string;
  ends: string;
  remaining_secs: number;
  times: number;
  packets: number;
  bytes: number;
  last_hit: string | null;
  state: string;
  pending: number | null;
}

export interface AllowLine {
  id: string;
  kind: string;
  network: string | null;
  source: string | null;
  destination: string | null;
  name: string | null;
  port: number | null;
  reason: string;
  expires: string | null;
  hits: number;
  sessions: number;
  effect: "never blocked" | "no alerts";
}

export interface ModeState {
  mode: Mode;
  since: string;
  pending: { id: number; returns_to: Mode; in_secs: number } | null;
}

export interface BudgetLine {
  home: string;
  destination: string;
  limit: number | null;
  charged: number;
  held_packets: number;
  held_bytes: number;
  held_secs: number | null;
  state: string;
}

export interface VerifyLine {
  number: number;
  target: string;
  how: string;
  holds: boolean | null;
  dropped_packets: number;
  passed_packets: number;
  text: string;
}

export interface Explanation {
  address: string;
  home: boolean;
  sentences: string[];
  blocks: BlockLine[];
  allow: AllowLine[];
  budgets: BudgetLine[];
}

export interface AuditLine {
  time: string;
  who: string;
  action: string;
  /** What does not apply is left out. */
  target?: string;
  why?: string;
  alert?: string;
  ttl_secs?: number;
  packets?: number;
  bytes?: number;
  mode?: string;
  detail?: string;
}

export interface BlockRequest {
  target: string;
  ttl_secs: number;
  effect?: Effect;
  simulate?: boolean;
  reason: string;
  confirm_within_secs?: number;
}

export const placeBlock = (wish: BlockRequest) =>
  post<{ block: BlockLine; pending: Pending | null }>("/api/blocks", wish);

export const releaseBlock = (number: number, confirm_within_secs?: number) =>
  remove(`/api/blocks/${number}${query({ confirm_within_secs })}`);

export const flushBlocks = () => post("/api/blocks/flush");

export const verifyBlock = (number: number) =>
  post<{ items: VerifyLine[] }>(`/api/blocks/${number}/verify`);

export interface AllowRequest {
  source?: string;
  destination?: string;
  name?: string;
  port?: number;
  reason: string;
  ttl_secs?: number;
}

export const allow = (wish: AllowRequest) => post<{ entry?: AllowLine }>("/api/allow", wish);

export const disallow = (id: string) => remove(`/api/allow/${encodeURIComponent(id)}`);

export const setMode = (mode: Mode, confirm_within_secs?: number) =>
  put<ModeState>("/api/mode", { mode, confirm_within_secs });

export const confirm = (id: number) => post(`/api/confirmations/${id}`);

export const raiseBudget = (home: string, destination: string, bytes: number | null) =>
  post("/api/budgets/raise", { home, destination, bytes });

/** Whether the block stands because of this alert: by the agent's own judgement, or by hand. */
export const isBecauseOf = (block: BlockLine, alert: string): boolean =>
  block.alert === alert || block.reason === `alert ${alert}`;

/** What places the same block again, for undoing a release. */
export const again = (block: BlockLine): BlockRequest => ({
  target: block.target,
  effect: block.effect,
  simulate: block.simulated,
  ttl_secs: Math.max(1, block.remaining_secs),
  reason: `release undone: ${block.reason}`.slice(0, 500),
});
