// Whether a block holds: the server looks for up to three seconds, and says what came of it.
import type { BlockLine } from "../api-types";
import { verifyBlock } from "../api/response";
import { notify } from "./toasts";

export async function verify({ number, target }: BlockLine): Promise<void> {
  const { holds, text } = await verifyBlock(number);
  const finding = holds === null ? text : `the block ${holds ? "works" : "does not work"}: ${text}`;
  notify({ text: `${target}: ${finding}.`, tone: holds === false ? "bad" : "plain" });
}
