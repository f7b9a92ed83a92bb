// Alerts: found by each of their fields, read, noted on, replayed, blocked and released.
import { readFileSync } from "node:fs";
import {
  api,
  ask,
  button,
  check,
  counts,
  screenshot,
  sees,
  settled,
  until,
  visit,
} from "./stage.mjs";

/** Each field's value for an alert, and one that does not fit it. */
const fields = (alert) => ({
  q: [alert.dst_name, "nothing-is-called-so"],
  address: [alert.dst, "192.0.2.77"],
  src: [`${alert.src}/32`, "192.0.2.77"],
  dst: [alert.dst, alert.src],
  port: [alert.dst_port, 1],
  src_port: [alert.src_port, 1],
  dst_port: [alert.dst_port, 1],
  name: [alert.dst_name, "other.example"],
});

const chosen = (alert) => ({
  technique: [alert.technique, "icmp_tunnel"],
  protocol: [alert.protocol, "sctp"],
  origin: [alert.origin, "record"],
  action: [alert.action, "failed"],
});

const row = (page, alert) => page.locator(`a.headline[href^="/alerts/${alert.id}"]`);

export async function foundByEachField(page) {
  const { items } = await api(page, "/api/alerts?origin=live&limit=100");
  const alert = items.find((one) => one.dst_name !== null);
  check("an alert with a name", alert !== undefined, items);
  for (const [field, values] of Object.entries(fields(alert)))
    await finds(page, alert, field, values, typed);
  for (const [field, values] of Object.entries(chosen(alert)))
    await finds(page, alert, field, values, (page, field, value) =>
      page.selectOption(`select[name=${field}]`, String(value)),
    );
  const press = (page, _, value) =>
    page.locator(".filter-bar").getByRole("button", { name: value }).click();
  const other = alert.severity === "low" ? "critical" : "low";
  await finds(page, alert, "severity", [alert.severity, other], press);
  await finds(page, alert, "status", [alert.status, "closed"], press);
  const day = 86_400_000;
  const at = (shift) => new Date(Date.now() + shift).toISOString().slice(0, 16);
  const fill = (page, field, value) => page.fill(`input[name=${field}]`, value);
  await finds(page, alert, "from", [at(-day), at(day)], fill);
  await finds(page, alert, "to", [at(day), at(-day)], fill);
  for (const literal of ["' OR 1=1 --", "100%", '"', "<b>x</b>"]) {
    await visit(page, `/alerts?q=${encodeURIComponent(literal)}`);
    check(`${literal} is a literal`, (await page.locator(".failure").count()) === 0);
  }
  return alert;
}

async function typed(page, field, value) {
  const input = page.locator(`.filters input[name=${field}]`);
  await input.fill(String(value));
  await input.press("Enter");
}

async function finds(page, alert, field, [fitting, other], enter) {
  for (const [value, expected] of [
    [fitting, true],
    [other, false],
  ]) {
    await visit(page, "/alerts");
    await page.getByText("More fields").click();
    await enter(page, field, value);
    await page.waitForURL((url) => url.searchParams.has(field));
    await settled(page);
    const shown = expected
      ? await row(page, alert)
          .waitFor()
          .then(
            () => true,
            () => false,
          )
      : await row(page, alert)
          .waitFor({ state: "detached" })
          .then(
            () => true,
            () => false,
          );
    check(`by ${field} = ${value}: ${expected ? "found" : "not found"}`, shown, page.url());
  }
}

