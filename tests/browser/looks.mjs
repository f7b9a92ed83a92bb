// Every page in light and dark, wide and narrow: is everything named, legible and within the screen?
import { api, appears, check, open, screenshot, sees, settled, visit } from "./stage.mjs";

const PAGES = [
  ["overview", "/", "Overview"],
  ["alerts", "/alerts", "Alerts"],
  ["flows", "/flows", "Flows"],
  ["hosts", "/hosts", "Hosts"],
  ["live", "/live", "Live"],
  ["response", "/response", "Response"],
  ["captures", "/captures", "Captures"],
  ["record", "/record", "Check a record"],
  ["model", "/model", "Model"],
  ["contacts", "/contacts", "Contacts"],
  ["groups", "/contacts?tab=groups", "Contacts"],
  ["rules", "/contacts?tab=rules", "Contacts"],
  ["channels", "/contacts?tab=channels", "Contacts"],
  ["messages", "/contacts?tab=messages", "Contacts"],
  ["settings", "/settings", "Settings and health"],
  ["api", "/api-docs", "API"],
];

export async function everyPage(browser, token) {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1280, 390]) {
      const narrow = width < 500;
      const viewport = { width, height: narrow ? 844 : 860 };
      const page = await open(browser, { colorScheme, viewport, hasTouch: narrow });
      await withToken(page, token);
      const { items } = await api(page, "/api/alerts?limit=1");
      const alert = items[0];
      const pages = [
        ...PAGES,
        ["alert", `/alerts/${alert.id}`, alert.headline],
        ["host", `/hosts/${encodeURIComponent(alert.src)}`, alert.src],
        ["login", "/login", "detector"],
        ["nowhere", "/nowhere", "Page not found"],
      ];
      for (const [name, path, title] of pages) {
        await visit(page, path);
        const place = `${name} in ${colorScheme} at ${width}`;
        const heading = page.locator("h1, h2, .empty-title").filter({ hasText: title }).first();
        check(`${place}: “${title}” stands there`, await appears(heading));
        // What comes by the stream is there a second later.
        await page.waitForTimeout(name === "overview" ? 1_500 : 150);
        await settled(page);
        const found = await page.evaluate(faults);
        check(`${place}: sound`, Object.keys(found).length === 0, found);
        await screenshot(page, `${name}-${colorScheme}-${width}`, name !== "alert");
      }
      await page.context().close();
    }
  }
}

async function withToken(page, token) {
  await visit(page, "/login");
  await page.fill("input[name=token]", token);
  await page.getByRole("button", { name: "Log in", exact: true }).click();
  await page.waitForURL((url) => url.pathname === "/");
}

/** Runs in the page: what is wrong with it, by kind. */
function faults() {
  const found = {};
  const failing = document.querySelector(".failure");
  if (failing !== null) found.failure = failing.innerText;
  const beyond = document.documentElement.scrollWidth - innerWidth;
  if (beyond > 0) found.wider = beyond;
  const inline = document.querySelectorAll("script:not([src]), style").length;
  if (inline > 0) found.inline = inline;
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  const twice = ids.filter((id, at) => ids.indexOf(id) !== at);
  if (twice.length > 0) found.twice = twice;
  const controls = "button, a[href], input, select, textarea, [role=img]";
  const nameless = [...document.querySelectorAll(controls)].filter(
    (one) =>
      one.offsetParent !== null &&
      !(one.innerText?.trim() || one.ariaLabel || one.labels?.length || one.title),
  );
  if (nameless.length > 0) found.nameless = nameless.map((one) => one.outerHTML.slice(0, 90));

  const parse = (text) => {
    const [red, green, blue, alpha = 1] = text.match(/[\d.]+/g).map(Number);
    return [red, green, blue, alpha];
  };
  const over = (top, ground) => [0, 1, 2].map((at) => top[at] * top[3] + ground[at] * (1 - top[3]));
  const ground = (element) => {
    const layers = [];
    for (let one = element; one !== null; one = one.parentElement) {
      const layer = parse(getComputedStyle(one).backgroundColor);
      layers.push(layer);
      if (layer[3] === 1) break;
    }
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  // WCAG 2.1, relative luminance and contrast ratio.
  const luminance = (colour) => {
    const [red, green, blue] = colour.map((part) => {
      const value = part / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const pale = {};
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.textContent.trim();
    const element = texts.currentNode.parentElement;
    if (text === "" || !element.checkVisibility({ visibilityProperty: true })) continue;
    const below = ground(element);
    const colour = over(parse(getComputedStyle(element).color), below);
    const [light, dark] = [luminance(colour), luminance(below)].sort((a, b) => b - a);
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < 4.5) pale[`${element.tagName} ${text.slice(0, 30)}`] = contrast.toFixed(2);
  }
  if (Object.keys(pale).length > 0) found.pale = pale;
  return found;
}

/** The theme by its switch, the zone by its, and that both outlive a reload. */
export async function preferences(page) {
  await visit(page, "/");
  const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
  for (let turn = 0; turn < 3 && (await theme()) !== "dark"; turn += 1) {
    await page.getByRole("button", { name: /^Colours/ }).click();
  }
  check("the switch makes it dark", (await theme()) === "dark");
  await page.getByTitle("Times in UTC or local time").click();
  check("times in UTC", await sees(page, /UTC$/));
  await page.reload();
  await settled(page);
  check("and dark after a reload", (await theme()) === "dark");
  await page.evaluate(() => localStorage.clear());
}

const LOOKS = 15;
const LOOK_MS = 2_000;

export async function overview(page) {
  await visit(page, "/");
  for (const question of [
    "Is data being exfiltrated?",
    "Is all traffic seen?",
    "Is the agent blocking?",
  ])
    check(`the first screen answers: ${question}`, await sees(page, question));
  check("open alerts stand on it", await sees(page, /[1-9]\d* open alerts?/));
  check("what is seen", await sees(page, /% seen/));
  check("what is unexplained", await sees(page, "Unexplained outbound today"));
  const charts = page.locator(".chart");
  // What a young lab has seen is stored some seconds later.
  for (let look = 0; look < LOOKS && (await charts.count()) < 2; look += 1) {
    await page.waitForTimeout(LOOK_MS);
    await visit(page, "/");
  }
  check("two charts", (await charts.count()) === 2, String(await charts.count()));
  for (let at = 0; at < (await charts.count()); at += 1) await hover(page, charts.nth(at), at);
  await visit(page, "/");
  check("the probability outlives a reload", (await page.locator(".chart").count()) === 2);
}

/** Pointing at a chart, or the arrow keys, tells the values there. */
async function hover(page, chart, at) {
  const readout = chart.locator(".readout");
  const over = chart.locator(".u-over");
  const box = await over.boundingBox();
  // The newest values are at the right: the lab is younger than what is shown.
  await page.mouse.move(box.x + box.width - 4, box.y + box.height / 2);
  const pointed = async () => (await readout.getAttribute("class")).includes("pointed");
  await page.waitForTimeout(100);
  check(`chart ${at}: a value under the pointer`, await pointed());
  check(`chart ${at}: it is a number`, /\d/.test(await readout.locator("b").first().innerText()));
  await screenshot(page, `hover-${at}`);
  await page.mouse.move(5, 5);
  await chart.locator(".chart-frame").focus();
  await page.keyboard.press("ArrowLeft");
  await page.waitForTimeout(100);
  check(`chart ${at}: the arrow keys move the crosshair`, await pointed());
}
