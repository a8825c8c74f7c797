// How many different attribute names a collection has, at most.
#ifndef BEBR_INDEX_COLLECTION_ATTRIBUTE_NAMES_H_
#define BEBR_INDEX_COLLECTION_ATTRIBUTE_NAMES_H_

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/base/mutex.h"
#include "index/shard/shard_set.h"
#include "index/types/write.h"

namespace bebr {

inline constexpr size_t kMaxAttributeNames = 1000;  // of all documents of a collection together

// The AttributeNames of a collection bound how many different names its documents' attributes have: each costs every
// segment a column. Names of which no document is left make room when it is needed. A collection that has
// more of them, from an earlier server, keeps them and takes no others.
//
// Ownership: the shards are borrowed. Thread safety: all methods may be called from any thread. Cost: a look-up for
// each attribute of a request; a request with names of its own, a copy of the set.
class AttributeNames {
 public:
  explicit AttributeNames(const ShardSet* shards);

  // Names of a request that no document had; for Done.
  using Fresh = std::vector<std::string>;
  // Lets the names of these documents in. RESOURCE_EXHAUSTED names the field, the name and the limit if there would be
  // too many; then nothing has changed.
  absl::StatusOr<Fresh> Admit(const std::vector<DocumentInput>& documents);
  // The same of the attributes that an update sets.
  absl::StatusOr<Fresh> Admit(const Attributes& set);
  // To be called when the request has been written, or has failed.
  void Done(const Fresh& fresh);

 private:
  using Names = absl::flat_hash_set<std::string>;

  using NameOf = std::pair<const std::string*, std::string>;  // a name, and the field that has it
  absl::StatusOr<Fresh> AdmitUnknown(const std::vector<NameOf>& unknown);
  std::shared_ptr<const Names> names() const;
  // The names that documents have, or are on their way.
  Names Count() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const ShardSet& shards_;
  mutable Mutex mutex_;
  std::shared_ptr<const Names> names_ ABSL_GUARDED_BY(mutex_);
  std::multiset<std::string> under_way_ ABSL_GUARDED_BY(mutex_);  // of requests that are not done
};

}  // namespace bebr

#endif  // BEBR_INDEX_COLLECTION_ATTRIBUTE_NAMES_H_
