// Where one is: path and query of the page, as signals. The URL is the only place where filters
// live, so that every view can be bookmarked, shared and gone back to.
import { computed, signal } from "@preact/signals";

export interface Place {
  path: string;
  query: URLSearchParams;
  /** Cursors of the pages before this one: a cursor only leads on. */
  trail: string[];
}

const read = (): Place => ({
  path: window.location.pathname,
  query: new URLSearchParams(window.location.search),
  trail: (window.history.state as { trail?: string[] } | null)?.trail ?? [],
});

export const place = signal<Place>(read());
export const path = computed(() => place.value.path);

export type Patch = Record<string, string | number | null | undefined>;

/** The present query with some keys replaced. A change of filters starts again at the first page. */
export function withQuery(patch: Patch, keepCursor = false): string {
  const query = new URLSearchParams(place.value.query);
  if (!keepCursor) query.delete("cursor");
  for (const [key, value] of Object.entries(patch)) {
    if (value === null || value === undefined || value === "") query.delete(key);
    else query.set(key, String(value));
  }
  return address(place.value.path, query);
}

/** A path with a query made of what is not empty. */
export function to(pathname: string, patch: Patch = {}): string {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(patch)) {
    if (value !== null && value !== undefined && value !== "") query.set(key, String(value));
  }
  return address(pathname, query);
}

function address(pathname: string, query: URLSearchParams): string {
  const text = query.toString();
  return text === "" ? pathname : `${pathname}?${text}`;
}

interface GoOptions {
  replace?: boolean;
  trail?: string[];
}

export function go(target: string, { replace = false, trail = [] }: GoOptions = {}): void {
  const method = replace ? "replaceState" : "pushState";
  window.history[method]({ trail }, "", target);
  place.value = read();
}

/** One value of the query, empty where it is absent. */
export const queried = (key: string): string => place.value.query.get(key) ?? "";

/** Follows the browser's buttons, and takes over clicks on links to our own pages. */
export function startNavigation(): void {
  window.addEventListener("popstate", () => {
    place.value = read();
  });
  document.addEventListener("click", (event) => {
    const target = ownLink(event);
    if (target === null) return;
    event.preventDefault();
    go(target);
  });
}

function ownLink(event: MouseEvent): string | null {
  const modified = event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
  if (event.defaultPrevented || event.button !== 0 || modified) return null;
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (link === null || link.target !== "" || link.hasAttribute("download")) return null;
  const url = new URL(link.href, window.location.href);
  if (url.origin !== window.location.origin || url.hash !== "") return null;
  // What the server answers itself is no page of ours.
  if (/^\/(api|predict|metrics|healthz)(\/|$)/.test(url.pathname)) return null;
  return url.pathname + url.search;
}
