// The package from its user's place, against a real server.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { promisify } from "node:util";

import { BebrError, Client, type Collection, contains, type Filter, filterText, ids as ofIds, literal, Timestamp, version } from "bebr";

import { dims, directory, embeddings, programs, Server, startCluster, stopAll, train, vectorFile } from "./support.js";

const run = promisify(execFile);
const docs = embeddings(3000);
const ids = (count: number, letter: string) => Array.from({ length: count }, (_, i) => `${letter}${i}`);
const row = (i: number) => docs[i] as Float32Array;
let model: Uint8Array;
let server: Server;
let client: Client;
let papers: Collection;

before(async () => {
  model = train(docs);
  server = await Server.start();
  client = new Client(server.address);
});

after(async () => {
  client.close();
  await stopAll();
});

// 1,000 documents with a year and a language; ids are p0, p1, ...
beforeEach(async () => {
  for (const { name } of await client.collections()) await client.drop(name);
  papers = await client.create("papers", { model });
  const attributes = ids(1000, "").map((_, i) => ({ year: 2000 + (i % 25), lang: i % 3 ? "en" : "de" }));
  await papers.upsert(ids(1000, "p"), docs.slice(0, 1000), attributes);
});

async function rejected(call: () => Promise<unknown>): Promise<BebrError> {
  try {
    await call();
  } catch (error) {
    assert.ok(error instanceof BebrError, String(error));
    return error;
  }
  throw new assert.AssertionError({ message: "the call did not fail" });
}

test("writes and searches", async () => {
  const hits = await papers.search(row(7), { k: 5, rerank: 50, filter: "year >= 2005" });
  assert.equal(hits.length, 5);
  assert.equal(hits[0]?.id, "p7");
  assert.ok(hits[0].exact && Math.abs(hits[0].score - 1) < 1e-3);
  assert.deepEqual(hits[0].attributes, { year: 2007, lang: "en" });
  assert.equal(hits.documentsScanned, 1000);
  assert.ok(hits.every((hit, i) => i === 0 || hit.score <= (hits[i - 1]?.score as number)));
  const plain = await papers.search(Array.from(row(7)), { withAttributes: false });
  assert.ok(plain.length === 10 && !plain[0]?.exact && Object.keys(plain[0]?.attributes ?? {}).length === 0);
});

test("a batch answers as single searches do", async () => {
  const batch = await papers.searchBatch(docs.slice(0, 1100), { k: 20 }); // more than one call takes
  assert.equal(batch.length, 1100);
  for (const i of [0, 1023, 1024, 1099]) {
    const alone = await papers.search(row(i), { k: 20 });
    assert.deepEqual(batch[i]?.map((hit) => [hit.id, hit.score]), alone.map((hit) => [hit.id, hit.score]));
  }
});

test("the same answers as of the command", async () => {
  const queries = vectorFile("query.fvecs", [row(5)]);
  const flags = ["-k", "20", "--rerank", "50", "--filter", "year >= 2010"];
  const { stdout } = await run(join(programs, "bebr"), ["search", "papers", "--server", server.address, "--json", "--queries", queries, ...flags]);
  const [{ hits: theirs }] = JSON.parse(stdout) as [{ hits: { id: string; score: number; its: number; its_label: string }[] }];
  const ours = await papers.search(row(5), { k: 20, rerank: 50, filter: "year >= 2010" });
  assert.equal(ours.length, 20);
  assert.deepEqual(theirs.map((hit) => [hit.id, hit.score, hit.its, hit.its_label]), ours.map((hit) => [hit.id, hit.score, hit.its, hit.itsLabel]));
});

test("int64 and other values come back as they were", async () => {
  const values = { text: "ä", big: 2n ** 63n - 1n, least: -(2n ** 63n), beyond: 2n ** 53n + 1n, whole: -7, real: 0.1, yes: true };
  await papers.upsert(["v"], [row(0)], [{ ...values, none: null, nothing: undefined }]);
  const [document] = await papers.get("v", { withEmbeddings: true });
  assert.deepEqual(document?.attributes, values);
  assert.ok(document.embeddings["v1"] instanceof Float32Array);
  assert.ok(document.embeddings["v1"].every((value, i) => Math.abs(value - (row(0)[i] as number)) < 2e-3));
  assert.deepEqual((await papers.search(row(0), { k: 1, filter: { big: 2n ** 63n - 1n } })).map((hit) => hit.id), ["v"]);
  assert.deepEqual((await papers.search(row(0), { filter: { big: 2n ** 63n - 2n } })).map((hit) => hit.id), []);
  assert.deepEqual((await papers.get(["p2", "no", "p1"])).map((found) => found.id), ["p2", "p1"]);
});

test("timestamps and lists come back as they were and are filtered by", async () => {
  const at = new Date("2026-01-31T12:00:00.250Z");
  const exact = new Timestamp("2026-01-31T12:00:00.250001Z");
  const values = { at, tags: ["a", 2, true, at], none: [], exact };
  await papers.upsert(["time"], [row(0)], [values]);
  const [found] = await papers.get("time");
  assert.deepEqual(found?.attributes, values);
  assert.equal((found?.attributes["exact"] as Timestamp).rfc3339, exact.rfc3339);
  const search = async (filter: Filter) => (await papers.search(row(0), { filter })).map((hit) => hit.id);
  assert.deepEqual(await search({ at }), ["time"]);
  assert.deepEqual(await search(`exact > ${literal(at)} AND exact <= ${literal(exact)}`), ["time"]);
  assert.deepEqual(await search(contains("tags", ["no", "a"])), ["time"]);
  assert.deepEqual(await search(contains("tags", ["no", "a"], "ALL")), []);
  assert.deepEqual(await search(contains("tags", at)), ["time"]);
  const { facets } = await papers.facets("tags");
  assert.deepEqual(facets.map(({ value }) => value), ["a", 2, true, at]);
  assert.equal(await papers.delete("time"), 1);
});

