// Amounts as a person reads them. Exact values stand in titles and exports.

const STEPS = ["B", "kB", "MB", "GB", "TB", "PB"] as const;

/** Decimal units, three digits: `1.42 MB`. */
export function bytes(value: number): string {
  let rest = Math.max(0, value);
  let step = 0;
  while (rest >= 999.5 && step < STEPS.length - 1) {
    rest /= 1_000;
    step += 1;
  }
  const digits = step === 0 || rest >= 99.95 ? 0 : rest >= 9.995 ? 1 : 2;
  return `${rest.toFixed(digits)} ${STEPS[step]}`;
}

export const rate = (bytesPerSecond: number): string => `${bytes(bytesPerSecond)}/s`;

const grouped = new Intl.NumberFormat("en-GB");

export const count = (value: number): string => grouped.format(value);

export const plural = (value: number, one: string, many = `${one}s`): string =>
  `${count(value)} ${value === 1 ? one : many}`;

/** Scores and probabilities. */
export const score = (value: number): string => value.toFixed(2);

/** A share that is never rounded up to the whole: 99.99 % is not 100 %. */
export function percent(share: number): string {
  if (share >= 1) return "100 %";
  const floored = Math.floor(share * 10_000) / 100;
  return `${floored.toFixed(2)} %`;
}

const SPANS: readonly [number, string][] = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
  [1, "s"],
];

/** Where fractions of a second matter: `10 ms`, `2.4 s`. */
export function brief(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1_000)} ms`;
  return seconds < 10 ? `${seconds.toFixed(1)} s` : duration(seconds);
}

/** At most two units: `2 h 5 min`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const at = SPANS.findIndex(([span]) => whole >= span);
  if (at === -1) return "0 s";
  const [span, unit] = SPANS[at]!;
  const first = `${Math.floor(whole / span)} ${unit}`;
  const next = SPANS[at + 1];
  const rest = next === undefined ? 0 : Math.floor((whole % span) / next[0]);
  return next === undefined || rest === 0 ? first : `${first} ${rest} ${next[1]}`;
}
