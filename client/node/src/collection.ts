import type { MessageInitShape } from "@bufbuild/protobuf";

import { BebrError, invalid } from "./errors.js";
import { filterText } from "./filters.js";
import { AdminService } from "./gen/bebr/v1/admin_pb.js";
import { CollectionService } from "./gen/bebr/v1/collections_pb.js";
import { DocumentService, UpsertMode } from "./gen/bebr/v1/documents_pb.js";
import { type SearchOptionsSchema, SearchService } from "./gen/bebr/v1/search_pb.js";
import { modelParts } from "./model.js";
import { type Check, type CollectionStats, type MemoryUse, type Snapshot, toCheck, toMemory, toSnapshot, toStats, type Version } from "./stats.js";
import type { Transport } from "./transport.js";
import type { Attributes, CallOptions, Document, DocumentToWrite, Hits, SearchOptions, Upserted, UpsertOptions, Vector, Vectors } from "./types.js";
import { upsertStream } from "./upsert_stream.js";
import { batchRows, type DocumentInit, fromDocument, fromHits, Rows, toStreamed, toVector } from "./values.js";

function searchOptions(options: SearchOptions): MessageInitShape<typeof SearchOptionsSchema> {
  const { k = 10, filter = "", rerank, minScore, withAttributes = true, version = "", firstLevels = 0, candidates = 0 } = options;
  for (const [name, value] of Object.entries({ k, rerank, firstLevels, candidates })) {
    if (value !== undefined && !(Number.isInteger(value) && value >= 0 && value < 2 ** 32)) throw invalid(name, `${name} is ${value}; it is a whole number, not negative`);
  }
  const set = { k, filter: filterText(filter), withAttributes, version, firstLevels, candidates };
  return { ...set, ...(rerank === undefined ? {} : { rerank }), ...(minScore === undefined ? {} : { minScore }) };
}

async function* batched(documents: AsyncIterable<DocumentToWrite> | Iterable<DocumentToWrite>, options: UpsertOptions): AsyncIterable<DocumentInit[]> {
  let batch: DocumentInit[] = [];
  for await (const document of documents) {
    batch.push(toStreamed(document, options.version ?? ""));
    if (batch.length >= (options.batch ?? batchRows(document.vector.length))) {
      yield batch;
      batch = [];
    }
  }
  if (batch.length > 0) yield batch;
}

function* rowsBatched(rows: Rows, size: number): Iterable<DocumentInit[]> {
  for (let first = 0; first < rows.ids.length; first += size) yield rows.documents(first, first + size);
}

const list = (ids: string | readonly string[]) => (typeof ids === "string" ? [ids] : [...ids]);

/**
 * A collection of a server, by name or alias.
 *
 *     await papers.upsert(ids, vectors, attributes);
 *     const hits = await papers.search(vector, { k: 10, filter: "year >= 2020" });
 *
 * `versions`, `snapshots` and `aliases` hold what concerns these.
 */
export class Collection {
  readonly versions: Versions;
  readonly snapshots: Snapshots;
  readonly aliases: Aliases;

  constructor(private readonly transport: Transport, readonly name: string) {
    this.versions = new Versions(transport, name);
    this.snapshots = new Snapshots(transport, name);
    this.aliases = new Aliases(transport, name);
  }

  /**
   * Inserts documents, or replaces those with the same ids. When it returns they are on the server's disk and in its next search.
   *
   * More than one message's documents go over a stream, a few messages at a time, as fast as the server takes them. What a lost
   * connection or a full server left open is sent again. If it throws, the rows before may be written; the same call again is harmless.
   * `timeoutMs` is then for each answer.
   */
  async upsert(ids: readonly string[], vectors: Vectors, attributes?: readonly (Attributes | null | undefined)[], options: UpsertOptions = {}): Promise<Upserted> {
    const rows = new Rows(ids, vectors, attributes, options.version ?? "");
    const size = options.batch ?? rows.batch;
    if (ids.length === 0) return { documents: 0, created: 0, unknownIds: [] };
    if (ids.length > size || options.progress) return upsertStream(this.transport, this.name, rowsBatched(rows, size), options);
    const request = { collection: this.name, documents: rows.documents(0, ids.length), mode: options.merge ? UpsertMode.MERGE : UpsertMode.REPLACE };
    const { documents, created, unknownIds } = await this.transport.unary(DocumentService.method.upsert, request, options, true);
    return { documents: Number(documents), created: Number(created), unknownIds };
  }

