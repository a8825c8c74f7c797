// The server's API as JSON over HTTP, typed by what protoc makes of the .proto files: a change of the API that the console does not
// follow fails the build.
import type {
  EstimateMemoryRequestJson, EstimateMemoryResponseJson, GetStatsRequestJson, GetStatsResponseJson,
} from "bebr/v1/admin_pb";
import type {
  BackfillVersionRequestJson, BackfillVersionResponseJson, CheckVersionRequestJson, CheckVersionResponseJson,
  ListAliasesRequestJson, ListAliasesResponseJson, ListCollectionsRequestJson, ListCollectionsResponseJson,
  PromoteVersionRequestJson, PromoteVersionResponseJson, RetireVersionRequestJson, RetireVersionResponseJson,
} from "bebr/v1/collections_pb";
import type { GetRequestJson, GetResponseJson, ScrollRequestJson, ScrollResponseJson } from "bebr/v1/documents_pb";
import type { SearchRequestJson, SearchResponseJson } from "bebr/v1/search_pb";
import { keys, keyFor } from "./keys";

interface Methods {
  "AdminService/GetStats": [GetStatsRequestJson, GetStatsResponseJson];
  "AdminService/EstimateMemory": [EstimateMemoryRequestJson, EstimateMemoryResponseJson];
  "CollectionService/ListCollections": [ListCollectionsRequestJson, ListCollectionsResponseJson];
  "CollectionService/ListAliases": [ListAliasesRequestJson, ListAliasesResponseJson];
  "CollectionService/CheckVersion": [CheckVersionRequestJson, CheckVersionResponseJson];
  "CollectionService/BackfillVersion": [BackfillVersionRequestJson, BackfillVersionResponseJson];
  "CollectionService/PromoteVersion": [PromoteVersionRequestJson, PromoteVersionResponseJson];
  "CollectionService/RetireVersion": [RetireVersionRequestJson, RetireVersionResponseJson];
  "DocumentService/Get": [GetRequestJson, GetResponseJson];
  "DocumentService/Scroll": [ScrollRequestJson, ScrollResponseJson];
  "SearchService/Search": [SearchRequestJson, SearchResponseJson];
}
export type Method = keyof Methods;

// Those that want the role admin.
const kChanges: ReadonlySet<Method> = new Set<Method>([
  "CollectionService/CheckVersion", "CollectionService/BackfillVersion", "CollectionService/PromoteVersion",
  "CollectionService/RetireVersion",
]);

const kDeadlineMs = 30_000;
const kLongDeadlineMs = 30 * 60_000;  // a check reads all floats, a retirement waits for the disk

// A call that failed. `code` is the canonical one in lower case, or "unreachable" if no server answered.
export class ApiError extends Error {
  constructor(readonly code: string, message: string, readonly method: string, readonly retryAfterS: number) {
    super(message);
  }
}

async function failure(response: Response, method: string): Promise<ApiError> {
  const retryAfterS = Number(response.headers.get("Retry-After") ?? 0);
  try {
    const body = await response.json() as { code?: string; message?: string };
    return new ApiError(body.code ?? "unknown", body.message ?? `HTTP ${response.status}`, method, retryAfterS);
  } catch {
    return new ApiError("unknown", `HTTP ${response.status} without a message`, method, retryAfterS);
  }
}

// Calls the server that served this page. Throws ApiError; an AbortError if `signal` says so.
export async function call<M extends Method>(method: M, request: Methods[M][0], signal?: AbortSignal): Promise<Methods[M][1]> {
  const change = kChanges.has(method);
  const key = keyFor(change);
  const headers: Record<string, string> = {
    "Content-Type": "application/json",
    "Connect-Protocol-Version": "1",
    "Connect-Timeout-Ms": String(change ? kLongDeadlineMs : kDeadlineMs),
  };
  if (key) headers["Authorization"] = `Bearer ${key}`;
  let response: Response;
  try {
    response = await fetch(`/bebr.v1.${method}`, {
      method: "POST", headers, body: JSON.stringify(request), credentials: "omit", cache: "no-store", signal: signal ?? null,
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError("unreachable", "no answer from the server", method, 0);
  }
  if (!response.ok) throw await failure(response, method);
  if (!key) keys.foundOpen();
  return await response.json() as Methods[M][1];
}

// How long calls took since the server's start, in Prometheus's text format; nothing of a server that does not say.
export async function callTimes(): Promise<string | undefined> {
  const key = keyFor(false);
  try {
    const response = await fetch("times", { headers: key ? { Authorization: `Bearer ${key}` } : {}, credentials: "omit", cache: "no-store" });
    return response.ok ? await response.text() : undefined;
  } catch {
    return undefined;  // the calls beside it tell
  }
}

// What to do about an error, in a sentence or two; the server's own message says the field, the value and the limit.
export function advice(error: ApiError): string {
  switch (error.code) {
    case "unreachable":
      return "Is bebr-server still running, and with --http_listen at this address? The page tries again by itself.";
    case "unauthenticated":
      return "This server answers only to the keys of its keys_file.";
    case "permission_denied":
      return "The key lacks the role or the collection. Changes need a key with the role admin: type it under Keys.";
    case "resource_exhausted":
      return error.retryAfterS > 0
        ? `Try again in ${error.retryAfterS} s; if it stays so, the server has more to do than it can.`
        : "Ask for less (a smaller k, fewer documents), or raise the limit that the message names.";
    case "deadline_exceeded":
      return "The server is busy or the request large. Try again, or ask for less.";
    case "unavailable":
      return "Wait a moment and try again. If it stays so, look into the server's log.";
    case "failed_precondition":
      return "The request is right, but not now: change what the message names, then try again.";
    case "not_found":
      return "It may have been dropped or renamed. Go back to the collections.";
    case "invalid_argument":
      return "Correct what the message names.";
    case "data_loss":
      return "A checksum on disk is wrong. Restore the collection from a snapshot: bebr snapshot restore.";
    case "unimplemented":
      return "This server is older or newer than the console. Use the console that came with it.";
    default:
      return "Look into the server's log.";
  }
}