test("a timestamp that is set anew is written as it is then", () => {
  const moved = new Timestamp("2026-01-31T12:00:00.250001Z");
  assert.equal(moved.toJSON(), "2026-01-31T12:00:00.250001Z");
  moved.setTime(0);
  assert.equal(literal(moved), 'TIMESTAMP "1970-01-01T00:00:00.000Z"');
});

test("a collection's schema", async () => {
  const schema = { created: "timestamp", body: "stored", title: "string indexed" } as const;
  const dated = await client.create("dated", { dims, attributes: schema });
  assert.deepEqual((await dated.stats()).attributes, schema);
  await dated.upsert(["a"], [row(0)], [{ created: "2026-01-31T13:00:00+01:00", body: "short", title: "x".repeat(300) }]);
  assert.deepEqual((await dated.get("a"))[0]?.attributes["created"], new Date("2026-01-31T12:00:00Z"));
  assert.equal(await dated.count({ filter: 'title STARTS WITH "xx" AND body EXISTS AND NOT body = "short"' }), 1);
  await assert.rejects(dated.upsert(["b"], [row(0)], [{ created: "noon" }]), /created.* is no timestamp/);
  const told = await dated.estimateMemory(1000, { attributes: 3, distinctTexts: 1000, textBytes: 20 });
  assert.ok(told.attributes > 1000 * (3 * 9 + 20) && told.attributes < 1000 * (3 * 9 + 100));
  await assert.rejects(client.create("wrong", { dims, attributes: { a: "date" as "string" } }), /attributes\.a is "date"/);
  await dated.drop();
});

test("a collection that is there is taken", async () => {
  await (await client.create("taken", { dims, existOk: true })).upsert(["a"], [row(0)]);
  assert.equal(await (await client.create("taken", { dims, existOk: true })).count(), 1);
  await assert.rejects(client.create("taken", { dims }), { code: "ALREADY_EXISTS" });
  await assert.rejects(client.create("taken", { dims: dims + 1, existOk: true }), /floats and cosine, not of/);
  await assert.rejects(client.create("taken", { dims, metric: "l2", existOk: true }), /and cosine, not of .* and l2/);
  await assert.rejects(client.create("taken", { dims, attributes: { created: "timestamp" }, existOk: true }), /attributes\.created of no rule, not of "timestamp"/);
  await client.create("ruled", { dims, attributes: { created: "timestamp", body: "string stored" } });
  await client.create("ruled", { dims, attributes: { body: "stored string" as "string stored", created: "timestamp" }, existOk: true });
  await client.create("ruled", { dims, existOk: true });
  await assert.rejects(client.create("ruled", { dims, attributes: { created: "string", body: "string stored" }, existOk: true }), /attributes\.created of "timestamp", not of "string"/);
  await assert.rejects(client.create("ruled", { dims, attributes: { created: "timestamp" }, existOk: true }), /attributes\.body of "string stored", not of no rule/);
  await client.drop("taken");
  for (const name of ["127.0.0.1:", "127.0.0.1:x", "host:0", "[::1]:70000"]) assert.throws(() => new Client(name), /whose port is/);
});

test("filters of values are quoted", async () => {
  const nasty = "a \"b\" \\ ' ` OR true";
  await papers.upsert(["nasty"], [row(0)], [{ "odd `name": nasty }]);
  assert.equal(filterText({ year: [2001, 2002], lang: "en" }), 'year IN (2001, 2002) AND lang = "en"');
  assert.deepEqual((await papers.search(row(0), { filter: { "odd `name": nasty } })).map((hit) => hit.id), ["nasty"]);
  assert.deepEqual((await papers.search(row(0), { filter: { "odd `name": nasty.slice(1) } })).length, 0);
});

test("names in mappings are attributes, and never the document's id", async () => {
  const own = await client.create("ids", { dims });
  await own.upsert(["a", "b", "5"], docs.slice(0, 3), [{ id: "b", AND: 1, True: "x" }, { id: "a", Id: 2 }, { id: 5 }]);
  const found = async (filter: Filter) => (await own.search(row(0), { filter })).map((hit) => hit.id).sort();
  assert.deepEqual(await found({ id: "b" }), ["a"]);
  assert.deepEqual(await found({ id: 5 }), ["5"]);
  assert.deepEqual(await found({ id: "5" }), []);
  assert.deepEqual(await found({ id: ["a", "b"] }), ["a", "b"]);
  assert.deepEqual(await found({ AND: 1, True: "x" }), ["a"]);
  assert.deepEqual(await found({ Id: 2 }), ["b"]);
  assert.deepEqual(await found('id = "b"'), ["b"]);
  assert.deepEqual(await found(ofIds("b")), ["b"]);
  assert.deepEqual(await found(ofIds(["a", 5, "no"])), ["5", "a"]);
  await own.upsert(["l"], [row(0)], [{ id: ["x", "y"] }]);
  assert.deepEqual(await found(contains("id", "x")), ["l"]);
  assert.equal(await own.delete({ filter: { id: "b" } }), 1);
  assert.deepEqual((await own.get(["a", "b"])).map((document) => document.id), ["b"]);
});

