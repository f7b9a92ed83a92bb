// Traffic over time, and who sends where.
import type { AlertSummary } from "./alerts";

export interface TrafficPoint {
  time: string;
  bytes_out: number;
  bytes_in: number;
  packets: number;
  scored: number;
  /** None where nothing was judged. */
  probability_max: number | null;
  probability_mean: number | null;
  alerts: number;
}

export interface Traffic {
  step_secs: number;
  points: TrafficPoint[];
}

export interface Ranked {
  key: string;
  name: string | null;
  bytes_out: number;
  bytes_in: number;
  sessions: number;
}

export interface Talk {
  src: string;
  dst: string;
  dst_name: string | null;
  dst_port: number;
  protocol: string;
  bytes_out: number;
  bytes_in: number;
  sessions: number;
}

export interface FlowLine {
  start: string;
  end: string;
  src: string;
  dst: string;
  dst_port: number;
  protocol: string;
  name: string | null;
  bytes_out: number;
  bytes_in: number;
  packets_out: number;
  packets_in: number;
  flows: number;
  score: number;
}

export interface LiveSession extends Omit<FlowLine, "start" | "end" | "score"> {
  rate: number;
  started: string;
  last_seen: string;
}

export interface Baseline {
  state: "learning" | "ready" | "none";
  days_left: number | null;
  receivers: number;
  days_seen: number;
}

export interface Host {
  address: string;
  home: boolean;
  bytes_out: number;
  bytes_in: number;
  alerts_open: number;
  first_seen: string | null;
  last_seen: string | null;
  baseline: Baseline;
}

export interface HostDetail extends Host {
  step_secs: number;
  points: { time: string; bytes_out: number; bytes_in: number }[];
  peers: Talk[];
  alerts: AlertSummary[];
}

export interface Interface {
  name: string;
  attached: boolean;
  ingress: string | null;
  egress: string | null;
  /** Since it was attached. */
  frames_in: number;
  frames_out: number;
  bytes_in: number;
  bytes_out: number;
  /** Of frames that are no IP packet: a part of the above. */
  skipped_bytes: number;
  unaccounted_bytes: number;
  notes: string[];
}
