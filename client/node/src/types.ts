import type { Code } from "./errors.js";

/** A single value. Whole numbers are int64: those beyond 2^53 come back as bigint, all others as number. Timestamps come back as Date. */
export type Scalar = string | number | bigint | boolean | Date;

/** A value of an attribute: one, or a list, as of tags. */
export type Attribute = Scalar | readonly Scalar[];

type Kind = "string" | "int" | "double" | "bool" | "timestamp";
type Storage = "indexed" | "stored";

/** What a collection says of an attribute: what its values are, and whether they are in memory for filters or on disk alone. */
export type AttributeRule = Kind | Storage | `${Kind} ${Storage}`;

/** Attributes by name; null and undefined stand for no value. */
export type Attributes = Readonly<Record<string, Attribute | null | undefined>>;

/** Attributes of several documents: an object a row, or a column an attribute, as { year: [2021, 2022] }. */
export type AttributeRows = readonly (Attributes | null | undefined)[] | Readonly<Record<string, ArrayLike<Attribute | null | undefined>>>;

/** A document's id: a string, or a whole number, which becomes one. */
export type Id = string | number | bigint;

/** Documents by id, and vectors: "a", ["a", "b"], ["a", vector]. A vector alone goes into an array. */
export type Examples = Id | readonly (Id | Vector)[];

/** A vector as it goes in. Float64Array and arrays are rounded to 32-bit floats. */
export type Vector = Float32Array | Float64Array | readonly number[];

/** Rows of vectors: an array of them, or one Float32Array with all rows behind one another. */
export type Vectors = readonly Vector[] | Float32Array;

/**
 * A condition: the filter language's text, or values by attributes' names, of which an array means any of them. In text `id` is the document's
 * id; here "id" is an attribute, as every other name, and ids(["a", "b"]) is a condition on documents' ids.
 */
export type Filter = string | Readonly<Record<string, Scalar | readonly Scalar[]>>;

/** What every call takes. */
export interface CallOptions {
  /** Of this call, tries and pauses together; of an upsert of more than one message the longest time without an answer. Infinity for none. */
  timeoutMs?: number;
  /** Gives the call up; it throws the signal's reason. */
  signal?: AbortSignal;
}

/** A document that a search found. */
export interface Hit {
  id: string;
  /** Of the collection's metric: exact, or the estimate from the codes; of a fusion, what that makes of several lists. */
  score: number;
  /** Whether the score was computed from the stored floats (rerank); not of a fusion. */
  exact: boolean;
  /** Information-theoretic score of the codes, 0 to 1. */
  its: number;
  /** Of `its`, by the search's `itsCuts`; empty where only a list from elsewhere has the document. */
  itsLabel: "" | "close_match" | "very_high" | "high" | "medium" | "low" | "very_low" | "irrelevant";
  /** The version that wrote the document's code. */
  version: string;
  attributes: Record<string, Attribute>;
  /** With `explain`. */
  explanation?: Explanation;
  /** With `groupBy`: the value whose hit this is. */
  group?: Scalar;
}

/** Where an estimated score comes from; the formula is that of Explanation in proto/bebr/v1/search.proto. */
export interface Explanation {
  /** Before any rerank. */
  estimate: number;
  /** `dot` is the exact integer dot product of the codes, `distances` are Hamming distances by level. */
  bands: { dims: number; dot: number; weight: number; distances: number[] }[];
  scale: number;
  offset: number;
  queryOffset: number;
  queryFactor: number;
  shard: number;
  segment: number;
  row: number;
  /** Of the document, in a space in groups. */
  group: number;
  /** Of the documents, those in groups nearer to the query: a probe of more than this share finds the hit. */
  nearerShare: number;
}

/** What an answer of a gateway over several nodes is of. */
export interface Coverage {
  /** Of the cluster, and of these the ones that answered; replicas of the same documents count as one. */
  nodes: number;
  answered: number;
  /** That the nodes have which answered. */
  documents: number;
}

/** Microseconds of a search by stage. */
export interface Timings {
  queueUs: number;
  encodeUs: number;
  scanUs: number;
  rerankUs: number;
  queriesInScan: number;
}