test("long mappings of a filter go as a tree", async () => {
  const own = await client.create("long", { dims });
  await own.upsert(["a", "b", "c"], docs.slice(0, 3), [7, 9999, 20_000].map((n) => ({ key: `${"x".repeat(30)}${n}`, n, id: "i" })));
  const filter = { key: ids(10_000, "x".repeat(30)), id: "i" };
  assert.ok(filterText(filter).length > 300_000);
  const found = (hits: { id: string }[]) => hits.map((hit) => hit.id).sort();
  assert.deepEqual(found(await own.search(row(0), { filter })), ["a", "b"]);
  assert.deepEqual(found(await own.search(row(0), { filter: { ...filter, n: [1, 7, 9] } })), ["a"]);
  assert.deepEqual(found(await own.search({ like: "c" }, { filter })), ["a", "b"]);
  for (const hits of await own.searchBatch([row(0), row(1)], { filter })) assert.deepEqual(found(hits), ["a", "b"]);
  assert.equal(await own.count({ filter }), 2);
  assert.equal((await own.facets("n", { filter })).documents, 2);
  for await (const page of own.scroll({ filter })) assert.deepEqual(found(page), ["a", "b"]);
  assert.equal((await own.update({ filter }, { set: { seen: true } })).documents, 2);
  assert.equal(await own.count({ filter: { seen: true } }), 2);
  assert.equal(await own.delete({ filter }), 2);
  assert.equal(await own.count(), 1);
});

test("texts that are no UTF-8 are refused by their place", async () => {
  const half = "a\ud800b";
  const vectors = docs.slice(0, 2);
  let error = await rejected(() => papers.upsert(["x", half], vectors));
  assert.deepEqual([error.row, error.field], [1, "ids[1]"]);
  assert.match(error.message, /^row 1: ids\[1\] is "a\\ud800b", which is no UTF-8/);
  for (const attributes of [{ t: half }, { [half]: 1 }, { t: ["x", half] }]) {
    error = await rejected(() => papers.upsert(["a", "b"], vectors, [{}, attributes]));
    assert.match(error.message, /^row 1: .* "b".*no UTF-8/);
    error = await rejected(() => papers.upsertStream([{ id: "a", vector: row(0) }, { id: "b", vector: row(1), attributes }]));
    assert.match(error.message, /^row 1: .* "b".*no UTF-8/);
  }
  const calls = [
    () => papers.get(half), () => papers.delete([half]), () => papers.update("p1", { set: { t: half } }), () => papers.update("p1", { set: { [half]: 1 } }),
    () => papers.update("p1", { remove: half }), () => papers.search(row(0), { exclude: half }), () => papers.search({ like: half }), () => papers.facets(half),
    () => papers.search(row(0), { filter: { t: half } }), () => papers.count({ filter: { [half]: 1 } }), () => papers.count({ filter: `t = "${half}"` }),
    () => client.create(half, { dims }), () => papers.upsert(["a"], [row(0)], undefined, { version: half }),
    () => papers.upsertStream([{ id: "a", vector: row(0) }], { version: half }), () => client.collection(half).upsertStream([{ id: "a", vector: row(0) }]), () => papers.search([row(0)], { fusion: "max", lists: [[half]] }), () => papers.search([row(0)], { fusion: "max", lists: [{ [half]: 1 }] }),
  ];
  for (const call of calls) assert.match((await rejected(call)).message, /no UTF-8/);
});

test("what a partial write leaves out keeps the rows of the others", async () => {
  const own = await client.create("partial", { dims });
  const names = ["a", "b", "a", "c", "d", "x".repeat(513), "e", "\ud800"];
  const attributes = [{}, { n: 2n ** 63n }, {}, { x: NaN }, {}, {}, { n: 1 }, {}];
  const check = ({ documents, errors }: Awaited<ReturnType<Collection["upsert"]>>, doubled: boolean) => {
    assert.deepEqual(errors.map((error) => error.row), doubled ? [1, 2, 3, 5, 7] : [1, 3, 5, 7]);
    for (const error of errors) assert.deepEqual([error.id, error.code], [names[error.row], "INVALID_ARGUMENT"]);
    const parts = { 1: /64 bits/, 2: /both "a"/, 3: /x/, 5: /513/, 7: /UTF-8/ } as Record<number, RegExp>;
    for (const error of errors) assert.match(error.message, parts[error.row] as RegExp);
    assert.equal(documents, 8 - errors.length);
  };
  for (const batch of [undefined, 1, 3]) {
    const options = { partial: true, ...(batch === undefined ? {} : { batch }) };
    check(await own.upsert(names, docs.slice(0, 8), attributes, options), true);
    check(await own.upsertStream(names.map((id, i) => ({ id, vector: row(i), attributes: attributes[i] ?? {} })), options), false);
  }
  assert.equal((await own.upsert(["\ud800"], [row(0)], undefined, { partial: true })).errors[0]?.row, 0);
  assert.equal(await own.count(), 3);
});

test("columns of attributes, and what has no effect or no sense", async () => {
  await papers.upsert(["x", "y"], docs.slice(0, 2), { n: Int32Array.of(1, 2), t: ["a", null] });
  assert.deepEqual((await papers.get(["x", "y"])).map((found) => found.attributes), [{ n: 1, t: "a" }, { n: 2 }]);
  const cases: [() => Promise<unknown>, RegExp][] = [
    [() => papers.upsert(["x", "y"], docs.slice(0, 2), { n: [1] }), /attributes\.n has 1 values; there are 2 ids/],
    [() => papers.upsert(["x", "y"], docs.slice(0, 2), { t: "ab" }), /attributes\.t has a single value/],
    [() => papers.upsert(["x", "y"], docs.slice(0, 2), new Map() as object as []), /attributes is no array/],
    [() => papers.search(row(0), { groupSize: 2 }), /groupSize is 2 without groupBy/],
    [() => papers.searchBatch([row(0)], { groupSize: 2 }), /groupSize is 2 without groupBy/],
    [() => papers.search(row(0), { filter: { year: NaN } }), /filter: "year" is NaN/],
    [() => papers.search(row(0), { filter: { year: [1, Infinity] } }), /filter: "year"\[1\] is Infinity/],
    [() => papers.count({ filter: { year: 2n ** 63n } }), /filter: "year" is 9223372036854775808/],
    [() => papers.count({ filter: { year: null as unknown as number } }), /filter: "year" is null/],
    [() => papers.count({ filter: { year: [] } }), /"year" is to be one of no values/],
  ];
  for (const [call, message] of cases) assert.match((await rejected(call)).message, message);
});

