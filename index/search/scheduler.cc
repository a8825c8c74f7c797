#include "index/search/scheduler.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "absl/strings/str_format.h"
#include "index/base/retry.h"
#include "index/base/status_macros.h"
#include "index/search/ranking.h"
#include "index/search/rerank.h"

namespace bebr {
namespace {

constexpr size_t kMaxQueriesPerScan = 256;
constexpr int kCompanyShare = 4;  // of a scan's time, that the next one waits for company at most,
constexpr int kLullShare = 16;    // and this much, but at least kLeastLull, after somebody came
constexpr absl::Duration kLeastLull = absl::Microseconds(300);
constexpr float kRounding = 1e-6f;    // of a score that is scaled, at most
constexpr size_t kEncodeRows = 16;    // queries a thread encodes at a time
constexpr size_t kHitsAtATime = 128;  // whose attributes are read in one go, before the limit is checked

int64_t Micros(SteadyTime from, SteadyTime to) { return absl::ToInt64Microseconds(to - from); }

// OK, or why a search should not go on.
absl::Status Interrupted(const SearchRequest& request, SteadyTime now) {
  if (request.cancelled != nullptr && request.cancelled->load(std::memory_order_relaxed)) {
    return absl::CancelledError("the search was cancelled by the caller");
  }
  if (now >= request.deadline) return absl::DeadlineExceededError("the deadline passed before the search was done");
  return absl::OkStatus();
}

// What a hit takes in an answer beside its id and attributes, at least.
constexpr uint64_t kHitBytes = 16;

// RESOURCE_EXHAUSTED if `hits`, on top of `total`, which grows by them, are more than the request may collect.
absl::Status CheckResultBytes(const SearchRequest& request, absl::Span<const SearchHit> hits,
                              std::atomic<uint64_t>& total) {
  if (request.max_result_bytes == 0) return absl::OkStatus();
  uint64_t bytes = 0;
  for (const SearchHit& hit : hits) {
    bytes += hit.id.size() + kHitBytes;
    for (const auto& [name, value] : hit.attributes) {
      const auto* text = std::get_if<std::string>(&value);
      bytes += name.size() + (text == nullptr ? 0 : text->size());
    }
  }
  if (total.fetch_add(bytes) + bytes <= request.max_result_bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrFormat("the results have over %d bytes, the limit of an answer: ask for a smaller k, fewer queries, or "
                      "without attributes",
                      request.max_result_bytes));
}

bool SameGroup(const SearchJob& a, const SearchJob& b) {
  return a.manifest == b.manifest && a.version.number == b.version.number && a.request.filter == b.request.filter &&
         a.request.first_levels == b.request.first_levels && a.request.candidates == b.request.candidates;
}

}  // namespace

// A search's answer while its queries are finished, by several threads if there are several.
struct Scheduler::Answer {
  SearchResult result;
  SteadyTime begun;  // set by the thread that takes the first query
  std::atomic<size_t> queries_left{0};
  std::atomic<uint64_t> bytes{0};
  Mutex mutex;
  absl::Status status ABSL_GUARDED_BY(mutex);  // the first error

  absl::Status Status() {
    MutexLock lock(&mutex);
    return status;
  }
  void Fail(absl::Status error) {
    MutexLock lock(&mutex);
    status.Update(std::move(error));
  }
};

// A group of searches that share one scan, and what they found.
struct Scheduler::Batch {
  std::vector<std::unique_ptr<SearchJob>> jobs;
  std::vector<size_t> first_query;  // of each job
  std::vector<uint32_t> planes;
  std::vector<float> weights;
  std::vector<float> offsets;
  std::vector<float> factors;  // of the scores: Binarizer::ScaleQueries
  std::unique_ptr<ScanTarget> target;
  std::vector<std::vector<Candidate>> found;     // by query
  std::vector<std::unique_ptr<Answer>> answers;  // by job
  std::vector<size_t> job_of_query;
  std::atomic<size_t> next_to_finish{0};  // query
  SteadyTime started;
  SearchTimings timings;
  uint64_t documents_scanned = 0;  // a query
  std::vector<std::string> warnings;

  const SearchJob& leader() const { return *jobs.front(); }
  const CodeSpec& spec() const { return leader().version.binarizer->spec(); }
  size_t query_words() const { return spec().QueryWords(leader().version.binarizer->query_levels()); }
  size_t query_count() const { return first_query.back() + jobs.back()->request.queries.size(); }

