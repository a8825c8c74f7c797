// Between JavaScript's values and the API's messages. What is wrong is told with the row, before anything is sent.
import { create } from "@bufbuild/protobuf";

import { BebrError, checkUtf8, invalid } from "./errors.js";
import { type Explanation as ExplanationMessage, type Coverage as CoverageMessage, type SearchHit, ScoreKind, type SearchTimings } from "./gen/bebr/v1/search_pb.js";
import { type AttributeValue, AttributeValueSchema, type Document as DocumentMessage, DocumentSchema, type Vector as VectorMessage, VectorSchema } from "./gen/bebr/v1/types_pb.js";
import { Timestamp } from "./timestamp.js";
import type { Attribute, AttributeRows, Attributes, Coverage, Document, DocumentError, DocumentToWrite, Examples, Explanation, Hit, Hits, Id, Scalar, Timings, Vector, Vectors } from "./types.js";

export type DocumentInit = DocumentMessage;

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
// Limits of proto/bebr/v1/types.proto.
const MOST_ID_BYTES = 512;
const MOST_FLOAT = 1e15;
// Where a message of documents ends: at so many of them, or once it has so many bytes. A document has 1 MiB of attributes at most.
const MESSAGE_ROWS = 1000;
const MESSAGE_BYTES = 4 << 20;

export const isVector = (value: unknown): boolean => ArrayBuffer.isView(value) || (Array.isArray(value) && typeof value[0] === "number");

/** An id as the API has it. `partial`: of a write whose wrong documents the server leaves out, so that an id is right here. */
export function toId(id: Id, what: string, partial = false): string {
  if (typeof id === "bigint" || Number.isSafeInteger(id)) return String(id);
  if (typeof id === "string" && !partial) checkUtf8(id, what, what);
  if (typeof id !== "string") throw invalid(what, `${what} is ${typeof id === "number" ? id : `of ${typeof id}`}; an id is a string, or a whole number`);
  const bytes = Buffer.byteLength(id);
  if (!partial && (bytes < 1 || bytes > MOST_ID_BYTES)) throw invalid(what, `${what} has ${bytes} bytes; an id has 1 to ${MOST_ID_BYTES}`);
  return id;
}

export const toIds = (ids: Id | readonly Id[], what = "ids"): string[] => (Array.isArray(ids) ? ids.map((id, i) => toId(id as Id, `${what}[${i}]`)) : [toId(ids as Id, what)]);

/** Examples as ids and vectors. */
export function toExamples(examples: Examples | undefined, what: string): { ids: string[]; vectors: VectorMessage[] } {
  if (ArrayBuffer.isView(examples)) throw invalid(what, `${what} is a vector; a vector alone goes into an array`);
  const all = examples === undefined ? [] : Array.isArray(examples) ? (examples as (Id | Vector)[]) : [examples as Id];
  const found = { ids: [] as string[], vectors: [] as VectorMessage[] };
  for (const [index, one] of all.entries()) {
    if (typeof one === "object") found.vectors.push(toVector(one, `${what}[${index}]`));
    else found.ids.push(toId(one, `${what}[${index}]`));
  }
  return found;
}

