// Writes rows into a collection, from a generator that makes them as the server takes them, and searches it:
//     BEBR_SERVER=127.0.0.1:7700 node index_rows.js [MODEL]
// The server makes the binarizer, unless MODEL, a file of bebr-train for 64 floats, is one.
import { readFileSync } from "node:fs";

import { Client, type DocumentToWrite } from "bebr";

const dims = 64;

function vectorOf(row: number): Float32Array {
  return Float32Array.from({ length: dims }, (_, i) => Math.sin(row * (i + 1)) + Math.cos(row + i));
}

function* rows(count: number): Iterable<DocumentToWrite> {
  for (let row = 0; row < count; ++row) yield { id: String(row), vector: vectorOf(row), attributes: { year: 2000 + (row % 25) } };
}

const client = new Client();
const model = process.argv[2];
const papers = await client.create("papers", model ? { model: readFileSync(model) } : { dims });
const written = await papers.upsertStream(rows(5000), { progress: (done) => process.stderr.write(`\r${done} documents`) });
console.error();
console.log(`${written.created} new documents, ${await papers.count()} in all`);
for (const hit of await papers.search(vectorOf(7), { k: 3, rerank: 100, filter: "year >= 2005" })) {
  console.log(hit.score.toFixed(4), hit.id, hit.attributes);
}
client.close();