export async function read(page, alert) {
  await visit(page, "/alerts");
  await row(page, alert).click();
  const detail = page.locator(".alert-detail");
  check(
    "it opens with a sentence",
    (await detail.locator("h2").first().innerText()).includes(alert.src),
  );
  check("reasons in words", await sees(page, /\(rule \w+, certainty/, detail));
  check("reasons as a chart", (await detail.locator(".contribution-bar").count()) > 2);
  check("a timeline", (await detail.locator(".moment").count()) > 0);
  check("the technique's number", await sees(page, /ATT&CK T\d{4}/, detail));
  check(
    "the first bytes",
    (await detail.locator("pre.hex").first().innerText()).includes("POST /gate.php"),
  );
  await detail.getByText(/columns of the vector/).click();
  check("the whole vector", (await detail.locator(".vector > div").count()) > 50);
  await button(detail, "Replay").click();
  check("replayed", await sees(page, /identical to the stored score/));
  await evidence(page, alert, detail);
  await note(page, detail);
  await button(detail, "Acknowledge").click();
  check("acknowledged", await sees(page, "The alert is acknowledged"));
  await screenshot(page, "alert-acknowledged", true);
  await button(page, "Undo").click();
  check("taken back", await sees(page, "Undone"));
}

async function evidence(page, alert, detail) {
  const waiting = page.waitForEvent("download");
  await detail.getByText("Download evidence").click();
  const bundle = JSON.parse(readFileSync(await (await waiting).path(), "utf8"));
  check("the evidence is this alert's", bundle.alert.id === alert.id);
  check(
    "with the vector and the flows",
    bundle.alert.vector.length > 50 && bundle.flows.length > 0,
  );
}

async function note(page, detail) {
  const text = 'wörk <b>of</b> "Žofie" مرحبا';
  await detail.locator("#note").fill(text);
  await button(detail, "Add note").click();
  check("a note is text, whatever is in it", await sees(page, text, detail.locator(".written")));
}

/** Blocks what an alert accuses and lets it go; who started the walk counts what arrives. */
export async function blockAndRelease(page, alert) {
  await visit(page, `/alerts/${alert.id}`);
  const detail = page.locator(".alert-detail");
  await ask("the receiver's bytes move");
  await button(detail, "Block …").click();
  const dialog = page.locator("dialog[open]");
  check("it says for how long", await sees(page, /expires after 10 minutes/, dialog));
  const times = await dialog.locator("select[name=ttl_secs] option").allInnerTexts();
  check("no longer than is configured", times.at(-1) === "4 hours", times);
  await screenshot(page, "block-dialog");
  await button(dialog, "Block for 10 minutes").click();
  check("blocked", await sees(page, /Blocked for 10 minutes/));
  await ask("the receiver's bytes stand still");
  check("the block stands in the alert", await sees(page, "in force", detail));
  check("and in its timeline", await sees(page, "blocked", detail.locator(".timeline")));
  await visit(page, "/response");
  const line = page.getByRole("table", { name: "Blocks" }).locator("tbody tr");
  check("and on its page", await counts(line, 1));
  await until(page, () => /[1-9]\d* packets?/.test(document.body.innerText));
  await line.getByText("Verify").click();
  check("it holds", await sees(page, /works: [1-9]\d* packets? dropped, none passed/));
  await screenshot(page, "blocked", true);
  await visit(page, `/alerts/${alert.id}`);
  await button(detail, "Unblock").click();
  check("unblocked", await sees(page, "Unblocked: all blocks of this alert"));
  await ask("the receiver's bytes move again");
}

/** What comes while one looks stands there without a reload. */
export async function comesByItself(page) {
  await visit(page, "/alerts");
  const count = async () => Number(await page.locator(".nav-count").innerText());
  const before = await count();
  await ask("another theft has begun");
  const more = until(
    page,
    (before) => Number(document.querySelector(".nav-count")?.textContent) > before,
    before,
  ).then(
    () => true,
    () => false,
  );
  check("the number of alerts rises by itself", await more);
  check("the list says so", await sees(page, /new or changed alerts?: show/));
  await page.getByText(/new or changed alerts?: show/).click();
  await settled(page);
  const shown = until(
    page,
    (before) => document.querySelectorAll(".alert-row").length > before,
    before,
  ).then(
    () => true,
    () => false,
  );
  check("and shows it", await shown);
}

/** Several at once, and one that was none. */
export async function bulkAndBenign(page, benign) {
  await visit(page, "/alerts?status=open");
  const open = await page.locator(".alert-row").count();
  await page.getByLabel("Select all on this page").check();
  await button(page.locator(".bulk"), "Acknowledge").click();
  check("all acknowledged", await sees(page, new RegExp(`${open} alerts? acknowledged`)));
  await button(page, "Undo").click();
  check("and taken back", await sees(page, "Undone"));
  await visit(page, `/alerts/${benign.id}`);
  await button(page, "Expected …").click();
  await screenshot(page, "benign-dialog");
  await button(page.locator("dialog[open]"), "Allow for 30 days").click();
  check("benign closes it", await sees(page, /the alert is closed, and entry/));
  await visit(page, "/response");
  check("the exception stands there", await sees(page, `alert ${benign.id} was benign`));
}
