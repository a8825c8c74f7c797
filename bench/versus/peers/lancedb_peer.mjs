// LanceDB (npm's @lancedb/lancedb, in this process as its users have it); peer.py says what is read and written.
import { createRequire } from "node:module";
import { mkdirSync, readFileSync, readdirSync, lstatSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

const require = createRequire(join(process.argv[2], "x.js")); // packages lie in the build directory
const lancedb = require("@lancedb/lancedb");
const arrow = require("apache-arrow");

const kInFlight = 16;
const kProbes = [16, 64, 128];
const kRefines = [undefined, 2, 10];

// A float32 array of rows x dims in C order.
function readNpy(path) {
  const file = readFileSync(path);
  const length = file.readUInt16LE(8);
  const header = file.toString("latin1", 10, 10 + length);
  const [rows, dims] = header.match(/'shape': \((\d+), (\d+)\)/).slice(1).map(Number);
  if (!header.includes("'<f4'")) throw new Error(`${path}: float32 is wanted`);
  const values = new Float32Array(file.buffer.slice(file.byteOffset + 10 + length, file.byteOffset + 10 + length + 4 * rows * dims));
  return { rows, dims, values, row: (i) => values.subarray(i * dims, (i + 1) * dims) };
}

function anonymousBytes() {
  global.gc?.();
  return 1024 * Number(readFileSync("/proc/self/status", "latin1").match(/RssAnon:\s+(\d+)/)[1]);
}

function diskBytes(directory) {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + 512 * lstatSync(join(entry.parentPath ?? entry.path, entry.name)).blocks, 0);
}

function tableOf({ rows, dims, values }) {
  const floats = arrow.makeData({ type: new arrow.Float32(), data: values });
  const item = new arrow.Field("item", new arrow.Float32(), true);
  const vectors = arrow.makeData({ type: new arrow.FixedSizeList(dims, item), length: rows, nullCount: 0, child: floats });
  const ids = arrow.makeData({ type: new arrow.Int32(), data: Int32Array.from({ length: rows }, (_, i) => i) });
  return new arrow.Table({ id: new arrow.Vector([ids]), vector: new arrow.Vector([vectors]) });
}

// Inverted lists get as many partitions as the square root of the rows, as it advises.
function plans(dims, rows, distanceType) {
  const numPartitions = 1 << Math.max(4, Math.round(Math.log2(Math.sqrt(rows))));
  const lists = (name, index) => ({
    name, index,
    settings: kProbes.filter((n) => n <= numPartitions).flatMap((nprobes) => kRefines.map((refine) => ({ nprobes, refine }))),
  });
  return [
    lists("IVF_RQ, 1 bit", lancedb.Index.ivfRq({ distanceType, numPartitions })),
    lists("IVF_PQ", lancedb.Index.ivfPq({ distanceType, numPartitions, numSubVectors: dims / 8, maxIterations: 20 })),
    { name: "HNSW_SQ", index: lancedb.Index.hnswSq({ distanceType, numPartitions: 1 }),
      settings: [20, 80, 320].flatMap((ef) => [undefined, 2].map((refine) => ({ ef, refine }))) },
  ];
}

const name = ({ nprobes, ef, refine }) => (nprobes ? `nprobes ${nprobes}` : `ef ${ef}`) + (refine ? `, refine ${refine}` : "");

const found = []; // {table, settings} by index

async function load({ docs, metric, work }) {
  const vectors = readNpy(docs);
  const indexes = [];
  for (const [i, { name: index, index: config, settings }] of plans(vectors.dims, vectors.rows, metric).entries()) {
    const directory = join(work, `lancedb-${i}`);
    mkdirSync(directory);
    const database = await lancedb.connect(directory);
    const before = anonymousBytes(), start = performance.now();
    const table = await database.createTable("documents", tableOf(vectors));
    await table.createIndex("vector", { config });
    const build_s = (performance.now() - start) / 1e3;
    found.push({ table, settings });
    await searchOne(table, settings[0], vectors.row(0), 10);
    indexes.push({ index, build_s, memory_bytes: Math.max(0, anonymousBytes() - before), disk_bytes: diskBytes(directory), settings: settings.map(name) });
  }
  return { indexes };
}

async function searchOne(table, { nprobes, ef, refine }, vector, k) {
  let query = table.vectorSearch(vector).select(["id", "_distance"]).limit(k);
  if (nprobes) query = query.nprobes(nprobes);
  if (ef) query = query.ef(ef);
  if (refine) query = query.refineFactor(refine);
  return Array.from((await query.toArrow()).getChild("id"));
}

async function search({ index, setting, queries, k, at_once, most_seconds }) {
  const vectors = readNpy(queries), { table, settings } = found[index];
  const rows = new Array(vectors.rows), each = [];
  await searchOne(table, settings[setting], vectors.row(0), k); // not timed
  let next = 0;
  const start = performance.now(), processors = process.cpuUsage();
  const worker = async () => {
    while (next < vectors.rows && performance.now() - start < 1e3 * most_seconds) {
      const i = next++, before = performance.now();
      rows[i] = await searchOne(table, settings[setting], vectors.row(i), k);
      each.push(performance.now() - before);
    }
  };
  await Promise.all(Array.from({ length: at_once > 1 ? kInFlight : 1 }, worker));
  const seconds = (performance.now() - start) / 1e3;
  const { user, system } = process.cpuUsage(processors);
  return { found: rows.slice(0, next), seconds, processor_s: (user + system) / 1e6, p50_ms: each.sort((a, b) => a - b)[each.length >> 1] };
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  console.log(JSON.stringify(request.op === "load" ? await load(request) : await search(request)));
}
