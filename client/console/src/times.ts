// How long calls took between two looks, from histograms in Prometheus's text format that only ever grow.

// Upper bounds of buckets in seconds, and how many calls took as long or less.
export type Histogram = Map<number, number>;

export const kSearches: readonly string[] = ["Search", "BatchSearch"];
export const kWrites: readonly string[] = ["Upsert", "UpdateAttributes", "Delete"];

// The histograms of these methods as one.
export function readTimes(text: string, methods: readonly string[]): Histogram {
  const sums: Histogram = new Map();
  for (const [, method = "", le = "", calls] of text.matchAll(/^grpc_server_handling_seconds_bucket\{grpc_method="(\w+)",.*le="([^"]+)"\} (\d+)/gm)) {
    if (!methods.includes(method)) continue;
    const bound = le === "+Inf" ? Infinity : Number(le);
    sums.set(bound, (sums.get(bound) ?? 0) + Number(calls));
  }
  return sums;
}

// Milliseconds within which this share of the calls between two looks was answered, as exact as the buckets are; nothing if there were none.
export function percentile(before: Histogram, after: Histogram, share: number): number | undefined {
  const bounds = [...after.keys()].sort((a, b) => a - b);
  const since = (bound: number) => (after.get(bound) ?? 0) - (before.get(bound) ?? 0);
  const wanted = share * since(Infinity);
  if (!(wanted > 0)) return undefined;
  let low = 0, below = 0;
  for (const bound of bounds) {
    const here = since(bound);
    if (here >= wanted) return 1000 * (bound === Infinity ? low : low + ((bound - low) * (wanted - below)) / (here - below));
    low = bound;
    below = here;
  }
  return 1000 * low;
}
