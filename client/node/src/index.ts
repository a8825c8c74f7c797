/**
 * A client of the vector search server bebr.
 *
 *     import { Client } from "bebr";
 *     const client = new Client("127.0.0.1:7700");
 *     const papers = await client.create("papers", { dims: 384 });
 *     await papers.upsert(ids, vectors, attributes);
 *     const hits = await papers.search(vectors[0], { k: 10, filter: "year >= 2020" });
 */
export { Client, type ServerStats } from "./client.js";
export { Aliases, Collection, Snapshots, Versions } from "./collection.js";
export { BebrError, type Code, type ErrorFacts } from "./errors.js";
export { attributeName, contains, filterText, ids, literal } from "./filters.js";
export { Timestamp } from "./timestamp.js";
export { version } from "./gen/version.js";
export type { AutoEvent, AutoStatus, Backfill, Check, CollectionStats, MemoryUse, Probe, RecallSample, Snapshot, Version } from "./stats.js";
export type { ClientOptions } from "./transport.js";
export type * from "./types.js";
