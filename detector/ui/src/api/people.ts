// Test messages to a channel.
import type { Delivery, TestBody } from "../api-types";
import { post } from "./request";

export const testChannel = (channel: string, to?: string) =>
  post<Delivery>("/api/notify/test", {
    channel,
    to: to === "" ? undefined : to,
  } satisfies TestBody);
