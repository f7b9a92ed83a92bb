// The program's own state: rates, coverage, loss, health.

export type Mode = "observe" | "simulate" | "block";

export interface Pending {
  id: number;
  what: string;
  in_secs: number;
}

export interface Loss {
  name: string;
  count: number;
  text: string;
}

export interface TableUse {
  name: string;
  used: number;
  capacity: number;
  bytes: number;
  when_full: string;
}

export interface Sink {
  name: string;
  state: string;
  queued: number;
  sent: number;
  failed: number;
  dropped: number;
  retried: number;
  /** The latest failure, also where it works again. */
  error: string | null;
  /** A promise that it cannot keep at present. */
  note: string | null;
}

export interface Store {
  state: "ok" | "failing" | "off";
  path: string | null;
  bytes: number;
  not_stored: { name: string; count: number }[];
  error: string | null;
}

export interface Status {
  version: string;
  /** None where no agent runs. */
  mode: Mode | null;
  capturing: boolean;
  started: string;
  uptime_secs: number;
  rates: { packets: number; bytes: number; bytes_out: number; bytes_in: number };
  flows: number;
  interfaces: number;
  coverage: {
    seen_bytes: number;
    accounted_bytes: number;
    unaccounted_bytes: number;
    /** None where nothing has been seen yet. */
    ratio: number | null;
  };
  loss: Loss[];
  baselines: { ready: number; learning: number; days_left: number | null };
  alerts: {
    open: number;
    acknowledged: number;
    last_24h: number;
    by_severity: { low: number; medium: number; high: number; critical: number };
  };
  blocks: number;
  pending: Pending[];
  tables: TableUse[];
  store: Store;
  sinks: Sink[];
  learning: string | null;
}

export interface Check {
  name: string;
  state: "ok" | "warning" | "failed";
  text: string;
  remedy: string | null;
}

export interface Token {
  id: number;
  name: string;
  scope: string;
  created: string;
  expires: string | null;
  last_used: string | null;
}

export interface NewToken extends Token {
  token: string;
  login_link: string;
}
