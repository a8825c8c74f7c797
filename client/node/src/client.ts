import { Collection } from "./collection.js";
import { BebrError, invalid } from "./errors.js";
import { AdminService } from "./gen/bebr/v1/admin_pb.js";
import { CollectionService, type CreateCollectionRequestSchema } from "./gen/bebr/v1/collections_pb.js";
import { modelParts } from "./model.js";
import { callOptions, whole } from "./options.js";
import { type CollectionStats, fromRules, type Snapshot, toFloatStorage, toMetric, toRules, toSnapshot, toStats } from "./stats.js";
import { type ClientOptions, Transport } from "./transport.js";
import type { CallOptions, CreateByDims, CreateByModel, CreateOptions } from "./types.js";
import type { MessageInitShape } from "@bufbuild/protobuf";

/** Counters of a server since its start. */
export interface ServerStats {
  buildVersion: string;
  simd: string;
  threads: number;
  /** All others, by their names in proto/bebr/v1/admin.proto. */
  counters: Record<string, bigint>;
}

/**
 * A server, and the collections in it.
 *
 *     const client = new Client("127.0.0.1:7700");
 *     const papers = client.collection("papers");
 *
 * Calls are sent again where that is harmless alone: reads and writes of documents that got no answer, and whatever the server refused
 * with a time to wait. A client that its server has answered before goes on until `timeoutMs`, in pauses that double to 2 s, as while a
 * server starts anew; one that never had an answer tries `retries` times again, some 3 s; with 0 nothing is sent again. Creations, drops, promotions and snapshots that got no answer are never sent again. One connection, made by the
 * first call; it keeps the process alive only while calls wait.
 */
export class Client {
  private readonly transport: Transport;

  /** `server` is HOST:PORT, or https://HOST:PORT for TLS with the authorities that Node knows; BEBR_SERVER, or this machine, unless it is given. */
  constructor(server?: string, options: ClientOptions = {}) {
    this.transport = new Transport(server, options);
  }

  close(): void {
    this.transport.close();
  }

  /** Makes a collection: with `dims` the server makes the binarizer, from the documents as they come; with `model` it is that of bebr-train. */
  async create(name: string, options: CreateOptions): Promise<Collection> {
    const call = callOptions(options as CreateByDims & CreateByModel, "dims", "bits", "recall", "metric", "model", "version", "storeFloats", "shards", "expectedDocuments", "defaultRerank", "attributes", "existOk");
    const { storeFloats = "f16", shards = 0, expectedDocuments = 0, defaultRerank = 0, attributes = {} } = options;
    const byDims = "dims" in options && options.dims !== undefined;
    const byModel = "model" in options && options.model !== undefined;
    if (byDims === byModel) throw invalid(byDims ? "model" : "dims", "create takes dims, and the server makes the binarizer, or model, a binarizer's file; give one of them");
    const config = { name, storeFloats: toFloatStorage(storeFloats), shards: whole("shards", shards), expectedDocuments: BigInt(expectedDocuments), defaultRerank: whole("defaultRerank", defaultRerank), attributes: toRules(attributes) };
    const requests: MessageInitShape<typeof CreateCollectionRequestSchema>[] = [];
    if (byDims) {
      const { dims, bits = 0, recall = 0, metric = "cosine" } = options;
      requests.push({ part: { case: "config", value: { ...config, autoBinarizer: { dims: whole("dims", dims), bits: whole("bits", bits), recall, metric: toMetric(metric) } } } });
    } else {
      const { model, version = "" } = options as Extract<CreateOptions, { model: Uint8Array }>;
      requests.push({ part: { case: "config", value: { ...config, version } } }, ...modelParts(model));
    }
    try {
      await this.transport.upload(CollectionService.method.createCollection, requests, call);
    } catch (error) {
      if (!options.existOk || !(error instanceof BebrError) || error.code !== "ALREADY_EXISTS") throw error;
      const there = await this.collection(name).stats(call);
      const version = there.versions.find((one) => one.name === there.defaultVersion);
      const metric = byDims ? (options.metric === "ip" ? "inner_product" : (options.metric ?? "cosine")) : undefined;
      if (byDims && (version?.inputDims !== options.dims || version.metric !== metric)) {
        throw new BebrError("ALREADY_EXISTS", `collection "${name}" is there for embeddings of ${version?.inputDims} floats and ${version?.metric}, not of ${options.dims} and ${metric}: take another name, or drop it`);
      }
      const asked = fromRules(config.attributes);
      for (const attribute of Object.keys(asked).length > 0 ? Object.keys({ ...there.attributes, ...asked }) : []) {
        const [has, wanted] = [there.attributes[attribute], asked[attribute]].map((rule) => (rule === undefined ? "of no rule" : `of "${rule}"`));
        if (has !== wanted) throw new BebrError("ALREADY_EXISTS", `collection "${name}" is there with attributes.${attribute} ${has}, not ${wanted}: take another name, or drop it`);
      }
    }
    return this.collection(name);
  }

  /** A collection or an alias, by name. Calls nothing: whether it is there, its first call tells. */
  collection(name: string): Collection {
    return new Collection(this.transport, name);
  }

  /** All collections that the key may see, by name. */
  async collections(options: CallOptions = {}): Promise<CollectionStats[]> {
    return (await this.transport.unary(CollectionService.method.listCollections, {}, options, true)).collections.map(toStats);
  }

  /** Collections on the server's disk that cannot be opened, and why; collections() has the others. */
  async unavailable(options: CallOptions = {}): Promise<Map<string, string>> {
    const { unavailable } = await this.transport.unary(CollectionService.method.listCollections, {}, options, true);
    return new Map(unavailable.map((one) => [one.name, one.reason]));
  }

  /** Drops a collection and its data, for good; its snapshots stay. */
  async drop(name: string, options: CallOptions = {}): Promise<void> {
    await this.transport.unary(CollectionService.method.deleteCollection, { name }, options, false);
  }

  /** The collection of every alias. */
  async aliases(options: CallOptions = {}): Promise<Map<string, string>> {
    const { aliases } = await this.transport.unary(CollectionService.method.listAliases, {}, options, true);
    return new Map(aliases.map((alias) => [alias.name, alias.collection]));
  }

  /** Of all collections, also dropped ones. */
  async snapshots(options: CallOptions = {}): Promise<Snapshot[]> {
    return (await this.transport.unary(AdminService.method.listSnapshots, {}, options, true)).snapshots.map(toSnapshot);
  }

  /** Makes a new collection of a snapshot of `collection`, which need not exist any more. */
  async restore(collection: string, snapshot: string, newCollection: string, options: CallOptions = {}): Promise<Collection> {
    await this.transport.unary(AdminService.method.restoreSnapshot, { collection, name: snapshot, newCollection }, options, false);
    return this.collection(newCollection);
  }

  /** The server's counters. */
  async stats(options: CallOptions = {}): Promise<ServerStats> {
    const { buildVersion, simd, threads, ...others } = await this.transport.unary(AdminService.method.getStats, {}, options, true);
    const counters = Object.entries(others).filter((entry): entry is [string, bigint] => typeof entry[1] === "bigint");
    return { buildVersion, simd, threads, counters: Object.fromEntries(counters) };
  }
}
