// Between JavaScript's values and the API's messages. What is wrong is told with the row, before anything is sent.
import { create, type MessageInitShape } from "@bufbuild/protobuf";

import { invalid } from "./errors.js";
import { type SearchHit, ScoreKind, type SearchTimings } from "./gen/bebr/v1/search_pb.js";
import { type AttributeValue, AttributeValueSchema, type Document as DocumentMessage, type DocumentSchema, type Vector as VectorMessage, VectorSchema } from "./gen/bebr/v1/types_pb.js";
import type { Attribute, Attributes, Document, DocumentToWrite, Hit, Hits, Timings, Vector, Vectors } from "./types.js";

export type DocumentInit = MessageInitShape<typeof DocumentSchema>;

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

export function toVector(vector: Vector, what: string): VectorMessage {
  if (!(ArrayBuffer.isView(vector) || Array.isArray(vector)) || typeof vector[0] === "object") {
    throw invalid(what, `${what} is no Float32Array or array of numbers`);
  }
  return create(VectorSchema, { values: Array.from(vector as ArrayLike<number>) });
}

function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

export function fromVector(vector: VectorMessage | undefined): Float32Array {
  if (!vector) return new Float32Array(0);
  if (vector.float16.length === 0) return Float32Array.from(vector.values);
  const halves = new DataView(vector.float16.buffer, vector.float16.byteOffset, vector.float16.byteLength);
  return Float32Array.from({ length: halves.byteLength / 2 }, (_, i) => halfToFloat(halves.getUint16(2 * i, true)));
}

function toAttribute(value: Attribute, what: string): AttributeValue {
  switch (typeof value) {
    case "string":
      return create(AttributeValueSchema, { kind: { case: "stringValue", value } });
    case "boolean":
      return create(AttributeValueSchema, { kind: { case: "boolValue", value } });
    case "number":
      if (Number.isSafeInteger(value)) return create(AttributeValueSchema, { kind: { case: "intValue", value: BigInt(value) } });
      return create(AttributeValueSchema, { kind: { case: "doubleValue", value } });
    case "bigint":
      if (value < INT64_MIN || value > INT64_MAX) throw invalid(what, `${what} is ${value}; whole numbers have 64 bits with sign`);
      return create(AttributeValueSchema, { kind: { case: "intValue", value } });
    default:
      throw invalid(what, `${what} is of ${Array.isArray(value) ? "array" : typeof value}; it is a string, number, bigint or boolean, or null for no value`);
  }
}

function fromAttributes(values: Record<string, AttributeValue>): Record<string, Attribute> {
  const found: [string, Attribute][] = [];
  for (const [name, { kind }] of Object.entries(values)) {
    if (kind.case === undefined) continue;
    const value = kind.value;
    found.push([name, typeof value === "bigint" && Number.isSafeInteger(Number(value)) ? Number(value) : value]);
  }
  return Object.fromEntries(found);
}

function toDocument(id: string, attributes: Attributes | undefined, version: string, vector: Vector, what: string): DocumentInit {
  if (typeof id !== "string") throw invalid("ids", `the id of ${what} is of ${typeof id}; it is a string`);
  const values: [string, AttributeValue][] = [];
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name === "__proto__") throw invalid("attributes", `document "${id}" has an attribute "__proto__", which would not come back`);
    if (value !== null && value !== undefined) values.push([name, toAttribute(value, `attribute "${name}" of document "${id}"`)]);
  }
  return { id, attributes: Object.fromEntries(values), embeddings: [{ version, vector: toVector(vector, what) }] };
}

/** A document of a stream. */
export function toStreamed(document: DocumentToWrite, version: string): DocumentInit {
  return toDocument(document.id, document.attributes, version, document.vector, `the vector of document "${document.id}"`);
}

/** Documents to write, as arrays. */
export class Rows {
  readonly dims: number;
  private readonly vector: (row: number) => Vector;

  constructor(readonly ids: readonly string[], vectors: Vectors, private readonly attributes: readonly (Attributes | null | undefined)[] | undefined, private readonly version: string) {
    if (new Set(ids).size !== ids.length) {
      const row = ids.findIndex((id, index) => ids.indexOf(id) !== index);
      throw invalid(`ids[${row}]`, `ids[${row}] and ids[${ids.indexOf(ids[row] as string)}] are both "${ids[row]}"; a document is there once`, row);
    }
    if (attributes && attributes.length !== ids.length) throw invalid("attributes", `attributes has ${attributes.length} rows; there are ${ids.length} ids`);
    if (vectors instanceof Float32Array) {
      const dims = (this.dims = ids.length ? vectors.length / ids.length : 0);
      if (!Number.isInteger(dims)) throw invalid("vectors", `vectors has ${vectors.length} floats, which are no whole rows for ${ids.length} ids`);
      this.vector = (row) => vectors.subarray(row * dims, (row + 1) * dims);
    } else {
      if (vectors.length !== ids.length) throw invalid("vectors", `vectors has ${vectors.length} rows; there are ${ids.length} ids`);
      this.dims = vectors[0]?.length ?? 0;
      this.vector = (row) => vectors[row] as Vector;
    }
  }

  get batch(): number {
    return batchRows(this.dims);
  }

  documents(first: number, end: number): DocumentInit[] {
    const documents: DocumentInit[] = [];
    for (let row = first; row < Math.min(end, this.ids.length); ++row) {
      documents.push(toDocument(this.ids[row] as string, this.attributes?.[row] ?? undefined, this.version, this.vector(row), `vectors[${row}]`));
    }
    return documents;
  }
}

/** Documents a message: 1,000, or fewer of some 4 MiB. */
export function batchRows(dims: number): number {
  return Math.max(1, Math.min(1000, Math.floor((4 << 20) / Math.max(1, 4 * dims))));
}

export function fromDocument(document: DocumentMessage): Document {
  const embeddings = Object.fromEntries(document.embeddings.map((embedding) => [embedding.version, fromVector(embedding.vector)]));
  return { id: document.id, attributes: fromAttributes(document.attributes), embeddings };
}

function fromTimings(timings: SearchTimings | undefined): Timings {
  return {
    queueUs: Number(timings?.queueUs ?? 0),
    encodeUs: Number(timings?.encodeUs ?? 0),
    scanUs: Number(timings?.scanUs ?? 0),
    rerankUs: Number(timings?.rerankUs ?? 0),
    queriesInScan: timings?.queriesInScan ?? 0,
  };
}

export function fromHits(hits: SearchHit[], answer: { documentsScanned: bigint; timings?: SearchTimings }): Hits {
  const found = hits.map((hit): Hit => ({
    id: hit.id,
    score: hit.score,
    exact: hit.scoreKind === ScoreKind.EXACT,
    its: hit.its,
    version: hit.version,
    attributes: fromAttributes(hit.attributes),
  }));
  return Object.assign(found, { documentsScanned: Number(answer.documentsScanned), timings: fromTimings(answer.timings) });
}