  /**
   * As upsert, of documents that need not be in memory all at once: takes from `documents` only as fast as the server takes from it. An id
   * should come once: of two, either may win.
   */
  upsertStream(documents: AsyncIterable<DocumentToWrite> | Iterable<DocumentToWrite>, options: UpsertOptions = {}): Promise<Upserted> {
    return upsertStream(this.transport, this.name, batched(documents, options), options);
  }

  /** The k documents nearest to a vector, best first, ties by id. Every document is looked at. */
  async search(vector: Vector, options: SearchOptions = {}): Promise<Hits> {
    const request = { collection: this.name, query: toVector(vector, "vector"), options: searchOptions(options) };
    const answer = await this.transport.unary(SearchService.method.search, request, options, true);
    return fromHits(answer.hits, answer);
  }

  /** As search, for several vectors, which share scans. As many calls as the server's limits ask for. */
  async searchBatch(vectors: readonly Vector[], options: SearchOptions = {}): Promise<Hits[]> {
    const size = Math.max(1, Math.min(1024, Math.floor(500_000 / Math.max(1, options.k ?? 10, options.rerank ?? 0))));
    const found: Hits[] = [];
    for (let first = 0; first < vectors.length; first += size) {
      const queries = vectors.slice(first, first + size).map((vector, row) => toVector(vector, `vectors[${first + row}]`));
      const request = { collection: this.name, queries, options: searchOptions(options) };
      const answer = await this.transport.unary(SearchService.method.batchSearch, request, options, true, first);
      for (const result of answer.results) found.push(fromHits(result.hits, answer));
    }
    return found;
  }

  /** Documents by id, in that order; those that do not exist are left out. At most 10,000. */
  async get(ids: string | readonly string[], options: CallOptions & { withEmbeddings?: boolean } = {}): Promise<Document[]> {
    const request = { collection: this.name, ids: list(ids), withEmbeddings: options.withEmbeddings ?? false };
    return (await this.transport.unary(DocumentService.method.get, request, options, true)).documents.map(fromDocument);
  }

  /** Deletes documents by id; how many there were of them. At most 10,000. */
  async delete(ids: string | readonly string[], options: CallOptions = {}): Promise<number> {
    return Number((await this.transport.unary(DocumentService.method.delete, { collection: this.name, ids: list(ids) }, options, true)).deleted);
  }

  /** Documents in it. */
  async count(options: CallOptions = {}): Promise<number> {
    return (await this.stats(options)).documents;
  }

  /** What it holds and takes: documents, versions, memory, disk. */
  async stats(options: CallOptions = {}): Promise<CollectionStats> {
    return toStats((await this.transport.unary(CollectionService.method.getCollection, { name: this.name }, options, true)).collection);
  }

  /** What so many documents would take, by the formula. */
  async estimateMemory(documents: number, options: CallOptions & { idBytes?: number } = {}): Promise<MemoryUse> {
    const request = { collection: this.name, documents: BigInt(documents), idBytes: options.idBytes ?? 0 };
    return toMemory((await this.transport.unary(AdminService.method.estimateMemory, request, options, true)).memory);
  }

  /** Drops the collection and its data, for good; its snapshots stay. */
  async drop(options: CallOptions = {}): Promise<void> {
    await this.transport.unary(CollectionService.method.deleteCollection, { name: this.name }, options, false);
  }
}

/** The embedding versions of a collection: the steps of an upgrade to another model. */
export class Versions {
  constructor(private readonly transport: Transport, private readonly collection: string) {}

  /** All of them, retired ones too. */
  async list(options: CallOptions = {}): Promise<Version[]> {
    return toStats((await this.transport.unary(CollectionService.method.getCollection, { name: this.collection }, options, true)).collection).versions;
  }

  /** The version of that name, or the default. */
  async get(name?: string, options: CallOptions = {}): Promise<Version> {
    const versions = await this.list(options);
    const found = versions.find((version) => (name === undefined ? version.state === "default" : version.name === name));
    if (!found) throw new BebrError("NOT_FOUND", `collection "${this.collection}" has no version "${name}"; it has ${versions.map((version) => version.name).join(", ")}`);
    return found;
  }

  /**
   * Adds a version; the default stays. `compatibleWith`: the version into whose codes the model writes, so that its queries find the
   * documents of both. `sameEmbeddingsAs`: the version whose floats it takes too, another binarizer for the same embeddings.
   */
  async add(name: string, model: Uint8Array, options: CallOptions & { compatibleWith?: string; sameEmbeddingsAs?: string } = {}): Promise<CollectionStats> {
    const { compatibleWith = "", sameEmbeddingsAs = "" } = options;
    const config = { part: { case: "config" as const, value: { collection: this.collection, name, compatibleWith, sameEmbeddingsAs } } };
    return toStats((await this.transport.upload(CollectionService.method.addVersion, [config, ...modelParts(model)], options)).collection);
  }

