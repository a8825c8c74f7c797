// The value types of writes.
#ifndef BEBR_INDEX_TYPES_WRITE_H_
#define BEBR_INDEX_TYPES_WRITE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "index/types/document.h"

namespace bebr {

inline constexpr size_t kMaxDocumentsPerRequest = 10000;
inline constexpr size_t kMaxFilteredDeletions = 1000000;  // by one filter
inline constexpr size_t kMaxFilteredUpdates = 100000;

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
  absl::Status problem;                    // what the caller has found wrong with it already
};

// What an upsert does with documents that exist.
enum class UpsertMode : uint8_t {
  kReplace = 0,     // inserts a document, or replaces its attributes and these embeddings; those of other versions stay
  kMerge = 1,       // adds embeddings to documents that exist; attributes and other embeddings stay
  kReplaceAll = 2,  // inserts a document, or replaces all of it
};

// Documents to write, all of them at once or none.
struct UpsertRequest {
  std::string collection;
  std::vector<DocumentInput> documents;  // 1..kMaxDocumentsPerRequest; of equal ids the last one wins
  UpsertMode mode = UpsertMode::kReplace;
  // Conditions, of both replaces; looked at when the write's turn has come.
  bool only_if_absent = false;   // documents that exist stay as they are
  std::string only_if_newer_by;  // an integer attribute: so do those whose is not less than the new one
  bool partial = false;          // documents that are wrong are left out, and told of
  uint32_t model_checksum = 0;   // of the version that embeddings without a version were made for; 0 = not told
  bool check_only = false;       // nothing is written; the result is empty, or the error that the request would get
};

// Why a document of a request was left out.
struct DocumentProblem {
  size_t index = 0;  // in the request
  std::string id;
  absl::Status status;
};

// Microseconds that a write took: from its call to its commit, its encoding among it, and in the commit, with its sync
// and what makes it visible.
struct WriteTimings {
  int64_t queue_us = 0;
  int64_t commit_us = 0;
};

// What an upsert did.
struct UpsertResult {
  uint64_t documents = 0;
  uint64_t created = 0;                  // the rest were there before
  std::vector<std::string> unknown_ids;  // of a merge: documents that do not exist and were not written
  std::vector<std::string> skipped_ids;  // kept from being written by a condition
  std::vector<DocumentProblem> problems;
  WriteTimings timings;
};

// What is done to a document's attributes, in this order.
struct AttributeChange {
  bool clear = false;               // all go
  std::vector<std::string> remove;  // these go, if they are there
  Attributes set;                   // these get new values
};

// A change of attributes of documents by their ids, or of all that satisfy a filter.
struct AttributeUpdate {
  std::string collection;
  std::vector<std::string> ids;  // 1..kMaxDocumentsPerRequest, or
  std::string filter;            // client/README.md "Filters"
  AttributeChange change;
  bool part = false;  // as of a FilteredDeletion
  // Until its turn has come; by filter.
  absl::Duration deadline = absl::InfiniteDuration();  // on the clock of SteadyNow(), index/base/clock.h
  std::shared_ptr<std::atomic<bool>> cancelled;        // may be null; set by the caller at any time
};

// A deletion of all documents that satisfy a filter.
struct FilteredDeletion {
  std::string collection;
  std::string filter;  // client/README.md "Filters"
  bool part = false;   // one of several engines' (index/cluster): what no document of this one has is no error
  // Until its turn has come.
  absl::Duration deadline = absl::InfiniteDuration();  // on the clock of SteadyNow(), index/base/clock.h
  std::shared_ptr<std::atomic<bool>> cancelled;        // may be null; set by the caller at any time
};

// What an update of attributes, or a deletion, did.
struct ChangeResult {
  uint64_t documents = 0;
  std::vector<std::string> unknown_ids;  // that were named and do not exist; of an update
  std::vector<std::string> warnings;     // what the filter asks for and no document has
  WriteTimings timings;
};

}  // namespace bebr

#endif  // BEBR_INDEX_TYPES_WRITE_H_
