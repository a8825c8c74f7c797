// What the server says of its collections, as plain values.
import { create } from "@bufbuild/protobuf";

import { AttributeKind, type AttributeRule as AttributeRuleMessage, AttributeRuleSchema, AttributeStorage, AutoState, type Collection as CollectionMessage, FloatStorage as FloatStorageEnum, Metric as MetricEnum, type Version as VersionMessage, type VersionCheck, VersionState } from "./gen/bebr/v1/collections_pb.js";
import type { Snapshot as SnapshotMessage } from "./gen/bebr/v1/admin_pb.js";
import { invalid } from "./errors.js";
import type { AttributeRule, FloatStorage, Metric } from "./types.js";

/** Bytes held in memory. */
export interface MemoryUse {
  codes: number;
  ids: number;
  attributes: number;
  models: number;
  total: number;
}

/** How a version does beside another one; shares are of the k nearest documents. */
export interface Check {
  checked: Date;
  against: string;
  queries: number;
  k: number;
  /** Exact neighbours by the version's floats that its codes find, without rerank. */
  recall: number;
  againstRecall: number;
  /** Answers of the other version that are also answers of this one. */
  overlap: number;
  /** Documents with stored floats of the version, and of the other one. */
  documents: number;
  againstDocuments: number;
  /** How far estimated scores of the version were from exact ones, over the exact neighbours: in the mean, and in one of a hundred. */
  scoreError: number;
  scoreErrorP99: number;
}

/** The re-encoding of stored floats in the background. */
export interface Backfill {
  running: boolean;
  /** At most; 0: no limit. */
  limitDocumentsPerS: number;
  written: number;
  documentsPerS: number;
  /** Why it ended early, if it did. */
  error: string;
}

/** Recall of the codes on sampled documents, without rerank. */
export interface RecallSample {
  measured: Date;
  recall: number;
  queries: number;
  k: number;
  /** How far estimated scores were from exact ones, over the exact neighbours: in the mean, and in one of a hundred. */
  scoreError: number;
  scoreErrorP99: number;
  /** Empty: no groups, or too few queries. */
  probe: Probe[];
}

/** An embedding version of a collection. */
export interface Version {
  name: string;
  state: "added" | "backfilling" | "ready" | "default" | "retired" | "unknown";
  inputDims: number;
  /** Shape of the codes, dims x levels by band. */
  code: string;
  bits: number;
  /** Levels of a query's code. */
  queryLevels: number;
  metric: Metric;
  /** Versions with one number can be searched together. */
  space: number;
  documents: number;
  embeddings: number;
  sameEmbeddingsAs: string;
  /** The binarizer in a line. */
  model: string;
  /** Of the binarizer's file: what `modelChecksum` of searches and upserts is compared with. */
  modelChecksum: number;
  backfill: Backfill | undefined;
  check: Check | undefined;
  recall: RecallSample | undefined;
}

/** What a search of a share of the documents finds of what a search of all of them finds: by the recall monitor. */
export interface Probe {
  share: number;
  recall: number;
}

/** Something the server did with the binarizers of a collection, and why. */
export interface AutoEvent {
  time: Date;
  text: string;
}

/** How far the server has come with the binarizers that it makes. */
export interface AutoStatus {
  state: "collecting" | "fitting" | "backfilling" | "checking" | "fitted" | "final" | "unknown";
  fittedDocuments: number;
  nextFitDocuments: number;
  /** recall@10 of the codes without rerank, as measured last; 0: not yet. */
  recall: number;
  recallGoal: number;
  fits: number;
  promotions: number;
  events: AutoEvent[];
  error: string;
}

/** A collection as the server sees it now. */
export interface CollectionStats {
  name: string;
  documents: number;
  defaultVersion: string;
  previousDefault: string;
  storeFloats: FloatStorage;
  shards: number;
  created: Date;
  versions: Version[];
  deletedRows: number;
  /** Number of changes of documents so far. */
  sequence: number;
  memory: MemoryUse;
  diskBytes: number;
  expectedDocuments: number;
  defaultRerank: number;
  /** Why it takes no writes at present, a fault of the disk; empty: it takes them. */
  problem: string;
  /** What it was created to say of attributes, by name. */
  attributes: Record<string, AttributeRule>;
  /** There if the server makes the binarizers. */
  auto: AutoStatus | undefined;
}

/** A copy of a collection on the server's disk. */
export interface Snapshot {
  collection: string;
  name: string;
  created: Date;
  documents: number;
  bytes: number;
  /** Of a cluster with a log: after which position of the log the collection was so. */
  position: number;
  /** Likewise: why it cannot be restored now; empty: it can. */
  problem: string;
}

type Numbers<T> = { [K in keyof T]: T[K] extends bigint ? K : never }[keyof T];

function numbers<T, K extends Numbers<T>>(message: T, ...names: K[]): Record<K, number> {
  return Object.fromEntries(names.map((name) => [name, Number(message[name])])) as Record<K, number>;
}

const date = (unixUs: bigint) => new Date(Number(unixUs) / 1000);
const lower = (name: string | undefined) => (name ?? "unknown").toLowerCase();

export function toFloatStorage(storage: FloatStorage): FloatStorageEnum {
  return { none: FloatStorageEnum.NONE, f16: FloatStorageEnum.F16, f32: FloatStorageEnum.F32 }[storage];
}

export function toMetric(metric: Metric): MetricEnum {
  return { cosine: MetricEnum.COSINE, inner_product: MetricEnum.INNER_PRODUCT, ip: MetricEnum.INNER_PRODUCT, l2: MetricEnum.L2 }[metric];
}

