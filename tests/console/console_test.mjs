// The web console in headless Chromium, on a server under load:
//     node console_test.mjs PROGRAMS CONSOLE_DIR PACKAGES [SCREENSHOTS]
// An upgrade from start to end and filtered searches, by keyboard where that is harder; every view in light, dark and narrow, without
// a finding of axe, a request to anybody else, or an error in the browser's console. PACKAGES is the folder whose node_modules the
// console was built with. Exits 77 where Chromium is not installed.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { Server, kAdminKey, kDims, kDocuments, kReadKey, kSections, kWholeMap } from "./server.mjs";

const [programs, consoleDir, packages, screenshots] = process.argv.slice(2);
if (!existsSync(join(consoleDir, "main.js"))) {
  console.log("console_test: skipped, the console was not built: npm's registry was out of reach");
  process.exit(77);
}
const kChromium = "/usr/bin/chromium";
if (!existsSync(kChromium)) {
  console.log("console_test: skipped, chromium is not installed");
  process.exit(77);
}
const require = createRequire(join(packages, "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
if (screenshots) mkdirSync(screenshots, { recursive: true });

const kTimeoutMs = Number(process.env.CONSOLE_TEST_TIMEOUT_MS ?? 60_000);
const server = new Server(programs, consoleDir);
const complaints = [];  // of the browser

// A page of the console, of which nothing may go elsewhere or fail.
async function open(browser, name, options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(kTimeoutMs);
  // A refused call is told to the reader; Chromium tells it too.
  page.on("console", (line) => { if (line.type() === "error" && !/Failed to load resource/.test(line.text())) complaints.push(`${name}: ${line.text()}`); });
  page.on("pageerror", (error) => complaints.push(`${name}: ${error}`));
  page.on("request", (request) => { if (!request.url().startsWith(`http://${server.http}/`)) complaints.push(`${name}: asks ${request.url()}`); });
  await page.goto(server.url);
  return page;
}

async function useKeys(page, keys) {
  await goTo(page, "Keys");
  for (const [label, key] of Object.entries(keys)) await page.getByLabel(label).fill(key);
  await page.getByRole("button", { name: "Use keys" }).click();
  await page.getByText("The keys are in use.").waitFor();
}

const goTo = (page, ...links) => links.reduce(
  (before, name) => before.then(() => page.getByRole("link", { name, exact: true }).first().click()), Promise.resolve());
const status = (page, text) => page.getByRole("status").filter({ hasText: text }).waitFor();

// What is wrong with a view as it is now.
async function inspect(page, name) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(wide <= 0, `${name} is ${wide} px wider than the screen`);
  const findings = await page.evaluate(`${axe}; axe.run({ resultTypes: ["violations"] }).then(({ violations }) =>
    violations.map(({ id, nodes }) => id + ": " + nodes.map((node) => node.html + " " + node.failureSummary).join("; ")))`);
  assert.deepEqual(findings, [], name);
  if (screenshots) await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true });
}

async function withoutKey(page) {
  await page.getByRole("alert").getByText("answers only to the keys").waitFor();
  await useKeys(page, { "Key to read with": kReadKey });
  await goTo(page, "Collections", "papers", "Versions");
  await page.getByText("Buttons that change something appear").waitFor();
  assert.equal(await page.getByRole("button", { name: /Promote|Retire|Check|Backfill/ }).count(), 0, "a reader sees buttons");
  const kept = await page.evaluate(() => [localStorage.length, document.cookie, sessionStorage.length]);
  assert.deepEqual(kept, [0, "", 1], "keys are kept elsewhere than in the session");
}

// Presses a button that asks first, and says yes.
async function agree(page, name) {
  await page.getByRole("button", { name, exact: true }).first().click();
  const dialog = page.getByRole("dialog");
  await dialog.waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Cancel", "a question starts at its harmless answer");
  await inspect(page, `question-${name.toLowerCase().replaceAll(" ", "-")}`);
  await dialog.getByRole("button", { name, exact: true }).click();
}

