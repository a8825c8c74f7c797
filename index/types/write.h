// The value types of writes.
#ifndef BEBR_INDEX_TYPES_WRITE_H_
#define BEBR_INDEX_TYPES_WRITE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "index/types/document.h"

namespace bebr {

inline constexpr size_t kMaxDocumentsPerRequest = 10000;

// One embedding of a document. `values` is borrowed: it stays valid until the call's `done` has run.
struct EmbeddingInput {
  std::string_view version;  // empty = the collection's default version
  absl::Span<const float> values;
};

// A document as it is sent.
struct DocumentInput {
  std::string id;
  Attributes attributes;
  std::vector<EmbeddingInput> embeddings;  // at least one
};

// What an upsert does with documents that exist.
enum class UpsertMode : uint8_t {
  kReplace = 0,  // inserts a document, or replaces all of it
  kMerge = 1,    // adds embeddings to documents that exist; attributes and other embeddings stay
};

// Documents to write, all of them at once or none.
struct UpsertRequest {
  std::string collection;
  std::vector<DocumentInput> documents;  // 1..kMaxDocumentsPerRequest; of equal ids the last one wins
  UpsertMode mode = UpsertMode::kReplace;
};

// What an upsert did.
struct UpsertResult {
  uint64_t documents = 0;
  uint64_t created = 0;                  // the rest were there before
  std::vector<std::string> unknown_ids;  // of a merge: documents that do not exist and were not written
};

}  // namespace bebr

#endif  // BEBR_INDEX_TYPES_WRITE_H_