  void Encode(ThreadPool& pool);
  // What each query asks of the scan, once they are encoded.
  std::vector<ScanQuery> ScanQueries() const;
  PreparedQueries Prepare(const simd::CodeShape& shape) const {
    return PreparedQueries(spec(), shape, query_count(), planes.data(), weights.data(), offsets.data());
  }
  // Scans the target for all queries.
  void FindCandidates(absl::Span<const ScanQuery> queries, ThreadPool& pool, size_t threads, ScanCounts* counts);
  // Without attributes; `shard_of` gets the shard of each.
  absl::StatusOr<std::vector<SearchHit>> Hits(const SearchJob& job, size_t query, absl::Span<const float> embedding,
                                              std::vector<uint32_t>& shard_of) const;
  std::shared_ptr<const Explanation> ExplainHit(size_t query, const Candidate& candidate, const uint32_t* words,
                                                CodeFactors document) const;
  absl::Status AddAttributes(absl::Span<const uint32_t> shard_of, absl::Span<SearchHit> hits) const;
  // Makes the scores of what was found those of the query as it was sent.
  void ScaleBack(size_t query);
  absl::Status FillHits(const SearchJob& job, size_t query, Answer& answer, size_t position);
  // Ranks what was found for a query, and answers its job if that was the last of it.
  void Finish(size_t query);
};

void Scheduler::Batch::Encode(ThreadPool& pool) {
  const Binarizer& binarizer = *leader().version.binarizer;
  const size_t dims = binarizer.input_dims();
  const size_t bands = spec().bands().size();
  std::vector<float> rows(query_count() * dims);
  for (size_t j = 0; j < jobs.size(); ++j) {
    for (size_t i = 0; i < jobs[j]->request.queries.size(); ++i) {
      std::copy_n(jobs[j]->request.queries[i].data(), dims, rows.data() + (first_query[j] + i) * dims);
    }
  }
  planes.resize(query_count() * query_words());
  weights.resize(query_count() * bands);
  offsets.resize(query_count());
  factors.resize(query_count());
  pool.ParallelFor((query_count() + kEncodeRows - 1) / kEncodeRows, [&](size_t part) {
    const size_t begin = part * kEncodeRows;
    const size_t count = std::min(kEncodeRows, query_count() - begin);
    binarizer.ScaleQueries(rows.data() + begin * dims, count, factors.data() + begin);
    binarizer.EncodeQueries(rows.data() + begin * dims, count, planes.data() + begin * query_words(),
                            weights.data() + begin * bands, offsets.data() + begin);
  });
}

std::vector<ScanQuery> Scheduler::Batch::ScanQueries() const {
  std::vector<ScanQuery> scan_queries;
  for (size_t q = 0; q < query_count(); ++q) {
    const SearchRequest* request = &jobs[job_of_query[q]]->request;
    ScanQuery& query = scan_queries.emplace_back();
    query.k = CandidateCount(*request);
    // With rerank the final score is another one, so the estimate may drop nothing.
    if (request->min_score.has_value() && request->rerank == 0) {
      query.min_score = *request->min_score;
      // A little less, for what rounding does; Hits looks again.
      if (factors[q] != 1.0f)
        query.min_score = query.min_score / factors[q] - std::fabs(query.min_score / factors[q]) * kRounding;
    }
    if (request->cancelled != nullptr || request->deadline != absl::InfiniteDuration()) {
      query.stopped = [request](SteadyTime now) { return !Interrupted(*request, now).ok(); };
    }
  }
  return scan_queries;
}

void Scheduler::Batch::ScaleBack(size_t query) {
  if (factors[query] == 1.0f) return;
  for (Candidate& candidate : found[query]) candidate.score *= factors[query];
  std::sort(found[query].begin(), found[query].end(),
            [this](const Candidate& a, const Candidate& b) { return target->Better(a, b); });
}

void Scheduler::Batch::FindCandidates(absl::Span<const ScanQuery> queries, ThreadPool& pool, size_t threads,
                                      ScanCounts* counts) {
  simd::CodeShape shape = MakeShape(spec(), leader().version.binarizer->query_levels());
  const PreparedQueries prepared = Prepare(shape);
  const Filter* filter = leader().filter.get();
  const SearchRequest& request = leader().request;
  if (request.first_levels == 0 || request.first_levels >= spec().max_levels()) {
    found = Scan(*target, prepared, nullptr, queries, filter, pool, threads, counts);
    return;
  }
  for (uint32_t b = 0; b < shape.band_count; ++b) {
    shape.bands[b].left_out = std::max(shape.bands[b].levels, request.first_levels) - request.first_levels;
  }
  shape.bound = request.candidates == 0;
  const PreparedQueries first_levels = Prepare(shape);
  const FirstPass first{first_levels, request.candidates};
  found = Scan(*target, prepared, &first, queries, filter, pool, threads, counts);
}

absl::StatusOr<std::vector<SearchHit>> Scheduler::Batch::Hits(const SearchJob& job, size_t query,
                                                              absl::Span<const float> embedding,
                                                              std::vector<uint32_t>& shard_of) const {
  const SearchRequest& request = job.request;
  std::vector<ScoredCandidate> scored;
  if (request.rerank > 0) {
    BEBR_ASSIGN_OR_RETURN(scored,
                          Rerank(*target, job.shards->store(), found[query], request.rerank, job.version.embedding,
                                 job.manifest->store_floats, job.version.binarizer->metric(), embedding));
  } else {
    for (const Candidate& candidate : found[query]) scored.push_back({candidate, ScoreKind::kEstimated});
  }
  std::vector<SearchHit> hits;
  std::vector<uint32_t> words(spec().code_words());
  const bool fused = request.fusion != Fusion::kNone;
  const size_t wanted = fused ? scored.size() : request.k;
  for (size_t i = fused ? 0 : request.offset; i < scored.size(); ++i) {
    const ScoredCandidate& entry = scored[i];
    if (hits.size() == wanted) break;
    if (request.min_score.has_value() && entry.candidate.score < *request.min_score) break;
    const ScanTarget::Part& part = target->parts()[entry.candidate.segment];
    const uint32_t row = entry.candidate.row;
    SearchHit hit;
    hit.id = target->id(entry.candidate);
    hit.score = entry.candidate.score;
    hit.score_kind = entry.kind;
    const CodeFactors document =
        part.space->column->Load(part.block(row / simd::kBlockRows), row % simd::kBlockRows, words.data());
    hit.its = InformationScore(spec(), job.version.binarizer->query_levels(), planes.data() + query * query_words(),
                               words.data());
    if (const Version* version = job.manifest->VersionByNumber(part.space->column->version(row)))
      hit.version = version->name;
    if (request.explain) hit.explanation = ExplainHit(query, entry.candidate, words.data(), document);
    shard_of.push_back(part.shard);
    hits.push_back(std::move(hit));
  }
  return hits;
}

std::shared_ptr<const Explanation> Scheduler::Batch::ExplainHit(size_t query, const Candidate& candidate,
                                                                const uint32_t* words, CodeFactors document) const {
  const size_t bands = spec().bands().size();
  const EncodedQuery encoded{leader().version.binarizer->query_levels(), planes.data() + query * query_words(),
                             weights.data() + query * bands, offsets[query], factors[query]};
  auto explanation = std::make_shared<Explanation>(Explain(spec(), encoded, words, document));
  explanation->shard = target->parts()[candidate.segment].shard;
  explanation->segment = candidate.segment;
  explanation->row = candidate.row;
  return explanation;
}

absl::Status Scheduler::Batch::AddAttributes(absl::Span<const uint32_t> shard_of, absl::Span<SearchHit> hits) const {
  CollectionStore& store = leader().shards->store();
  for (uint32_t shard = 0; shard < target->shard_count(); ++shard) {
    std::vector<SearchHit*> of_shard;
    std::vector<std::string_view> ids;
    for (size_t i = 0; i < hits.size(); ++i) {
      if (shard_of[i] != shard) continue;
      of_shard.push_back(&hits[i]);
      ids.push_back(hits[i].id);
    }
    if (ids.empty()) continue;
    BEBR_ASSIGN_OR_RETURN(const auto documents, store.GetDocuments(target->store_view(), shard, ids));
    for (size_t i = 0; i < ids.size(); ++i) {
      if (documents[i].has_value()) {
        BEBR_ASSIGN_OR_RETURN(of_shard[i]->attributes, DecodeAttributes(*documents[i]));
      }
    }
  }
  return absl::OkStatus();
}

Scheduler::Scheduler(size_t threads, size_t max_queued_queries)
    : threads_(threads), max_queued_queries_(max_queued_queries), scan_pool_(threads - 1), finish_pool_(threads) {
  thread_ = std::thread([this] { Run(); });
}

Scheduler::~Scheduler() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  wake_.NotifyAll();
  thread_.join();
}

