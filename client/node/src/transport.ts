// The way to a server: address, keys, TLS, calls with their deadlines, and when a call is sent again.
import { create, type DescMessage, type DescMethodBiDiStreaming, type DescMethodClientStreaming, DescMethodServerStreaming, type DescMethodUnary, fromBinary, type MessageInitShape, type MessageShape, toBinary } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";

import { BebrError, checkTexts, fileBytes, invalid, ofCall } from "./errors.js";
import { callOptions, known } from "./options.js";
import type { CallOptions } from "./types.js";

/** What is not given comes from the environment: BEBR_SERVER, BEBR_API_KEY, BEBR_TLS_CA, BEBR_TLS_CERT, BEBR_TLS_KEY. */
export interface ClientOptions {
  apiKey?: string;
  /** Of each call, tries and pauses together; of an upsert of more than one message the longest time without an answer. 30,000 unless it is given. */
  timeoutMs?: number;
  /** How often a call is sent again, where that is harmless, to a server that has never answered this client; 5 unless it is given. 0: nothing is ever sent again. */
  retries?: number;
  /** File of the authority that signed the server's certificate: switches TLS on, as https:// before the server's name does. */
  tlsCa?: string;
  /** Files of the client's own certificate. */
  tlsCert?: string;
  tlsKey?: string;
}

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2000;

/** Waits, unless the signal ends that. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** Whether a client's server has answered it yet: one that has will again, and one that never did may not be there. */
export interface Contact {
  made: boolean;
}

/**
 * Decides, for one call or stream, whether and when it is sent again: what the server has refused before it began (RESOURCE_EXHAUSTED
 * with a time to wait), whatever it is, and what got no answer (UNAVAILABLE), if that is harmless. Pauses double to 2 s and are never
 * shorter than the server asks. It goes on until the timeout, since a server may take long to start; but where the server has never
 * answered this client, for `retries` tries alone. With 0 retries nothing is sent again.
 */
export class Patience {
  private tries = 0;
  private end = 0;

  constructor(private readonly retries: number, private readonly contact: Contact, readonly timeoutMs: number, private readonly again: boolean) {
    this.progress();
  }

  get deadline(): number {
    return this.end;
  }

  /** Something went well: the tries and the timeout begin anew. */
  progress(): void {
    this.tries = 0;
    this.end = Date.now() + this.timeoutMs;
  }

  /** Milliseconds to wait before the next try; undefined: there is none. */
  pauseAfter(error: BebrError): number | undefined {
    // Most errors are answers.
    if (!["UNAVAILABLE", "DEADLINE_EXCEEDED"].includes(error.code)) this.contact.made = true;
    const refused = error.code === "RESOURCE_EXHAUSTED" && error.retryAfterMs !== undefined;
    const lost = error.code === "UNAVAILABLE" && this.again;
    const enough = this.contact.made ? this.retries <= 0 : this.tries >= this.retries;
    if (!(refused || lost) || enough) return undefined;
    const asked = error.retryAfterMs ?? 0;
    const wait = Math.max(asked, Math.min(LONGEST_PAUSE_MS, Math.max(FIRST_PAUSE_MS, asked) * 2 ** this.tries) * (0.75 + 0.5 * Math.random()));
    if (Date.now() + wait >= this.end) return undefined;
    ++this.tries;
    return wait;
  }
}

function credentials(tls: boolean, options: ClientOptions): grpc.ChannelCredentials {
  const file = (path: string | undefined, what: string) => (path ? fileBytes(path, what) : null);
  const ca = options.tlsCa ?? process.env["BEBR_TLS_CA"];
  const cert = options.tlsCert ?? process.env["BEBR_TLS_CERT"];
  const key = options.tlsKey ?? process.env["BEBR_TLS_KEY"];
  if (tls || ca) return grpc.credentials.createSsl(file(ca, "tlsCa"), file(key, "tlsKey"), file(cert, "tlsCert"));
  if (cert || key) throw invalid("tlsCa", "tlsCert and tlsKey are for TLS: set tlsCa, the authority of the server's certificate, or https:// before the server's name");
  return grpc.credentials.createInsecure();
}

type Method = { name: string; parent: { typeName: string }; input: DescMessage; output: DescMessage };

const path = (method: Method) => `/${method.parent.typeName}/${method.name}`;
const writer = <T extends DescMessage>(schema: T) => (message: MessageShape<T>) => Buffer.from(toBinary(schema, message));
const reader = <T extends DescMessage>(schema: T) => (bytes: Buffer) => fromBinary(schema, bytes);

/** One server, one connection. */
export class Transport {
  readonly server: string;
  readonly timeoutMs: number;
  readonly retries: number;
  readonly contact: Contact = { made: false };
  private readonly apiKey: string | undefined;
  private readonly grpc: grpc.Client;