export function toVector(vector: Vector, what: string, partial = false): VectorMessage {
  if (!(ArrayBuffer.isView(vector) || Array.isArray(vector)) || typeof vector[0] === "object") {
    throw invalid(what, `${what} is no Float32Array or array of numbers`);
  }
  const values = Array.from(vector as ArrayLike<number>);
  const place = partial ? -1 : values.findIndex((value) => !(Math.abs(value) <= MOST_FLOAT));
  if (place >= 0) throw invalid(what, `${what}: value ${place} is ${values[place]}; NaN and infinity are refused, and magnitudes above ${MOST_FLOAT}`);
  return create(VectorSchema, { values });
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

export function toAttribute(value: Attribute, what: string, partial = false): AttributeValue {
  if (!Array.isArray(value)) return toScalar(value as Scalar, what, partial);
  const values = value.map((one: Scalar, index) => toScalar(one, `${what}[${index}]`, partial));
  return create(AttributeValueSchema, { kind: { case: "listValue", value: { values } } });
}

/** `field` is the one that its errors name. */
export function toScalar(value: Scalar, what: string, partial: boolean, field = what): AttributeValue {
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) throw invalid(field, `${what} is an invalid Date`);
    return create(AttributeValueSchema, { kind: { case: "timestampValue", value: value.toJSON() } });
  }
  switch (typeof value) {
    case "string":
      checkUtf8(value, what, field);
      return create(AttributeValueSchema, { kind: { case: "stringValue", value } });
    case "boolean":
      return create(AttributeValueSchema, { kind: { case: "boolValue", value } });
    case "number":
      if (!partial && !Number.isFinite(value)) throw invalid(field, `${what} is ${value}; NaN and infinity are refused, null is no value`);
      if (Number.isSafeInteger(value)) return create(AttributeValueSchema, { kind: { case: "intValue", value: BigInt(value) } });
      return create(AttributeValueSchema, { kind: { case: "doubleValue", value } });
    case "bigint":
      if (value < INT64_MIN || value > INT64_MAX) throw invalid(field, `${what} is ${value}; whole numbers have 64 bits with sign`);
      return create(AttributeValueSchema, { kind: { case: "intValue", value } });
    default:
      throw invalid(field, `${what} is of ${Array.isArray(value) ? "array" : typeof value}; it is a string, number, bigint, boolean or Date, an array of these, or null for no value`);
  }
}

export function fromAttribute({ kind }: AttributeValue): Attribute | undefined {
  if (kind.case !== "listValue") return fromScalar(kind);
  return kind.value.values.map((one) => fromScalar(one.kind)).filter((one) => one !== undefined);
}

export function fromScalar(kind: AttributeValue["kind"]): Scalar | undefined {
  if (kind.case === "listValue") return undefined;
  if (kind.case === "timestampValue") return Timestamp.of(kind.value);
  const { value } = kind;
  return typeof value === "bigint" && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

function fromAttributes(values: Record<string, AttributeValue>): Record<string, Attribute> {
  const found = Object.entries(values).map(([name, value]): [string, Attribute | undefined] => [name, fromAttribute(value)]);
  return Object.fromEntries(found.filter((entry): entry is [string, Attribute] => entry[1] !== undefined));
}

function toDocument(id: string, attributes: Attributes | undefined, version: string, vector: Vector, what: string, partial: boolean): DocumentInit {
  const values: [string, AttributeValue][] = [];
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name === "__proto__") throw invalid("attributes", `document "${id}" has an attribute "__proto__", which would not come back`);
    checkUtf8(name, `a name among the attributes of document "${id}"`, "attributes");
    if (value !== null && value !== undefined) values.push([name, toAttribute(value, `attribute "${name}" of document "${id}"`, partial)]);
  }
  return create(DocumentSchema, { id, attributes: Object.fromEntries(values), embeddings: [{ version, vector: toVector(vector, what, partial) }] });
}

/** A document of a stream, or undefined: it was left out. */
export function toStreamed(document: DocumentToWrite, row: number, version: string, leftOut: LeftOut | undefined): DocumentInit | undefined {
  const partial = leftOut !== undefined;
  const make = () => {
    const id = toId(document.id, "id", partial);
    checkUtf8(id, "id", "id");
    return toDocument(id, document.attributes, version, document.vector, `the vector of document "${document.id}"`, partial);
  };
  return tried(row, String(document.id), leftOut, make);
}

/** Runs something whose errors are of a row. */
function atRow<T>(row: number, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof BebrError && error.row === undefined) throw invalid(error.field ?? "", error.message, row);
    throw error;
  }
}

/** Documents of a partial write that are wrong before anything is sent, and so the rows of those that are sent. */
export class LeftOut {
  readonly errors: DocumentError[] = [];

