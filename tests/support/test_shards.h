// Shards of one code space with real documents, for tests of what searches them.
#ifndef BEBR_TESTS_SUPPORT_TEST_SHARDS_H_
#define BEBR_TESTS_SUPPORT_TEST_SHARDS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "index/base/thread_pool.h"
#include "index/binarizer/binarizer.h"
#include "index/search/scan.h"
#include "index/shard/shard_set.h"
#include "tests/support/reference_search.h"
#include "tests/support/temporary_directory.h"

namespace bebr::testing {

// Commits mutations as one request: when it returns, they are on disk and in the view.
absl::StatusOr<MutationResult> CommitRequest(ShardSet& shards, std::vector<Mutation> list);

// `shards` shards in a directory of their own, with documents in space 0 by version 0, whose floats are stored as
// float32; and the same documents in a ReferenceCollection. Everything fails by a message and abort().
class TestShards {
 public:
  TestShards(const std::string& model_file, size_t shards);

  void Put(const std::string& id, const std::vector<float>& embedding, Attributes attributes = {});
  // Documents by id, as one request.
  void PutAll(const std::map<std::string, std::pair<std::vector<float>, Attributes>>& documents);
  void Delete(const std::string& id);

  const Binarizer& binarizer() const { return *binarizer_; }
  const ReferenceCollection& reference() const { return reference_; }
  const std::shared_ptr<ShardSet>& shards() const { return shards_; }
  // The documents as they are now.
  ScanTarget Target() const;
  // Queries as a scan takes them; `first_levels` of 0: with all levels, else the first pass over so many, with bounds
  // or without.
  PreparedQueries Prepare(const std::vector<std::vector<float>>& queries, uint32_t first_levels = 0,
                          bool bound = false) const;

 private:
  TemporaryDirectory directory_;
  std::unique_ptr<const Binarizer> binarizer_;
  ReferenceCollection reference_;
  ThreadPool pool_{1};
  CommitCounters counters_;
  std::shared_ptr<ShardSet> shards_;
};

// The best of every query, by a CodeScan on `threads` threads; `counts` may be null.
std::vector<std::vector<Candidate>> ScanAll(const ScanTarget& target, const PreparedQueries& prepared,
                                            const FirstPass* first, absl::Span<const ScanQuery> queries, size_t threads,
                                            ScanCounts* counts = nullptr);

// The hits of a scan with the ids of their documents.
std::vector<ReferenceCollection::Hit> HitsOf(const ScanTarget& target, const std::vector<Candidate>& candidates);

}  // namespace bebr::testing

#endif  // BEBR_TESTS_SUPPORT_TEST_SHARDS_H_
