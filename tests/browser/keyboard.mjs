// The keyboard alone, without a pointer.
import { check, screenshot, sees, settled, visit } from "./stage.mjs";

const focused = (page, test) => page.evaluate(test);

export async function keyboardAlone(page, alert) {
  await visit(page, "/");
  await page.keyboard.press("Tab");
  check(
    "the first stop skips to the content",
    await focused(page, () => document.activeElement.className === "skip"),
  );
  await page.keyboard.press("Enter");
  check("and leads there", await focused(page, () => document.activeElement.id === "main"));
  await page.keyboard.press("?");
  check("? tells the keys", await sees(page, "next, previous row"));
  await screenshot(page, "keys");
  await page.keyboard.press("Escape");
  await page.locator("dialog[open]").waitFor({ state: "detached" });

  await page.keyboard.press("g");
  await page.keyboard.press("a");
  await page.waitForURL(/\/alerts$/);
  await settled(page);
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("k");
  const first = () => document.activeElement === document.querySelector(".alert-row");
  check("j and k move", await focused(page, first));
  check(
    "and one sees where",
    await focused(page, () => getComputedStyle(document.activeElement).outlineStyle !== "none"),
  );
  await page.keyboard.press("c");
  check(
    "c copies the address",
    /[.:]/.test(await page.evaluate(() => navigator.clipboard.readText())),
  );
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/alerts\/[0-9a-f]{16}/);
  check("Enter opens", true);
  await page.keyboard.press("Escape");
  await page.waitForURL(/\/alerts$/);
  check("Escape leads back", true);

  await page.keyboard.press("/");
  await page.keyboard.type(alert.dst);
  await page.waitForURL((url) => url.searchParams.get("q") === alert.dst);
  await page.keyboard.press("Escape");
  await settled(page);
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/alerts\/[0-9a-f]{16}/);
  await settled(page);
  await reach(page, "Acknowledge");
  await page.keyboard.press("Enter");
  check("acknowledged by keyboard", await sees(page, "The alert is acknowledged"));
  await reach(page, "Undo");
  await page.keyboard.press("Enter");
  check("taken back by keyboard", await sees(page, "Undone"));
  await reach(page, "Block …");
  await page.keyboard.press("Enter");
  await page.locator("dialog[open]").waitFor();
  await reach(page, "Cancel");
  await page.keyboard.press("Enter");
  await page.locator("dialog[open]").waitFor({ state: "detached" });
  check("a dialog opened and left by keyboard", true);
}

const MOST_STOPS = 200;

/** Goes on by the tab key until the button of this name has the focus. */
async function reach(page, name) {
  for (let stop = 0; stop < MOST_STOPS; stop += 1) {
    const here = await page.evaluate(() => document.activeElement?.innerText?.trim() ?? "");
    if (here === name) return;
    await page.keyboard.press("Tab");
  }
  check(`the tab key reaches “${name}”`, false);
}