  add(row: number, id: string, error: BebrError): void {
    this.errors.push({ row, id, code: error.code, message: error.message.replace(/^row \d+: /, "") });
  }

  /** Of the document that is sent as this one. */
  row(sent: number): number {
    // The i-th that was left out, in the order of rows, stands before it if it would come at its place or earlier.
    let [least, most] = [0, this.errors.length];
    while (least < most) {
      const middle = (least + most) >> 1;
      if ((this.errors[middle] as DocumentError).row - middle <= sent) least = middle + 1;
      else most = middle;
    }
    return sent + least;
  }
}

/** What is made of a row, or undefined: it was left out. */
function tried<T>(row: number, id: string, leftOut: LeftOut | undefined, make: () => T): T | undefined {
  try {
    return atRow(row, make);
  } catch (error) {
    if (leftOut === undefined || !(error instanceof BebrError)) throw error;
    leftOut.add(row, id, error);
    return undefined;
  }
}

/** What gives a row's attributes. */
function attributesOf(attributes: AttributeRows | undefined, count: number): (row: number) => Attributes | undefined {
  if (attributes === undefined || attributes === null) return () => undefined;
  if (Array.isArray(attributes)) {
    if (attributes.length !== count) throw invalid("attributes", `attributes has ${attributes.length} rows; there are ${count} ids`);
    return (row) => (attributes as readonly (Attributes | null | undefined)[])[row] ?? undefined;
  }
  if (typeof attributes !== "object" || Symbol.iterator in attributes) throw invalid("attributes", "attributes is no array of an object a row, nor an object of a column an attribute, as { year: [2021, 2022] }");
  const columns = Object.entries(attributes as Readonly<Record<string, ArrayLike<Attribute | null | undefined>>>);
  for (const [name, column] of columns) {
    const size = Array.isArray(column) || ArrayBuffer.isView(column) ? `${column.length} values` : "a single value";
    if (size !== `${count} values`) throw invalid(`attributes.${name}`, `attributes.${name} has ${size}; there are ${count} ids`);
  }
  return (row) => Object.fromEntries(columns.map(([name, column]) => [name, column[row]]));
}

/**
 * Documents to write, as arrays. All that can be wrong without the server's knowledge is told here, by the row, so that nothing of it is
 * written. Of a partial write this is what no message has room for, and it is left out.
 */
export class Rows {
  readonly dims: number;
  readonly leftOut = new LeftOut();
  private readonly attributes: (row: number) => Attributes | undefined;
  /** The rows that are sent. */
  private readonly sent: number[];
  readonly ids: readonly string[];
  private readonly vector: (row: number) => Vector;

  constructor(ids: readonly Id[], vectors: Vectors, attributes: AttributeRows | undefined, private readonly version: string, private readonly partial: boolean) {
    this.ids = ids.map((id, row) => atRow(row, () => toId(id, `ids[${row}]`, partial)));
    this.attributes = attributesOf(attributes, ids.length);
    if (vectors instanceof Float32Array) {
      const dims = (this.dims = ids.length ? vectors.length / ids.length : 0);
      if (!Number.isInteger(dims)) throw invalid("vectors", `vectors has ${vectors.length} floats, which are no whole rows for ${ids.length} ids`);
      this.vector = (row) => vectors.subarray(row * dims, (row + 1) * dims);
    } else {
      if (vectors.length !== ids.length) throw invalid("vectors", `vectors has ${vectors.length} rows; there are ${ids.length} ids`);
      this.dims = vectors[0]?.length ?? 0;
      this.vector = (row) => vectors[row] as Vector;
    }
    const seen = new Map<string, number>();
    const check = (id: string, row: number) => {
      checkUtf8(id, `ids[${row}]`, `ids[${row}]`);
      if (seen.has(id)) throw invalid(`ids[${row}]`, `ids[${row}] and ids[${seen.get(id)}] are both "${id}"; a document is there once`);
      seen.set(id, row);
      return this.document(row);
    };
    this.sent = [...this.ids.keys()].filter((row) => tried(row, this.ids[row] as string, partial ? this.leftOut : undefined, () => check(this.ids[row] as string, row)));
  }

