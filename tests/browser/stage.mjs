// What the walk stands on: a browser that tells everything that goes wrong in it, checks that are
// counted, and the way to ask whoever started the walk to look at the wire.
import { mkdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const given = (name) => {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: see tests/browser.rs`);
  return value;
};

/** Where the dashboard is, and what the lab has prepared. */
export const lab = {
  url: given("DASHBOARD_URL"),
  login: given("LOGIN_LINK"),
  capture: given("CAPTURE"),
  screenshots: given("SCREENSHOTS"),
  chromium: process.env.CHROMIUM ?? "/usr/bin/chromium",
};

const PATIENCE_MS = 10_000;

let failures = 0;

export function check(what, good, more = "") {
  if (good) {
    console.log(`ok    ${what}`);
    return;
  }
  failures += 1;
  console.log(`FAIL  ${what} ${typeof more === "string" ? more : JSON.stringify(more)}`);
}

export const failed = () => failures;

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Asks who started the walk, who answers with a line: `yes`, or what is wrong. */
export async function ask(question) {
  console.log(`ask ${question}`);
  const { value, done } = await answers.next();
  const answer = done ? "nobody answers" : value.trim();
  check(question, answer === "yes", answer);
}

export const launch = () =>
  chromium.launch({
    executablePath: lab.chromium,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-domain-reliability",
      "--disable-sync",
      "--no-first-run",
    ],
  });

/** A page of its own session, which is wide and light unless asked otherwise. */
export async function open(browser, options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 860 },
    locale: "en-GB",
    permissions: ["clipboard-read", "clipboard-write"],
    ...options,
  });
  context.setDefaultTimeout(PATIENCE_MS);
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      console.error(`CSP: ${event.violatedDirective} refuses ${event.blockedURI}`);
    });
  });
  const page = await context.newPage();
  page.refusals = 0;
  watch(page);
  return page;
}

/** Nothing goes wrong unnoticed, and nothing leaves for another host. */
function watch(page) {
  page.on("pageerror", (error) => check(`no error in ${page.url()}`, false, error.stack));
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    const inside = origin === lab.url || ["data:", "blob:"].includes(protocol);
    if (!inside) check("no request to another host", false, request.url());
  });
  page.on("console", (message) => {
    if (!["error", "warning"].includes(message.type())) return;
    const text = message.text();
    // The browser notes every answer that refuses; those that were asked for are counted.
    if (page.refusals > 0 && /status of 4\d\d/.test(text)) {
      page.refusals -= 1;
      return;
    }
    check(`no ${message.type()} in ${page.url()}`, false, text);
  });
}

/** Does something that the server must refuse, once. */
export async function refused(page, act) {
  page.refusals += 1;
  await act();
}

/** Opens a place and waits until everything on it is there. */
export async function visit(page, path) {
  await page.goto(`${lab.url}${path}`);
  await settled(page);
}

export async function settled(page) {
  await page.locator("main").first().waitFor();
  await until(
    page,
    () => document.querySelector(".waiting, .waiting-row, [aria-busy=true]") === null,
  );
}

const INTERVAL_MS = 50;

/**
 * Waits until something is so in the page. Not by waitForFunction, which compiles text in the page:
 * the dashboard's policy forbids that.
 */
export async function until(page, test, argument) {
  const end = Date.now() + PATIENCE_MS;
  while (!(await page.evaluate(test, argument))) {
    if (Date.now() > end) throw new Error(`it never came about: ${test}`);
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
  }
}

/** Whether exactly so many come to be there. */
export async function counts(locator, wanted) {
  const end = Date.now() + PATIENCE_MS;
  while (Date.now() < end) {
    if ((await locator.count()) === wanted) return true;
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
  }
  return false;
}

/** Whether a text comes to stand on the page, or in a part of it. */
export const sees = (page, text, scope = page) => appears(scope.getByText(text).first());

export async function appears(locator) {
  try {
    await locator.waitFor();
    return true;
  } catch {
    return false;
  }
}

export const button = (scope, name, exact = true) => scope.getByRole("button", { name, exact });

mkdirSync(lab.screenshots, { recursive: true });

export const screenshot = (page, name, fullPage = false) =>
  page.screenshot({ path: `${lab.screenshots}/${name}.png`, fullPage });

/** An answer of the API, asked for as the page's own session. */
export const api = (page, path) => page.evaluate(async (path) => (await fetch(path)).json(), path);
