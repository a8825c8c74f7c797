// The value types of a search.
#ifndef BEBR_INDEX_TYPES_SEARCH_H_
#define BEBR_INDEX_TYPES_SEARCH_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "index/types/document.h"
#include "index/types/filter_facts.h"

namespace bebr {

inline constexpr size_t kMaxK = 10000;
inline constexpr size_t kMaxRerank = 10000;
inline constexpr size_t kMaxCandidates = 10000;
inline constexpr size_t kMaxExcluded = 10000;
inline constexpr size_t kMaxExamples = 1000;
inline constexpr size_t kMaxGroupSize = 100;
inline constexpr size_t kMaxRankedLists = 16;
inline constexpr size_t kMaxRankedIds = 10000;  // of one list
inline constexpr absl::Duration kMaxKeepView = absl::Seconds(600);
inline constexpr size_t kMaxQueriesPerRequest = 1024;
inline constexpr size_t kMaxFilterBytes = 64 << 10;      // that a person or a program writes
inline constexpr size_t kMaxBuiltFilterBytes = 8 << 20;  // that is made of a filter's tree
inline constexpr size_t kMaxFilterValues = 10000;        // of one IN in a tree

// What a score is: of the version's metric, estimated from codes or computed from floats; or what a fusion makes of the
// scores or ranks of several lists, which is none of a metric.
enum class ScoreKind : uint8_t { kEstimated = 0, kExact = 1, kFused = 2 };

// How the lists of several queries become one. Each list has the best of its query, as many as offset + k or rerank,
// and a weight.
enum class Fusion : uint8_t {
  kNone = 0,
  kMax = 1,             // the largest of weight * score of a document
  kMean = 2,            // the mean by weight; where a list lacks the document, its last score stands for it
  kReciprocalRank = 3,  // the sum over the lists it is in of weight / (60 + rank), ranks from 1
};

// A list of documents from elsewhere, best first, to be fused with those of queries.
struct RankedList {
  std::vector<std::string> ids;
  std::vector<float> scores;  // of each id, or none
};

// One band of a code comparison.
struct BandExplanation {
  uint32_t dims = 0;
  int64_t dot = 0;                  // D_b, the exact integer dot product of the codes
  float weight = 0;                 // w_b, of the query
  std::vector<uint32_t> distances;  // Hamming, by level that the document has
};

// Where an estimated score comes from: index/README.md, Scores.
struct Explanation {
  float estimate = 0;  // (sum of w_b D_b * scale + offset + query_offset) * query_factor, before any rerank
  float scale = 0, offset = 0;
  float query_offset = 0, query_factor = 1;
  std::vector<BandExplanation> bands;
  uint32_t shard = 0, segment = 0, row = 0;  // where it is in memory
  uint32_t group = 0;                        // of the document, in a space in groups
  // Of the space's documents, those in groups that are nearer to the query: a probe of more than this share scores it.
  float nearer_share = 0;
};

// A document that was found.
struct SearchHit {
  std::string id;
  float score = 0;
  ScoreKind score_kind = ScoreKind::kEstimated;
  // Information-theoretic score in [0, 1]: index/README.md. None of a fusion's hit that only a list from elsewhere has.
  std::optional<float> its;
  std::string version;                             // that wrote the document's code
  Attributes attributes;                           // if asked for
  std::shared_ptr<const Explanation> explanation;  // if asked for
  std::optional<AttributeValue> group;             // with group_by: the value whose hit it is
  uint32_t segment = 0, row = 0;                   // where it is in what was scanned: of no use to others
  float key = 0;                                   // of a part: the estimate by which candidates are selected
  float first_key = 0;                             // of a part that chose by first levels: the score by these
};

// A query made of examples: what hits should be like, and what not.
struct ExampleRequest {
  std::string collection;
  std::string version;  // empty = the default version
  std::vector<std::string> positive_ids, negative_ids;
  std::vector<absl::Span<const float>> positives, negatives;  // borrowed
};

// What a search asks for: one or more queries with the same options.
struct SearchRequest {
  std::string collection;
  std::string version;                           // empty = the default version
  uint32_t model_checksum = 0;                   // of the version that the queries were made for; 0 = not told
  std::vector<absl::Span<const float>> queries;  // 1..kMaxQueriesPerRequest; borrowed until `done` has run
  std::optional<ExampleRequest> like;            // one more query, of these examples as the search sees them
  size_t k = 10;                                 // 1..kMaxK
  size_t offset = 0;                             // the best so many are passed over; offset + k: at most kMaxK
  size_t rerank = 0;                             // candidates to re-score with stored floats; 0 = none; else >= k
  // Reranks as many as the collection does by default, `most_rerank` at most, in place of `rerank`.
  bool collection_rerank = false;
  size_t most_rerank = kMaxRerank;
  // Level-progressive search: all documents are scored by the first `first_levels` levels of their codes, and only some
  // by the others too: the best `candidates` (max(k, rerank)..kMaxCandidates), or for 0 as many as it takes to find
  // exactly what a scan of all levels finds. 0 levels, or as many as the code has: a scan of all levels.
  uint32_t first_levels = 0;
  size_t candidates = 0;
  // Only the documents of the groups nearest to a query are scored, of as many groups as it takes to have this share of
  // the space's documents; or the share that, as the recall monitor knows, finds this share of what scoring all finds.
  // 0, or a space without groups: all documents. One of the two at most.
  float probe = 0;
  float probe_recall = 0;
  std::optional<float> min_score;        // hits below are dropped
  std::string filter;                    // client/README.md "Filters"; empty = all documents
  bool strict = false;                   // a filter that asks for what no document has is an error, not a warning
  std::vector<std::string> exclude_ids;  // at most kMaxExcluded; these documents are no hits
  Fusion fusion = Fusion::kNone;         // else one list for all queries
  // With fusion: the version of each query, or none; lists beside those of the queries, at most kMaxRankedLists; the
  // weight of each query, then of each list, or none: 1 each.
  std::vector<std::string> versions;
  std::vector<RankedList> lists;
  std::vector<float> weights;
  // The best `group_size` hits of each of the `k` best values of this attribute, group by group; k * group_size at most
  // kMaxK. Not with offset or fusion.
  std::string group_by;
  size_t group_size = 1;  // 1..kMaxGroupSize
  // A view that is kept so long, at most kMaxKeepView, for other calls; and one that was kept, in place of the present.
  absl::Duration keep_view = absl::ZeroDuration();
  std::string view_token;
  std::string view_owner;  // whose share of max_kept_views it takes: whatever tells callers apart
  bool with_attributes = false;
  bool explain = false;
  // One engine's part of a search of several (index/cluster): all that could be a hit beside the others' documents, so
  // offset + k candidates, or `rerank`, with the key that selects them; no warnings but their facts. Not with fusion.
  bool part = false;
  // Of a part with group_by: of each query the values whose best hits are asked for, in place of the best values'.
  std::vector<std::vector<AttributeValue>> group_values;
  // Of a part with group_by and candidates: the round, from 1, of those in which the best documents of other values
  // than group_values are found; 0: the best of these values. In either case with all that their first levels chose.
  size_t group_round = 0;
  // Of a part with a probe or `explain`, of a space in groups: first the engine is to say how many documents it has in
  // each group, and to search nothing; then it is told how many all engines have, and goes by these.
  bool count_groups = false;
  std::vector<uint64_t> documents_by_group;
  // Where there are several engines, those that do not answer are left out, and `coverage` tells of it.
  bool allow_partial = false;
  // Ids, attributes and 16 bytes for each hit; beyond it RESOURCE_EXHAUSTED as soon as it is found; 0 = no limit.
  uint64_t max_result_bytes = 0;
  // Asked before the hits take so many more bytes of memory: first for all of them without attributes, once it is known
  // how many there are, then for attributes. An error ends the search. On several threads at a time; may be null.
  std::function<absl::Status(uint64_t bytes)> take_memory;
  absl::Duration deadline = absl::InfiniteDuration();  // on the clock of SteadyNow(), index/base/clock.h
  std::shared_ptr<std::atomic<bool>> cancelled;        // may be null; set by the caller at any time
};

// Microseconds a request spent in each stage. `scan` is that of the shared scan the request was part of.
struct SearchTimings {
  int64_t queue_us = 0;
  int64_t encode_us = 0;
  int64_t scan_us = 0;
  int64_t rerank_us = 0;
  uint32_t queries_in_scan = 0;
};

// Of several engines, what an answer is of.
struct Coverage {
  uint32_t nodes = 0;
  uint32_t answered = 0;   // of them
  uint64_t documents = 0;  // that these have
};

// One query's values of a part with group_by.
struct ValueGroups {
  std::vector<AttributeValue> values;  // whose best group_size hits, of this engine's, are among the query's
  bool all = false;                    // there are no others
  std::vector<std::vector<AttributeValue>> of_hit;  // by hit: its values, in order
};

// What a search has found, and what it took.
struct SearchResult {
  std::vector<std::vector<SearchHit>> hits;  // one list per query, best first: score descending, then id ascending
  SearchTimings timings;
  uint64_t documents_scanned = 0;  // whose codes were scored, a query
  // With a probe: the share of the space's documents in the groups that were scored, in the mean over the queries.
  double scanned_share = 0;
  std::vector<std::string> warnings;  // what the filter asks for and no document has
  std::string view_token;             // of the view that is kept, if one is
  size_t rerank = 0;                  // of a part: how many were to be reranked
  size_t chosen = 0;                  // of a part: how many were chosen by their first levels; 0 = none were
  uint64_t documents = 0;             // of a part: that there are, in the version's space
  uint64_t without_code = 0;          // of a part: documents that have no code in it, which no search finds
  std::string version;                // of a part: the version that was searched for, and the checksum of its model
  uint32_t model_checksum = 0;
  std::vector<ValueGroups> grouped;  // of a part with group_by: by query; its hits are in order by key, then id
  // Of a part that was to count_groups, in place of hits: how many documents it has in each group of the space, and the
  // share that the probe takes as it knows.
  std::vector<uint64_t> documents_by_group;
  float probe = 0;
  std::optional<Coverage> coverage;  // with allow_partial, of several engines
  bool may_be_stale = false;         // of several engines: newest writes may be missing
  FilterFacts filter_facts;          // of a part: in place of warnings
};

}  // namespace bebr

#endif  // BEBR_INDEX_TYPES_SEARCH_H_