async function upgrade(page) {
  await useKeys(page, { "Key for changes": kAdminKey });
  await goTo(page, "Collections", "papers", "Versions");
  await page.getByText("bebr version add papers v2").waitFor();
  await server.bebr("version", "add", "papers", "v2", "--model", await server.train("v2.safetensors", 3), "--same-embeddings-as", "v1");

  const v2 = page.getByRole("article", { name: /^v2/ });
  await v2.getByText("added").waitFor();
  await v2.getByLabel("Documents a second for v2").fill("100");  // it must be seen to run, and be stopped
  await v2.getByRole("button", { name: "Backfill v2" }).click();
  await v2.getByText("- filling").waitFor();
  const coded = async () => Number(await v2.getByRole("progressbar").getAttribute("value"));
  const before = await coded();
  await page.waitForFunction((least) => Number(document.querySelector("progress[aria-label^=v2]").getAttribute("value")) > least, before);
  await inspect(page, "versions-backfill");
  await v2.getByRole("button", { name: "Stop the backfill of v2" }).click();
  await status(page, "The backfill of v2 is stopped");
  await v2.getByLabel("Documents a second for v2").fill("");
  await v2.getByRole("button", { name: "Backfill v2" }).click();
  await v2.getByText("ready").waitFor();
  assert.equal(await coded(), kDocuments);

  await v2.getByRole("button", { name: "Check v2" }).click();
  await status(page, "Checked v2: recall");
  await v2.getByText(/Checked .* with 200 queries/).waitFor();
  await agree(page, "Promote v2");
  await status(page, "v2 is the default now");
  await agree(page, "Roll back to v1");
  await status(page, "v1 is the default now");
  await agree(page, "Promote v2");
  await status(page, "v2 is the default now");
  await agree(page, "Retire v1");
  await status(page, "v1 is retired");
  await page.getByText("Retired: v1").waitFor();
  await inspect(page, "versions-upgraded");

  const { default_version, versions } = JSON.parse(await server.bebr("version", "list", "papers", "--json"));
  assert.equal(default_version, "v2");
  assert.match(JSON.stringify(versions.find(({ name }) => name === "v1")), /RETIRED|retired/);
}

const hitsOf = async (page) => {
  const rows = await page.getByRole("table", { name: "Hits" }).locator("tbody tr").all();
  return Promise.all(rows.map(async (row) => [await row.getByRole("rowheader").textContent(), await row.getByRole("cell").nth(1).textContent()]));
};

// The same ids and scores as the API gives.
async function assertSame(page, request) {
  const { hits } = await server.call("SearchService/Search", { collection: "papers", ...request });
  assert.deepEqual(await hitsOf(page), hits.map(({ id, score }) => [id, score.toFixed(4)]));
}

// The best of each section, as the API gives them.
async function groups(page, query) {
  await page.getByLabel("Group by").selectOption("section");
  await page.getByLabel("Best of each group").fill("2");
  await page.getByLabel("Groups").fill("3");
  await page.getByRole("button", { name: "Search", exact: true }).click();
  await status(page, "6 hits among");
  await page.getByRole("columnheader", { name: "Group", exact: true }).waitFor();
  const { hits } = await server.call("SearchService/Search",
    { collection: "papers", query, options: { k: 3, groupBy: "section", groupSize: 2, rerank: 50 } });
  const rows = await page.getByRole("table", { name: "Hits" }).locator("tbody tr").evaluateAll((all) =>
    all.map((row) => [row.querySelector("td.group").textContent, row.querySelector("th").textContent, row.classList.contains("first")]));
  assert.deepEqual(rows, hits.map(({ id, group }, i) => [group.stringValue, id, i === 2 || i === 4]));
  await inspect(page, "search-groups");
  await page.getByLabel("Group by").selectOption("");
  await page.getByLabel("Results").fill("10");
}