test("a server that has answered is waited for", async () => {
  const mortal = await Server.start();
  const own = new Client(mortal.address, { retries: 1, timeoutMs: 300_000 });
  const collection = await own.create("papers", { dims });
  const again = () => new Promise((resolve) => setTimeout(resolve, 1500)).then(() => mortal.start());
  await mortal.stop();
  let restarted: Promise<void> | undefined = again();
  assert.equal(await collection.count(), 0);
  await restarted;
  restarted = undefined;
  const progress = (written: number) => {
    if (written >= 500) restarted ??= mortal.stop("SIGKILL").then(again);
  };
  assert.equal((await collection.upsert(ids(3000, ""), docs, undefined, { batch: 50, progress })).documents, 3000);
  await restarted;
  own.close();
  assert.equal((await rejected(() => new Client("127.0.0.1:1", { retries: 1, timeoutMs: 300_000 }).stats())).code, "UNAVAILABLE");
});

test("one flat array is rows too", async () => {
  const flat = new Float32Array(3 * dims);
  [0, 1, 2].forEach((i) => flat.set(row(i), i * dims));
  assert.deepEqual(await papers.upsert(["a", "b", "c"], flat), { documents: 3, created: 3, unknownIds: [], skippedIds: [], errors: [] });
  const found = await papers.search(row(2), { k: 2, rerank: 10 });
  assert.deepEqual(found.map((hit) => hit.id).sort(), ["c", "p2"]);
});

test("streams take no more than the server", async () => {
  let taken = 0;
  let ahead = 0;
  function* rows() {
    for (const [i, vector] of docs.entries()) {
      ++taken;
      yield { id: `s${i}`, vector, attributes: { i } };
    }
  }
  const progress = (written: number) => (ahead = Math.max(ahead, taken - written));
  assert.deepEqual(await papers.upsertStream(rows(), { batch: 50, progress }), { documents: 3000, created: 3000, unknownIds: [], skippedIds: [], errors: [] });
  assert.ok(ahead <= 9 * 50, String(ahead)); // the window's messages and the one that is being filled
  assert.equal(await papers.count(), 4000);
  assert.equal((await papers.upsert(ids(3000, "s"), docs, undefined, { batch: 100 })).created, 0);
});

test("messages end by the bytes of documents", async () => {
  const [names, vectors] = [ids(200, "long"), docs.slice(0, 200)];
  const texts = names.map((_, i) => ({ text: `${i}${"x".repeat(400_000)}` })); // more than a message may have
  assert.equal((await papers.upsert(names, vectors, texts)).created, 200);
  const streamed = names.map((id, i) => ({ id, vector: row(i), attributes: texts[i] ?? {} }));
  assert.equal((await papers.upsertStream(streamed)).documents, 200);
  assert.deepEqual((await papers.get(names)).map((found) => found.attributes), texts);
});

test("streams survive a server that dies", async () => {
  const mortal = await Server.start();
  const own = new Client(mortal.address, { retries: 12 });
  const collection = await own.create("papers", { model });
  let restarted: Promise<void> | undefined;
  const progress = (written: number) => {
    if (written >= 500) restarted ??= mortal.stop("SIGKILL").then(() => mortal.start());
  };
  assert.equal((await collection.upsert(ids(3000, ""), docs, undefined, { batch: 50, progress })).documents, 3000);
  await restarted;
  assert.ok(restarted);
  assert.equal(await collection.count(), 3000);
  own.close();
});

test("reads wait for a server that starts, creations do not", async () => {
  const mortal = await Server.start();
  const own = new Client(mortal.address, { retries: 12 });
  await own.create("papers", { model });
  await mortal.stop();
  assert.equal((await rejected(() => own.create("more", { model }))).code, "UNAVAILABLE");
  const starting = new Promise((resolve) => setTimeout(resolve, 500)).then(() => mortal.start());
  assert.equal(await own.collection("papers").count(), 0);
  await starting;
  own.close();
});

test("deadlines and signals", async () => {
  const slow = await Server.start();
  const own = new Client(slow.address);
  const collection = await own.create("papers", { model });
  await slow.pause();
  try {
    const late = await rejected(() => own.collections({ timeoutMs: 300 }));
    assert.ok(late.code === "DEADLINE_EXCEEDED" && late.message.includes("timeoutMs"));
    assert.match((await rejected(() => collection.upsert(ids(3000, ""), docs, undefined, { batch: 50, timeoutMs: 300 }))).message, /nothing for 300 ms/);
    const reason = new Error("enough");
    const given = (call: (signal: AbortSignal) => Promise<unknown>) => {
      const controller = new AbortController();
      setTimeout(() => controller.abort(reason), 200);
      return assert.rejects(call(controller.signal), reason);
    };
    await given((signal) => own.collections({ signal }));
    await given((signal) => collection.upsertStream([{ id: "a", vector: row(0) }], { signal }));
  } finally {
    slow.resume();
  }
  assert.equal((await collection.upsert(ids(3000, ""), docs, undefined, { batch: 50 })).documents, 3000);
  own.close();
});