void Scheduler::Submit(std::unique_ptr<SearchJob> job) {
  const size_t queries = job->request.queries.size();
  absl::Status refusal;
  {
    MutexLock lock(&mutex_);
    if (stopping_) {
      refusal = absl::UnavailableError("the server is shutting down");
    } else if (queries > max_queued_queries_) {
      refusal = absl::ResourceExhaustedError(absl::StrFormat(
          "the request has %d queries and at most %d may wait (max_queued_queries); send fewer at a time", queries,
          max_queued_queries_));
    } else if (queued_queries_ + queries > max_queued_queries_) {
      refusal = TryAgainLater(absl::StrFormat("%d queries wait and the limit is %d; try again later", queued_queries_,
                                              max_queued_queries_));
    } else {
      queued_queries_ += queries;
      job->submitted = SteadyNow();
      queue_.push_back(std::move(job));
      wake_.NotifyOne();
      return;
    }
  }
  counters_.refused_queries.fetch_add(queries, std::memory_order_relaxed);
  job->done(refusal);
}

size_t Scheduler::queued_queries() const {
  MutexLock lock(&mutex_);
  return queued_queries_;
}

std::vector<std::unique_ptr<SearchJob>> Scheduler::TakeGroup() {
  std::vector<std::unique_ptr<SearchJob>> group;
  std::deque<std::unique_ptr<SearchJob>> rest;
  size_t queries = 0;
  for (std::unique_ptr<SearchJob>& job : queue_) {
    const size_t count = job->request.queries.size();
    // Once one of the group does not fit, no later one may overtake it.
    const bool fits = group.empty() || (queries + count <= kMaxQueriesPerScan && SameGroup(*group.front(), *job));
    if (!fits && !group.empty() && SameGroup(*group.front(), *job)) queries = kMaxQueriesPerScan;
    if (fits) {
      queries += count;
      group.push_back(std::move(job));
    } else {
      rest.push_back(std::move(job));
    }
  }
  queue_ = std::move(rest);
  for (const auto& job : group) queued_queries_ -= job->request.queries.size();
  return group;
}

