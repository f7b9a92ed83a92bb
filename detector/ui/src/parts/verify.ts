// Whether a block holds: what it dropped and what passed it while one looked. The server answers what
// its counters say now; two readings tell what happened in between.
import { verifyBlock, type BlockLine, type VerifyLine } from "../api/response";
import { plural } from "../words/amounts";
import { notify } from "./toasts";

const WATCH_MS = 1_000;
/** A packet is counted as one of its flow first and as dropped then: what looks passed in one reading
 * only has not. */
const READINGS = 3;

export async function verify({ number, target, simulated }: BlockLine): Promise<void> {
  const before = await verifyBlock(number);
  if (before.text !== "") {
    notify({ text: before.text, tone: before.holds === false ? "bad" : "plain" });
    return;
  }
  let last = before;
  let passed = Infinity;
  for (let reading = 0; reading < READINGS && passed > 0; reading += 1) {
    await new Promise((resolve) => window.setTimeout(resolve, WATCH_MS));
    last = await verifyBlock(number);
    passed = Math.min(passed, last.passed_packets - before.passed_packets);
  }
  notify(finding(target, simulated, last.dropped_packets - before.dropped_packets, passed));
}

function finding(
  target: VerifyLine["target"],
  simulated: boolean,
  dropped: number,
  passed: number,
): { text: string; tone: "plain" | "bad" } {
  if (dropped <= 0 && passed <= 0)
    return { text: `Nothing came by meanwhile that ${target} could stop.`, tone: "plain" };
  const came = plural(dropped, "packet");
  if (simulated)
    return { text: `${target} counts only: it would have stopped ${came}.`, tone: "plain" };
  if (passed <= 0) return { text: `${target} holds: ${came} dropped, none passed.`, tone: "plain" };
  return {
    text: `${target} does not hold: ${plural(passed, "packet")} passed, ${came} dropped.`,
    tone: "bad",
  };
}
