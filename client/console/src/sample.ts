// A sample of a collection's documents: at random of those that Scroll lists first, by their ids. A fair sample of up to 100,000
// documents; of a larger collection, of the first of them.
import type { CollectionJson, VersionJson } from "bebr/v1/collections_pb";
import type { SearchHitJson } from "bebr/v1/search_pb";
import type { AttributeValueJson, DocumentJson } from "bebr/v1/types_pb";
import { call } from "./api";

export type Value = string | number | boolean;
const kFloatsPerCall = 500_000;  // some 6 MB of JSON
const kIdsPerPage = 10_000, kMostPages = 10;

// As people read it: a timestamp as its text, a list as its values.
export function valueOf(attribute: AttributeValueJson): Value {
  if (attribute.intValue !== undefined) return Number(attribute.intValue);
  if (attribute.doubleValue !== undefined) return Number(attribute.doubleValue);
  if (attribute.listValue !== undefined) return (attribute.listValue.values ?? []).map(valueOf).join(", ");
  return attribute.stringValue ?? attribute.timestampValue ?? attribute.boolValue ?? "";
}

// As filters have it; not of lists.
function literalOf(attribute: AttributeValueJson): string {
  if (attribute.timestampValue !== undefined) return `TIMESTAMP "${attribute.timestampValue}"`;
  const value = valueOf(attribute);
  return typeof value === "string" ? `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"` : String(value);
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

// Up to `wanted` ids, each of those that Scroll lists first as likely as any other.
async function sampleIds(collection: CollectionJson, wanted: number, signal?: AbortSignal): Promise<string[]> {
  const ids: string[] = [];
  for (let page = 0, pageToken = ""; page < kMostPages; page++) {
    const answer = await call("DocumentService/Scroll", { collection: collection.name ?? "", pageToken, limit: kIdsPerPage }, signal);
    for (const document of answer.documents ?? []) ids.push(document.id ?? "");
    pageToken = answer.nextPageToken ?? "";
    if (pageToken === "") break;
  }
  const taken = Math.min(wanted, ids.length);
  for (let i = 0; i < taken; i++) {
    const other = i + Math.floor(Math.random() * (ids.length - i));
    [ids[i], ids[other]] = [ids[other]!, ids[i]!];
  }
  return ids.slice(0, taken);
}

// Attributes of a document or a hit.
export const valuesOf = (one: DocumentJson | SearchHitJson): Record<string, Value> =>
  Object.fromEntries(Object.entries(one.attributes ?? {}).map(([name, value]) => [name, valueOf(value)]));

// `sent` are the attributes as the server has them.
export interface Sampled { id: string; attributes: Record<string, Value>; sent: Record<string, AttributeValueJson> }

const sampled = (document: DocumentJson): Sampled =>
  ({ id: document.id ?? "", attributes: valuesOf(document), sent: document.attributes ?? {} });

// Up to 400 documents without their floats.
export async function sampleDocuments(collection: CollectionJson, signal?: AbortSignal): Promise<Sampled[]> {
  const ids = await sampleIds(collection, 400, signal);
  if (ids.length === 0) return [];
  const answer = await call("DocumentService/Get", { collection: collection.name ?? "", ids }, signal);
  return (answer.documents ?? []).map(sampled);
}

export interface Point extends Sampled { values: number[] }

async function load(collection: CollectionJson, version: VersionJson, ids: string[], signal?: AbortSignal): Promise<Point[]> {
  const step = Math.max(1, Math.floor(kFloatsPerCall / (version.inputDims ?? 1)));
  const points: Point[] = [];
  for (let first = 0; first < ids.length; first += step) {
    const answer = await call("DocumentService/Get", {
      collection: collection.name ?? "", ids: ids.slice(first, first + step), withEmbeddings: true,
    }, signal);
    for (const document of answer.documents ?? []) {
      const values = embeddingOf(document, version);
      if (values) points.push({ ...sampled(document), values });
    }
  }
  return points;
}

// Up to `wanted` documents with their floats. Those that have none of this version are passed over.
export async function samplePoints(collection: CollectionJson, version: VersionJson, wanted: number, signal?: AbortSignal): Promise<Point[]> {
  return load(collection, version, await sampleIds(collection, wanted, signal), signal);
}

type Kind = "text" | "number" | "boolean" | "time" | "list";

// What the sample has under one attribute's name. `literals` are the values, and those of lists, as filters have them.
export interface Attribute { name: string; kind: Kind; values: Value[]; literals: string[] }

function kindOf(attribute: AttributeValueJson): Kind {
  if (attribute.listValue !== undefined) return "list";
  if (attribute.timestampValue !== undefined) return "time";
  const value = valueOf(attribute);
  return typeof value === "number" ? "number" : typeof value === "boolean" ? "boolean" : "text";
}

class Counts<T> {
  private readonly counts = new Map<T, number>();
  add(one: T): void { this.counts.set(one, (this.counts.get(one) ?? 0) + 1); }
  // The most frequent first.
  sorted(): T[] { return [...this.counts].sort((a, b) => b[1] - a[1]).map(([one]) => one); }
}

// By name; values by how often they occur.
export function attributesOf(rows: readonly Sampled[]): Attribute[] {
  const names = new Map<string, { kinds: Counts<Kind>; values: Counts<Value>; literals: Counts<string> }>();
  for (const { sent } of rows) {
    for (const [name, attribute] of Object.entries(sent)) {
      const found = names.get(name) ?? { kinds: new Counts<Kind>(), values: new Counts<Value>(), literals: new Counts<string>() };
      found.kinds.add(kindOf(attribute));
      found.values.add(valueOf(attribute));
      for (const one of attribute.listValue?.values ?? (attribute.listValue ? [] : [attribute])) found.literals.add(literalOf(one));
      names.set(name, found);
    }
  }
  return [...names].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, { kinds, values, literals }]) =>
    ({ name, kind: kinds.sorted()[0] ?? "text", values: values.sorted(), literals: literals.sorted() }));
}
