// The closed lists of the program, in the words that people see.
import type {
  ActionTaken,
  AlertStatus,
  ModeName,
  OriginName,
  Severity,
  Technique,
} from "../api-types";

export const SEVERITIES: readonly Severity[] = ["critical", "high", "medium", "low"];

export const TECHNIQUES: Record<Technique, string> = {
  dns_tunnel: "DNS tunnel",
  icmp_tunnel: "ICMP tunnel",
  clear_upload: "Clear-text upload",
  beacon_upload: "Beaconing upload",
  slow_drip: "Slow drip",
  bulk_upload: "Bulk upload",
  tunnel: "Tunnel",
  unexplained_upload: "Unexplained upload",
  monitor_bypass: "Monitor bypass",
  unknown_exfiltration: "Unknown exfiltration",
};

/** Also of a name that this version does not know. */
export const techniqueText = (name: string): string =>
  (TECHNIQUES as Record<string, string>)[name] ?? name;

const CLASSES: Record<string, string> = {
  evidence: "evidence is missing",
  new: "a new receiver",
  internal: "an internal receiver",
  alerted: "an alert is open",
};

/** Why bytes are unexplained. */
export const classText = (name: string): string => CLASSES[name] ?? name;

export const STATUSES = [
  "open",
  "acknowledged",
  "closed",
] as const satisfies readonly AlertStatus[];
export const ORIGINS = ["live", "capture", "record"] as const satisfies readonly OriginName[];
export const ACTIONS = [
  "none",
  "simulated",
  "blocked",
  "policed",
  "marked",
  "refused",
  "failed",
] as const satisfies readonly ActionTaken[];
export const PROTOCOLS = ["tcp", "udp", "icmp", "icmpv6", "sctp", "dccp", "udplite"] as const;

export const ACTION_TEXT: Record<ActionTaken, string> = {
  none: "Alert only",
  simulated: "Would have been blocked",
  blocked: "Blocked",
  policed: "Rate limited",
  marked: "Marked",
  refused: "Not blocked: refused by policy",
  failed: "Not blocked: the kernel refused the block",
};

export const MODE_TEXT: Record<ModeName, { title: string; text: string }> = {
  observe: { title: "Observing", text: "The agent alerts and does not block." },
  simulate: {
    title: "Simulating",
    text: "The agent counts the packets that it would block. It does not block.",
  },
  block: { title: "Blocking", text: "The agent blocks the pair of an alert. Each block expires." },
};

/** How long a block or an exception may be asked to last. */
export const BLOCK_TIMES: readonly [number, string][] = [
  [600, "10 minutes"],
  [3_600, "1 hour"],
  [14_400, "4 hours"],
  [28_800, "8 hours"],
  [86_400, "1 day"],
];

export const ALLOW_TIMES: readonly [number, string][] = [
  [86_400, "1 day"],
  [604_800, "7 days"],
  [2_592_000, "30 days"],
  [31_536_000, "1 year"],
];
