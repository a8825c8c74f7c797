// A server with data, and load on it.
import { spawn, execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

export const kAdminKey = "admin-of-this-test", kReadKey = "reader-of-this-test";
export const kDims = 32, kDocuments = 3000, kSections = ["admin", "games", "libs", "science"];
export const kWholeMap = 500;  // documents that the map is asked for

// The same numbers in every run, in [-1, 1).
function numbers(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

// Documents around one centre a section.
export function makeDocuments() {
  const next = numbers(7);
  const centres = kSections.map(() => Array.from({ length: kDims }, next));
  return Array.from({ length: kDocuments }, (_, i) => ({
    id: `doc-${i}`, section: kSections[i % kSections.length], year: 2000 + (i % 25), draft: i % 10 === 0,
    embedding: centres[i % kSections.length].map((value) => Math.fround(value + 0.8 * next())),
  }));
}

function writeNpy(file, rows) {
  const head = `{'descr': '<f4', 'fortran_order': False, 'shape': (${rows.length}, ${rows[0].length}), }`;
  const padded = head.padEnd(Math.ceil((head.length + 11) / 64) * 64 - 11) + "\n";
  const start = Buffer.from([0x93, ...Buffer.from("NUMPY"), 1, 0, padded.length & 255, padded.length >> 8]);
  writeFileSync(file, Buffer.concat([start, Buffer.from(padded), Buffer.from(Float32Array.from(rows.flat()).buffer)]));
}

export class Server {
  constructor(programs, consoleDir) {
    this.programs = programs;
    this.consoleDir = consoleDir;
    this.work = mkdtempSync(join(tmpdir(), "console-test-"));
    this.documents = makeDocuments();
    this.failures = [];
    this.answered = 0;
  }

  file(name) { return join(this.work, name); }
  get url() { return `http://${this.http}/console/`; }

  async start() {
    const digest = (key) => createHash("sha256").update(key).digest("hex");
    writeFileSync(this.file("keys.json"), JSON.stringify({ keys: [
      { name: "operator", sha256: digest(kAdminKey), role: "admin" }, { name: "reader", sha256: digest(kReadKey), role: "read" },
    ] }), { mode: 0o600 });
    this.process = spawn(join(this.programs, "bebr-server"), [
      "--listen", "127.0.0.1:0", "--metrics_listen", "", "--http_listen", "127.0.0.1:0", "--console_dir", this.consoleDir,
      "--data_dir", this.file("data"), "--keys_file", this.file("keys.json"), "--recall_monitor_interval_s", "2",
    ], { stdio: ["ignore", "pipe", "pipe"] });
    this.log = "";
    await new Promise((serves, fails) => {
      const read = (text) => {
        this.log += text;
        const found = /serving: grpc=(\S+) .*http=(\S+)/.exec(this.log);
        if (found) { [, this.grpc, this.http] = found; serves(); }
      };
      this.process.stdout.on("data", read);
      this.process.stderr.on("data", read);
      this.process.on("exit", (code, signal) => {
        this.ended = true;
        this.log += `\nthe server ended with ${code ?? signal}`;
        fails(new Error(this.log));
      });
    });
  }

  // The command, as the console tells people to type it.
  async bebr(...parts) {
    const { stdout } = await promisify(execFile)(join(this.programs, "bebr"), parts,
      { env: { ...process.env, BEBR_SERVER: this.grpc, BEBR_API_KEY: kAdminKey } });
    return stdout;
  }

  // A model of so many levels for all of the documents' dims.
  async train(name, levels) {
    writeNpy(this.file("rows.npy"), this.documents.map((document) => document.embedding));
    await promisify(execFile)(join(this.programs, "bebr-train"), [
      "--input", this.file("rows.npy"), "--dims", String(kDims), "--levels", String(levels), "--steps", "0", "--threads", "1", "--seed", "1",
      "--output", this.file(name),
    ]);
    return this.file(name);
  }

  async fill() {
    writeFileSync(this.file("documents.jsonl"), this.documents.map((document) => JSON.stringify(document)).join("\n"));
    await this.bebr("create", "papers", "--model", await this.train("v1.safetensors", 1), "--store-floats", "f32", "--shards", "1");
    await this.bebr("import", "papers", this.file("documents.jsonl"));
  }

  async call(method, request) {
    const response = await fetch(`http://${this.http}/bebr.v1.${method}`, {
      method: "POST", body: JSON.stringify(request),
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${kReadKey}` },
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(`${method}: ${answer.code}: ${answer.message}`);
    return answer;
  }

  // Searches, two at a time, until stopped; what fails is kept.
  load() {
    this.loading = true;
    this.loads = [0, 1].map(async (first) => {
      for (let i = first; this.loading; i = (i + 2) % kDocuments) {
        try {
          const { hits } = await this.call("SearchService/Search", {
            collection: "papers", query: { values: this.documents[i].embedding }, options: { k: 5, rerank: 20 },
          });
          if (hits?.[0]?.id !== `doc-${i}`) throw new Error(`the best of doc-${i} is ${hits?.[0]?.id}`);
          ++this.answered;
        } catch (error) { this.failures.push(String(error)); }
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    });
  }

  async stopLoad() {
    this.loading = false;
    await Promise.all(this.loads ?? []);
  }

  async kill() {
    if (!this.process || this.ended) return;
    const gone = new Promise((resolve) => this.process.on("exit", resolve));
    this.process.kill("SIGKILL");
    await gone;
    this.ended = true;
  }

  remove() { rmSync(this.work, { recursive: true, force: true }); }
}