test("errors say what, where and how much", async () => {
  let error = await rejected(() => papers.search(row(0), { k: 0 }));
  assert.deepEqual([error.code, error.field, error.limit, error.message], ["INVALID_ARGUMENT", "k", 10_000, "k is 0; it is 1 to 10000"]);
  error = await rejected(() => papers.search(row(0).subarray(3)));
  assert.deepEqual([error.field, error.limit], ["query", dims]);
  assert.equal((await rejected(() => papers.search(row(0), { filter: "year >=" }))).field, "filter");
  assert.equal((await rejected(() => client.collection("none").count())).code, "NOT_FOUND");
  const wrong = docs.map((vector, i) => (i === 2345 ? vector.map(() => NaN) : vector));
  error = await rejected(() => papers.upsert(ids(3000, ""), wrong));
  assert.deepEqual([error.row, error.field, error.acknowledged], [2345, "vectors[2345]", undefined]);
  assert.match(error.message, /^row 2345: vectors\[2345\]: value 0 is NaN/);
  assert.equal((await rejected(() => papers.upsert([...ids(2999, ""), "7"], docs))).row, 2999);
  assert.equal(await papers.count(), 1000);
});

test("what fails on the way says how much is written", async () => {
  const large = docs.map((vector, i) => (i === 2345 ? vector.map(() => 1e6) : vector)); // which no f16 has: that the collection stores them the server knows
  const error = await rejected(() => papers.upsert(ids(3000, ""), large, undefined, { batch: 100 }));
  assert.deepEqual([error.row, error.acknowledged], [2345, 2300]);
  assert.match(error.message, /2300 documents were acknowledged/);
  assert.ok((await papers.count()) >= 3300);
  assert.equal((await rejected(() => client.collection("none").upsert(["a"], [row(0)]))).acknowledged, 0);
});

test("searches by examples, pages and fusion", async () => {
  const found = (hits: { id: string }[]) => hits.map((hit) => hit.id);
  const alike = await papers.search({ like: "p7", k: 5 });
  assert.ok(alike.length === 5 && !found(alike).includes("p7"));
  assert.deepEqual(found(await papers.search({ like: [row(7)], k: 1 })), ["p7"]);
  assert.deepEqual(found(await papers.search({ like: "p7" }, { k: 5 })), found(alike)); // options may stand apart, too
  assert.notDeepEqual(found(await papers.search({ like: ["p7", row(8)], unlike: [row(20)], k: 5 })), found(alike));
  const whole = found(await papers.search(row(7), { k: 20 }));
  assert.deepEqual(found(await papers.search(row(7), { k: 10, offset: 10 })), whole.slice(10));
  assert.deepEqual(found(await papers.search(row(7), { k: 19, exclude: "p7" })), whole.filter((id) => id !== "p7"));
  assert.deepEqual(found(await papers.search([row(7), row(8)], { fusion: "max", k: 2, rerank: 10 })).sort(), ["p7", "p8"]);
  const [hit] = await papers.search(row(7), { k: 1, rerank: 0, explain: true });
  assert.ok(hit?.explanation && Math.abs(hit.explanation.estimate - hit.score) < 1e-6 && hit.explanation.bands.length > 0);
});

test("groups, views and lists from elsewhere", async () => {
  const found = (hits: { id: string }[]) => hits.map((hit) => hit.id);
  const grouped = await papers.search(row(7), { k: 3, groupBy: "year", groupSize: 2 });
  assert.deepEqual(grouped.map((hit) => hit.group), grouped.map((hit) => hit.attributes.year));
  assert.ok(grouped.length === 6 && new Set(grouped.map((hit) => hit.group)).size === 3);
  const first = await papers.search(row(7), { k: 5, keepViewS: 60 });
  assert.ok(first.view !== "" && (await papers.search(row(7))).view === "");
  assert.deepEqual(found(await papers.search(row(7), { k: 5, view: first.view })), found(first));
  assert.match((await rejected(() => papers.search(row(7), { view: "nothing" }))).message, /view_token/);
  let documents = 0;
  for await (const page of papers.scroll({ limit: 300, keepViewS: 60 })) documents += page.length;
  assert.equal(documents, 1000);
  const fused = await papers.search([row(7)], { k: 3, fusion: "reciprocal_rank", lists: [["p8", "nobody", "p9"], { p9: 0.5 }], weights: [0.1, 1, 2] });
  assert.deepEqual(found(fused).slice(0, 2), ["p9", "p8"]);
});

test("probes", async () => {
  const found = await papers.search(row(7), { k: 5, probe: 0.5 });
  assert.equal(found.scannedShare, 1); // the model has no groups
  assert.deepEqual(found.map((hit) => hit.id), (await papers.search(row(7), { k: 5 })).map((hit) => hit.id));
  assert.equal((await papers.searchBatch([row(7)], { k: 5, probeRecall: 0.9 }))[0]?.scannedShare, 1);
  assert.match((await rejected(() => papers.search(row(7), { probe: 1.5 }))).message, /probe is 1.5/);
});