/** The answer to a query, best first. */
export interface Hits extends Array<Hit> {
  readonly documentsScanned: number;
  /** With `probe` or `probeRecall`: the share of the documents that were scored, in the mean over the queries of the call. */
  readonly scannedShare: number;
  /** With `keepViewS`: the token of the view. */
  readonly view: string;
  readonly timings: Timings;
  /** What the filter names and no document has, mostly a slip; with `strict` that is an error instead. */
  readonly warnings: string[];
  /** Of a gateway over replicas: the newest writes may be missing, since an answer with them was not to be had in time. */
  readonly mayBeStale: boolean;
  /** With `allowPartial`, of a gateway. */
  readonly coverage: Coverage | undefined;
}

/** The values of an attribute, the most frequent first; of lists, each of their values. */
export interface Facets {
  facets: { value: Scalar; documents: number }[];
  /** Different ones in all; an integer and a decimal are different. */
  values: number;
  /** That satisfy the filter, and of these the ones that have the attribute. */
  documents: number;
  withAttribute: number;
  /** As of Hits; and if no document has the attribute. */
  warnings: string[];
  /** As of Hits. */
  mayBeStale: boolean;
}

/** A stored document. */
export interface Document {
  id: string;
  attributes: Record<string, Attribute>;
  /** By version; only where they were asked for and the collection stores floats. */
  embeddings: Record<string, Float32Array>;
}

/** A document of a stream. */
export interface DocumentToWrite {
  id: Id;
  vector: Vector;
  attributes?: Attributes;
}

/** What an upsert has written. */
export interface Upserted {
  /** Written, all of them synced to the server's disk. */
  documents: number;
  /** Of these, documents that did not exist before. */
  created: number;
  /** Of a merge: documents that do not exist; nothing was written for them. */
  unknownIds: string[];
  /** Documents that a condition kept from being written. */
  skippedIds: string[];
  /** With `partial`: documents that were wrong and are not written, in the order of your rows. */
  errors: DocumentError[];
}

/** Why a document of a partial upsert was left out. */
export interface DocumentError {
  /** Of your arrays, or its number in a stream. */
  row: number;
  id: string;
  code: Code;
  message: string;
}

/** Documents by id, or all that satisfy a filter when the write's turn has come. */
export type Which = Id | readonly Id[] | { filter: Filter };

/** What an update changes, in this order. */
export interface UpdateOptions extends CallOptions {
  /** All attributes go. */
  clear?: boolean;
  /** Names of attributes that go. */
  remove?: string | readonly string[];
  /** Values of attributes; others stay. */
  set?: Readonly<Record<string, Attribute>>;
}

/** What an update of attributes has done. */
export interface Updated {
  /** Changed, all of them synced to the server's disk. */
  documents: number;
  /** Of the ids, those of documents that do not exist. */
  unknownIds: string[];
  /** What the filter names and no document has, mostly a slip. */
  warnings: string[];
}

/** What searches take. */
export interface SearchOptions extends CallOptions {
  /** 10 unless it is given. */
  k?: number;
  filter?: Filter;
  /** Scores the best so many again with the stored floats, 0 for none; not given: the collection's default. */
  rerank?: number;
  minScore?: number;
  /** True unless it is given. */
  withAttributes?: boolean;
  version?: string;
  firstLevels?: number;
  candidates?: number;
  /** Scores only the groups of documents nearest to the query, as many as have this share of all documents, if the model has groups. */
  probe?: number;
  /** In its place: the least share that, as the server's recall monitor found, finds this share of what scoring all documents finds. */
  probeRecall?: number;
  /** The best so many are passed over: with k, a page. */
  offset?: number;
  /** Ids that are no hits. */
  exclude?: Id | readonly Id[];
  /** What the filter names and no document has is an error instead of a warning. */
  strict?: boolean;
  /** Says of each hit where its estimated score comes from. */
  explain?: boolean;
  /** Of the version that the query is made for: after a promotion of another model it is refused, instead of answered with nonsense. */
  modelChecksum?: number;
  /** The best `groupSize` (1 unless it is given) of each value of this attribute; `k` is then the number of values. */
  groupBy?: string;
  groupSize?: number;
  /** Keeps what the search sees for so many seconds, at most 600, under the token `hits.view`. */
  keepViewS?: number;
  /** Such a token: the search sees the same. So pages neither repeat nor miss a document while others write. */
  view?: string;
  /** Six numbers, falling, at which the labels of `itsLabel` begin. */
  itsCuts?: readonly number[];
  /**
   * Of a gateway over several nodes: those that do not answer are left out, and `hits.coverage` says how many did. Without it the search fails as
   * "UNAVAILABLE" and names the node. Not with `like`, `fusion` or views.
   */
  allowPartial?: boolean;
}