  /** Starts, changes or stops the re-encoding of stored floats; it goes on in the background. */
  async backfill(name: string, options: CallOptions & { documentsPerS?: number; stop?: boolean } = {}): Promise<CollectionStats> {
    const request = { collection: this.collection, version: name, documentsPerS: BigInt(options.documentsPerS ?? 0), stop: options.stop ?? false };
    return toStats((await this.transport.unary(CollectionService.method.backfillVersion, request, options, false)).collection);
  }

  /**
   * Compares a version with another one, by default the default: on a sample of documents, or on embeddings of the same texts by the two.
   * Takes seconds to minutes, and ten of these unless `timeoutMs` is given.
   */
  async check(name: string, options: CallOptions & { against?: string; sample?: number; k?: number; queries?: readonly Vector[]; againstQueries?: readonly Vector[] } = {}): Promise<Check> {
    const { against = "", sample = 0, k = 0, queries = [], againstQueries = [] } = options;
    const vectors = { queries: queries.map((query) => toVector(query, "queries")), againstQueries: againstQueries.map((query) => toVector(query, "againstQueries")) };
    const request = { collection: this.collection, version: name, against, sample, k, ...vectors };
    const { check } = await this.transport.unary(CollectionService.method.checkVersion, request, { timeoutMs: 600_000, ...options }, true);
    if (!check) throw new Error("the server's answer has no check");
    return toCheck(check);
  }

  /** Makes a version the default, at once for all clients. Promoting the previous one undoes it. */
  async promote(name: string, options: CallOptions & { expectedDefault?: string; force?: boolean } = {}): Promise<CollectionStats> {
    const request = { collection: this.collection, version: name, expectedDefault: options.expectedDefault ?? "", force: options.force ?? false };
    return toStats((await this.transport.unary(CollectionService.method.promoteVersion, request, options, false)).collection);
  }

  /** Drops a version that is not the default, with what it alone needs. */
  async retire(name: string, options: CallOptions = {}): Promise<CollectionStats> {
    return toStats((await this.transport.unary(CollectionService.method.retireVersion, { collection: this.collection, version: name }, options, false)).collection);
  }
}

/** Copies of a collection on the server's disk. */
export class Snapshots {
  constructor(private readonly transport: Transport, private readonly collection: string) {}

  /** Keeps the collection as it is now; without a name, by the time. */
  async create(name = "", options: CallOptions = {}): Promise<Snapshot> {
    return toSnapshot((await this.transport.unary(AdminService.method.createSnapshot, { collection: this.collection, name }, options, false)).snapshot);
  }

  /** By name. */
  async list(options: CallOptions = {}): Promise<Snapshot[]> {
    return (await this.transport.unary(AdminService.method.listSnapshots, { collection: this.collection }, options, true)).snapshots.map(toSnapshot);
  }

  /** Makes a new collection of a snapshot, which stays. */
  async restore(name: string, newCollection: string, options: CallOptions = {}): Promise<Collection> {
    await this.transport.unary(AdminService.method.restoreSnapshot, { collection: this.collection, name, newCollection }, options, false);
    return new Collection(this.transport, newCollection);
  }

  /** Removes a snapshot. */
  async delete(name: string, options: CallOptions = {}): Promise<void> {
    await this.transport.unary(AdminService.method.deleteSnapshot, { collection: this.collection, name }, options, false);
  }
}

/** Other names of a collection. */
export class Aliases {
  constructor(private readonly transport: Transport, private readonly collection: string) {}

  /** Names that stand for this collection. */
  async list(options: CallOptions = {}): Promise<string[]> {
    const { aliases } = await this.transport.unary(CollectionService.method.listAliases, {}, options, true);
    return aliases.filter((alias) => alias.collection === this.collection).map((alias) => alias.name);
  }

  /** Makes a name stand for this collection, also if it stood for another one; with `expected`, only if it stood for that one ("": for none). */
  async set(alias: string, options: CallOptions & { expected?: string } = {}): Promise<void> {
    const { expected } = options;
    const request = { alias: { name: alias, collection: this.collection }, ...(expected === undefined ? {} : { expectedCollection: expected }) };
    await this.transport.unary(CollectionService.method.setAlias, request, options, expected === undefined);
  }

  /** Removes a name; the collection stays. */
  async delete(alias: string, options: CallOptions = {}): Promise<void> {
    await this.transport.unary(CollectionService.method.deleteAlias, { name: alias }, options, false);
  }
}