  private document(row: number): DocumentInit {
    return atRow(row, () => {
      const vector = this.vector(row);
      if (!this.partial && isVector(vector) && vector.length !== this.dims) throw invalid(`vectors[${row}]`, `vectors[${row}] has ${vector.length} floats; vectors[0] has ${this.dims}`);
      return toDocument(this.ids[row] as string, this.attributes(row), this.version, vector, `vectors[${row}]`, this.partial);
    });
  }

  /** The documents of a message each. */
  *messages(batch: number | undefined): Generator<DocumentInit[]> {
    const packer = new Packer(batch);
    for (const row of this.sent) {
      const message = packer.add(this.document(row));
      if (message) yield message;
    }
    if (packer.rest.length > 0) yield packer.rest;
  }
}

const scalarBytes = ({ kind }: AttributeValue): number => (kind.case === "stringValue" ? Buffer.byteLength(kind.value) : 8);

/** What a document takes in a message, within a few bytes a value. */
function bytesOf({ id, attributes, embeddings }: DocumentInit): number {
  let bytes = id.length;
  for (const { vector } of embeddings) bytes += 4 * (vector?.values.length ?? 0);
  for (const [name, value] of Object.entries(attributes)) {
    const values = value.kind.case === "listValue" ? value.kind.value.values : [value];
    bytes += values.reduce((sum, one) => sum + 8 + scalarBytes(one), name.length);
  }
  return bytes;
}

/** Makes messages of documents, of `batch` each or as many as suit. */
export class Packer {
  /** Those of the message that is being filled. */
  rest: DocumentInit[] = [];
  private bytes = 0;

  constructor(private readonly batch: number | undefined) {}

  /** The documents of the message that is full now, if one is. */
  add(document: DocumentInit): DocumentInit[] | undefined {
    const count = this.rest.push(document);
    this.bytes += bytesOf(document);
    if (this.batch === undefined ? count < MESSAGE_ROWS && this.bytes < MESSAGE_BYTES : count < this.batch) return undefined;
    const full = this.rest;
    this.rest = [];
    this.bytes = 0;
    return full;
  }
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

function fromExplanation({ $typeName, $unknown, bands, ...numbers }: ExplanationMessage): Explanation {
  return { ...numbers, bands: bands.map((band) => ({ dims: band.dims, dot: Number(band.dot), weight: band.weight, distances: band.distances })) };
}

function fromCoverage(coverage: CoverageMessage | undefined): Coverage | undefined {
  return coverage && { nodes: coverage.nodes, answered: coverage.answered, documents: Number(coverage.documents) };
}

const ITS_LABELS: readonly Hit["itsLabel"][] = ["", "close_match", "very_high", "high", "medium", "low", "very_low", "irrelevant"]; // by ItsLabel

export function fromHits(hits: SearchHit[], answer: { documentsScanned: bigint; scannedShare: number; timings?: SearchTimings; warnings: string[]; viewToken: string; mayBeStale: boolean; coverage?: CoverageMessage }): Hits {
  const found = hits.map((hit): Hit => ({
    id: hit.id,
    score: hit.score,
    exact: hit.scoreKind === ScoreKind.EXACT,
    its: hit.its,
    itsLabel: ITS_LABELS[hit.itsLabel] ?? "",
    version: hit.version,
    attributes: fromAttributes(hit.attributes),
    ...(hit.explanation ? { explanation: fromExplanation(hit.explanation) } : {}),
    ...(hit.group ? { group: fromScalar(hit.group.kind) as Scalar } : {}),
  }));
  return Object.assign(found, { documentsScanned: Number(answer.documentsScanned), scannedShare: answer.scannedShare, timings: fromTimings(answer.timings), warnings: answer.warnings, view: answer.viewToken, mayBeStale: answer.mayBeStale, coverage: fromCoverage(answer.coverage) });
}
