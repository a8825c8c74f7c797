import { randomUUID } from "node:crypto";

import { Document, type DocumentInterface } from "@langchain/core/documents";
import type { EmbeddingsInterface } from "@langchain/core/embeddings";
import { maximalMarginalRelevance } from "@langchain/core/utils/math";
import { type MaxMarginalRelevanceSearchOptions, VectorStore } from "@langchain/core/vectorstores";

import type { Client } from "./client.js";
import type { Collection } from "./collection.js";
import { BebrError, invalid } from "./errors.js";
import { known } from "./options.js";
import { sameEmbeddings } from "./stats.js";
import type { Attribute, CreateByModel, Filter, Hit, SearchOptions } from "./types.js";

/** Where a store's texts are, and how it searches. */
export interface BebrStoreConfig {
  collection: Collection;
  /** The attribute that holds the text; "text" unless it is given. A text and its metadata have 1 MiB together. */
  textAttribute?: string;
  /** For every search: rerank, minScore, version, timeoutMs. */
  search?: Omit<SearchOptions, "k" | "filter" | "withAttributes">;
}

/** What fromTexts and fromDocuments make a collection with, if it is not there. */
export interface BebrStoreCreation extends Omit<BebrStoreConfig, "collection"> {
  client: Client;
  collection: string;
  /** A binarizer of bebr-train; without it the server makes one. */
  create?: CreateByModel;
}

// Tells the names of metadata apart that attributes do not: those with dots, and objects without any.
const SHAPE = "metadata_shape";

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && [Object.prototype, null].includes(Object.getPrototypeOf(value) as object | null);
const isScalar = (value: unknown): boolean => value instanceof Date || ["string", "number", "bigint", "boolean"].includes(typeof value);

// Metadata of splitters hold objects, as loc.lines.from; attributes are flat.
function flatten(metadata: Record<string, unknown>, prefix = ""): [string, Attribute][] {
  return Object.entries(metadata).flatMap(([name, value]): [string, Attribute][] => {
    if (value === null || value === undefined) return [];
    if (isScalar(value) || (Array.isArray(value) && value.every(isScalar))) return [[prefix + name, value as Attribute]];
    if (isObject(value)) return flatten(value, `${prefix}${name}.`);
    throw invalid(prefix + name, `metadata "${prefix}${name}" is ${Array.isArray(value) ? "an array of others" : `of ${typeof value}`}; it is a string, number, bigint, boolean or Date, an array of these, or an object`);
  });
}

type Shape = { [name: string]: Shape | 0 };

/** The names of metadata, each with those within. */
function shapeOf(metadata: Record<string, unknown>): Shape {
  const present = Object.entries(metadata).filter(([, value]) => value !== null && value !== undefined);
  return Object.fromEntries(present.map(([name, value]) => [name, isObject(value) ? shapeOf(value) : 0]));
}

/** Whether names cut at dots say all of a shape. */
const isPlain = (shape: Shape): boolean => Object.entries(shape).every(([name, inner]) => !name.includes(".") && (inner === 0 || (Object.keys(inner).length > 0 && isPlain(inner))));

/** Metadata of a shape, out of the attributes, which lose what it takes. */
function shaped(shape: Shape, attributes: Map<string, Attribute>, prefix = ""): Record<string, unknown> {
  const found: [string, unknown][] = [];
  for (const [name, inner] of Object.entries(shape)) {
    const value = attributes.get(prefix + name);
    if (inner !== 0) found.push([name, shaped(inner, attributes, `${prefix}${name}.`)]);
    else if (value !== undefined) found.push([name, value]); // else an update has removed it
    if (inner === 0) attributes.delete(prefix + name);
  }
  return Object.fromEntries(found);
}

/** A document's metadata as attributes, from which it comes back as it was. */
function toAttributes({ pageContent, metadata }: DocumentInterface, row: number, text: string): Record<string, Attribute> {
  try {
    const flat = flatten(metadata);
    const attributes = new Map<string, Attribute>();
    for (const [name, value] of flat) {
      if (name === text) throw invalid(name, `metadata has "${name}", the name of the attribute that holds the text; name another one by textAttribute, or rename this`);
      if (name === SHAPE) throw invalid(name, `metadata has "${name}", which the store has for its own use; rename it`);
      if (attributes.has(name)) throw invalid(name, `metadata has "${name}" twice, as one name and as names in objects; rename one of them`);
      attributes.set(name, value);
    }
    const shape = shapeOf(metadata);
    if (!isPlain(shape)) attributes.set(SHAPE, JSON.stringify(shape));
    return Object.fromEntries([...attributes, [text, pageContent]]);
  } catch (error) {
    throw error instanceof BebrError ? invalid(error.field ?? "", error.message, row) : error;
  }
}

function toMetadata({ [SHAPE]: shape, ...attributes }: Record<string, Attribute>): Record<string, unknown> {
  if (typeof shape !== "string") return unflatten(attributes);
  const left = new Map(Object.entries(attributes));
  const metadata = shaped(JSON.parse(shape) as Shape, left);
  return { ...metadata, ...Object.fromEntries(left) }; // others are of updates since then
}

function unflatten(attributes: Record<string, Attribute>): Record<string, unknown> {
  const root = new Map<string, unknown>();
  for (const [path, value] of Object.entries(attributes)) {
    const names = path.split(".");
    let place = root;
    for (const name of names.slice(0, -1)) {
      const inner = place.get(name);
      const next = inner instanceof Map ? inner : new Map<string, unknown>();
      place.set(name, next);
      place = next;
    }
    place.set(names.at(-1) as string, value);
  }
  const plain = (map: Map<string, unknown>): Record<string, unknown> => Object.fromEntries([...map].map(([name, value]) => [name, value instanceof Map ? plain(value) : value]));
  return plain(root);
}

