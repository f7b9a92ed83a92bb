// A part of a page that comes from the server: loaded, kept while it is loaded again, loaded again
// when the server says that it changed. What was shown stays until its successor is there, so
// nothing jumps.
import { useSignalEffect } from "@preact/signals";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import type { Topic } from "../api-types";
import { version } from "./events";
import { get, Problem } from "./request";

export interface Resource<T> {
  value: T | null;
  problem: Problem | null;
  loading: boolean;
  reload: () => void;
  /** Replaces what is shown, as after a change whose answer is the new state. */
  replace: (value: T) => void;
}

interface Options {
  /** Changes of these load it again. */
  on?: readonly Topic[];
  /** Loads it again after so many seconds, while the page is looked at. */
  everySecs?: number;
}

const NO_TOPICS: readonly Topic[] = [];
/** A burst of changes is one reload. */
const SETTLE_MS = 400;

/** A path of null loads nothing. */
export function useResource<T>(path: string | null, options: Options = {}): Resource<T> {
  const { on = NO_TOPICS, everySecs } = options;
  const [value, setValue] = useState<T | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [loading, setLoading] = useState(path !== null);
  const [turn, setTurn] = useState(0);
  const reload = useCallback(() => setTurn((last) => last + 1), []);

  useEffect(() => {
    if (path === null) return undefined;
    const abort = new AbortController();
    setLoading(true);
    get<T>(path, abort.signal).then(
      (answer) => {
        setValue(answer);
        setProblem(null);
        setLoading(false);
      },
      (error: unknown) => {
        if (abort.signal.aborted) return;
        setProblem(asProblem(error));
        setLoading(false);
      },
    );
    return () => abort.abort();
  }, [path, turn]);

  useChanges(on, reload);
  useInterval(reload, everySecs);
  return { value, problem, loading, reload, replace: setValue };
}

export const asProblem = (error: unknown): Problem =>
  error instanceof Problem ? error : new Problem(0, "Failed", String(error));

function useChanges(topics: readonly Topic[], reload: () => void): void {
  const seen = useRef<number | null>(null);
  const timer = useRef<number>(0);
  useSignalEffect(() => {
    const now = version(topics);
    const first = seen.current === null;
    // Not put off by what comes meanwhile: under a flood of alerts it would never be loaded.
    if (!first && seen.current !== now && timer.current === 0) {
      timer.current = window.setTimeout(() => {
        timer.current = 0;
        reload();
      }, SETTLE_MS);
    }
    seen.current = now;
  });
  useEffect(() => () => window.clearTimeout(timer.current), []);
}

function useInterval(reload: () => void, everySecs: number | undefined): void {
  useEffect(() => {
    if (everySecs === undefined) return undefined;
    const timer = window.setInterval(() => {
      if (!document.hidden) reload();
    }, everySecs * 1_000);
    return () => window.clearInterval(timer);
  }, [everySecs, reload]);
}
