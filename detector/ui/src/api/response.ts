// Blocks, exceptions and the mode, as the agent answers them.
import type {
  Allowed,
  BlockLine,
  BudgetLine,
  Disallowed,
  ModeName,
  ModeState,
  NewAllow,
  NewBlock,
  NewMode,
  PendingList,
  Placed,
  Raise,
  Removed,
  VerifyLine,
  VerifyList,
} from "../api-types";
import { post, Problem, put, query, remove } from "./request";

export const addBlock = (wish: NewBlock) => post<Placed>("/api/blocks", wish);

export const removeBlock = (number: number, confirm_within_secs?: number) =>
  remove<Removed>(`/api/blocks/${number}${query({ confirm_within_secs })}`);

export const flushBlocks = () => post<Removed>("/api/blocks/flush");

export async function verifyBlock(number: number): Promise<VerifyLine> {
  const { items } = await post<VerifyList>(`/api/blocks/${number}/verify`);
  const [line] = items;
  if (line === undefined) throw new Problem(0, "No answer", `The agent has no block ${number}.`);
  return line;
}

export const allow = (wish: NewAllow) => post<Allowed>("/api/allow", wish);

export const disallow = (id: string) => remove<Disallowed>(`/api/allow/${encodeURIComponent(id)}`);

export const setMode = (mode: ModeName, confirm_within_secs?: number) =>
  put<ModeState>("/api/mode", { mode, confirm_within_secs } satisfies NewMode);

export const confirm = (id: number) => post<PendingList>(`/api/confirmations/${id}`);

export const raiseBudget = (home: string, destination: string, bytes: number | null) =>
  post<BudgetLine>("/api/budgets/raise", { home, destination, bytes } satisfies Raise);

/** Whether this alert is the reason of the block, by the agent's own decision or by hand. */
export const isBecauseOf = (block: BlockLine, alert: string): boolean =>
  block.alert === alert || block.reason === `alert ${alert}`;

/** The request for the same block again, to undo an unblock. */
export const again = (block: BlockLine): NewBlock => ({
  target: block.target,
  effect: block.effect,
  simulate: block.simulated,
  ttl_secs: Math.max(1, block.remaining_secs),
  reason: `unblock undone: ${block.reason}`.slice(0, 500),
});