void Scheduler::AwaitCompany() {
  const size_t enough = std::min(expected_queries_, kMaxQueriesPerScan);
  const SteadyTime until = last_scan_end_ + last_scan_ / kCompanyShare;
  const absl::Duration lull = std::max(kLeastLull, last_scan_ / kLullShare);
  SteadyTime now = SteadyNow();
  SteadyTime quiet = now + lull;
  while (!stopping_ && queued_queries_ < enough && now < std::min(until, quiet)) {
    const size_t before = queued_queries_;
    wake_.WaitFor(&mutex_, std::min(until, quiet) - now);
    now = SteadyNow();
    if (queued_queries_ > before) quiet = now + lull;
  }
}

void Scheduler::Run() {
  for (;;) {
    std::vector<std::unique_ptr<SearchJob>> group;
    bool stopping;
    {
      MutexLock lock(&mutex_);
      while (!stopping_ && queue_.empty()) wake_.Wait(&mutex_);
      AwaitCompany();
      if (queue_.empty()) return;
      group = TakeGroup();
      stopping = stopping_;
    }
    std::vector<std::unique_ptr<SearchJob>> ready;
    for (std::unique_ptr<SearchJob>& job : group) {
      absl::Status status = Interrupted(job->request, SteadyNow());
      if (stopping) status = absl::UnavailableError("the server is shutting down");
      if (status.ok()) {
        ready.push_back(std::move(job));
      } else {
        job->done(status);
      }
    }
    if (ready.empty()) continue;
    size_t answered = 0;
    for (const auto& job : ready) answered += job->request.queries.size();
    const SteadyTime start = SteadyNow();
    RunGroup(std::move(ready));
    MutexLock lock(&mutex_);
    expected_queries_ = queued_queries_ + answered;
    last_scan_end_ = SteadyNow();
    last_scan_ = last_scan_end_ - start;
  }
}

