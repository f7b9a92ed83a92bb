// Curves by steps: what the server leaves out, and the step that is not over yet.

interface At {
  time: string;
}

/** Milliseconds between which a curve is shown. */
export type Span = readonly [from: number, to: number];

/** A curve whose missing steps are gaps: nothing is known of them. */
export function withGaps<T extends At>(points: readonly T[], stepSecs: number) {
  const times: number[] = [];
  const values: (T | null)[] = [];
  for (const point of points) {
    const at = Date.parse(point.time);
    const last = times.at(-1);
    if (last !== undefined && at - last > stepSecs * 1_500) {
      times.push(last + stepSecs * 1_000);
      values.push(null);
    }
    times.push(at);
    values.push(point);
  }
  return { times, values };
}

/** How much of the step that begins at `time` has passed: what it carried so far took no longer. */
export function secsOf(time: string, stepSecs: number): number {
  const passed = (Date.now() - Date.parse(time)) / 1_000;
  return Math.max(1, Math.min(stepSecs, passed));
}