test("slips in filters are told", async () => {
  const hits = await papers.search(row(7), { filter: "yaer >= 2005" });
  assert.equal(hits.length, 0);
  assert.match(hits.warnings.join(), /yaer/);
  assert.match((await papers.searchBatch([row(7)], { filter: "yaer >= 2005" }))[0]?.warnings.join() ?? "", /yaer/);
  assert.match((await rejected(() => papers.search(row(7), { filter: "yaer >= 2005", strict: true }))).message, /yaer/);
  assert.deepEqual((await papers.search(row(7), { filter: "year >= 2005" })).warnings, []);
  const told: string[] = [];
  const listen = (warning: Error) => { if (warning.name === "BebrFilterWarning") told.push(warning.message); };
  process.on("warning", listen);
  assert.equal(await papers.count({ filter: "yaer = 1" }), 0);
  for await (const page of papers.scroll({ filter: "NOT yaer = 1", limit: 300 })) assert.ok(page.length > 0);
  await new Promise((resolve) => setImmediate(resolve)); // warnings come after the call
  process.off("warning", listen);
  assert.equal(told.length, 2);
  assert.match((await papers.facets("lagn")).warnings.join(), /lagn/);
  assert.equal((await rejected(() => papers.count({ filter: "yaer = 1", strict: true }))).code, "INVALID_ARGUMENT");
});

test("scrolls, counts and facets", async () => {
  const pages: string[][] = [];
  for await (const page of papers.scroll({ limit: 300 })) pages.push(page.map((document) => document.id));
  assert.deepEqual(pages.flat(), ids(1000, "p").sort());
  assert.ok(pages.every((page) => page.length <= 300));
  for await (const page of papers.scroll({ after: pages.flat()[989] as string })) assert.deepEqual(page.map((document) => document.id), pages.flat().slice(990));
  for await (const page of papers.scroll({ filter: { year: 2007 }, withEmbeddings: true })) {
    assert.ok(page.length === 40 && page.every((document) => document.attributes["year"] === 2007 && document.embeddings["v1"]?.length === dims));
  }
  assert.equal(await papers.count({ filter: { year: 2007 } }), 40);
  const facets = await papers.facets("lang", { filter: "year >= 2000" });
  assert.deepEqual(facets, { facets: [{ value: "en", documents: 666 }, { value: "de", documents: 334 }], values: 2, documents: 1000, withAttribute: 1000, warnings: [], mayBeStale: false });
});

test("many ids are several calls, whole numbers are ids", async () => {
  const many = ids(25_000, "p");
  assert.deepEqual((await papers.get(many)).map((found) => found.id), many.slice(0, 1000));
  assert.deepEqual([await papers.get([]), await papers.delete([])], [[], 0]);
  assert.equal(await papers.delete([...many.slice(20_000), ...many.slice(0, 10_000)]), 1000);
  await papers.upsert([7, 8n, "9"], docs.slice(0, 3));
  assert.deepEqual((await papers.get([9, "8", 7])).map((found) => found.id), ["9", "8", "7"]);
  assert.equal(await papers.delete(7), 1);
});

test("attributes are changed without vectors, documents deleted by filter", async () => {
  assert.deepEqual(await papers.update(["p1", "no"], { set: { seen: true, note: "x" } }), { documents: 1, unknownIds: ["no"], warnings: [] });
  assert.equal((await papers.update({ filter: { seen: true } }, { set: { clock: 3 }, remove: "note" })).documents, 1);
  let [found] = await papers.get("p1");
  assert.deepEqual(found?.attributes, { year: 2001, lang: "en", seen: true, clock: 3 });
  assert.match((await papers.update({ filter: "tpyo = 1" }, { clear: true })).warnings.join(), /tpyo/);
  assert.equal((await papers.update(ids(1000, "p"), { set: { clock: 4n } })).documents, 1000);
  await papers.update("p1", { set: { only: 1 }, clear: true });
  [found] = await papers.get("p1");
  assert.deepEqual(found?.attributes, { only: 1 });
  assert.equal((await rejected(() => papers.delete({ filter: "" }))).field, "filter");
  assert.equal((await rejected(() => papers.delete({ fitler: "only = 1" } as unknown as { filter: string }))).field, "fitler");
  assert.match((await rejected(() => papers.delete({ filter: "NOT tpyo = 1" }))).message, /matches 1000 documents/);
  assert.deepEqual([await papers.delete({ filter: "only = 1" }), await papers.count()], [1, 999]);
});

test("writes with conditions", async () => {
  const clock = (value: number) => [{ clock: value }, { clock: value }];
  await papers.update("p1", { set: { clock: 3 } });
  const stale = await papers.upsert(["p1", "fresh"], [row(0), row(1)], clock(3), { ifNewerBy: "clock" });
  assert.deepEqual([stale.documents, stale.created, stale.skippedIds], [1, 1, ["p1"]]);
  assert.deepEqual((await papers.upsertStream([{ id: "fresh", vector: row(0) }], { ifAbsent: true })).skippedIds, ["fresh"]);
  assert.equal((await papers.upsert(["p1"], [row(0)], [{}], { replaceAll: true })).documents, 1);
  assert.equal((await rejected(() => papers.upsert(["p1"], [row(0)], undefined, { merge: true, ifAbsent: true }))).field, "merge");
});

test("answers do without a node on request", async () => {
  const [, other, gateway] = await startCluster();
  const through = new Client(gateway.address, { retries: 0 });
  const spread = await through.create("papers", { model });
  await spread.upsert(ids(1000, "p"), docs.slice(0, 1000));
  assert.deepEqual((await spread.search(row(7), { allowPartial: true })).coverage, { nodes: 2, answered: 2, documents: 1000 });
  assert.equal((await spread.search(row(7))).coverage, undefined);
  await other.stop("SIGKILL");
  const refused = await rejected(() => spread.search(row(7)));
  assert.deepEqual([refused.code, /node b/.test(refused.message)], ["UNAVAILABLE", true]);
  const hits = await spread.search(row(7), { k: 1000, allowPartial: true });
  assert.deepEqual(hits.coverage, { nodes: 2, answered: 1, documents: hits.length });
  assert.ok(hits.length > 0 && hits.length < 1000);
  assert.deepEqual((await spread.searchBatch([row(7), row(8)], { allowPartial: true })).map(({ coverage }) => coverage), [hits.coverage, hits.coverage]);
  for (const other of [() => spread.search([row(7), row(8)], { fusion: "max", allowPartial: true }), () => spread.search({ like: [row(7)] }, { allowPartial: true })])
    assert.deepEqual((await other()).coverage, hits.coverage);
  through.close();
});

