import type { MessageInitShape } from "@bufbuild/protobuf";

import { BebrError, invalid, telling } from "./errors.js";
import { filterFields } from "./filters.js";
import { AdminService } from "./gen/bebr/v1/admin_pb.js";
import { CollectionService } from "./gen/bebr/v1/collections_pb.js";
import { DocumentService } from "./gen/bebr/v1/documents_pb.js";
import { Fusion as FusionKind, type SearchOptionsSchema, SearchService } from "./gen/bebr/v1/search_pb.js";
import { modelParts } from "./model.js";
import { callOptions, known, whole } from "./options.js";
import { type Check, type CollectionStats, type MemoryUse, type Snapshot, toCheck, toMemory, toSnapshot, toStats, type Version } from "./stats.js";
import type { Transport } from "./transport.js";
import type { AttributeRows, CallOptions, Document, DocumentToWrite, Facets, Filter, Fusion, FusionOptions, Hits, Id, LikeOptions, RankedList, Scalar, ScrollOptions, SearchOptions, Updated, UpdateOptions, Upserted, UpsertOptions, Vector, Vectors, Which } from "./types.js";
import { byRow, notWritten, upsertStream, writing } from "./upsert_stream.js";
import { type DocumentInit, fromDocument, fromHits, fromScalar, isVector, LeftOut, Packer, Rows, toAttribute, toExamples, toIds, toStreamed, toVector } from "./values.js";

function isOfStaleness(text: string): boolean {
  return text.startsWith("may_be_stale: ");
}

/** What a filter names and no document has, mostly a slip, and that newest writes may be missing: of calls whose answer has no place for it. */
function warn(warnings: readonly string[]): void {
  for (const text of warnings) process.emitWarning(text, isOfStaleness(text) ? "BebrStaleWarning" : "BebrFilterWarning");
}

function searchOptions(options: SearchOptions): MessageInitShape<typeof SearchOptionsSchema> {
  const { k = 10, filter = "", rerank, minScore, withAttributes = true, version = "", firstLevels = 0, candidates = 0, offset = 0, exclude = [], strict = false, explain = false, modelChecksum = 0, groupBy = "", groupSize = 1, keepViewS = 0, view = "", itsCuts = [], probe = 0, probeRecall = 0, allowPartial = false } = options;
  for (const [name, value] of Object.entries({ k, rerank, firstLevels, candidates, offset, modelChecksum, groupSize, keepViewS })) if (value !== undefined) whole(name, value);
  if (groupSize !== 1 && groupBy === "") throw invalid("groupSize", `groupSize is ${groupSize} without groupBy; name the attribute`);
  const set = { k, ...filterFields(filter), withAttributes, version, firstLevels, candidates, offset, excludeIds: toIds(exclude, "exclude"), strict, explain, modelChecksum };
  const more = { groupBy, groupSize: groupBy === "" ? 0 : groupSize, keepViewS, viewToken: view, itsCuts: [...itsCuts], probe, probeRecall, allowPartial };
  return { ...set, ...more, ...(rerank === undefined ? {} : { rerank }), ...(minScore === undefined ? {} : { minScore }) };
}

const SEARCH_OPTIONS = ["k", "filter", "rerank", "minScore", "withAttributes", "version", "firstLevels", "candidates", "offset", "exclude", "strict", "explain", "modelChecksum", "groupBy", "groupSize", "keepViewS", "view", "itsCuts", "probe", "probeRecall", "allowPartial"] as const;
const UPSERT_OPTIONS = ["version", "merge", "replaceAll", "ifAbsent", "ifNewerBy", "partial", "modelChecksum", "batch", "progress"] as const;
const FUSIONS: Record<Fusion, FusionKind> = { max: FusionKind.MAX, mean: FusionKind.MEAN, reciprocal_rank: FusionKind.RECIPROCAL_RANK, rrf: FusionKind.RECIPROCAL_RANK };
const MOST_IDS = 10_000;

function toRankedList(list: RankedList, index: number): { ids: string[]; scores?: number[] } {
  if (Array.isArray(list)) return { ids: toIds(list as readonly Id[], `lists[${index}]`) };
  return { ids: Object.keys(list), scores: Object.values(list as Record<string, number>) };
}

