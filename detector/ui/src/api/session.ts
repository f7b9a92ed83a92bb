// The login of this browser, and its scopes.
import { computed, signal } from "@preact/signals";
import type { Credentials, ScopeName, Session } from "../api-types";
import { csrf, get, loginWanted, post, request } from "./request";

export const session = signal<Session | null>(null);

export const scopes = computed(() => new Set<ScopeName>(session.value?.scopes ?? []));

const may = (scope: ScopeName): boolean => scopes.value.has(scope);

/** Why something cannot be done, or null where it can. */
export function lacking(scope: ScopeName): string | null {
  if (may(scope)) return null;
  if (session.value?.authenticated === true) {
    return `This needs the scope “${scope}”; your login has ${[...scopes.value].join(", ")}.`;
  }
  return `This needs a login with the scope “${scope}”.`;
}

export async function loadSession(): Promise<void> {
  accept(await get<Session>("/api/session"));
}

/** A one-time code from a login link, or a token. */
export async function login(secret: Credentials): Promise<void> {
  accept(await post<Session>("/api/session", secret));
  loginWanted.value = false;
}

export async function logout(): Promise<void> {
  await request("DELETE", "/api/session");
  await loadSession();
}

function accept(answer: Session): void {
  csrf.value = answer.csrf;
  session.value = answer;
}
