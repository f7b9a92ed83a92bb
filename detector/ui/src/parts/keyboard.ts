// Keys for the whole page. They are deaf while one types, and where a dialog is open only Escape is
// heard, by the dialog itself.
import { go, path } from "../navigation";
import { copy } from "./address";

export const GO_KEYS: Record<string, [string, string]> = {
  o: ["/", "Overview"],
  a: ["/alerts", "Alerts"],
  f: ["/flows", "Flows"],
  h: ["/hosts", "Hosts"],
  l: ["/live", "Live"],
  r: ["/response", "Response"],
  c: ["/captures", "Captures"],
  m: ["/model", "Model"],
  s: ["/settings", "Settings and health"],
};

const GO_WITHIN_MS = 1_200;
let goSince = 0;

export function startKeyboard(showHelp: () => void): void {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]") !== null) return;
    if (typing(event.target)) {
      if (event.key === "Escape") (event.target as HTMLElement).blur();
      return;
    }
    if (press(event.key, showHelp)) event.preventDefault();
  });
}

function press(key: string, showHelp: () => void): boolean {
  if (Date.now() - goSince < GO_WITHIN_MS) {
    goSince = 0;
    const target = GO_KEYS[key];
    if (target === undefined) return false;
    go(target[0]);
    return true;
  }
  switch (key) {
    case "/":
      return focusSearch();
    case "j":
      return move(1);
    case "k":
      return move(-1);
    case "c":
      return copyFocused();
    case "Escape":
      return leave();
    case "Enter":
      return openFocused();
    case "g":
      goSince = Date.now();
      return true;
    case "?":
      showHelp();
      return true;
    default:
      return false;
  }
}

const typing = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) &&
  !(target instanceof HTMLInputElement && /^(checkbox|radio|button)$/.test(target.type));

/** The page's own search, else the one in the head. */
function focusSearch(): boolean {
  const search =
    document.querySelector<HTMLInputElement>("main [data-search]") ??
    document.querySelector<HTMLInputElement>("[data-search]");
  search?.focus();
  search?.select();
  return search !== null;
}

/** Rows are moved through in the order of the document, whichever list they stand in. */
function move(by: number): boolean {
  const rows = [...document.querySelectorAll<HTMLElement>("main [data-row]")].filter(
    (row) => row.offsetParent !== null,
  );
  if (rows.length === 0) return false;
  const current = document.activeElement?.closest<HTMLElement>("[data-row]") ?? null;
  const at = current === null ? -1 : rows.indexOf(current);
  const next = at === -1 ? startOf(rows, by) : Math.max(0, Math.min(rows.length - 1, at + by));
  const row = rows[next]!;
  row.focus();
  row.scrollIntoView({ block: "nearest" });
  return true;
}

function startOf(rows: HTMLElement[], by: number): number {
  const selected = rows.findIndex((row) => row.getAttribute("aria-current") === "true");
  return selected === -1 ? 0 : Math.max(0, Math.min(rows.length - 1, selected + by));
}

/** Enter on a row follows its first link; on a link or button the browser does it. */
function openFocused(): boolean {
  const row = document.activeElement;
  if (!(row instanceof HTMLElement) || !row.hasAttribute("data-row")) return false;
  const link =
    row.querySelector<HTMLElement>("a[data-open]") ?? row.querySelector<HTMLElement>("a");
  link?.click();
  return link !== null;
}

function copyFocused(): boolean {
  const focused = document.activeElement;
  const holder =
    focused?.closest<HTMLElement>("[data-address]") ??
    focused?.closest("[data-row]")?.querySelector<HTMLElement>("[data-address]");
  const address = holder?.dataset["address"];
  if (address === undefined) return false;
  void copy(address);
  return true;
}

/** Out of a detail, back to its list. */
function leave(): boolean {
  const detail = /^\/(alerts|hosts)\/./.exec(path.value);
  if (detail === null) return false;
  go(`/${detail[1]}${detail[1] === "alerts" ? window.location.search : ""}`);
  return true;
}
