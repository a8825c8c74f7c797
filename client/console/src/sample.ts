// A sample of a collection's documents: at random of those that Scroll lists first, by their ids. A fair sample of up to 100,000
// documents; of a larger collection, of the first of them.
import type { CollectionJson, VersionJson } from "bebr/v1/collections_pb";
import type { SearchHitJson } from "bebr/v1/search_pb";
import type { AttributeValueJson, DocumentJson } from "bebr/v1/types_pb";
import { ApiError, call } from "./api";

export type Value = string | number | boolean;
const kFloatsPerCall = 500_000;  // some 6 MB of JSON
const kIdsPerPage = 10_000, kMostPages = 10;
const kDocumentsPerCall = 50, kMostCharacters = 32e6;  // documents may have a megabyte each: of such the sample is smaller
const kMostIndexedBytes = 256;  // texts that are longer are stored only: no filter compares them
const kEncoder = new TextEncoder();

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

// Documents by id. What is too large for one answer comes in several, a document that alone is so not at all.
async function get(collection: CollectionJson, ids: string[], withEmbeddings: boolean, signal?: AbortSignal): Promise<DocumentJson[]> {
  try {
    const answer = await call("DocumentService/Get", { collection: collection.name ?? "", ids, withEmbeddings }, signal);
    return answer.documents ?? [];
  } catch (error) {
    if (!(error instanceof ApiError && error.code === "resource_exhausted" && error.retryAfterS === 0)) throw error;
    if (ids.length === 1) return [];
    const half = ids.length >> 1;
    return [...await get(collection, ids.slice(0, half), withEmbeddings, signal), ...await get(collection, ids.slice(half), withEmbeddings, signal)];
  }
}

// Up to 400 documents without their floats, fewer of large ones.
export async function sampleDocuments(collection: CollectionJson, signal?: AbortSignal): Promise<Sampled[]> {
  const ids = await sampleIds(collection, 400, signal);
  const found: Sampled[] = [];
  for (let first = 0, characters = 0; first < ids.length && characters < kMostCharacters; first += kDocumentsPerCall) {
    const documents = await get(collection, ids.slice(first, first + kDocumentsPerCall), false, signal);
    characters += JSON.stringify(documents).length;
    found.push(...documents.map(sampled));
  }
  return found;
}

export interface Point extends Sampled { values: number[] }

async function load(collection: CollectionJson, version: VersionJson, ids: string[], signal?: AbortSignal): Promise<Point[]> {
  const step = Math.max(1, Math.floor(kFloatsPerCall / (version.inputDims ?? 1)));
  const points: Point[] = [];
  for (let first = 0; first < ids.length; first += step) {
    for (const document of await get(collection, ids.slice(first, first + step), true, signal)) {
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

// What the sample has under one attribute's name. `literals` are the values, and those of lists, as filters have them; none of those that
// are stored only.
export interface Attribute { name: string; kind: Kind; values: Value[]; literals: string[] }

function kindOf(attribute: AttributeValueJson): Kind {
  if (attribute.listValue !== undefined) return "list";
  if (attribute.timestampValue !== undefined) return "time";
  const value = valueOf(attribute);
  return typeof value === "number" ? "number" : typeof value === "boolean" ? "boolean" : "text";
}

const isLong = ({ stringValue }: AttributeValueJson): boolean =>
  stringValue !== undefined && kEncoder.encode(stringValue).length > kMostIndexedBytes;

// The values that filters compare with literals: a list's are all stored only if one is.
function comparedOf(attribute: AttributeValueJson): readonly AttributeValueJson[] {
  const values = attribute.listValue ? attribute.listValue.values ?? [] : [attribute];
  return values.some(isLong) ? [] : values;
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
      for (const one of comparedOf(attribute)) found.literals.add(literalOf(one));
      names.set(name, found);
    }
  }
  return [...names].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, { kinds, values, literals }]) =>
    ({ name, kind: kinds.sorted()[0] ?? "text", values: values.sorted(), literals: literals.sorted() }));
}