test("wrong documents of a batch are left out and told of", async () => {
  const vectors = docs.map((vector, i) => (i === 2345 ? vector.map(() => NaN) : i === 7 ? vector.subarray(1) : vector));
  for (const batch of [undefined, 100]) {
    const rows = batch === undefined ? 500 : 3000;
    const done = await papers.upsert(ids(rows, "w"), vectors.slice(0, rows), undefined, batch === undefined ? { partial: true } : { partial: true, batch });
    const wrong = rows === 500 ? [7] : [7, 2345];
    assert.equal(done.documents, rows - wrong.length);
    assert.deepEqual(done.errors.map(({ row, id, code }) => [row, id, code]), wrong.map((place) => [place, `w${place}`, "INVALID_ARGUMENT"]));
    assert.match(done.errors[0]?.message ?? "", /63 floats|63/);
  }
  const streamed = await papers.upsertStream([{ id: "s1", vector: row(0) }, { id: "", vector: row(0) }, { id: "s3", vector: row(1) }], { partial: true });
  assert.deepEqual([streamed.documents, streamed.errors.map(({ row }) => row)], [2, [1]]);
});

test("embeddings of another model are refused", async () => {
  const { modelChecksum } = await papers.versions.get();
  assert.ok(modelChecksum > 0);
  assert.equal((await papers.search(row(7), { k: 1, modelChecksum })).length, 1);
  await papers.upsert(["a"], [row(0)], undefined, { modelChecksum });
  const other = (modelChecksum ^ 1) >>> 0;
  for (const call of [() => papers.search(row(7), { modelChecksum: other }), () => papers.upsert(["b"], [row(0)], undefined, { modelChecksum: other })]) {
    assert.equal((await rejected(call)).code, "FAILED_PRECONDITION");
  }
});

test("unknown options are refused", async () => {
  const slip = { topK: 3 } as object;
  const calls = [() => papers.search(row(0), slip), () => papers.upsert(["a"], [row(0)], undefined, slip), () => papers.get("a", slip), () => papers.count(slip),
    () => papers.stats(slip), () => client.create("x", { dims, ...slip }), () => papers.versions.promote("v1", slip), () => papers.scroll(slip).next()];
  for (const call of calls) {
    const error = await rejected(call);
    assert.deepEqual([error.code, error.field], ["INVALID_ARGUMENT", "topK"]);
    assert.match(error.message, /no option "topK" here; there are .*timeoutMs/);
  }
  assert.throws(() => new Client(server.address, slip), /topK/);
});

test("what is wrong here is told before anything is sent", async () => {
  const two = docs.slice(0, 2);
  const cases: [() => Promise<unknown>, RegExp][] = [
    [() => papers.upsert(["a", "a"], two), /ids\[1\] and ids\[0\]/],
    [() => papers.upsert(["a"], two), /2 rows; there are 1 ids/],
    [() => papers.upsert(["a", "b"], two, [{}]), /attributes has 1 rows/],
    [() => papers.upsert(["a"], [row(0)], [{ when: {} as unknown as string }]), /"when".* is of object/],
    [() => papers.upsert(["a"], [row(0)], [{ when: new Date("noon") }]), /"when".* is an invalid Date/],
    [() => papers.upsert(["a"], [row(0)], [{ when: [["a"] as unknown as string] }]), /"when".*\[0\] is of array/],
    [() => papers.upsert(["a"], [row(0)], [{ ["__proto__"]: 1 }]), /__proto__/],
    [() => papers.upsert(["a"], [row(0)], [{ big: 2n ** 63n }]), /64 bits/],
    [() => papers.upsert([7.5], [row(0)]), /row 0: ids\[0\] is 7.5; an id is a string, or a whole number/],
    [() => papers.upsert(["a", ""], two), /row 1: ids\[1\] has 0 bytes/],
    [() => papers.upsert(["a", "b"], [row(0), row(1).subarray(1)]), /row 1: vectors\[1\] has 63 floats/],
    [() => papers.upsert(["a"], [row(0)], [{ real: NaN }]), /row 0: .*null is no value/],
    [() => papers.search({ like: row(0) as unknown as string }), /a vector alone goes into an array/],
    [() => papers.search(two, { fusion: "median" as "mean" }), /fusion is "median"/],
    [() => client.create("x", { dims: -1 }), /dims is -1/],
    [() => papers.upsert(["a", "b", "c"], new Float32Array(64)), /no whole rows/],
    [() => papers.search(two as unknown as number[]), /no Float32Array/],
    [() => papers.search(row(0), { k: 1.5 }), /k is 1.5/],
    [() => papers.count({ filter: { at: new Date(NaN) } }), /filter: "at" is an invalid Date/],
    [() => client.create("x", { dims, attributes: { at: "constructor" as "int" } }), /attributes.at is "constructor"/],
    [() => papers.search(two, { fusion: "constructor" as "mean" }), /fusion is "constructor"/],
    [() => client.create("x", {} as { dims: number }), /dims.*model/],
  ];
  for (const [call, message] of cases) {
    const error = await rejected(call);
    assert.equal(error.code, "INVALID_ARGUMENT");
    assert.match(error.message, message);
  }
  assert.equal(await papers.count(), 1000);
});

