// What a shard holds, in sixteen bytes: by these replicas of it are compared.
#ifndef BEBR_INDEX_REPLICA_DIGEST_H_
#define BEBR_INDEX_REPLICA_DIGEST_H_

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/storage/collection_store.h"

namespace bebr {

// The digest of a shard's documents: ids, attributes, codes, marks and floats, as they are on disk. It is the sum,
// modulo 2^128, of the first half of the SHA-256 of each fact (FORMAT.md), so it does not depend on the order in which
// anything was written, on segments, rows, table files or restarts. Two shards that differ in a fact have the same
// digest by a chance of one in 2^128.
struct ShardDigest {
  uint64_t documents = 0;
  uint64_t high = 0;
  uint64_t low = 0;
  bool operator==(const ShardDigest&) const = default;
};
std::string ToText(const ShardDigest& digest);

// That of a shard of the store as `view` sees it, with these spaces and embeddings. Reads all of it once, in order and
// past the cache: so it costs what reading the shard's files costs, and a second for some hundred MB. It is not kept up
// while documents change: a replaced document's old floats would have to be read for that.
// `go_on` is told of bytes that were read; an error of it ends it.
absl::StatusOr<ShardDigest> DigestShard(CollectionStore& store, const CollectionStore::View& view, uint32_t shard,
                                        absl::Span<const uint32_t> spaces, absl::Span<const uint32_t> embeddings,
                                        absl::FunctionRef<absl::Status(uint64_t bytes)> go_on);

}  // namespace bebr

#endif  // BEBR_INDEX_REPLICA_DIGEST_H_
