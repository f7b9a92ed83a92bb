// What is done by hand: modes on trial, blocks, exceptions; interfaces and live sessions; the way
// from any address to everything about it.
import { button, check, refused, screenshot, sees, settled, visit } from "./stage.mjs";

const dialogOf = (page) => page.locator("dialog[open]");

export async function response(page) {
  await visit(page, "/response");
  await button(page, "Block …").click();
  const dialog = dialogOf(page);
  await dialog.locator("input[name=target]").fill("everything");
  await dialog.locator("input[name=reason]").fill("a mistake");
  await refused(page, () => button(dialog, "Block for 10 minutes").click());
  check(
    "a target that is none is named beside its field",
    await sees(page, /is not a target/, dialog.locator(".field.wrong")),
  );
  await screenshot(page, "block-refused");
  await dialog.locator("input[name=target]").fill("destination 0.0.0.0/0");
  await refused(page, () => button(dialog, "Block for 10 minutes").click());
  check("what must not be cut off is refused", await sees(page, /the default route/, dialog));
  await dialog.locator("input[name=target]").fill("destination 203.0.113.99");
  await button(dialog, "Block for 10 minutes").click();
  check("a block by hand", await sees(page, "Blocked for 10 minutes: destination 203.0.113.99"));
  await button(page, "Unblock destination 203.0.113.99").click();
  check("and its end", await sees(page, "Unblocked: destination 203.0.113.99"));
  await modeOnTrial(page);
  await exception(page);
  check(
    "all of it is written down",
    await sees(page, "203.0.113.99", page.getByRole("table", { name: "Audit log" })),
  );
  await screenshot(page, "response-after", true);
}

async function modeOnTrial(page) {
  await button(page, "Change to block …").click();
  await button(dialogOf(page), "Change to block").click();
  check(
    "it says that it will be undone",
    await sees(page, /is undone in .* unless you confirm it/),
  );
  await screenshot(page, "mode-on-trial");
  await button(page, "Confirm").click();
  check("confirmed", await sees(page, /Confirmed: mode block/));
  await page.locator(".badge.mode-block").waitFor();
  await button(page, "Change to observe …").click();
  await button(dialogOf(page), "Change to observe").click();
  await page.locator(".badge.mode-observe").waitFor();
  check("and back", true);
}

async function exception(page) {
  await button(page, "Allow …").click();
  await dialogOf(page).locator("input[name=destination]").fill("203.0.113.98");
  await dialogOf(page).locator("input[name=reason]").fill("the nightly backup");
  await button(dialogOf(page), "Allow").click();
  check("an exception", await sees(page, "The exception is active"));
  const line = page.getByRole("row").filter({ hasText: "the nightly backup" });
  await button(line, "Remove").click();
  check("and its end", await sees(page, "The exception is removed"));
}

export async function live(page, alert) {
  await visit(page, "/live");
  const sessions = page.getByRole("table", { name: "Sessions" });
  check("the session of the alert is live", await sees(page, alert.dst, sessions));
  check(
    "with its open alert",
    (await sessions.locator(`a[href^="/alerts/"]`).count()) > 0,
  );
  await sessions.getByRole("button", { name: "Out" }).click();
  await page.waitForURL(/sort=bytes_out/);
  check(
    "sorted",
    (await sessions.locator("th[aria-sort=descending]").innerText()).startsWith("Out"),
  );
  await page.fill("main input[name=find]", "nothing-is-called-so");
  await page.press("main input[name=find]", "Enter");
  check("filtered", await sees(page, "Nothing matches"));
  const interfaces = page.getByRole("table", { name: "Interfaces" });
  check("rates of interfaces", await sees(page, /[1-9]\S* k?B\/s/, interfaces));
  await button(page, "Watch gw-wan0").click();
  check("an interface is watched", await sees(page, "The agent watches gw-wan0"));
  await button(page, "Stop watching gw-wan0").click();
  check("stopping says what that means", await sees(page, /blocks nothing there/, dialogOf(page)));
  await button(dialogOf(page), "Stop watching").click();
  check("and no longer", await sees(page, "The agent no longer watches gw-wan0"));
  await screenshot(page, "live-after");
}

/** From an address anywhere to its page, and on from there. */
export async function pivots(page, alert) {
  await visit(page, `/flows?address=${alert.dst}`);
  const flows = page.getByRole("table", { name: "Flows" });
  check("its flows", await sees(page, alert.dst, flows));
  await flows.getByRole("link", { name: alert.src }).first().click();
  await page.waitForURL((url) => url.pathname === `/hosts/${alert.src}`);
  await settled(page);
  check("whom it talks to", await sees(page, alert.dst));
  check("its alerts", await sees(page, alert.headline));
  check("whether it is blocked", await sees(page, /is not blocked/));
  await page.fill("input[name=search]", alert.dst);
  await page.press("input[name=search]", "Enter");
  await page.waitForURL((url) => url.pathname === `/hosts/${alert.dst}`);
  check("the search leads to an address's page", true);
  await visit(page, "/hosts");
  check(
    "the internal hosts",
    await sees(page, alert.src, page.getByRole("table", { name: "Hosts" })),
  );
  await visit(page, "/api-docs?find=block");
  await page.locator("summary", { hasText: "/api/alerts/{id}/block" }).click();
  check("the API describes itself", await sees(page, /ttl_secs\?:/));
  await screenshot(page, "api-route");
}