test("versions, snapshots and aliases", async () => {
  await papers.versions.add("v2", model, { sameEmbeddingsAs: "v1" });
  await papers.versions.backfill("v2");
  for (;;) {
    if ((await papers.versions.get("v2")).state === "ready") break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.equal((await papers.versions.check("v2", { sample: 20 })).overlap, 1);
  assert.equal((await papers.versions.promote("v2", { expectedDefault: "v1" })).defaultVersion, "v2");
  assert.equal((await rejected(() => papers.versions.promote("v1", { expectedDefault: "v1" }))).code, "FAILED_PRECONDITION");
  assert.deepEqual((await papers.versions.list()).map(({ name, state }) => [name, state]), [["v1", "ready"], ["v2", "default"]]);

  const kept = await papers.snapshots.create("kept");
  assert.deepEqual([kept.documents, (await client.snapshots()).map((one) => one.name)], [1000, ["kept"]]);
  assert.equal(await papers.delete(["p1", "p2", "no"]), 2);
  assert.equal(await (await papers.snapshots.restore("kept", "back")).count(), 1000);
  await papers.aliases.set("live", { expected: "" });
  assert.deepEqual([await papers.aliases.list(), await client.collection("live").count()], [["live"], 998]);
  assert.equal((await rejected(() => client.collection("back").aliases.set("live", { expected: "back" }))).code, "FAILED_PRECONDITION");
  await papers.aliases.delete("live");
  await papers.snapshots.delete("kept");
  assert.equal((await papers.snapshots.list()).length + (await client.aliases()).size, 0);
});

test("stats", async () => {
  const stats = await papers.stats();
  assert.deepEqual([stats.name, stats.documents, stats.storeFloats, stats.versions[0]?.inputDims], ["papers", 1000, "f16", dims]);
  assert.ok(stats.created.getFullYear() >= 2020 && (await papers.estimateMemory(1_000_000)).total > stats.memory.total);
  const { buildVersion, counters } = await client.stats();
  assert.equal(buildVersion, version); // package.json's against CMakeLists.txt's
  assert.ok((counters["documentsUpserted"] ?? 0n) >= 1000n);
});

test("a collection without a model", async () => {
  const auto = await client.create("auto", { dims, recall: 0.9, metric: "inner_product" });
  await auto.upsert(ids(1000, "a"), docs.slice(0, 1000));
  const hits = await auto.search(row(7), { k: 5 });
  assert.ok(hits.length === 5 && hits.every((hit) => hit.exact)); // by the collection's default rerank
  const stats = await auto.stats();
  assert.deepEqual([stats.auto?.state, stats.auto?.error, stats.versions[0]?.metric], ["collecting", "", "inner_product"]);
  const far = await client.create("far", { dims, metric: "l2" });
  await far.upsert(ids(1000, "f"), docs.slice(0, 1000));
  const [first] = await far.search(row(7), { k: 1, rerank: 1000 });
  assert.deepEqual([(await far.stats()).versions[0]?.metric, first?.id], ["l2", "f7"]);
  assert.ok(first && first.score <= 0 && first.score > -1e-3); // floats are stored as f16
});

test("keys", async () => {
  const keys = ["admin", "read"].map((role) => ({ name: role, role, sha256: createHash("sha256").update(`the key of ${role}`).digest("hex") }));
  const file = join(directory, "keys.json");
  writeFileSync(file, JSON.stringify({ keys }));
  const locked = await Server.start("--keys_file", file);
  assert.equal((await rejected(() => new Client(locked.address).collections())).code, "UNAUTHENTICATED");
  await new Client(locked.address, { apiKey: "the key of admin" }).create("papers", { model });
  const reader = new Client(locked.address, { apiKey: "the key of read" });
  assert.deepEqual((await reader.collections()).map((one) => one.name), ["papers"]);
  assert.equal((await rejected(() => reader.drop("papers"))).code, "PERMISSION_DENIED");
});

test("TLS", async () => {
  const [key, cert] = [join(directory, "key.pem"), join(directory, "cert.pem")];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  await run("openssl", ["req", "-x509", ...curve, "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert]);
  const secure = await Server.start("--tls_cert_file", cert, "--tls_key_file", key);
  assert.deepEqual(await new Client(secure.address, { tlsCa: cert }).collections(), []);
  const refused = async (address: string) => {
    const error = await rejected(() => new Client(address, { retries: 0 }).collections());
    assert.equal(error.code, "UNAVAILABLE");
    return error.message;
  };
  assert.match(await refused(`https://${secure.address}`), /set tlsCa/); // signed by nobody it knows
  assert.match(await refused(secure.address), /https:\/\//);
  assert.match(await refused(`https://${server.address}`), /no TLS/);
  assert.throws(() => new Client(secure.address, { tlsCert: cert }), /tlsCa/);
  assert.throws(() => new Client(secure.address, { tlsCa: "/nope" }), BebrError);
});

test("the example", async () => {
  const file = join(directory, "model");
  writeFileSync(file, model);
  await client.drop("papers");
  const { stdout } = await run(process.execPath, [join("built", "index_rows.js"), file], { env: { ...process.env, BEBR_SERVER: server.address } });
  const lines = stdout.trimEnd().split("\n");
  assert.equal(lines[0], "5000 new documents, 5000 in all");
  assert.match(lines[1] ?? "", /^1\.0000 7 \{ year: 2007 \}/);
  assert.equal(lines.length, 4);
});
