// What web_test runs. One server with keys and an HTTP listener, 1,500 documents, and everybody's clients.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { Client } from "bebr";

import { CollectionService } from "./gen/bebr/v1/collections_pb.js";
import { DocumentService } from "./gen/bebr/v1/documents_pb.js";
import { SearchService } from "./gen/bebr/v1/search_pb.js";
import { BadRequestSchema } from "./gen/google/rpc/error_details_pb.js";

const { BEBR_PROGRAMS: programs, BEBR_SOURCES: sources, CONSOLE_DIR: consoleDir, CONSOLE_PACKAGES: consolePackages } = process.env;
const { chromium } = createRequire(join(consolePackages, "package.json"))("playwright-core");
const kAdminKey = "admin-of-this-test", kReadKey = "reader-of-this-test";
const kDims = 64, kDocuments = 1500;  // below 2,000 the server makes no codes of its own meanwhile
const kTimeoutMs = 120_000;
const run = promisify(execFile);
const work = mkdtempSync(join(tmpdir(), "bebr-web-"));

let server, grpc, http, site, browser;
const docs = [];

// The same numbers in every run, in [-1, 1).
function numbers(seed) {
  let state = seed;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 31 - 1;
}

async function startServer(...flags) {
  const digest = (key) => createHash("sha256").update(key).digest("hex");
  writeFileSync(join(work, "keys.json"), JSON.stringify({ keys: [
    { name: "operator", sha256: digest(kAdminKey), role: "admin" }, { name: "reader", sha256: digest(kReadKey), role: "read" },
  ] }), { mode: 0o600 });
  server = spawn(join(programs, "bebr-server"), [
    "--listen", "127.0.0.1:0", "--metrics_listen", "", "--http_listen", "127.0.0.1:0", "--data_dir", join(work, "data"),
    "--keys_file", join(work, "keys.json"), "--console_dir", consoleDir, ...flags,
  ], { stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  await new Promise((serves, fails) => {
    server.stderr.on("data", (text) => {
      log += text;
      const found = /serving: grpc=(\S+) .*http=(\S+)/.exec(log);
      if (found) [, grpc, http] = found, serves();
    });
    server.on("exit", () => fails(new Error(log)));
  });
}

// A page of another origin, with connect-web in it.
async function startSite() {
  const files = { "/": ["text/html", '<!doctype html><title>page</title><script src="page.js"></script>'], "/page.js": ["text/javascript", readFileSync("page.js")] };
  site = createServer(({ url }, response) => {
    const [type, body] = files[url] ?? ["text/plain", ""];
    response.writeHead(files[url] ? 200 : 404, { "Content-Type": type }).end(body);
  }).listen(0, "127.0.0.1");
  await once(site, "listening");
  return `http://127.0.0.1:${site.address().port}`;
}

before(async () => {
  await startServer("--http_allowed_origins", await startSite());
  browser = await chromium.launch({ executablePath: "/usr/bin/chromium" });
  const next = numbers(7);
  const directions = Array.from({ length: 8 }, () => Array.from({ length: kDims }, next));
  for (let i = 0; i < kDocuments; ++i) {
    const shares = directions.map(next);
    docs.push(Float32Array.from({ length: kDims }, (_, d) => directions.reduce((sum, direction, j) => sum + shares[j] * direction[d], 0.2 * next())));
  }
  const client = new Client(grpc, { apiKey: kAdminKey });
  const papers = await client.create("papers", { dims: kDims });
  await papers.upsert(docs.map((_, i) => `doc-${i}`), docs, docs.map((_, i) => ({ year: 2000 + (i % 25), lang: i % 3 ? "en" : "de" })));
  client.close();
});

after(async () => {
  await browser?.close();
  site?.close();
  if (server && server.exitCode === null) {
    server.kill("SIGKILL");
    await once(server, "exit");
  }
  rmSync(work, { recursive: true, force: true });
});

const f32 = (hits) => hits.map(({ id, score, its }) => [id, Math.fround(score), Math.fround(its ?? 0)]);
const query = () => Array.from(docs[5]);
const body = (options) => ({ collection: "papers", query: { values: query() }, options });

function transport(options = {}) {
  const { key = kReadKey, ...others } = options;
  const withKey = (next) => (call) => {
    if (key) call.header.set("Authorization", `Bearer ${key}`);
    return next(call);
  };
  return createConnectTransport({ baseUrl: `http://${http}`, interceptors: [withKey], ...others });
}

// Each way to search, as [id, score, its] of its hits, best first.
const ways = {
  async node(options) {
    const client = new Client(grpc, { apiKey: kReadKey });
    const hits = await client.collection("papers").search(docs[5], options);
    client.close();
    return f32(hits);
  },
  async bebr({ k, rerank, filter }) {
    const file = join(work, "query.jsonl");
    writeFileSync(file, JSON.stringify(query()));
    const flags = [...(rerank === undefined ? [] : ["--rerank", rerank]), ...(filter ? ["--filter", filter] : [])];
    const { stdout } = await run(join(programs, "bebr"), ["search", "papers", "--queries", file, "-k", k, ...flags, "--json"].map(String),
      { env: { ...process.env, BEBR_SERVER: grpc, BEBR_API_KEY: kReadKey } });
    return f32(JSON.parse(stdout)[0].hits);
  },
  async python(options) {
    const program = `import bebr, json, sys
query, options = json.load(sys.stdin)
print(json.dumps([[hit.id, hit.score, hit.its] for hit in bebr.Client().collection("papers").search(query, **options)]))`;
    const call = run("/usr/bin/python3", ["-c", program], { env: { ...process.env, BEBR_SERVER: grpc, BEBR_API_KEY: kReadKey } });
    call.child.stdin.end(JSON.stringify([query(), options]));
    return f32(JSON.parse((await call).stdout).map(([id, score, its]) => ({ id, score, its })));
  },
  async curl(options) {
    const call = run("curl", ["-fsS", "-H", "Content-Type: application/json", "-H", `Authorization: Bearer ${kReadKey}`, "--data-binary", "@-",
      `http://${http}/bebr.v1.SearchService/Search`]);
    call.child.stdin.end(JSON.stringify(body(options)));
    return f32(JSON.parse((await call).stdout).hits);
  },
  connectJson: async (options) => f32((await createClient(SearchService, transport()).search(body(options))).hits),
  connectBinary: async (options) => f32((await createClient(SearchService, transport({ useBinaryFormat: true })).search(body(options))).hits),
  bufConnect: async (options) => f32(JSON.parse(await buf("connect", body(options))).hits),
  bufGrpc: async (options) => f32(JSON.parse(await buf("grpc", body(options))).hits),
  page: async (options) => f32((await onPage(body(options))).hits.map(([id, score, its]) => ({ id, score, its }))),
  async console(options) {
    const page = await browser.newPage();
    page.setDefaultTimeout(kTimeoutMs);
    await page.goto(`http://${http}/console/`);
    await page.getByRole("link", { name: "Keys", exact: true }).first().click();
    await page.getByLabel("Key to read with").fill(kReadKey);
    await page.getByRole("button", { name: "Use keys" }).click();
    for (const name of ["Collections", "papers", "Search"]) await page.getByRole("link", { name, exact: true }).first().click();
    await page.getByRole("radio", { name: "A vector" }).check();
    await page.getByLabel("Vector").last().fill(JSON.stringify(query()));
    await page.getByLabel("Results").fill(String(options.k));
    await page.getByLabel("Rerank").fill(String(options.rerank ?? ""));
    await page.getByRole("combobox", { name: "Filter" }).fill(options.filter ?? "");
    await page.getByRole("button", { name: "Search", exact: true }).click();
    await page.getByRole("status").filter({ hasText: `${options.k} hits among` }).waitFor();
    const hits = await page.getByRole("table", { name: "Hits" }).locator("tbody tr").evaluateAll((rows) =>
      rows.map((row) => ({ id: row.dataset.id, score: Number(row.dataset.score), its: Number(row.dataset.its) })));
    await page.close();
    return f32(hits);
  },
};

// buf curl; over gRPC it learns the messages from the server's reflection.
async function buf(protocol, request, { key = kReadKey, method = "SearchService/Search" } = {}) {
  const how = protocol === "grpc" ? ["--protocol", "grpc", "--http2-prior-knowledge", "--reflect", "--reflect-protocol", "grpc-v1", "--reflect-header", `Authorization: Bearer ${key}`]
    : ["--protocol", "connect", "--schema", join(sources, "proto")];
  const call = run("node_modules/.bin/buf", ["curl", ...how, "-H", `Authorization: Bearer ${key}`, "-d", "@-",
    `http://${protocol === "grpc" ? grpc : http}/bebr.v1.${method}`], { env: { ...process.env, HOME: work } });
  call.child.stdin.end(JSON.stringify(request));
  return (await call).stdout;
}

async function onPage(request, { origin = `http://127.0.0.1:${site.address().port}`, key = kReadKey, binary = false } = {}) {
  const page = await browser.newPage();
  page.setDefaultTimeout(kTimeoutMs);
  await page.goto(origin);
  const found = await page.evaluate(([url, key, binary, request]) => globalThis.search(url, key, binary, request), [`http://${http}`, key, binary, request]);
  await page.close();
  return found;
}

const kCases = [{ k: 20 }, { k: 20, rerank: 0 }, { k: 15, rerank: 50, filter: 'year >= 2010 AND lang = "en"' }];
for (const options of kCases) {
  test(`everybody gets the same ids and scores: ${JSON.stringify(options)}`, async (t) => {
    const expected = await ways.node(options);
    assert.equal(expected.length, options.k);
    assert.ok(options.rerank === 0 || expected[0][0] === "doc-5" || options.filter);
    for (const [name, way] of Object.entries(ways)) await t.test(name, async () => assert.deepEqual(await way(options), expected));
  });
}

async function refused(call) {
  try {
    await call;
  } catch (error) {
    return ConnectError.from(error);
  }
  throw new assert.AssertionError({ message: "the call did not fail" });
}

test("connect-web: writes, reads, counts", async () => {
  const documents = createClient(DocumentService, transport({ key: kAdminKey, useBinaryFormat: true }));
  const collections = createClient(CollectionService, transport({ key: kAdminKey }));
  const values = Array.from({ length: kDims }, (_, i) => i + 0.5);
  const attributes = { big: { kind: { case: "intValue", value: 2n ** 62n } } };
  await documents.upsert({ collection: "papers", documents: [{ id: "new", attributes, embeddings: [{ vector: { values } }] }] });
  const got = await documents.get({ collection: "papers", ids: ["new"], withEmbeddings: true });
  assert.equal(got.documents[0].attributes.big.kind.value, 2n ** 62n);
  assert.deepEqual((await documents.count({ collection: "papers", filter: "big > 0" })).documents, 1n);
  assert.equal((await documents.delete({ collection: "papers", ids: ["new"] })).deleted, 1n);
  assert.equal((await collections.getCollection({ name: "papers" })).collection.documents, BigInt(kDocuments));
});

test("connect-web: errors with code, field and details", async () => {
  for (const useBinaryFormat of [false, true]) {
    const search = createClient(SearchService, transport({ useBinaryFormat }));
    const wrong = await refused(search.search(body({ k: 0 })));
    assert.deepEqual([wrong.code, wrong.rawMessage], [Code.InvalidArgument, "k is 0; it is 1 to 10000"]);
    assert.equal(wrong.findDetails(BadRequestSchema)[0].fieldViolations[0].field, "k");
    assert.equal((await refused(search.search({ ...body({}), collection: "none" }))).code, Code.NotFound);
    const unkeyed = createClient(SearchService, transport({ useBinaryFormat, key: "" }));
    assert.equal((await refused(unkeyed.search(body({})))).code, Code.Unauthenticated);
    const reader = createClient(DocumentService, transport({ useBinaryFormat }));
    assert.equal((await refused(reader.delete({ collection: "papers", ids: ["doc-1"] }))).code, Code.PermissionDenied);
  }
});

test("connect-web on a page of Chromium: only from the origins that are allowed", async () => {
  assert.equal((await onPage(body({ k: 3 }), { binary: true })).hits.length, 3);
  assert.equal((await onPage(body({ k: 0 }))).code, "InvalidArgument");
  assert.equal((await onPage(body({ k: 3 }), { key: "no key" })).code, "Unauthenticated");
  const stranger = await onPage(body({ k: 3 }), { origin: `http://localhost:${site.address().port}` });
  assert.ok(!stranger.hits && stranger.code === "Unknown", JSON.stringify(stranger));
});

test("buf curl: errors, and reflection", async () => {
  for (const protocol of ["connect", "grpc"]) {
    const failed = await buf(protocol, body({ k: 0 })).then(() => assert.fail("it did not fail"), (error) => error);
    assert.match(`${failed.stdout}${failed.stderr}`, /k is 0; it is 1 to 10000/);
    const count = JSON.parse(await buf(protocol, { collection: "papers" }, { method: "DocumentService/Count" }));
    assert.equal(Number(count.documents), kDocuments);
  }
});
