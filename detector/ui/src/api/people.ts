// Who is told, about what, and by which way; and what became of each message.
import { post } from "./request";

export interface Contact {
  id: number;
  forename: string;
  surname: string;
  email: string | null;
  phone: string | null;
  groups: number[];
}

export interface Group {
  id: number;
  name: string;
  alertable: boolean;
  contacts: number[];
}

export interface Rule {
  id: number;
  name: string;
  enabled: boolean;
  group: number | null;
  channel: string;
  min_severity: string;
  techniques: string[];
  host: string | null;
  digest_secs: number;
  repeat_secs: number;
  /** Why it tells nobody as the configuration is now. */
  held: string | null;
}

export interface Delivery {
  id: number;
  time: string;
  channel: string;
  recipient: string;
  alert: string | null;
  /** How many alerts it tells of. */
  alerts: number;
  state: "queued" | "sent" | "failed" | "dropped";
  attempts: number;
  next_attempt: string | null;
  error: string | null;
  subject: string;
}

export interface Channel {
  name: string;
  kind: "email" | "sms" | "webhook" | "slack" | "syslog";
  target: string;
  state: "ok" | "failing" | "unused";
  queued: number;
  sent: number;
  failed: number;
  last_error: string | null;
}

export const testChannel = (channel: string, to?: string) =>
  post<Delivery>("/api/notify/test", to === undefined || to === "" ? { channel } : { channel, to });
