// Every page of the dashboard opened and used, in a real browser on real data. Started by
// tests/browser.rs, which makes the lab and counts what arrives; see stage.mjs for what it is given.
import * as alerts from "./alerts.mjs";
import { keyboardAlone } from "./keyboard.mjs";
import { everyPage, overview, preferences } from "./looks.mjs";
import * as offline from "./offline.mjs";
import * as people from "./people.mjs";
import * as response from "./response.mjs";
import { api, check, failed, launch, open, screenshot } from "./stage.mjs";

/** Longer than all of it takes; then somebody has to look at what hangs. */
const LIMIT_MS = 12 * 60_000;
setTimeout(() => {
  console.log("FAIL  the walk takes too long");
  process.exit(1);
}, LIMIT_MS).unref();

const browser = await launch();
const page = await open(browser);
let alert;
let token;

/** A step that breaks off is one failure; those that follow show their own. */
async function step(name, act) {
  console.log(`step  ${name}`);
  try {
    await act();
  } catch (error) {
    check(name, false, error.stack);
    await screenshot(page, `broken-${name.replaceAll(" ", "-")}`, true);
  }
}

await step("without a login", () => people.withoutLogin(browser));
await step("a login", () => people.loginLink(page, browser));
await step("the overview", () => overview(page));
await step("an alert by each field", async () => {
  alert = await alerts.foundByEachField(page);
});
await step("an alert in detail", () => alerts.read(page, alert));
await step("a block and its release", async () => {
  const { items } = await api(
    page,
    "/api/alerts?origin=live&technique=bulk_upload&dst=203.0.113.10",
  );
  await alerts.blockAndRelease(page, items[0]);
});
await step("alerts as they come", () => alerts.comesByItself(page));
await step("captures", () => offline.captures(page));
await step("records", () => offline.record(page));
await step("response", () => response.response(page));
await step("live", () => response.live(page, { dst: "203.0.113.10" }));
await step("from address to address", () => response.pivots(page, alert));
await step("people", () => people.people(page));
await step("several alerts at once", () => alerts.bulkAndBenign(page, alert));
await step("models", () => offline.models(page));
await step("the keyboard alone", () => keyboardAlone(page, { dst: "203.0.113.10" }));
await step("preferences", () => preferences(page));
await step("a token", async () => {
  token = await people.token(page);
});
await step("every page, light and dark, wide and narrow", () => everyPage(browser, token));
await step("the end of a token", () => people.revoke(page));

await browser.close();
console.log(`${failed()} failures`);
process.exit(failed() === 0 ? 0 : 1);
