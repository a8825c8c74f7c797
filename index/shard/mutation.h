// What is asked of the shards of a collection.
#ifndef BEBR_INDEX_SHARD_MUTATION_H_
#define BEBR_INDEX_SHARD_MUTATION_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "index/segment/segment.h"
#include "index/types/document.h"
#include "index/types/write.h"

namespace bebr {

// What a mutation does to its document.
enum class MutationKind : uint8_t {
  kReplaceAll,  // insert the document, or replace all of it
  kReplace,     // the same, but codes and floats of embeddings that do not come stay
  kMerge,       // give a document that exists these codes and floats; the rest of it stays
  kUpdate,      // change the attributes of a document that exists; the rest of it stays
  kDelete,
};

// One change of one document. Everything is borrowed from the Mutations that hold it.
struct Mutation {
  struct Floats {
    uint32_t embedding = 0;
    std::string_view bytes;
  };
  MutationKind kind = MutationKind::kReplaceAll;
  std::string_view id;
  const Attributes* attributes = nullptr;  // of a kReplaceAll or kReplace
  absl::InlinedVector<RowCode, 1> codes;   // one a space
  absl::InlinedVector<Floats, 1> floats;
  const AttributeChange* change = nullptr;  // of a kUpdate
  // Conditions: without effect on a document that exists; or on one whose integer of this name is not less than that in
  // `attributes`.
  bool only_if_absent = false;
  const std::string* newer_by = nullptr;
  // A kMerge made from what was read before: without effect unless the document still is this row, that is unless
  // nobody has written it meanwhile. The owner keeps the segment.
  const Segment* expected_segment = nullptr;
  uint32_t expected_row = 0;
  // The same, of a kMerge that replicas apply, which have rows of their own: without effect unless the document still
  // has floats of this embedding and this CRC-32C, of which its codes were made.
  struct FloatsCheck {
    uint32_t embedding = 0;
    uint32_t crc32c = 0;
    bool operator==(const FloatsCheck&) const = default;
  };
  std::optional<FloatsCheck> expected_floats;
  // It adds codes made of what is stored, which says nothing new of the document.
  bool adds_codes() const { return expected_segment != nullptr || expected_floats.has_value(); }

  // Filled in by the shard when the mutation's turn has come.
  bool applies = true;
  bool skipped = false;                      // since a condition does not hold
  bool keeps = false;                        // codes and floats of the document as it was stay, but those that come
  absl::InlinedVector<uint32_t, 2> dropped;  // spaces whose codes do not
  std::shared_ptr<const Attributes> attributes_after;  // of a kUpdate
  absl::InlinedVector<uint32_t, 2> marks;  // embeddings whose floats no code of the document tells of, sorted
};

// Whether what a mutation does depends on no document that is there, if its shard holds documents of one embedding.
inline bool IsPlain(const Mutation& mutation) {
  return mutation.kind != MutationKind::kMerge && mutation.kind != MutationKind::kUpdate && !mutation.only_if_absent &&
         mutation.newer_by == nullptr && mutation.floats.size() <= 1;
}

// What came of Mutations, all together.
struct MutationResult {
  uint64_t documents = 0;                // upserted, updated or deleted
  uint64_t created = 0;                  // of the upserted
  std::vector<std::string> unknown_ids;  // of merges and updates: documents that do not exist
  std::vector<std::string> skipped_ids;  // kept as they are by a condition
  absl::Status refused;                  // not OK: none of them took effect, and this is why
  WriteTimings timings;
};

// The mutations of one request, by shard and in order: all of them take effect at once, or none. `owner` keeps alive
// what they borrow.
struct Mutations {
  explicit Mutations(size_t shards) : by_shard(shards) {}

  std::vector<std::vector<Mutation>> by_shard;
  std::shared_ptr<const void> owner;
};

}  // namespace bebr

#endif  // BEBR_INDEX_SHARD_MUTATION_H_
