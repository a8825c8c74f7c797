// A sample of a collection's documents. There is no call that lists ids, so they are those that random queries find: enough to show
// attributes and a map, not a fair sample.
import type { CollectionJson, VersionJson } from "bebr/v1/collections_pb";
import type { SearchHitJson } from "bebr/v1/search_pb";
import type { AttributeValueJson, DocumentJson } from "bebr/v1/types_pb";
import { call } from "./api";
import { mixOf, randomVector } from "./vectors";

export type Value = string | number | boolean;
const kFloatsPerCall = 500_000;  // some 6 MB of JSON

export function valueOf(attribute: AttributeValueJson): Value {
  if (attribute.intValue !== undefined) return Number(attribute.intValue);
  if (attribute.doubleValue !== undefined) return Number(attribute.doubleValue);
  return attribute.stringValue ?? attribute.boolValue ?? "";
}

export const versionOf = (collection: CollectionJson, name?: string): VersionJson | undefined =>
  collection.versions?.find((version) => version.name === (name || collection.defaultVersion));

// The version under whose name the floats that `version` takes are kept.
export const floatsOf = (version: VersionJson): string => version.sameEmbeddingsAs || version.name || "";

export const storesFloats = (collection: CollectionJson): boolean =>
  collection.storeFloats === "FLOAT_STORAGE_F16" || collection.storeFloats === "FLOAT_STORAGE_F32";

export function embeddingOf(document: DocumentJson, version: VersionJson): number[] | undefined {
  const found = document.embeddings?.find((embedding) => embedding.version === floatsOf(version))
    ?? document.embeddings?.find((embedding) => embedding.version === version.name);
  return found?.vector?.values?.map(Number);
}

// Hits of queries by id, without rerank, with attributes.
async function find(collection: string, queries: number[][], k: number, signal?: AbortSignal): Promise<Map<string, SearchHitJson>> {
  const answer = await call("SearchService/BatchSearch", {
    collection, queries: queries.map((values) => ({ values })), options: { k, rerank: 0, withAttributes: true },
  }, signal);
  const hits = new Map<string, SearchHitJson>();
  for (const result of answer.results ?? []) for (const hit of result.hits ?? []) hits.set(hit.id ?? "", hit);
  return hits;
}

export async function sampleHits(collection: CollectionJson, signal?: AbortSignal): Promise<SearchHitJson[]> {
  const dims = versionOf(collection)?.inputDims ?? 0;
  if (dims === 0 || Number(collection.documents ?? 0) === 0) return [];
  const queries = Array.from({ length: 8 }, () => randomVector(dims));
  return [...(await find(collection.name ?? "", queries, 50, signal)).values()];
}

export interface Point { id: string; values: number[]; attributes: Record<string, Value> }

async function load(collection: CollectionJson, version: VersionJson, ids: string[], signal?: AbortSignal): Promise<Point[]> {
  const step = Math.max(1, Math.floor(kFloatsPerCall / (version.inputDims ?? 1)));
  const points: Point[] = [];
  for (let first = 0; first < ids.length; first += step) {
    const answer = await call("DocumentService/Get", {
      collection: collection.name ?? "", ids: ids.slice(first, first + step), withEmbeddings: true,
    }, signal);
    for (const document of answer.documents ?? []) {
      const values = embeddingOf(document, version);
      if (!values) continue;
      const attributes = Object.fromEntries(
        Object.entries(document.attributes ?? {}).map(([name, value]): [string, Value] => [name, valueOf(value)]));
      points.push({ id: document.id ?? "", values, attributes });
    }
  }
  return points;
}

// Up to `wanted` documents with their floats. The first queries are random; the next ones are mixes of what was found, which reach
// where the documents are: random directions find the same few again and again.
export async function samplePoints(collection: CollectionJson, version: VersionJson, wanted: number, signal?: AbortSignal): Promise<Point[]> {
  const points = new Map<string, Point>();
  for (let round = 0; round < 6 && points.size < wanted; round++) {
    const known = [...points.values()].map((point) => point.values);
    const queries = Array.from({ length: 16 }, () => (known.length > 8 ? mixOf(known) : randomVector(version.inputDims ?? 1)));
    const hits = await find(collection.name ?? "", queries, 40, signal);
    const fresh = [...hits.keys()].filter((id) => !points.has(id)).slice(0, wanted - points.size);
    if (fresh.length === 0) break;
    for (const point of await load(collection, version, fresh, signal)) points.set(point.id, point);
  }
  return [...points.values()];
}

// What the sample has under one attribute's name.
export interface Attribute { name: string; kind: "text" | "number" | "boolean"; values: Value[] }

// By name; values by how often they occur.
export function attributesOf(rows: readonly Record<string, Value>[]): Attribute[] {
  const counts = new Map<string, Map<Value, number>>();
  for (const row of rows) {
    for (const [name, value] of Object.entries(row)) {
      const values = counts.get(name) ?? new Map<Value, number>();
      values.set(value, (values.get(value) ?? 0) + 1);
      counts.set(name, values);
    }
  }
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, values]) => {
    const sorted = [...values].sort((a, b) => b[1] - a[1]).map(([value]) => value);
    const first = sorted[0];
    return { name, kind: typeof first === "number" ? "number" : typeof first === "boolean" ? "boolean" : "text", values: sorted };
  });
}

export const attributesOfHit = (hit: SearchHitJson): Record<string, Value> =>
  Object.fromEntries(Object.entries(hit.attributes ?? {}).map(([name, value]) => [name, valueOf(value)]));