async function* batched(documents: AsyncIterable<DocumentToWrite> | Iterable<DocumentToWrite>, leftOut: LeftOut, options: UpsertOptions): AsyncIterable<DocumentInit[]> {
  const packer = new Packer(options.batch);
  let row = 0;
  for await (const document of documents) {
    const made = toStreamed(document, row++, options.version ?? "", options.partial ? leftOut : undefined);
    const message = made && packer.add(made);
    if (message) yield message;
  }
  if (packer.rest.length > 0) yield packer.rest;
}

/** What calls by ids take, as many as it needs, or the one by a filter. */
function* parts(which: Which): Iterable<{ ids: string[] } | ReturnType<typeof filterFields>> {
  if (typeof which !== "object" || Array.isArray(which)) {
    for (const ids of idBatches(which as Id | readonly Id[], MOST_IDS)) yield { ids };
    return;
  }
  known(which as { filter: Filter }, "filter");
  const filter = filterFields((which as { filter: Filter }).filter ?? "");
  if ("filter" in filter && filter.filter === "") throw invalid("filter", "filter is empty; give a condition, or ids. To be rid of everything, drop the collection");
  yield filter;
}

function* idBatches(ids: Id | readonly Id[], size: number): Iterable<string[]> {
  const all = toIds(ids);
  for (let first = 0; first < all.length; first += size) yield all.slice(first, first + size);
}

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
   * connection or a full server left open is sent again. `timeoutMs` is then the longest time without an answer. Without `partial` ids, attributes and floats
   * are checked before anything is sent. If it throws later, the error's `acknowledged` says how many documents are written; some of the others may be, and the
   * same call again is harmless.
   */
  async upsert(ids: readonly Id[], vectors: Vectors, attributes?: AttributeRows, options: UpsertOptions = {}): Promise<Upserted> {
    const call = callOptions(options, ...UPSERT_OPTIONS);
    const rows = new Rows(ids, vectors, attributes, options.version ?? "", options.partial ?? false);
    const { leftOut } = rows;
    const [documentsOfFirst, another] = rows.messages(options.batch);
    if (!documentsOfFirst) return { documents: 0, created: 0, unknownIds: [], skippedIds: [], errors: leftOut.errors };
    if (another || options.progress) return upsertStream(this.transport, this.name, rows.messages(options.batch), leftOut, options);
    const request = { collection: this.name, documents: documentsOfFirst, ...writing(options) };
    const { documents, created, unknownIds, skippedIds, errors } = await telling(() => 0, () => this.transport.unary(DocumentService.method.upsert, request, call, true));
    return { documents: Number(documents), created: Number(created), unknownIds, skippedIds, errors: byRow([...notWritten(errors, 0, leftOut), ...leftOut.errors]) };
  }

  /**
   * As upsert, of documents that need not be in memory all at once: takes from `documents` only as fast as the server takes from it. An id
   * should come once: of two, either may win.
   */
  async upsertStream(documents: AsyncIterable<DocumentToWrite> | Iterable<DocumentToWrite>, options: UpsertOptions = {}): Promise<Upserted> {
    callOptions(options, ...UPSERT_OPTIONS);
    const leftOut = new LeftOut();
    return upsertStream(this.transport, this.name, batched(documents, leftOut, options), leftOut, options);
  }

  /**
   * The k documents nearest to a vector, best first, ties by id. Every document is looked at.
   *
   *     await papers.search(vector, { k: 10 });
   *     await papers.search({ like: ["p7", vector], unlike: "p9" });            // by examples instead
   *     await papers.search([vector, another], { fusion: "max" });              // one list of several vectors
   */
  async search(query: Vector | LikeOptions, options?: SearchOptions): Promise<Hits>;
  async search(queries: readonly Vector[], options: FusionOptions): Promise<Hits>;
  async search(query: Vector | LikeOptions | readonly Vector[], options: SearchOptions & Partial<FusionOptions> = {}): Promise<Hits> {
    if ("fusion" in options) return this.fused(query as readonly Vector[], options as FusionOptions);
    if (typeof query === "object" && "like" in query) return this.searchLike({ ...options, ...query });
    const call = callOptions(options, ...SEARCH_OPTIONS);
    const request = { collection: this.name, query: toVector(query as Vector, "vector"), options: searchOptions(options) };
    const answer = await this.transport.unary(SearchService.method.search, request, call, true);
    return fromHits(answer.hits, answer);
  }

  private async searchLike(options: LikeOptions): Promise<Hits> {
    const call = callOptions(options, ...SEARCH_OPTIONS, "like", "unlike");
    const [positive, negative] = [toExamples(options.like, "like"), toExamples(options.unlike, "unlike")];
    const like = { positiveIds: positive.ids, positives: positive.vectors, negativeIds: negative.ids, negatives: negative.vectors };
    const answer = await this.transport.unary(SearchService.method.search, { collection: this.name, like, options: searchOptions(options) }, call, true);
    return fromHits(answer.hits, answer);
  }

  private async fused(vectors: readonly Vector[], options: FusionOptions): Promise<Hits> {
    const call = callOptions(options, ...SEARCH_OPTIONS, "fusion", "versions", "lists", "weights");
    const fusion = FUSIONS[options.fusion];
    if (!Object.hasOwn(FUSIONS, options.fusion)) throw invalid("fusion", `fusion is "${options.fusion}"; it is one of ${Object.keys(FUSIONS).join(", ")}`);
    if (isVector(vectors)) throw invalid("fusion", "fusion is of several vectors, as an array");
    const queries = vectors.map((vector, row) => toVector(vector, `vectors[${row}]`));
    const { versions = [], lists = [], weights = [] } = options;
    const more = { versions: [...versions], lists: lists.map(toRankedList), weights: [...weights] };
    const answer = await this.transport.unary(SearchService.method.batchSearch, { collection: this.name, queries, ...more, options: { ...searchOptions(options), fusion } }, call, true);
    return fromHits(answer.results[0]?.hits ?? [], answer);
  }

  /** As search, for several vectors, which share scans. As many calls as the server's limits ask for. */
  async searchBatch(vectors: readonly Vector[], options: SearchOptions = {}): Promise<Hits[]> {
    const call = callOptions(options, ...SEARCH_OPTIONS);
    const size = Math.max(1, Math.min(1024, Math.floor(500_000 / Math.max(1, (options.k ?? 10) * (options.groupSize ?? 1) + (options.offset ?? 0), options.rerank ?? 0))));
    const found: Hits[] = [];
    for (let first = 0; first < vectors.length; first += size) {
      const queries = vectors.slice(first, first + size).map((vector, row) => toVector(vector, `vectors[${first + row}]`));
      const request = { collection: this.name, queries, options: searchOptions(options) };
      const answer = await this.transport.unary(SearchService.method.batchSearch, request, call, true, first);
      for (const result of answer.results) found.push(fromHits(result.hits, answer));
    }
    return found;
  }

  /**
   * Documents by id, in that order; those that do not exist are left out. As many calls as it takes: one takes 10,000 ids, and brings the
   * documents in pieces, each as of one moment.
   */
  async get(ids: Id | readonly Id[], options: CallOptions & { withEmbeddings?: boolean } = {}): Promise<Document[]> {
    const call = callOptions(options, "withEmbeddings");
    const withEmbeddings = options.withEmbeddings ?? false;
    const found: Document[] = [];
    for (const batch of idBatches(ids, MOST_IDS)) {
      const pieces = await this.transport.pieces(DocumentService.method.streamGet, { collection: this.name, ids: batch, withEmbeddings }, call);
      for (const { documents } of pieces) for (const document of documents) found.push(fromDocument(document));
    }
    return found;
  }

  /**
   * Changes attributes of documents and nothing else: by id, in as many calls as it takes, or at once of all (at most 100,000) that satisfy a
   * filter.
   *
   *     await papers.update(["p1", "p2"], { set: { read: true }, remove: "draft" });
   *     await papers.update({ filter: "year < 2000" }, { set: { old: true } });
   */
  async update(which: Which, changes: UpdateOptions): Promise<Updated> {
    const call = callOptions(changes, "set", "remove", "clear");
    const set = Object.entries(changes.set ?? {}).map(([name, value]) => [name, toAttribute(value, `set.${name}`)]);
    const change = { set: Object.fromEntries(set), remove: [changes.remove ?? []].flat(), clear: changes.clear ?? false };
    const result: Updated = { documents: 0, unknownIds: [], warnings: [] };
    await telling(() => result.documents, async () => {
      for (const part of parts(which)) {
        const answer = await this.transport.unary(DocumentService.method.updateAttributes, { collection: this.name, ...part, ...change }, call, true);
        result.documents += Number(answer.documents);
        result.unknownIds.push(...answer.unknownIds);
        result.warnings = answer.warnings;
      }
    });
    return result;
  }

  /**
   * Deletes documents; how many there were of them: by id, in as many calls as it takes, of 10,000 ids each, or at once all (at most
   * 1,000,000) that satisfy a filter.
   *
   *     await papers.delete({ filter: "year < 2000" });
   */
  async delete(which: Which, options: CallOptions = {}): Promise<number> {
    let deleted = 0;
    await telling(() => deleted, async () => {
      for (const part of parts(which)) {
        const answer = await this.transport.unary(DocumentService.method.delete, { collection: this.name, ...part }, options, true);
        warn(answer.warnings);
        deleted += Number(answer.deleted);
      }
    });
    return deleted;
  }

  /**
   * All documents, in the order of their ids' bytes, a page at a time. What is there all the while comes exactly once, whatever is written.
   *
   *     for await (const page of papers.scroll({ filter: "year >= 2020" })) ...
   */
  async *scroll(options: ScrollOptions = {}): AsyncGenerator<Document[], void> {
    const call = callOptions(options, "filter", "limit", "after", "withAttributes", "withEmbeddings", "keepViewS", "view", "strict");
    const { filter = "", limit = 1000, withAttributes = true, withEmbeddings = false, keepViewS = 0, strict = false } = options;
    const request = { collection: this.name, ...filterFields(filter), limit: whole("limit", limit), withAttributes, withEmbeddings, keepViewS: whole("keepViewS", keepViewS), strict };
    let viewToken = options.view ?? "";
    let pageToken = options.after ?? "";
    do {
      const answer = await this.transport.unary(DocumentService.method.scroll, { ...request, pageToken, viewToken }, call, true);
      const first = pageToken === (options.after ?? "");
      warn(answer.warnings.filter((text) => first || isOfStaleness(text)));
      if (answer.documents.length > 0) yield answer.documents.map(fromDocument);
      pageToken = answer.nextPageToken;
      if (answer.viewToken !== "") viewToken = answer.viewToken;
    } while (pageToken !== "");
  }

  /** The values of an attribute and how many documents have each, the most frequent `limit` of them (100; at most 10,000). */
  async facets(attribute: string, options: CallOptions & { filter?: Filter; limit?: number; strict?: boolean } = {}): Promise<Facets> {
    const call = callOptions(options, "filter", "limit", "strict");
    const request = { collection: this.name, attribute, ...filterFields(options.filter ?? ""), limit: whole("limit", options.limit ?? 100), strict: options.strict ?? false };
    const answer = await this.transport.unary(DocumentService.method.facets, request, call, true);
    const facets = answer.facets.map(({ value, documents }) => ({ value: (value && fromScalar(value.kind)) as Scalar, documents: Number(documents) }));
    return { facets, values: Number(answer.values), documents: Number(answer.documents), withAttribute: Number(answer.withAttribute), warnings: answer.warnings, mayBeStale: answer.mayBeStale };
  }

  /** Documents in it, or those of them that satisfy a filter. What that names and no document has is a warning of the process, or with `strict` an error. */
  async count(options: CallOptions & { filter?: Filter; strict?: boolean } = {}): Promise<number> {
    const call = callOptions(options, "filter", "strict");
    if (!options.filter) return (await this.stats(call)).documents;
    const request = { collection: this.name, ...filterFields(options.filter), strict: options.strict ?? false };
    const answer = await this.transport.unary(DocumentService.method.count, request, call, true);
    warn(answer.warnings);
    return Number(answer.documents);
  }

  /** What it holds and takes: documents, versions, memory, disk. */
  async stats(options: CallOptions = {}): Promise<CollectionStats> {
    return toStats((await this.transport.unary(CollectionService.method.getCollection, { name: this.name }, options, true)).collection);
  }

  /**
   * What so many documents would take, by the formula. `attributes` are how many a document has in the mean, `distinctTexts` the different
   * texts and lists that filters compare, of `textBytes` in the mean; without these, attributes take as much a document as they do now.
   */
  async estimateMemory(documents: number, options: CallOptions & { idBytes?: number; attributes?: number; distinctTexts?: number; textBytes?: number } = {}): Promise<MemoryUse> {
    const call = callOptions(options, "idBytes", "attributes", "distinctTexts", "textBytes");
    const { idBytes = 0, attributes = 0, distinctTexts = 0, textBytes = 0 } = options;
    const request = { collection: this.name, documents: BigInt(documents), idBytes, attributes, distinctTexts: BigInt(distinctTexts), textBytes };
    return toMemory((await this.transport.unary(AdminService.method.estimateMemory, request, call, true)).memory);
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
    const call = callOptions(options, "compatibleWith", "sameEmbeddingsAs");
    const { compatibleWith = "", sameEmbeddingsAs = "" } = options;
    const config = { part: { case: "config" as const, value: { collection: this.collection, name, compatibleWith, sameEmbeddingsAs } } };
    return toStats((await this.transport.upload(CollectionService.method.addVersion, [config, ...modelParts(model)], call)).collection);
  }

  /** Starts, changes or stops the re-encoding of stored floats; it goes on in the background. */
  async backfill(name: string, options: CallOptions & { documentsPerS?: number; stop?: boolean } = {}): Promise<CollectionStats> {
    const call = callOptions(options, "documentsPerS", "stop");
    const request = { collection: this.collection, version: name, documentsPerS: BigInt(options.documentsPerS ?? 0), stop: options.stop ?? false };
    return toStats((await this.transport.unary(CollectionService.method.backfillVersion, request, call, false)).collection);
  }

  /**
   * Compares a version with another one, by default the default: on a sample of documents, or on embeddings of the same texts by the two.
   * Takes seconds to minutes, and ten of these unless `timeoutMs` is given.
   */
  async check(name: string, options: CallOptions & { against?: string; sample?: number; k?: number; queries?: readonly Vector[]; againstQueries?: readonly Vector[] } = {}): Promise<Check> {
    const call = callOptions(options, "against", "sample", "k", "queries", "againstQueries");
    const { against = "", sample = 0, k = 0, queries = [], againstQueries = [] } = options;
    const vectors = { queries: queries.map((query) => toVector(query, "queries")), againstQueries: againstQueries.map((query) => toVector(query, "againstQueries")) };
    const request = { collection: this.collection, version: name, against, sample, k, ...vectors };
    const { check } = await this.transport.unary(CollectionService.method.checkVersion, request, { timeoutMs: 600_000, ...call }, true);
    if (!check) throw new Error("the server's answer has no check");
    return toCheck(check);
  }

  /** Makes a version the default, at once for all clients. Promoting the previous one undoes it. */
  async promote(name: string, options: CallOptions & { expectedDefault?: string; force?: boolean } = {}): Promise<CollectionStats> {
    const call = callOptions(options, "expectedDefault", "force");
    const request = { collection: this.collection, version: name, expectedDefault: options.expectedDefault ?? "", force: options.force ?? false };
    return toStats((await this.transport.unary(CollectionService.method.promoteVersion, request, call, false)).collection);
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
    const call = callOptions(options, "expected");
    const { expected } = options;
    const request = { alias: { name: alias, collection: this.collection }, ...(expected === undefined ? {} : { expectedCollection: expected }) };
    await this.transport.unary(CollectionService.method.setAlias, request, call, expected === undefined);
  }

  /** Removes a name; the collection stays. */
  async delete(alias: string, options: CallOptions = {}): Promise<void> {
    await this.transport.unary(CollectionService.method.deleteAlias, { name: alias }, options, false);
  }
}
