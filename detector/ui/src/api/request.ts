// The one way to the server: JSON in and out, the session's CSRF token on changes, and problems
// (RFC 9457) as typed errors. It never retries; whoever asks decides what a failure means.
import { signal } from "@preact/signals";
import type { Problem as Sent } from "../api-types";

/** What the server, or the way to it, had to say against a request. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly field: string | null = null,
  ) {
    super(detail === "" ? title : detail);
  }
}

/** The token that changes carry. */
export const csrf = signal<string | null>(null);
/** Set when a change was refused for want of a login; the shell shows how to get one. */
export const loginWanted = signal(false);

interface Options {
  body?: unknown;
  /** A body that is sent as it stands. */
  raw?: { body: BodyInit; type: string };
  signal?: AbortSignal;
}

export async function request<T>(method: string, path: string, options: Options = {}): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  let body: BodyInit | undefined;
  if (options.raw !== undefined) {
    headers["Content-Type"] = options.raw.type;
    body = options.raw.body;
  } else if (options.body !== undefined) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(options.body);
  }
  // Reading needs it too where only some may: the list of tokens.
  if (csrf.value !== null) headers["X-CSRF-Token"] = csrf.value;
  const response = await reach(path, { method, headers, body, signal: options.signal });
  if (!response.ok) throw await refusal(response, method);
  return (response.status === 204 ? undefined : await parsed(response)) as T;
}

export const get = <T>(path: string, signal?: AbortSignal) => request<T>("GET", path, { signal });
export const post = <T>(path: string, body: unknown = {}) => request<T>("POST", path, { body });
export const put = <T>(path: string, body: unknown) => request<T>("PUT", path, { body });
export const remove = <T>(path: string) => request<T>("DELETE", path);

async function reach(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(path, { ...init, credentials: "same-origin" });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(
      0,
      "No answer",
      "The program does not answer. Check that it is running: systemctl status detector",
    );
  }
}

async function parsed(response: Response): Promise<unknown> {
  const text = await response.text();
  try {
    return text === "" ? undefined : JSON.parse(text);
  } catch {
    throw new Problem(response.status, "Invalid answer", "The answer is not JSON.");
  }
}

async function refusal(response: Response, method: string): Promise<Problem> {
  const problem = toProblem(response.status, response.statusText, await response.text());
  if (response.status === 401 && method !== "GET") loginWanted.value = true;
  return problem;
}

/** Reads the body of an answer that says no; also used where the browser uploads by other means. */
export function toProblem(status: number, statusText: string, text: string): Problem {
  try {
    const { title, detail, field } = JSON.parse(text) as Partial<Sent>;
    return new Problem(status, title ?? statusText, detail ?? "", field ?? null);
  } catch {
    return new Problem(status, statusText || `Status ${status}`, "");
  }
}

/** A query string of what is set; lists are joined by commas. */
export function query(values: Record<string, string | number | undefined | null>): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(values)) {
    if (value !== undefined && value !== null && value !== "") search.set(key, String(value));
  }
  const text = search.toString();
  return text === "" ? "" : `?${text}`;
}
