// Many documents over one stream, a few messages at a time; what a lost connection left open is sent again.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { ClientDuplexStream, ServiceError } from "@grpc/grpc-js";

import { BebrError, checkTexts, codeName, invalid, ofAnswer, ofCall, telling } from "./errors.js";
import {
  type DocumentError as DocumentErrorMessage, DocumentService, type StreamUpsertRequest, StreamUpsertRequestSchema, type StreamUpsertResponse, UpsertMode, type UpsertOptionsSchema,
} from "./gen/bebr/v1/documents_pb.js";
import { whole } from "./options.js";
import { pause, Patience, type Transport } from "./transport.js";
import type { DocumentError, Upserted, UpsertOptions } from "./types.js";
import type { DocumentInit, LeftOut } from "./values.js";

// Messages on their way. The server answers four at a time unless it is set otherwise; the others fill the pause between.
const WINDOW = 8;
// A server that is full stays so: after so many refusals in a row waiting is no use.
const MOST_REFUSALS = 300;
const REFUSAL_PAUSE_MS = 100;

/** One StreamUpsert call, with its answers as a queue. */
class Call {
  private readonly call: ClientDuplexStream<StreamUpsertRequest, StreamUpsertResponse>;
  private readonly arrived: (StreamUpsertResponse | BebrError)[] = [];
  private wake: (() => void) | undefined;

  constructor(private readonly transport: Transport) {
    this.call = transport.stream(DocumentService.method.streamUpsert);
    const put = (answer: StreamUpsertResponse | BebrError) => {
      this.arrived.push(answer);
      this.wake?.();
    };
    this.call.on("data", put);
    this.call.on("error", (error: ServiceError) => put(ofCall(error, transport.server, 0)));
    this.call.on("end", () => put(new BebrError("UNAVAILABLE", `${transport.server} ended the stream before everything was acknowledged`)));
  }

  send(message: StreamUpsertRequest): void {
    this.call.write(message);
  }

  /** The next answer; throws what ended the call. */
  async receive({ timeoutMs, deadline }: Patience, signal: AbortSignal | undefined): Promise<StreamUpsertResponse> {
    if (this.arrived.length === 0) {
      const late = new AbortController();
      const stop = () => late.abort();
      signal?.addEventListener("abort", stop, { once: true });
      const arrival = new Promise<void>((resolve) => (this.wake = resolve));
      await Promise.race([arrival, Number.isFinite(timeoutMs) ? pause(deadline - Date.now(), late.signal).catch(() => undefined) : aborted(late.signal)]);
      signal?.removeEventListener("abort", stop);
      late.abort();
      this.wake = undefined;
    }
    signal?.throwIfAborted();
    const answer = this.arrived.shift();
    if (answer === undefined) throw new BebrError("DEADLINE_EXCEEDED", `${this.transport.server} has acknowledged nothing for ${timeoutMs} ms`);
    if (answer instanceof BebrError) throw answer;
    return answer;
  }

  cancel(): void {
    this.call.cancel();
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

/** How documents are written, as the API has it. */
export function writing(options: UpsertOptions): { mode: UpsertMode; options: MessageInitShape<typeof UpsertOptionsSchema> } {
  const { merge = false, replaceAll = false, ifAbsent = false, ifNewerBy = "", partial = false, modelChecksum = 0 } = options;
  if (merge && (replaceAll || ifAbsent || ifNewerBy)) {
    throw invalid("merge", "merge is for documents that exist, and leaves all else of them; replaceAll, ifAbsent and ifNewerBy do not go with it");
  }
  const mode = merge ? UpsertMode.MERGE : replaceAll ? UpsertMode.REPLACE_ALL : UpsertMode.REPLACE;
  return { mode, options: { onlyIfAbsent: ifAbsent, onlyIfNewerBy: ifNewerBy, partial, modelChecksum: whole("modelChecksum", modelChecksum) } };
}

/** The documents of a message that a partial upsert has not written; `first` is which its first one is of those sent. */
export function notWritten(errors: readonly DocumentErrorMessage[], first: number, leftOut: LeftOut): DocumentError[] {
  return errors.map(({ index, id, code, message }) => ({ row: leftOut.row(first + index), id, code: codeName(code), message }));
}

export const byRow = (errors: DocumentError[]): DocumentError[] => errors.sort((a, b) => a.row - b.row);

/** Sends batches as fast as the server takes them. A message's sequence number is that of its first document among those sent. */
export async function upsertStream(transport: Transport, collection: string, batches: AsyncIterable<DocumentInit[]> | Iterable<DocumentInit[]>, leftOut: LeftOut, options: UpsertOptions): Promise<Upserted> {
  const result: Upserted = { documents: 0, created: 0, unknownIds: [], skippedIds: [], errors: [] };
  const how = writing(options);
  checkTexts({ collection, version: options.version, ...how.options }, "");
  const waiting = new Map<bigint, StreamUpsertRequest>();
  const patience = new Patience(transport.retries, transport.contact, options.timeoutMs ?? transport.timeoutMs, true); // which each answer renews
  let refusals = 0;
  let call = new Call(transport);

  const reopen = async (error: unknown) => {
    const wait = error instanceof BebrError && error.code === "UNAVAILABLE" ? patience.pauseAfter(error) : undefined;
    if (wait === undefined) throw error;
    call.cancel();
    await pause(wait, options.signal);
    call = new Call(transport);
    for (const message of waiting.values()) call.send(message);
  };

  const take = async (answer: StreamUpsertResponse) => {
    transport.contact.made = true;
    patience.progress();
    if (answer.errorCode !== 0) {
      const error = ofAnswer(answer.errorCode, answer.errorMessage, Number(answer.sequence), (sent) => leftOut.row(sent));
      if (error.code !== "RESOURCE_EXHAUSTED" || ++refusals > MOST_REFUSALS) throw error;
      await pause(REFUSAL_PAUSE_MS, options.signal);
      call.send(waiting.get(answer.sequence) as StreamUpsertRequest);
      return;
    }
    refusals = 0;
    waiting.delete(answer.sequence);
    result.documents += Number(answer.documents);
    result.created += Number(answer.created);
    result.unknownIds.push(...answer.unknownIds);
    result.skippedIds.push(...answer.skippedIds);
    result.errors.push(...notWritten(answer.errors, Number(answer.sequence), leftOut));
    options.progress?.(result.documents);
  };

  const advance = async () => {
    let answer: StreamUpsertResponse;
    try {
      answer = await call.receive(patience, options.signal);
    } catch (error) {
      return reopen(error);
    }
    return take(answer);
  };

  let sequence = 0n;
  const send = async () => {
    for await (const documents of batches) {
      const message = create(StreamUpsertRequestSchema, { collection, documents, sequence, ...how });
      sequence += BigInt(documents.length);
      while (waiting.size >= WINDOW) await advance();
      waiting.set(message.sequence, message);
      call.send(message);
      patience.progress(); // the time that documents take to come is not the server's
    }
    while (waiting.size > 0) await advance();
  };
  try {
    await telling(() => result.documents, send);
  } finally {
    call.cancel();
  }
  result.errors = byRow([...result.errors, ...leftOut.errors]);
  return result;
}
