import { readFileSync } from "node:fs";

import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { type ServiceError, status } from "@grpc/grpc-js";

import { BadRequestSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "./gen/google/rpc/status_pb.js";

/** The canonical codes of proto/README.md. */
export type Code = keyof typeof status;

/** What an error says beside its message. */
export interface ErrorFacts {
  field?: string | undefined;
  limit?: number | undefined;
  row?: number | undefined;
  retryAfterMs?: number | undefined;
}

// What stands before a limit in the server's messages: "documents has 10001 entries; a request has 1 to 10000".
const LIMIT = /(?:limit(?: [a-z_ ]+)? is|_bytes is|\bto|\btakes|\bat most|\bmore than) (\d+)/;
const ENTRY = /^(?:documents|queries|ids)\[(\d+)\]/;

/**
 * A call that failed. `code` says how ("NOT_FOUND"), `message` what failed, the value, the limit and what to do. Where the server names
 * them: `field` is the part of the request that is wrong ("documents[3].id"), `limit` the number it is held to, `row` the row of your
 * arrays, `retryAfterMs` the time after which it wants to be asked again. `acknowledged` is of upserts and deletes: the documents that were
 * done when it failed, 0 where nothing was sent. What was on its way may be done too.
 */
export class BebrError extends Error {
  readonly code: Code;
  readonly field: string | undefined;
  readonly limit: number | undefined;
  readonly row: number | undefined;
  readonly retryAfterMs: number | undefined;
  acknowledged: number | undefined;

  constructor(code: Code, message: string, facts: ErrorFacts = {}) {
    super(facts.row === undefined ? message : `row ${facts.row}: ${message}`);
    this.name = "BebrError";
    this.code = code;
    this.field = facts.field;
    this.limit = facts.limit;
    this.row = facts.row;
    this.retryAfterMs = facts.retryAfterMs;
  }
}

/** What is wrong before anything is sent. */
export function invalid(field: string, message: string, row?: number): BebrError {
  return new BebrError("INVALID_ARGUMENT", message, { field, row });
}

/** Refuses what no message has room for: half of a surrogate pair, which would be stored as another character. */
export function checkUtf8(text: string, what: string, field: string): void {
  const place = text.search(/[\ud800-\udfff]/u);
  if (place >= 0) throw invalid(field, `${what} is ${JSON.stringify(text.length < 80 ? text : text.slice(place, place + 20))}, which is no UTF-8: it has half of a surrogate pair at ${place}`);
}

/** As checkUtf8, of all texts of a request. */
export function checkTexts(value: unknown, field: string): void {
  if (typeof value === "string") checkUtf8(value, field, field);
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value) || (Array.isArray(value) && typeof value[0] === "number")) return;
  for (const [name, one] of Object.entries(value)) {
    checkUtf8(name, `a name in ${field}`, field);
    checkTexts(one, Array.isArray(value) ? `${field}[${name}]` : field === "" ? name : `${field}.${name}`);
  }
}

/** The file of an option. */
export function fileBytes(path: string, what: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw invalid(what, `${what} is "${path}", which cannot be read: ${(error as Error).message}`);
  }
}

/** Runs something whose errors say how much was acknowledged. */
export async function telling<T>(acknowledged: () => number, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof BebrError) {
      error.acknowledged = acknowledged();
      if (error.acknowledged > 0) error.message += ` (before it failed, ${error.acknowledged} documents were acknowledged)`;
    }
    throw error;
  }
}

function withLimit(code: Code, message: string, facts: ErrorFacts, firstRow: number, rowOf = (sent: number) => sent): BebrError {
  const limited = code === "INVALID_ARGUMENT" || code === "RESOURCE_EXHAUSTED";
  const limit = limited ? LIMIT.exec(message.slice(message.indexOf(";") + 1)) : null;
  const entry = code === "INVALID_ARGUMENT" ? ENTRY.exec(facts.field ?? message) : null;
  return new BebrError(code, message, { ...facts, limit: limit ? Number(limit[1]) : undefined, row: entry ? rowOf(firstRow + Number(entry[1])) : undefined });
}

/** The canonical name of a status code. */
export const codeName = (code: number): Code => (status[code] ?? "UNKNOWN") as Code;

/** Of a message of StreamUpsert, which has no details: its field stands at the beginning. */
export function ofAnswer(code: number, message: string, firstRow: number, rowOf: (sent: number) => number): BebrError {
  const name = codeName(code);
  const field = name === "INVALID_ARGUMENT" ? /^[a-z][a-z0-9_.[\]]*(?=[ :])/.exec(message)?.[0] : undefined;
  return withLimit(name, message, { field }, firstRow, rowOf);
}

/** What gRPC says of a connection that did not come about, in words that help. */
function connection(message: string): string {
  const text = message.replace(/\s*\. Resolution note: $/, "");
  if (/wrong version number/.test(text)) return `${text}; it seems to have no TLS: then leave out https:// and tlsCa`;
  if (/certificate/.test(text)) return `${text}; set tlsCa to the authority that signed the server's certificate`;
  if (/Last error: Failed to connect/.test(text)) return `${text}; if it has TLS, write https:// before its name or set tlsCa`;
  return text;
}

/** Of what gRPC throws, with the details that came with it. */
export function ofCall(failure: ServiceError, server: string, firstRow: number): BebrError {
  let code = codeName(failure.code);
  let message = failure.details;
  const facts: ErrorFacts = {};
  const packed = failure.metadata?.get("grpc-status-details-bin")[0];
  if (packed instanceof Uint8Array) {
    for (const detail of fromBinary(StatusSchema, packed).details) {
      facts.field ??= anyUnpack(detail, BadRequestSchema)?.fieldViolations[0]?.field;
      const delay = anyUnpack(detail, RetryInfoSchema)?.retryDelay;
      if (delay) facts.retryAfterMs = Number(delay.seconds) * 1000 + delay.nanos / 1e6;
    }
  }
  if (facts.field === undefined && code === "INVALID_ARGUMENT" && message.startsWith("filter,")) facts.field = "filter";
  // Calls of this client are cancelled by their signal alone, which is told otherwise: the server ends its calls when it stops.
  if (code === "CANCELLED") code = "UNAVAILABLE";
  if (code === "UNAVAILABLE") message = `${server} does not answer: ${connection(message)}`;
  if (code === "DEADLINE_EXCEEDED") message = `${server} has not answered in time: ${message}; allow more by timeoutMs`;
  return withLimit(code, message, facts, firstRow);
}
