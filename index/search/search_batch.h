// Searches that share one scan.
#ifndef BEBR_INDEX_SEARCH_SEARCH_BATCH_H_
#define BEBR_INDEX_SEARCH_SEARCH_BATCH_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/types/span.h"
#include "index/base/clock.h"
#include "index/base/fair_pool.h"
#include "index/base/mutex.h"
#include "index/search/probe.h"
#include "index/search/scan.h"
#include "index/search/search_job.h"
#include "index/types/search.h"

namespace bebr {

// A SearchBatch takes searches of one version of one collection from their floats to their answers. Their filters may
// differ: each query has its own, and all share one pass over the codes.
//
//   SearchBatch batch(std::move(jobs), 64, [&](auto job) { ... });
//   batch.Encode(pool);
//   batch.Scan(pool);
//   while (batch.FinishNext(Weight::kLight)) {}   // on as many threads as one likes, and so the heavy ones
//
// The jobs are the batch's until they are answered: once each, by the thread that finishes its last query. A job with
// more than `most_queries` left is alone in its batch, which takes so many of them: it then goes to `rest` in place of
// an answer, and the batch of its next part scans the same view of the collection. Thread safety: FinishNext alone may
// run on several threads.
class SearchBatch {
 public:
  using Rest = absl::AnyInvocable<void(std::unique_ptr<SearchJob>)>;
  SearchBatch(std::vector<std::unique_ptr<SearchJob>> jobs, size_t most_queries, Rest rest);
  ~SearchBatch();

  size_t query_count() const { return job_of_query_.size(); }
  // Whether to finish it floats or attributes are read.
  bool reads_store() const;
  void Encode(FairPool& pool);
  // Scans the collection as it is now; or, if groups were ranked for queries, as it was when these were encoded.
  ScanCounts Scan(FairPool& pool);
  int64_t scan_us() const { return timings_.scan_us; }

  // What finishing a query costs: long lists of candidates are heavy.
  enum class Weight : uint8_t { kLight, kHeavy };
  size_t count(Weight weight) const { return to_finish(weight).queries.size(); }
  // Finishes one more query of this weight; false if it was the last one, or there was none.
  bool FinishNext(Weight weight);

 private:
  struct Part;
  struct ToFinish {
    std::vector<size_t> queries;
    std::atomic<size_t> next{0};
  };
  const ToFinish& to_finish(Weight weight) const { return weight == Weight::kLight ? light_ : heavy_; }
  const SearchJob& leader() const { return *jobs_.front(); }
  const CodeSpec& spec() const { return leader().version.binarizer->spec(); }
  bool has_first_pass() const {
    const uint32_t first_levels = leader().request.first_levels;
    return first_levels > 0 && first_levels < spec().Derived().max_levels();
  }
  // Whether the first pass chooses candidates, alike for all jobs.
  bool choosing() const { return has_first_pass() && leader().request.candidates > 0; }
  size_t query_words() const { return spec().QueryWords(leader().version.binarizer->query_levels()); }

  // Of query codes: those of a query's groups lie side by side.
  size_t code_of(size_t query, uint32_t group) const { return query * spec().groups() + group; }

  // The rows of the queries' embeddings, one for neighbours with the same floats, and of each query the number of its
  // row.
  std::vector<size_t> CollectRows(std::vector<float>& rows) const;
  // The collection as the scan sees it.
  void See();
  // Makes probes_, if a search asks for the nearest groups only, or how near they are.
  void CountGroups();
  const Probe& ProbeOf(size_t query) const { return probes_[job_of_query_[query]]; }
  // Ranks the groups for `count` rows from row `first` on, and returns which of them are wanted for each row by the
  // queries that have it.
  std::vector<GroupSet> ChooseGroups(const float* rows, size_t first, size_t count);
  absl::Span<const float> NearnessOf(size_t query) const {
    return absl::MakeConstSpan(nearness_).subspan(row_of_[query] * spec().groups(), spec().groups());
  }
  // Gives each query the code of its row: the rows' codes come first.
  void SpreadCodes();
  // Gives each job the filter of the first one with the same text, so that it is evaluated once.
  void ShareFilters();
  // Finds the documents that filters name.
  void LocateIds();
  // What each query asks of the scan, once they are encoded.
  std::vector<ScanQuery> ScanQueries();
  PreparedQueries Prepare(const simd::CodeShape& shape, FairPool& pool) const {
    return PreparedQueries(spec(), shape, query_count(), planes_.data(), weights_.data(), offsets_.data(), pool,
                           wanted_);
  }
  void MakeScan(FairPool& pool);
  // Asks for the memory that the hits of each job will take at most, now that it is known how many rows were scored.
  void TakeMemory();
  // Without attributes.
  absl::StatusOr<std::vector<SearchHit>> Hits(const SearchJob& job, size_t query,
                                              absl::Span<const float> embedding) const;
  std::shared_ptr<const Explanation> ExplainHit(size_t query, const Candidate& candidate, const uint32_t* words,
                                                CodeFactors document) const;
  // Makes the scores of what was found those of the query as it was sent.
  void ScaleBack(size_t query);
  absl::Status FillHits(SearchJob& job, size_t query, size_t position);
  // Ranks what was found for a query, and ends the part of its job if that was the last of it.
  void FinishQuery(size_t query);
  // Answers the job, or hands on what is left of it.
  void EndPart(size_t job);
  void AnswerJob(SearchJob& job) const;

  std::vector<std::unique_ptr<SearchJob>> jobs_;
  std::vector<std::unique_ptr<Part>> parts_;  // of each job, what this batch does of it
  Rest rest_;
  std::vector<size_t> job_of_query_;
  std::vector<size_t> row_of_;  // by query: CollectRows
  std::vector<Probe> probes_;   // by job, of target_ or of what several engines have; none: nobody needs them
  // With probes_:
  std::vector<float> nearness_;   // of the groups, by row
  std::vector<GroupSet> wanted_;  // by query
  std::vector<float> shares_;     // of the documents, which these have
  std::vector<uint32_t> planes_;
  std::vector<float> weights_;
  std::vector<float> offsets_;
  std::vector<float> factors_;  // of the scores: Binarizer::ScaleQueries
  std::shared_ptr<const ScanTarget> target_;
  Filter::LocatedIds ids_;
  std::vector<ScanQuery> scan_queries_;
  std::optional<PreparedQueries> prepared_, prepared_first_;  // the second of the first levels, if these come first
  std::optional<FirstPass> first_;
  std::unique_ptr<CodeScan> scan_;
  std::vector<std::vector<Candidate>> found_;  // by query
  std::vector<uint64_t> documents_;            // scanned, by query
  ToFinish light_, heavy_;
  const SteadyTime started_ = SteadyNow();
  SearchTimings timings_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_SEARCH_BATCH_H_
