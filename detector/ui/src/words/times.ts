// Times, relative and absolute, in UTC or where the reader is.
import { signal } from "@preact/signals";
import { duration } from "./amounts";
import { kept } from "./kept";

export type Zone = "local" | "utc";

export const zone = kept<Zone>("zone", ["local", "utc"]);

/** Ticks each second for relative times. */
export const now = signal(Date.now());
window.setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 1_000);

export const toggleZone = (): void => {
  zone.value = zone.value === "local" ? "utc" : "local";
};

type Parts = "full" | "minute" | "short";

const DAY: Intl.DateTimeFormatOptions = { year: "numeric", month: "short", day: "2-digit" };
const CLOCK: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const PARTS: Record<Parts, Intl.DateTimeFormatOptions> = {
  full: { ...DAY, ...CLOCK, second: "2-digit" },
  minute: { ...DAY, ...CLOCK },
  short: { month: "short", day: "2-digit", ...CLOCK },
};

const formats = new Map<string, Intl.DateTimeFormat>();

function format(parts: Parts, at: Zone): Intl.DateTimeFormat {
  const key = `${parts} ${at}`;
  const known = formats.get(key);
  if (known !== undefined) return known;
  const timeZone = at === "utc" ? "UTC" : undefined;
  const made = new Intl.DateTimeFormat("en-GB", { ...PARTS[parts], timeZone });
  formats.set(key, made);
  return made;
}

/** `31 Jan 2027, 12:00:05 UTC`, or without the zone's name where it is the reader's own. */
export function absolute(ms: number, parts: Parts = "full"): string {
  const text = format(parts, zone.value).format(ms);
  return zone.value === "utc" ? `${text} UTC` : text;
}

/** `12 s ago`, `in 4 min`. */
export function relative(ms: number, from: number): string {
  const seconds = Math.round((from - ms) / 1_000);
  if (Math.abs(seconds) < 2) return "now";
  return seconds > 0 ? `${coarse(seconds)} ago` : `in ${coarse(-seconds)}`;
}

const coarse = (seconds: number): string =>
  seconds < 60 ? `${seconds} s` : duration(seconds - (seconds % 60));

/** For a `datetime-local` input, in the zone that is shown. */
export function toInput(ms: number): string {
  const shift = zone.value === "utc" ? 0 : new Date(ms).getTimezoneOffset() * 60_000;
  return new Date(ms - shift).toISOString().slice(0, 16);
}

/** The instant that a `datetime-local` input means; null where it is empty or none. */
export function fromInput(text: string): number | null {
  const ms = Date.parse(zone.value === "utc" ? `${text}Z` : text);
  return Number.isNaN(ms) ? null : ms;
}

export const rfc3339 = (ms: number): string => new Date(ms).toISOString().replace("Z", "000Z");