// The picture of where scores come from, by keyboard: what bands and offsets add is the estimate.
async function explain(page) {
  await page.getByRole("checkbox", { name: "Explain the scores" }).focus();
  await page.keyboard.press("Space");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Why doc-5 scores so" }).waitFor();
  const second = page.getByRole("button", { name: /^Why: / }).nth(1);
  const id = (await second.getAttribute("aria-label")).slice("Why: ".length);
  await second.focus();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: `Why ${id} scores so` }).waitFor();
  assert.equal(await second.getAttribute("aria-pressed"), "true");
  await page.getByRole("img", { name: new RegExp(`^The code of ${id} beside the query's: band 1, ${kDims} dims: [0-9.]+%, [0-9.]+%, [0-9.]+% alike`) }).waitFor();
  const rows = await page.getByRole("table", { name: `What makes the estimate of ${id}` }).locator("tbody tr").evaluateAll((all) =>
    all.map((row) => [row.firstElementChild.textContent, Number(row.lastElementChild.textContent)]));
  const named = Object.fromEntries(rows);
  assert.ok(Math.abs(named["1"] + named.Offsets - named.Estimate) < 2e-4, JSON.stringify(rows));
  assert.ok(Math.abs(named["Exact, by rerank"] - named.Estimate) < 0.2, JSON.stringify(rows));
  await inspect(page, "search-explained");
}

async function search(page) {
  await goTo(page, "Search");
  await page.getByText("Attributes of a sample: draft, section, year").waitFor();
  await page.getByRole("textbox", { name: "Id", exact: true }).fill("doc-5");
  // section = "games" AND year >= 2010, with the keyboard and completion.
  const filter = page.getByRole("combobox", { name: "Filter" });
  await filter.focus();
  for (const typed of ["sec", "=", '"gam', "AND", "ye", ">="]) {
    await page.keyboard.type(typed);
    if (/[a-z]/i.test(typed) && typed !== "AND") {
      await page.getByRole("listbox").getByRole("option").first().waitFor();
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("Enter");
    } else {
      await page.keyboard.type(" ");
    }
  }
  await page.keyboard.type("2010");
  assert.equal(await filter.inputValue(), 'section = "games" AND year >= 2010');
  await inspect(page, "search-form");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Enter");
  await status(page, "10 hits among");
  const query = { values: server.documents[5].embedding };
  await assertSame(page, { query, options: { filter: 'section = "games" AND year >= 2010' } });
  await page.getByRole("img", { name: /How far hits are apart/ }).waitFor();

  await page.getByRole("radio", { name: "A vector" }).check();
  await page.getByLabel("Vector").last().fill("1, 2");
  await page.getByLabel("Rerank").fill("50");
  await page.getByRole("button", { name: "Search", exact: true }).click();
  await page.getByRole("alert").getByText(`There are 2 numbers; the version takes ${kDims}.`).waitFor();
  await page.getByLabel("Vector").last().fill(JSON.stringify(server.documents[5].embedding));
  await filter.fill("");
  await page.getByRole("button", { name: "Search", exact: true }).click();
  await page.getByRole("rowheader", { name: "doc-5", exact: true }).waitFor();
  await assertSame(page, { query, options: { rerank: 50 } });
  await groups(page, query);
  await page.getByRole("button", { name: "Search", exact: true }).click();
  await status(page, "10 hits among");
  await explain(page);

  await filter.fill("year >");
  await page.getByRole("button", { name: "Search", exact: true }).click();
  await page.getByRole("alert").getByText("Correct what the message names.").waitFor();
  await filter.fill("year > 3000");
  await page.getByRole("button", { name: "Search", exact: true }).click();
  await page.getByText("no document satisfies the filter").waitFor();
}

async function map(page) {
  await goTo(page, "Map");
  await page.getByLabel("Documents").fill(String(kWholeMap));
  await page.getByRole("button", { name: "Draw the map" }).click();
  await status(page, `${kWholeMap} documents. The axes hold`);
  await page.getByLabel("Coloured by").selectOption("section");
  for (const section of kSections) await page.getByRole("listitem").filter({ hasText: section }).waitFor();
  await page.getByRole("application").focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  await status(page, /doc-\d+, .*section (admin|games|libs|science)/);
  await page.getByRole("link", { name: /^Search by doc-/ }).click();
  await status(page, "10 hits among");
}

async function statistics(page) {
  await goTo(page, "Server");
  await page.getByText(/Queriesnow [1-9]/).waitFor();
  await page.getByText("papers v2: now").waitFor();
  await page.getByRole("figure").filter({ hasText: "Time of a search" }).getByText(/99 of 100 within: now [0-9.]+ ms/).waitFor();
}