  constructor(server: string | undefined, options: ClientOptions) {
    known(options, "apiKey", "timeoutMs", "retries", "tlsCa", "tlsCert", "tlsKey");
    this.server = server ?? process.env["BEBR_SERVER"] ?? "127.0.0.1:7700";
    this.timeoutMs = options.timeoutMs ?? 30_000;
    this.retries = options.retries ?? 5;
    this.apiKey = options.apiKey ?? process.env["BEBR_API_KEY"];
    const found = /^(?:(https?):\/\/)?([^/]+)$/.exec(this.server);
    if (!found) throw invalid("server", `server is "${this.server}"; it is HOST:PORT, or https://HOST:PORT for TLS`);
    // A name without a port has the server's own, after https:// 443.
    const address = (found[2] as string) + (found[1] !== "https" && /^([^:]+|\[.*\])$/.test(found[2] as string) ? ":7700" : "");
    const port = /:([^\]]*)$/.exec(address)?.[1];
    if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65535)) {
      throw invalid("server", `server is "${this.server}", whose port is "${port}"; it is HOST:PORT with a port of 1 to 65535, or HOST alone for 7700`);
    }
    this.grpc = new grpc.Client(address, credentials(found[1] === "https", options), {
      // The server's limit is the one that counts.
      "grpc.max_send_message_length": -1,
      "grpc.max_receive_message_length": -1,
      // A connection that died silently is noticed while calls wait for it.
      "grpc.keepalive_time_ms": 30_000,
      "grpc.keepalive_timeout_ms": 10_000,
      // The pauses between tries are Patience's.
      "grpc.enable_retries": 0,
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 2000,
    });
  }

  close(): void {
    this.grpc.close();
  }

  /** `again`: whether the call may be sent again when nobody knows whether it took effect. */
  unary<I extends DescMessage, O extends DescMessage>(method: DescMethodUnary<I, O>, request: MessageInitShape<I>, options: CallOptions, again: boolean, firstRow = 0): Promise<MessageShape<O>> {
    checkTexts(request, "");
    const message = create(method.input, request);
    return this.withPatience(options, again, firstRow, (metadata, deadline, callback) =>
      this.grpc.makeUnaryRequest(path(method), writer(method.input), reader(method.output), message, metadata, deadline, callback),
    );
  }

  /** A read whose answer is a stream of messages. */
  pieces<I extends DescMessage, O extends DescMessage>(method: DescMethodServerStreaming<I, O>, request: MessageInitShape<I>, options: CallOptions): Promise<MessageShape<O>[]> {
    checkTexts(request, "");
    const message = create(method.input, request);
    return this.withPatience(options, true, 0, (metadata, deadline, callback) => {
      const found: MessageShape<O>[] = [];
      const call = this.grpc.makeServerStreamRequest(path(method), writer(method.input), reader(method.output), message, metadata, deadline);
      call.on("data", (piece: MessageShape<O>) => found.push(piece));
      call.on("error", (error: grpc.ServiceError) => callback(error));
      call.on("end", () => callback(null, found));
      return call;
    });
  }

  /** A call whose request is a stream of messages. */
  upload<I extends DescMessage, O extends DescMessage>(method: DescMethodClientStreaming<I, O>, requests: MessageInitShape<I>[], options: CallOptions): Promise<MessageShape<O>> {
    requests.forEach((request) => checkTexts(request, ""));
    return this.withPatience(options, false, 0, (metadata, deadline, callback) => {
      const call = this.grpc.makeClientStreamRequest(path(method), writer(method.input), reader(method.output), metadata, deadline, callback);
      for (const request of requests) call.write(create(method.input, request));
      call.end();
      return call;
    });
  }

  stream<I extends DescMessage, O extends DescMessage>(method: DescMethodBiDiStreaming<I, O>): grpc.ClientDuplexStream<MessageShape<I>, MessageShape<O>> {
    return this.grpc.makeBidiStreamRequest(path(method), writer(method.input), reader(method.output), this.metadata());
  }

  private metadata(): grpc.Metadata {
    const metadata = new grpc.Metadata();
    if (this.apiKey) metadata.set("authorization", `Bearer ${this.apiKey}`);
    return metadata;
  }

  private async withPatience<T>(
    options: CallOptions,
    again: boolean,
    firstRow: number,
    start: (metadata: grpc.Metadata, options: grpc.CallOptions, callback: (error: grpc.ServiceError | null, value?: T) => void) => grpc.Call,
  ): Promise<T> {
    callOptions(options);
    const patience = new Patience(this.retries, this.contact, options.timeoutMs ?? this.timeoutMs, again);
    const { signal } = options;
    for (;;) {
      signal?.throwIfAborted();
      const outcome = await new Promise<{ value: T } | BebrError>((resolve) => {
        const call = start(this.metadata(), { deadline: patience.deadline }, (error, value) => {
          signal?.removeEventListener("abort", cancel);
          resolve(error ? ofCall(error, this.server, firstRow) : { value: value as T });
        });
        const cancel = () => call.cancel();
        signal?.addEventListener("abort", cancel, { once: true });
      });
      signal?.throwIfAborted();
      if (!(outcome instanceof BebrError)) {
        this.contact.made = true;
        return outcome.value;
      }
      const wait = patience.pauseAfter(outcome);
      if (wait === undefined) throw outcome;
      await pause(wait, signal);
    }
  }
}
