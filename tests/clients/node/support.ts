// Servers and data for the tests. BEBR_PROGRAMS is where bebr-server and bebr-train are.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export const programs = process.env["BEBR_PROGRAMS"] as string;

export const directory = mkdtempSync(join(tmpdir(), "bebr-node-"));
const servers: Server[] = [];

/** A bebr-server with a directory of its own; it can be stopped, killed and started again, at the same address. */
export class Server {
  process: ChildProcess | undefined;
  private readonly data = mkdtempSync(join(directory, "server-"));

  static async start(...flags: string[]): Promise<Server> {
    return Server.startAt("127.0.0.1:0", ...flags);
  }

  static async startAt(address: string, ...flags: string[]): Promise<Server> {
    const server = new Server(flags, address);
    servers.push(server);
    await server.start();
    return server;
  }

  private constructor(private readonly flags: string[], public address: string) {}

  async start(): Promise<void> {
    const log = join(this.data, "log");
    const output = openSync(log, "w");
    const settings = ["--listen", this.address, "--metrics_listen", "", "--data_dir", join(this.data, "data")];
    const child = (this.process = spawn(join(programs, "bebr-server"), [...settings, ...this.flags], { stdio: ["ignore", output, output] }));
    closeSync(output);
    for (;;) {
      const found = /grpc=(127\.0\.0\.1:\d+)/.exec(readFileSync(log, "utf8"));
      if (found?.[1]) {
        this.address = found[1];
        return;
      }
      if (child.exitCode !== null) throw new Error(readFileSync(log, "utf8"));
      await sleep(50);
    }
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const child = this.process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill(signal);
    await ended;
  }

  /** Returns once every thread of it stands still: a signal alone lets them go on for a while on a busy machine. */
  async pause(): Promise<void> {
    this.process?.kill("SIGSTOP");
    const threads = `/proc/${this.process?.pid}/task`;
    while (!readdirSync(threads).every((thread) => /\) T /.test(readFileSync(join(threads, thread, "stat"), "utf8")))) await sleep(5);
  }

  resume(): void {
    this.process?.kill("SIGCONT");
  }
}

async function freeAddress(): Promise<string> {
  const place = createServer().listen(0, "127.0.0.1");
  await once(place, "listening");
  const { port } = place.address() as AddressInfo;
  place.close();
  await once(place, "close");
  return `127.0.0.1:${port}`;
}

/** Two nodes that share documents, and their gateway. */
export async function startCluster(): Promise<[Server, Server, Server]> {
  const [a, b] = [await freeAddress(), await freeAddress()];
  const nodes = ["--cluster_nodes", `a=${a},b=${b}`];
  return [await Server.startAt(a, ...nodes, "--cluster_self", "a"), await Server.startAt(b, ...nodes, "--cluster_self", "b"), await Server.start(...nodes)];
}

export async function stopAll(): Promise<void> {
  await Promise.all(servers.map((server) => server.stop("SIGKILL")));
  rmSync(directory, { recursive: true });
}

/** The same numbers every time, of roughly normal distribution. */
export function numbers(seed: number): () => number {
  let state = BigInt(seed);
  const uniform = () => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffff_ffff_ffff_ffffn;
    return Number(state >> 33n) / 2 ** 31;
  };
  return () => uniform() + uniform() + uniform() + uniform() - 2;
}

export const dims = 64;

/** Rows of a few directions, as embeddings have them. */
export function embeddings(rows: number, seed = 7): Float32Array[] {
  const next = numbers(seed);
  const directions = Array.from({ length: 8 }, () => Float32Array.from({ length: dims }, next));
  return Array.from({ length: rows }, () => {
    const row = Float32Array.from({ length: dims }, () => 0.1 * next());
    for (const direction of directions) {
      const share = next();
      direction.forEach((value, i) => (row[i] = (row[i] as number) + share * value));
    }
    return row;
  });
}

/** A file of these rows. */
export function vectorFile(name: string, rows: Float32Array[]): string {
  const file = join(directory, name);
  writeFileSync(file, Buffer.concat(rows.map((row) => Buffer.concat([Buffer.from(Int32Array.of(row.length).buffer), Buffer.from(row.buffer)]))));
  return file;
}

/** A model of bebr-train for these rows. */
export function train(rows: Float32Array[], ...flags: string[]): Uint8Array {
  const input = vectorFile("rows.fvecs", rows);
  const output = join(directory, "model.safetensors");
  const done = spawnSync(join(programs, "bebr-train"), ["--input", input, "--steps", "0", "--bits", "128", "--output", output, ...flags], { encoding: "utf8" });
  if (done.status !== 0) throw new Error(done.stderr);
  return readFileSync(output);
}
