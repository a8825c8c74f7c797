// What the server says of itself, asked again and again while the page is open: the one source of collections and counters for all
// views, and their past for the charts. Nothing is asked while the page is hidden.
import type { GetStatsResponseJson } from "bebr/v1/admin_pb";
import type { AliasJson, CollectionJson, UnavailableCollectionJson } from "bebr/v1/collections_pb";
import { ApiError, call, callTimes } from "./api";
import { number } from "./format";
import { keys } from "./keys";
import { kSearches, kWrites, percentile, readTimes } from "./times";

const kEveryMs = 2000;
const kKept = 900;  // half an hour

// Rates between two looks at the counters, at one moment.
export interface Moment {
  at: number;  // milliseconds since 1970
  queries: number;
  scanMs: number;
  queued: number;
  refused: number;
  written: number;
  reencoded: number;
  answerMs: number;
  // Of the calls since the moment before, where there were any.
  searchP50Ms?: number | undefined;
  searchP99Ms?: number | undefined;
  writeP50Ms?: number | undefined;
  writeP99Ms?: number | undefined;
}
export interface RecallPoint { at: number; recall: number }

export interface Live {
  stats?: GetStatsResponseJson;
  collections?: CollectionJson[];
  unavailable?: UnavailableCollectionJson[];
  aliases?: AliasJson[];
  moments: Moment[];
  recalls: Map<string, RecallPoint[]>;  // by "collection version"
  error?: ApiError;
}

export const live: Live = { moments: [], recalls: new Map() };
const listeners = new Set<() => void>();
interface Look { at: number; stats: GetStatsResponseJson; times: string }
let previous: Look | undefined;
let asking: Promise<void> | undefined;

export function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => { listeners.delete(listener); };
}

function percentiles(before: string, after: string): Partial<Moment> {
  const [searched, searches] = [readTimes(before, kSearches), readTimes(after, kSearches)];
  const [written, writes] = [readTimes(before, kWrites), readTimes(after, kWrites)];
  return {
    searchP50Ms: percentile(searched, searches, 0.5), searchP99Ms: percentile(searched, searches, 0.99),
    writeP50Ms: percentile(written, writes, 0.5), writeP99Ms: percentile(written, writes, 0.99),
  };
}

function addMoment(look: Look, answerMs: number): void {
  const { at, stats } = look;
  const before = previous;
  previous = look;
  // A server that was started again counts from 0.
  if (!before || number(stats.uptimeSeconds) < number(before.stats.uptimeSeconds)) return;
  const seconds = Math.max((at - before.at) / 1000, 1e-3);
  const since = (field: keyof GetStatsResponseJson) => Math.max(number(stats[field]) - number(before.stats[field]), 0);
  const scans = since("scans");
  live.moments.push({
    at, answerMs,
    queries: since("queries") / seconds,
    scanMs: scans > 0 ? since("scanUs") / scans / 1000 : 0,
    queued: number(stats.queuedQueries),
    refused: (since("refusedQueries") + since("refusedUpserts")) / seconds,
    written: since("documentsUpserted") / seconds,
    reencoded: since("documentsReencoded") / seconds,
    ...percentiles(before.times, look.times),
  });
  if (live.moments.length > kKept) live.moments.shift();
}

function addRecalls(collections: readonly CollectionJson[]): void {
  for (const collection of collections) {
    for (const version of collection.versions ?? []) {
      if (!version.recall) continue;
      const name = `${collection.name} ${version.name}`;
      const points = live.recalls.get(name) ?? [];
      const at = number(version.recall.measuredUnixUs) / 1000;
      if (points.at(-1)?.at !== at) points.push({ at, recall: Number(version.recall.recall ?? 0) });
      live.recalls.set(name, points.slice(-kKept));
    }
  }
}

async function ask(): Promise<void> {
  try {
    const start = performance.now();
    const stats = await call("AdminService/GetStats", {});
    const answerMs = performance.now() - start;
    addMoment({ at: Date.now(), stats, times: (await callTimes()) ?? "" }, answerMs);
    live.stats = stats;
    const [list, aliases] = await Promise.all(
      [call("CollectionService/ListCollections", {}), call("CollectionService/ListAliases", {})]);
    live.collections = list.collections ?? [];
    live.unavailable = list.unavailable ?? [];
    live.aliases = aliases.aliases ?? [];
    addRecalls(live.collections);
    delete live.error;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    live.error = error;
    previous = undefined;
    // What this key may not see is not shown on.
    if (error.code === "unauthenticated" || error.code === "permission_denied") { delete live.collections; delete live.unavailable; delete live.stats; }
  }
  for (const listener of listeners) listener();
}

// Asks now; waits for the answer.
export async function refresh(): Promise<void> {
  await asking;
  asking = ask().finally(() => { asking = undefined; });
  await asking;
}

export function start(): void {
  keys.subscribe(() => { if (!keys.serverIsOpen) void refresh(); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) void refresh(); });
  const next = async () => {
    if (!document.hidden && !asking) await refresh();
    setTimeout(() => void next(), kEveryMs);
  };
  void next();
}
