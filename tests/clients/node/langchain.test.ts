// The store for LangChain, with the real @langchain/core.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Document } from "@langchain/core/documents";
import { Embeddings } from "@langchain/core/embeddings";
import { Client } from "bebr";
import { BebrVectorStore } from "bebr/langchain";

import { dims, embeddings, numbers, Server, stopAll, train } from "./support.js";

/** Sums of hashed words. */
class Words extends Embeddings {
  constructor() {
    super({});
  }

  async embedDocuments(texts: string[]): Promise<number[][]> {
    return texts.map((text) => {
      const vector = new Array<number>(dims).fill(0);
      for (const word of text.match(/\w+/g) ?? []) {
        const next = numbers([...word].reduce((hash, letter) => (hash * 31 + letter.charCodeAt(0)) % 1_000_003, 7));
        for (let skip = 0; skip < 10; ++skip) next();
        vector.forEach((value, i) => (vector[i] = value + next()));
      }
      return vector;
    });
  }

  async embedQuery(text: string): Promise<number[]> {
    return (await this.embedDocuments([text]))[0] as number[];
  }
}

const texts = ["cats purr and sleep", "dogs bark and run", "a cat and a dog sleep", "ships sail at sea", "boats sail on lakes"];
const documents = texts.map((pageContent, i) => new Document({ id: "abcde"[i] as string, pageContent, metadata: { year: 2018 + i, loc: { lines: { from: i, to: i + 1 } } } }));
let client: Client;
let model: Uint8Array;

before(async () => {
  model = train(embeddings(1000));
  client = new Client((await Server.start()).address);
});

after(async () => {
  client.close();
  await stopAll();
});

test("a store of documents", async () => {
  const store = await BebrVectorStore.fromDocuments(documents, new Words(), { client, collection: "texts", create: { model }, search: { rerank: 20 } });
  const [first] = await store.similaritySearch("cats purr sleep", 2);
  assert.ok(first);
  assert.equal(first.pageContent, texts[0]);
  assert.equal(first.id, "a");
  assert.deepEqual(first.metadata, { year: 2018, loc: { lines: { from: 0, to: 1 } } });
  assert.deepEqual((await store.similaritySearch("sail", 5, "year >= 2021")).map((one) => one.id).sort(), ["d", "e"]);
  assert.deepEqual((await store.similaritySearch("sail", 5, { "loc.lines.from": [3, 4], year: 2022 })).map((one) => one.id), ["e"]);
  const [[found, score] = []] = await store.similaritySearchWithScore("dogs bark and run", 1);
  assert.ok(found?.id === "b" && score !== undefined && Math.abs(score - 1) < 1e-2);

  const retriever = store.asRetriever({ k: 1, filter: "year < 2021" });
  assert.deepEqual((await retriever.invoke("ships sail at sea")).length, 1);
  const spread = await store.maxMarginalRelevanceSearch("sail", { k: 2, fetchK: 5, lambda: 0.1 });
  assert.equal(spread.length, 2);
  assert.notDeepEqual(spread.map((one) => one.id).sort(), ["d", "e"]);

  await store.collection.versions.add("again", model, { sameEmbeddingsAs: "v1" });
  await store.collection.versions.backfill("again");
  while ((await store.collection.versions.get("again")).state !== "ready") await new Promise((resolve) => setTimeout(resolve, 20));
  await store.collection.versions.promote("again"); // as a fit does; the floats stay v1's
  const again = await store.maxMarginalRelevanceSearch("sail", { k: 2, fetchK: 5, lambda: 0.1 });
  assert.deepEqual(again.map((one) => one.id), spread.map((one) => one.id));

  const added = await store.addDocuments([new Document({ pageContent: "new", metadata: { empty: null } })]);
  assert.equal(added.length, 1);
  await store.delete({ ids: added });
  assert.equal(await store.collection.count(), 5);
  const before = new Document({ id: "z", pageContent: "x", metadata: {} });
  for (const [metadata, message] of [
    [{ tags: [{}] }, /row 1: metadata "tags" is an array of others/],
    [{ text: "own" }, /row 1: metadata has "text", the name of the attribute that holds the text/],
    [{ a: { b: 1 }, "a.b": 2 }, /row 1: metadata has "a.b" twice/],
    [{ metadata_shape: 1 }, /row 1: metadata has "metadata_shape"/],
  ] as [Record<string, unknown>, RegExp][]) {
    await assert.rejects(store.addDocuments([before, new Document({ pageContent: "x", metadata })]), message);
  }
});

test("metadata come back as they were", async () => {
  const own = await client.create("metadata", { dims });
  const store = new BebrVectorStore(new Words(), { collection: own });
  const metadata = { a: 1, "a.b": 2, id: "X", "file.name": "f", e: {}, o: { p: { "q.r": [1, "x"], s: {} }, t: true }, AND: "and" };
  const all = [metadata, { loc: { lines: { from: 1 } } }, { e: {} }, { id: "c" }, { ".": 1, "a.": { ".b": 2 }, "a..": 3 }, { a: { a: { a: 1 } }, "a.a": 2 }] as Record<string, unknown>[];
  await store.addDocuments(all.map((one, i) => new Document({ id: `m${i}`, pageContent: "page", metadata: one })));
  for (let tries = 0; tries < 5; ++tries) {
    const found = await store.similaritySearch("page", 10);
    assert.deepEqual(found.map((one) => one.id).sort(), all.map((_, i) => `m${i}`));
    for (const one of found) assert.deepEqual(one.metadata, all[Number(one.id?.slice(1))]);
  }
  assert.deepEqual((await store.similaritySearch("page", 10, { id: "X", "file.name": "f", AND: "and", "o.t": true })).map((one) => one.id), ["m0"]);
  assert.deepEqual((await store.similaritySearch("page", 10, { id: "m0" })).length, 0);
  await own.update("m0", { set: { added: 1 }, remove: ["a.b", "file.name"] });
  const { "a.b": _, "file.name": __, ...left } = metadata;
  assert.deepEqual((await store.similaritySearch("page", 10, { id: "X" }))[0]?.metadata, { ...left, added: 1 });
});

test("texts into a collection that is there", async () => {
  const store = await BebrVectorStore.fromTexts(["one more"], [{ year: 2030 }], new Words(), { client, collection: "texts" });
  assert.equal(await store.collection.count(), 6);
  assert.equal((await store.similaritySearch("one more", 1, "year = 2030"))[0]?.pageContent, "one more");
  const opened = new BebrVectorStore(new Words(), { collection: client.collection("texts") });
  assert.equal((await opened.similaritySearch("one more", 1, "year = 2030"))[0]?.pageContent, "one more");
  assert.throws(() => new BebrVectorStore(new Words(), { collection: client.collection("texts"), rerank: 3 } as object as { collection: typeof opened.collection }), /no option "rerank"/);
});