/**
 * A collection as LangChain's vector store.
 *
 *     const store = new BebrVectorStore(embeddings, { collection: await client.create("texts", { dims: 384 }) });
 *     await store.addDocuments(documents);
 *     await store.similaritySearch("a question", 4, "year >= 2020");
 *
 * Scores are of the collection's metric: the higher the nearer. Objects in metadata become attributes like `loc.lines.from`, which filters
 * name, and come back as objects; null and undefined are no values. Where names have dots or objects are empty, the attribute
 * `metadata_shape` says how metadata was. What would not come back as it was is refused, with its row.
 */
export class BebrVectorStore extends VectorStore {
  declare FilterType: Filter;
  readonly collection: Collection;
  private readonly text: string;
  private readonly searchOptions: SearchOptions;

  constructor(embeddings: EmbeddingsInterface, config: BebrStoreConfig) {
    super(embeddings, {});
    known(config, "collection", "textAttribute", "search");
    this.collection = config.collection;
    this.text = config.textAttribute ?? "text";
    this.searchOptions = config.search ?? {};
  }

  _vectorstoreType(): string {
    return "bebr";
  }

  /** Embeds and writes documents; their ids, which are made up where there are none. */
  override async addDocuments(documents: DocumentInterface[], options: { ids?: string[] } = {}): Promise<string[]> {
    return this.addVectors(await this.embeddings.embedDocuments(documents.map((document) => document.pageContent)), documents, options);
  }

  /** Writes documents whose vectors are known. */
  override async addVectors(vectors: number[][], documents: DocumentInterface[], options: { ids?: string[] } = {}): Promise<string[]> {
    const ids = documents.map((document, row) => options.ids?.[row] ?? document.id ?? randomUUID());
    const attributes = documents.map((document, row) => toAttributes(document, row, this.text));
    await this.collection.upsert(ids, vectors, attributes);
    return ids;
  }

  /** Deletes documents by id. */
  override async delete(parameters: { ids: string[] }): Promise<void> {
    await this.collection.delete(parameters.ids);
  }

  async similaritySearchVectorWithScore(query: number[], k: number, filter?: this["FilterType"]): Promise<[Document, number][]> {
    const hits = await this.collection.search(query, { ...this.searchOptions, k, filter: (filter as Filter | undefined) ?? "" });
    return hits.map((hit) => [this.document(hit), hit.score]);
  }

  /** Near documents that differ from one another. The collection must store floats. */
  override async maxMarginalRelevanceSearch(query: string, options: MaxMarginalRelevanceSearchOptions<this["FilterType"]>): Promise<Document[]> {
    const { k, fetchK = 20, lambda = 0.5 } = options;
    const embedded = await this.embeddings.embedQuery(query);
    const found = await this.collection.search(embedded, { ...this.searchOptions, k: Math.max(k, fetchK), filter: (options.filter as Filter | undefined) ?? "" });
    if (found.length === 0) return [];
    // Floats stand under the version that they were written for; a fit since then has made another one the default.
    const versions = sameEmbeddings(await this.collection.stats(), this.searchOptions.version);
    const documents = await this.collection.get(found.map((hit) => hit.id), { withEmbeddings: true });
    const stored = new Map(documents.map(({ id, embeddings }) => [id, versions.map((version) => embeddings[version]).find((floats) => floats !== undefined)]));
    const hits = found.filter((hit) => stored.get(hit.id) !== undefined);
    if (hits.length === 0) throw new BebrError("FAILED_PRECONDITION", `no document that was found has stored floats of version "${versions[0]}"; the collection must store floats`);
    const vectors = hits.map((hit) => Array.from(stored.get(hit.id) as Float32Array));
    return maximalMarginalRelevance(embedded, vectors, lambda, k).map((index) => this.document(hits[index] as Hit));
  }

  private document(hit: Hit): Document {
    const { [this.text]: text = "", ...metadata } = hit.attributes;
    return new Document({ pageContent: String(text), metadata: toMetadata(metadata), id: hit.id });
  }

  /** Writes texts into a collection, which is made if it is not there. */
  static override async fromTexts(texts: string[], metadatas: object[] | object, embeddings: EmbeddingsInterface, config: BebrStoreCreation): Promise<BebrVectorStore> {
    const documents = texts.map((pageContent, row) => new Document({ pageContent, metadata: (Array.isArray(metadatas) ? metadatas[row] : metadatas) as Record<string, unknown> }));
    return BebrVectorStore.fromDocuments(documents, embeddings, config);
  }

  /** As fromTexts, of documents. */
  static override async fromDocuments(documents: DocumentInterface[], embeddings: EmbeddingsInterface, config: BebrStoreCreation): Promise<BebrVectorStore> {
    const { client, collection: name, create, ...rest } = config;
    const known = new Set([...(await client.collections()).map((one) => one.name), ...(await client.aliases()).keys()]);
    const make = async () => client.create(name, create ?? { dims: (await embeddings.embedQuery("dims")).length });
    const store = new BebrVectorStore(embeddings, { ...rest, collection: known.has(name) ? client.collection(name) : await make() });
    if (documents.length > 0) await store.addDocuments(documents);
    return store;
  }
}
