// What needs no wire: captures, records, models.
import { readFileSync } from "node:fs";
import { button, check, counts, lab, refused, screenshot, sees, settled, visit } from "./stage.mjs";

const PATIENCE_MS = 60_000;

/** Uploads the lab's recording and returns an alert that was found in it. */
export async function captures(page) {
  await visit(page, "/captures");
  const picker = page.locator("input[type=file]");
  await picker.setInputFiles({
    name: "none.pcap",
    mimeType: "",
    buffer: Buffer.from("no capture"),
  });
  const none = page.locator("li.capture", { hasText: "none.pcap" });
  await none.getByText("failed").waitFor();
  check("a capture that is none says so", (await none.locator(".problem").innerText()).length > 10);

  await picker.setInputFiles(lab.capture);
  const capture = page.locator("li.capture", { hasText: "theft.pcap" });
  await capture.getByText("done", { exact: true }).waitFor({ timeout: PATIENCE_MS });
  const found = capture.getByRole("link", { name: /^[1-9]\d* alerts?$/ });
  check("analysed, with alerts", (await found.count()) === 1, await capture.innerText());
  await screenshot(page, "captures-after");
  const waiting = page.waitForEvent("download");
  await capture.getByText("Features (CSV)").click();
  const [header, row] = readFileSync(await (await waiting).path(), "utf8").split("\n");
  check("features with a header", header.includes("sent_payload") && row.split(",").length > 50);

  await found.click();
  await page.waitForURL((url) => url.searchParams.has("capture"));
  await settled(page);
  const rows = page.locator(".alert-row");
  check("its alerts, by the capture", (await rows.count()) > 0);
  await rows.first().locator("a.headline").click();
  check(
    "they say where they are from",
    await sees(page, /capture \d+/, page.locator(".alert-detail")),
  );

  await visit(page, "/captures");
  await button(capture, "Analyse again …").click();
  await button(page.locator("dialog[open]"), "Analyse").click();
  check("again", await sees(page, "theft.pcap is analysed again"));
  await capture.locator(".analyses li").nth(1).waitFor({ timeout: PATIENCE_MS });
  await capture.getByText("done", { exact: true }).waitFor({ timeout: PATIENCE_MS });
  check("both analyses stand there", (await capture.locator(".analyses li").count()) === 2);
  await button(none, "Delete …").click();
  await button(page.locator("dialog[open]"), "Delete").click();
  check("deleted", await sees(page, "none.pcap is deleted"));
}

/** The older service's form. */
export async function record(page) {
  await visit(page, "/record");
  const inputs = page.locator("main form input");
  check("nine inputs", (await inputs.count()) === 9);
  await refused(page, () => button(page, "Check").click());
  const wrong = page.locator(".field.wrong");
  check("what is missing is named", await counts(wrong, 1));
  for (let at = 0; at < 9; at += 1) {
    const input = inputs.nth(at);
    await input.fill(await input.getAttribute("placeholder"));
  }
  await button(page, "Check").click();
  check("the documented sample is 0", await sees(page, /Prediction 0/));
  const shown = await page.locator(".verdict + p").innerText();
  const probability = Number(/probability ([\d.]+)/.exec(shown)?.[1]);
  check("with a probability below a half", probability < 0.5, shown);
  await page.fill("input[name=bytes_sent]", "500000");
  await button(page, "Check").click();
  check("with 500000 bytes sent it is 1", await sees(page, /Prediction 1/));
  check("and why", (await page.locator(".contribution").count()) > 2);
  await screenshot(page, "record-theft");
  await page.fill("input[name=source_port]", "70000");
  await refused(page, () => button(page, "Check").click());
  check("a port out of range is named", await sees(page, /source_port/, wrong));
}

export async function models(page) {
  await visit(page, "/model");
  check("what it goes by", (await page.locator(".importances li").count()) >= 15);
  check("how good it was found", await sees(page, "Precision"));
  await button(page, "Evaluate on stored samples").click();
  check("and is found here", await sees(page, "On the stored samples"));
  await screenshot(page, "model-evaluated", true);
}