// Every view, as it looks to one reader.
async function look(browser, name, options) {
  const page = await open(browser, name, options);
  await useKeys(page, { "Key for changes": kAdminKey });
  await inspect(page, `${name}-keys`);
  await goTo(page, "Collections");
  await page.getByRole("link", { name: "papers" }).waitFor();
  await inspect(page, `${name}-collections`);
  await goTo(page, "papers");
  await page.getByRole("row", { name: /^Total/ }).waitFor();
  await page.getByRole("button", { name: "Estimate" }).click();
  await status(page, "1,000,000 documents");
  await inspect(page, `${name}-memory`);
  await goTo(page, "Versions");
  await page.getByRole("article", { name: /^v2/ }).waitFor();
  await inspect(page, `${name}-versions`);
  await goTo(page, "Search");
  await page.getByRole("textbox", { name: "Id", exact: true }).fill("doc-7");
  await page.getByRole("checkbox", { name: "Explain the scores" }).check();
  await page.getByRole("button", { name: "Search", exact: true }).click();
  await page.getByRole("heading", { name: "Why doc-7 scores so" }).waitFor();
  await inspect(page, `${name}-search`);
  await map(page);
  await page.goBack();
  await page.getByRole("button", { name: "Draw the map" }).click();
  await status(page, "The axes hold");
  await inspect(page, `${name}-map`);
  await statistics(page);
  await inspect(page, `${name}-server`);
  return page;
}

// Documents of which an answer has room for a few: the sample is of these, and texts that are stored only are not offered.
async function largeDocuments(page) {
  await server.bebr("create", "large", "--dims", String(kDims));
  const long = "long ".repeat(180_000);
  const rows = server.documents.slice(0, 80).map(({ id, embedding }) => ({ id, embedding, body: long, tag: "short", tags: ["near", long.slice(0, 300)] }));
  writeFileSync(server.file("large.jsonl"), rows.map((row) => JSON.stringify(row)).join("\n"));
  await server.bebr("import", "large", server.file("large.jsonl"), "--batch", "20");
  await goTo(page, "Collections", "large", "Search");
  await page.getByText("Attributes of a sample: body, tag, tags").waitFor();
  const filter = page.getByRole("combobox", { name: "Filter" });
  for (const stored of ["body = ", "tags CONTAINS "]) {
    await filter.fill("tag = ");
    await page.getByRole("option", { name: '"short"' }).waitFor();
    await filter.fill(stored);
    await page.getByRole("listbox").waitFor({ state: "hidden" });
  }
  await server.bebr("drop", "large");
}

async function main() {
  await server.start();
  const browser = await chromium.launch({ executablePath: kChromium });
  try {
    const empty = await open(browser, "empty", {});
    await useKeys(empty, { "Key to read with": kReadKey });
    await goTo(empty, "Collections");
    await empty.getByText("bebr create papers").waitFor();
    await inspect(empty, "empty");
    await empty.context().close();

    await server.fill();
    server.load();
    const page = await open(browser, "upgrade", { viewport: { width: 1200, height: 900 } });
    await withoutKey(page);
    await upgrade(page);
    await search(page);
    await largeDocuments(page);
    await page.context().close();
    await look(browser, "light", { colorScheme: "light", viewport: { width: 1200, height: 900 } });
    await look(browser, "dark", { colorScheme: "dark", viewport: { width: 1200, height: 900 } });
    const last = await look(browser, "narrow", { colorScheme: "dark", viewport: { width: 320, height: 700 } });
    await server.stopLoad();
    assert.deepEqual(server.failures, [], "searches failed meanwhile");
    await server.kill();
    await last.getByRole("alert").getByText("Is bebr-server still running").waitFor();
    assert.deepEqual(complaints, []);
    console.log(`console_test: ${server.answered} searches of others were answered meanwhile, none failed`);
  } catch (error) {
    // What the reader saw.
    for (const page of browser.contexts().flatMap((context) => context.pages()))
      console.error(`${page.url()}:\n${await page.evaluate(() => document.body.innerText)}`);
    console.error(`${server.log.slice(-3000)}\n${complaints.concat(server.failures.slice(0, 5)).join("\n")}`);
    throw error;
  } finally {
    await browser.close();
    await server.stopLoad();
    await server.kill();
    server.remove();
  }
}

await main();