/** How the lists of several vectors become one. */
export type Fusion = "max" | "mean" | "reciprocal_rank" | "rrf";

/** Documents from elsewhere, best first: ids, or their scores by id. */
export type RankedList = readonly Id[] | Record<string, number>;

/** What searches take that make one list of several. */
export interface FusionOptions extends SearchOptions {
  fusion: Fusion;
  /** Of the vectors, where they differ. */
  versions?: readonly string[];
  lists?: readonly RankedList[];
  /** How much each vector, then each list, counts; 1 unless they are given. */
  weights?: readonly number[];
}

/** A search by examples instead of a vector. */
export interface LikeOptions extends SearchOptions {
  like: Examples;
  /** What hits should not resemble. */
  unlike?: Examples;
}

/** What scrolls take. */
export interface ScrollOptions extends CallOptions {
  filter?: Filter;
  /** Documents a page, at most 10,000; 1,000 unless it is given. A page may have fewer, so that it fits into a message. */
  limit?: number;
  /** Begins behind this id. */
  after?: string;
  /** True unless it is given. */
  withAttributes?: boolean;
  withEmbeddings?: boolean;
  /** All pages show the collection as it was for the first; so many seconds may pass between two, at most 600. */
  keepViewS?: number;
  /** The token of a view that a search has kept. */
  view?: string;
  /** What the filter names and no document has is an error; without it a warning of the process. */
  strict?: boolean;
}

/** What upserts take. */
export interface UpsertOptions extends CallOptions {
  version?: string;
  /** Adds embeddings to documents that exist and leaves everything else of them. */
  merge?: boolean;
  /** Documents that exist also lose embeddings of versions that do not come. */
  replaceAll?: boolean;
  /** Documents that exist stay as they are; their ids come back as `skippedIds`. */
  ifAbsent?: boolean;
  /** The name of an integer attribute: so do documents whose is not less than the new one. */
  ifNewerBy?: string;
  /** Wrong documents, also those whose id came before, are left out, and `errors` says which and why, instead of the whole request being refused. */
  partial?: boolean;
  /** Of the version that the embeddings are made for: they are refused once the collection goes by another model. */
  modelChecksum?: number;
  /** Documents a message; some 4 MiB, at most 1,000, unless it is given. */
  batch?: number;
  /** Is told the documents written so far. */
  progress?: (written: number) => void;
}

/** How floats are kept beside the codes; without them there is no rerank. */
export type FloatStorage = "none" | "f16" | "f32";
/** Scores of "l2" are minus the squared Euclidean distance. */
export type Metric = "cosine" | "inner_product" | "ip" | "l2";

interface CreateCommon extends CallOptions {
  /** "f16" unless it is given. */
  storeFloats?: FloatStorage;
  shards?: number;
  expectedDocuments?: number;
  /** Candidates that a search reranks which does not say itself. */
  defaultRerank?: number;
  /** What attributes are, by name. Others may come at any time, of any type; texts of more than 256 bytes are stored only. */
  attributes?: Readonly<Record<string, AttributeRule>>;
  /** A collection or an alias that is there is taken as it is, if it has these dims, this metric and, where given, these attributes; nothing else is compared. */
  existOk?: boolean;
}

/** A collection whose binarizer the server makes: of vectors of so many floats. */
export interface CreateByDims extends CreateCommon {
  dims: number;
  /** Of a document's code. */
  bits?: number;
  /** That the codes are to reach without rerank, below 1. */
  recall?: number;
  metric?: Metric;
}

/** A collection with a binarizer of bebr-train. */
export interface CreateByModel extends CreateCommon {
  /** Contents of a safetensors file. */
  model: Uint8Array;
  version?: string;
}

export type CreateOptions = CreateByDims | CreateByModel;