const KINDS: Record<string, AttributeKind> = { string: AttributeKind.STRING, int: AttributeKind.INT, double: AttributeKind.DOUBLE, bool: AttributeKind.BOOL, timestamp: AttributeKind.TIMESTAMP };
const STORAGES: Record<string, AttributeStorage> = { indexed: AttributeStorage.INDEXED, stored: AttributeStorage.STORED };

/** A schema as the API has it. */
export function toRules(attributes: Readonly<Record<string, AttributeRule>>): AttributeRuleMessage[] {
  return Object.entries(attributes).map(([name, rule]) => {
    const message = create(AttributeRuleSchema, { name });
    for (const word of String(rule).split(" ")) {
      if (Object.hasOwn(KINDS, word)) message.kind = KINDS[word] as AttributeKind;
      else if (Object.hasOwn(STORAGES, word)) message.storage = STORAGES[word] as AttributeStorage;
      else throw invalid("attributes", `attributes.${name} is "${rule}"; it is one of ${Object.keys(KINDS).join(", ")}, and indexed or stored`);
    }
    return message;
  });
}

export function fromRules(rules: AttributeRuleMessage[]): Record<string, AttributeRule> {
  const wordOf = (words: Record<string, number>, value: number) => Object.keys(words).filter((word) => words[word] === value);
  return Object.fromEntries(rules.map(({ name, kind, storage }) => [name, [...wordOf(KINDS, kind), ...wordOf(STORAGES, storage)].join(" ") as AttributeRule]));
}

export function toMemory(memory: CollectionMessage["memory"]): MemoryUse {
  if (!memory) return { codes: 0, ids: 0, attributes: 0, models: 0, total: 0 };
  return numbers(memory, "codes", "ids", "attributes", "models", "total");
}

export function toCheck(check: VersionCheck): Check {
  const { against, queries, k, recall, againstRecall, overlap, scoreError, scoreErrorP99 } = check;
  return { checked: date(check.checkedUnixUs), against, queries, k, recall, againstRecall, overlap, scoreError, scoreErrorP99, ...numbers(check, "documents", "againstDocuments") };
}

function toVersion(version: VersionMessage): Version {
  const { name, inputDims, code, bits, queryLevels, space, sameEmbeddingsAs, model, modelChecksum, backfill, check, recall } = version;
  return {
    ...{ name, inputDims, code, bits, queryLevels, space, sameEmbeddingsAs, model, modelChecksum },
    state: lower(VersionState[version.state]) as Version["state"],
    metric: lower(MetricEnum[version.metric]) as Version["metric"],
    documents: Number(version.documents),
    embeddings: Number(version.embeddings),
    backfill: backfill && { running: backfill.running, ...numbers(backfill, "limitDocumentsPerS", "written"), documentsPerS: backfill.documentsPerS, error: backfill.error },
    check: check && toCheck(check),
    recall: recall && { measured: date(recall.measuredUnixUs), recall: recall.recall, queries: recall.queries, k: recall.k, scoreError: recall.scoreError, scoreErrorP99: recall.scoreErrorP99, probe: recall.probe.map(({ share, recall }) => ({ share, recall })) },
  };
}

function toAuto(auto: NonNullable<CollectionMessage["autoStatus"]>): AutoStatus {
  const { recall, recallGoal, fits, promotions, error } = auto;
  return {
    ...{ recall, recallGoal, fits, promotions, error },
    ...numbers(auto, "fittedDocuments", "nextFitDocuments"),
    state: lower(AutoState[auto.state]) as AutoStatus["state"],
    events: auto.events.map((event) => ({ time: date(event.unixUs), text: event.text })),
  };
}

export function toStats(collection: CollectionMessage | undefined): CollectionStats {
  if (!collection) throw new Error("the server's answer has no collection");
  const { name, defaultVersion, previousDefault, shards, defaultRerank, problem, autoStatus } = collection;
  const storage = { [FloatStorageEnum.F16]: "f16", [FloatStorageEnum.F32]: "f32" }[collection.storeFloats as number] ?? "none";
  return {
    ...{ name, defaultVersion, previousDefault, shards, defaultRerank, problem },
    ...numbers(collection, "documents", "deletedRows", "sequence", "diskBytes", "expectedDocuments"),
    storeFloats: storage as FloatStorage,
    created: date(collection.createdUnixUs),
    versions: collection.versions.map(toVersion),
    memory: toMemory(collection.memory),
    attributes: fromRules(collection.attributes),
    auto: autoStatus && toAuto(autoStatus),
  };
}

export function toSnapshot(snapshot: SnapshotMessage | undefined): Snapshot {
  if (!snapshot) throw new Error("the server's answer has no snapshot");
  const { collection, name, problem } = snapshot;
  return { collection, name, created: date(snapshot.createdUnixUs), problem, ...numbers(snapshot, "documents", "bytes", "position") };
}

/** That version, or the default, and all others that take the same embeddings: a document has its floats under one of these names. */
export function sameEmbeddings({ versions, defaultVersion }: CollectionStats, name?: string): string[] {
  const found = [name ?? defaultVersion];
  for (const one of found) {
    const origin = versions.find((version) => version.name === one)?.sameEmbeddingsAs;
    for (const version of versions) if (!found.includes(version.name) && (version.sameEmbeddingsAs === one || version.name === origin)) found.push(version.name);
  }
  return found;
}