void Scheduler::RunGroup(std::vector<std::unique_ptr<SearchJob>> jobs) {
  auto batch = std::make_shared<Batch>();
  batch->jobs = std::move(jobs);
  batch->started = SteadyNow();
  size_t queries = 0;
  for (const auto& job : batch->jobs) {
    batch->first_query.push_back(queries);
    batch->job_of_query.resize(queries + job->request.queries.size(), batch->first_query.size() - 1);
    auto& answer = batch->answers.emplace_back(std::make_unique<Answer>());
    answer->result.hits.resize(job->request.queries.size());
    answer->queries_left = job->request.queries.size();
    queries += job->request.queries.size();
  }
  batch->Encode(scan_pool_);
  const SteadyTime encoded = SteadyNow();
  const SearchJob& leader = batch->leader();
  batch->target = std::make_unique<ScanTarget>(leader.shards->view(), leader.version.space);
  ScanCounts counts;
  batch->FindCandidates(batch->ScanQueries(), scan_pool_, threads_, &counts);
  const SteadyTime scanned = SteadyNow();
  batch->documents_scanned = counts.documents / queries;
  if (leader.filter != nullptr) batch->warnings = UnknownIn(*leader.filter, batch->target->view());
  batch->timings.encode_us = Micros(batch->started, encoded);
  batch->timings.scan_us = Micros(encoded, scanned);
  batch->timings.queries_in_scan = static_cast<uint32_t>(queries);
  counters_.queries.fetch_add(queries, std::memory_order_relaxed);
  counters_.scans.fetch_add(1, std::memory_order_relaxed);
  counters_.documents_scanned.fetch_add(counts.documents, std::memory_order_relaxed);
  counters_.bytes_scanned.fetch_add(counts.bytes, std::memory_order_relaxed);
  counters_.scan_us.fetch_add(static_cast<uint64_t>(batch->timings.scan_us), std::memory_order_relaxed);
  for (size_t t = 0; t < std::min(finish_pool_.size(), queries); ++t) {
    finish_pool_.Submit([batch] {
      for (size_t q; (q = batch->next_to_finish.fetch_add(1)) < batch->job_of_query.size();) batch->Finish(q);
    });
  }
}

absl::Status Scheduler::Batch::FillHits(const SearchJob& job, size_t query, Answer& answer, size_t position) {
  // A stopped query was not scanned to the end: it has no result.
  BEBR_RETURN_IF_ERROR(Interrupted(job.request, SteadyNow()));
  ScaleBack(query);
  LeaveOut(*target, job.request, found[query]);
  std::vector<SearchHit>& hits = answer.result.hits[position];
  std::vector<uint32_t> shard_of;
  BEBR_ASSIGN_OR_RETURN(hits, Hits(job, query, job.request.queries[position], shard_of));
  for (size_t begin = 0; begin < hits.size(); begin += kHitsAtATime) {
    const absl::Span<SearchHit> some = absl::MakeSpan(hits).subspan(begin, kHitsAtATime);
    if (job.request.with_attributes) {
      BEBR_RETURN_IF_ERROR(AddAttributes(absl::MakeConstSpan(shard_of).subspan(begin), some));
    }
    BEBR_RETURN_IF_ERROR(CheckResultBytes(job.request, some, answer.bytes));
  }
  return absl::OkStatus();
}

void Scheduler::Batch::Finish(size_t query) {
  const size_t j = job_of_query[query];
  SearchJob& job = *jobs[j];
  Answer& answer = *answers[j];
  const size_t position = query - first_query[j];
  if (position == 0) answer.begun = SteadyNow();
  if (answer.Status().ok()) {
    if (absl::Status status = FillHits(job, query, answer, position); !status.ok()) answer.Fail(std::move(status));
  }
  if (answer.queries_left.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
  if (absl::Status status = answer.Status(); !status.ok()) {
    job.done(std::move(status));
    return;
  }
  SearchResult& result = answer.result;
  result.timings = timings;
  result.timings.queue_us = Micros(job.submitted, started);
  if (job.request.rerank > 0) result.timings.rerank_us = std::max<int64_t>(1, Micros(answer.begun, SteadyNow()));
  result.documents_scanned = documents_scanned;
  result.warnings = warnings;
  if (job.request.fusion != Fusion::kNone)
    result.hits = {Fuse(std::move(result.hits), job.request.fusion, job.request.offset, job.request.k)};
  job.done(std::move(result));
}

}  // namespace bebr
