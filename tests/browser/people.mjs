// Who is told, and who may do what.
import {
  appears,
  button,
  check,
  counts,
  lab,
  open,
  refused,
  screenshot,
  sees,
  visit,
} from "./stage.mjs";

const dialogOf = (page) => page.locator("dialog[open]");

async function enter(page, values) {
  for (const [name, value] of Object.entries(values))
    await dialogOf(page).locator(`input[name=${name}]`).fill(value);
}

export async function people(page) {
  await visit(page, "/contacts?tab=groups");
  await button(page, "Add a group").click();
  await enter(page, { name: "On call" });
  await button(dialogOf(page), "Save").click();
  check("a group", await sees(page, "On call"));

  await visit(page, "/contacts");
  await button(page, "Add a contact").click();
  await enter(page, { forename: "Žofie", surname: "O'Hara", email: "nowhere" });
  await dialogOf(page).getByLabel("On call").check();
  await refused(page, () => button(dialogOf(page), "Save").click());
  const wrong = dialogOf(page).locator(".field.wrong input[name=email]");
  check("an address that is none is named", await appears(wrong));
  await enter(page, { email: "zofie@example.org", phone: "+15550100" });
  await button(dialogOf(page), "Save").click();
  check("a contact", await sees(page, "Žofie O'Hara"));
  for (const [text, there] of [
    ["žofie", 1],
    ["O'Har", 1],
    ["' OR 1=1", 0],
  ]) {
    await page.fill("main input[name=q]", text);
    await page.press("main input[name=q]", "Enter");
    await page.waitForURL((url) => url.searchParams.get("q") === text);
    const rows = page.getByRole("table", { name: "Contacts" }).locator("tbody tr");
    check(`found by ${text}: ${there}`, await counts(rows, there));
  }
  await visit(page, "/contacts");
  await screenshot(page, "contact");
  await button(page, "Remove Žofie O'Hara").click();
  await button(page, "Undo").click();
  check(
    "removed and brought back",
    (await sees(page, "Undone")) && (await sees(page, "Žofie O'Hara")),
  );
  await telling(page);
}

async function telling(page) {
  await visit(page, "/contacts?tab=rules");
  await button(page, "Add a rule").click();
  await enter(page, { name: "Everything grave", host: "10.66.1.0/24" });
  await screenshot(page, "rule-dialog");
  await button(dialogOf(page), "Save").click();
  check("a rule", await sees(page, "Everything grave"));
  await button(page, "Edit Everything grave").click();
  await enter(page, { repeat_secs: "60" });
  await button(dialogOf(page), "Save").click();
  check("changed", await sees(page, /repeated after 1 min/));
  await visit(page, "/contacts?tab=channels");
  await button(page, "Test siem").click();
  await button(dialogOf(page), "Send").click();
  check("a test message", await sees(page, /Test message (queued|sent)/));
  await visit(page, "/contacts?tab=messages");
  const messages = page.getByRole("table", { name: "Messages" });
  check("stands among the messages", await appears(messages.locator("tbody tr").first()));
}

/** Without a login one may look, and is told how to get one. */
export async function withoutLogin(browser) {
  const page = await open(browser);
  await visit(page, "/response");
  const block = button(page, "Block …");
  check(
    "what one may not do cannot be pressed",
    (await block.getAttribute("aria-disabled")) === "true",
  );
  check("and says why", await sees(page, /needs a login with the scope/));
  await block.click({ force: true });
  check("and how to get there", await sees(page, /detector token create/, dialogOf(page)));
  await screenshot(page, "login-hint");
  await page.context().close();
}

/** The link lets in once, and leaves no trace in the address. */
export async function loginLink(page, browser) {
  await page.goto(lab.login);
  await page.waitForURL(`${lab.url}/`);
  check("the login link lets in", await sees(page, "Log out"));
  const other = await open(browser);
  await refused(other, () => other.goto(lab.login));
  check("once", await sees(other, /A login link works once/));
  await other.context().close();
}

/** Makes a token by the dashboard and returns it. */
export async function token(page) {
  await visit(page, "/settings");
  await button(page, "New token …").click();
  await enter(page, { name: "looker" });
  await dialogOf(page).locator("select[name=scope]").selectOption("respond");
  await button(dialogOf(page), "Create").click();
  const secret = dialogOf(page).getByLabel("Token", { exact: true });
  await secret.waitFor();
  const text = (await secret.innerText()).trim();
  check("a token, shown once", text.length > 20);
  await screenshot(page, "token-once");
  await page.keyboard.press("Escape");
  check("it stands in the list", await sees(page, "looker"));
  return text;
}

/** Ends the token and with it the logins by it. */
export async function revoke(page) {
  await visit(page, "/settings");
  await button(page, "Revoke looker").click();
  await button(dialogOf(page), "Revoke").click();
  check("revoked", await sees(page, "looker is revoked"));
  check("what the doctor found", (await page.locator(".check").count()) > 5);
  await button(page, "Log out").click();
  check("logged out", await sees(page, "Logged out"));
}
