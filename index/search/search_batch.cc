#include "index/search/search_batch.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "absl/container/flat_hash_map.h"
#include "index/base/status_macros.h"
#include "index/search/answer.h"
#include "index/search/located_ids.h"
#include "index/search/ranking.h"
#include "index/search/rerank.h"
#include "index/search/result_memory.h"

namespace bebr {
namespace {

constexpr float kRounding = 1e-6f;    // of a score that is scaled, at most
constexpr size_t kEncodeRows = 16;    // queries a thread encodes at a time, or, of few,
constexpr size_t kFewEncodeRows = 4;  // this many

int64_t Micros(SteadyTime from, SteadyTime to) { return absl::ToInt64Microseconds(to - from); }

// Gives each hit the score that it had as a candidate.
void SetKeys(absl::Span<const Candidate> selected, absl::Span<SearchHit> hits, float SearchHit::*field) {
  absl::flat_hash_map<std::pair<uint32_t, uint32_t>, float> keys;
  for (const Candidate& candidate : selected)
    keys.emplace(std::pair(candidate.segment, candidate.row), candidate.score);
  for (SearchHit& hit : hits) {
    if (const auto key = keys.find({hit.segment, hit.row}); key != keys.end()) hit.*field = key->second;
  }
}

}  // namespace

// The queries of a job that the batch takes, while they are finished, by several threads if there are several.
struct SearchBatch::Part {
  size_t first = 0;  // of the batch's queries
  size_t begin = 0;  // of the job's queries
  size_t count = 0;
  SteadyTime begun;  // set by the thread that takes the first query
  std::atomic<size_t> queries_left{0};
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

SearchBatch::SearchBatch(std::vector<std::unique_ptr<SearchJob>> jobs, size_t most_queries, Rest rest)
    : jobs_(std::move(jobs)), rest_(std::move(rest)) {
  for (const auto& job : jobs_) {
    job->result.hits.resize(job->request.queries.size());
    Part& part = *parts_.emplace_back(std::make_unique<Part>());
    part.first = job_of_query_.size();
    part.begin = job->scanned;
    part.count = std::min(job->queries_left(), most_queries);
    part.queries_left = part.count;
    job_of_query_.resize(part.first + part.count, parts_.size() - 1);
    ToFinish& finish = CandidateCount(job->request) > kHeavyCandidates ? heavy_ : light_;
    for (size_t i = 0; i < part.count; ++i) finish.queries.push_back(part.first + i);
  }
  found_.resize(query_count());
  ShareFilters();
}

SearchBatch::~SearchBatch() = default;

bool SearchBatch::reads_store() const {
  return std::any_of(jobs_.begin(), jobs_.end(),
                     [](const auto& job) { return job->request.rerank > 0 || job->request.with_attributes; });
}

void SearchBatch::ShareFilters() {
  std::map<std::string_view, std::shared_ptr<const Filter>> by_text;
  for (const auto& job : jobs_) {
    if (job->filter != nullptr) job->filter = by_text.try_emplace(job->request.filter, job->filter).first->second;
  }
}

void SearchBatch::See() {
  if (target_ == nullptr) target_ = leader().target;
  if (target_ == nullptr) target_ = std::make_shared<const ScanTarget>(leader().shards->view(), leader().version.space);
}

void SearchBatch::CountGroups() {
  const bool asked = std::any_of(jobs_.begin(), jobs_.end(), [](const auto& job) {
    return job->request.explain || (job->request.probe > 0.0f && job->request.probe < 1.0f);
  });
  if (!asked || spec().groups() == 1) return;
  See();
  const Probe own(target_->LiveRowsByGroup(spec().groups()));
  for (const auto& job : jobs_) {
    const std::vector<uint64_t>& told = job->request.documents_by_group;
    probes_.push_back(told.empty() ? own : Probe(told));
  }
  nearness_.resize((row_of_.back() + 1) * spec().groups());
  wanted_.assign(query_count(), kAllGroups);
  shares_.assign(query_count(), 1.0f);
}

std::vector<GroupSet> SearchBatch::ChooseGroups(const float* rows, size_t first, size_t count) {
  if (probes_.empty()) return std::vector<GroupSet>(count, kAllGroups);
  leader().version.binarizer->RankGroups(rows, count, nearness_.data() + first * spec().groups());
  std::vector<GroupSet> of_rows(count, 0);
  for (size_t q = std::lower_bound(row_of_.begin(), row_of_.end(), first) - row_of_.begin();
       q < query_count() && row_of_[q] < first + count; ++q) {
    const float share = jobs_[job_of_query_[q]]->request.probe;
    if (share > 0.0f && share < 1.0f) {
      const Probe::Choice choice = ProbeOf(q).Nearest(NearnessOf(q), share);
      wanted_[q] = choice.groups;
      shares_[q] = choice.share;
    }
    of_rows[row_of_[q] - first] |= wanted_[q];
  }
  return of_rows;
}

ScanCounts SearchBatch::Scan(FairPool& pool) {
  const SteadyTime begun = SteadyNow();
  See();
  LocateIds();
  scan_queries_ = ScanQueries();
  MakeScan(pool);
  scan_->Run(pool);
  ScanCounts counts = scan_->counts();
  documents_ = counts.documents_of_query;
  timings_.encode_us = Micros(started_, begun);
  timings_.scan_us = Micros(begun, SteadyNow());
  timings_.queries_in_scan = static_cast<uint32_t>(query_count());
  TakeMemory();
  return counts;
}

void SearchBatch::TakeMemory() {
  for (size_t j = 0; j < jobs_.size(); ++j) {
    const SearchRequest& request = jobs_[j]->request;
    if (request.take_memory == nullptr) continue;
    uint64_t hits = 0;
    Part& part = *parts_[j];
    const uint64_t most = request.part ? std::max(CandidateCount(request), request.candidates) : request.k;
    for (size_t i = 0; i < part.count; ++i) hits += std::min(most, documents_[part.first + i]);
    if (absl::Status taken = request.take_memory(hits * HitMemory(request, spec())); !taken.ok())
      part.Fail(std::move(taken));
  }
}

std::vector<size_t> SearchBatch::CollectRows(std::vector<float>& rows) const {
  std::vector<size_t> row_of;
  const float* before = nullptr;
  size_t count = 0;
  for (size_t j = 0; j < jobs_.size(); ++j) {
    const Part& part = *parts_[j];
    for (size_t i = 0; i < part.count; ++i) {
      const absl::Span<const float> query = jobs_[j]->request.queries[part.begin + i];
      if (query.data() != before) {
        rows.insert(rows.end(), query.begin(), query.end());
        ++count;
      }
      before = query.data();
      row_of.push_back(count - 1);
    }
  }
  return row_of;
}

void SearchBatch::Encode(FairPool& pool) {
  const Binarizer& binarizer = *leader().version.binarizer;
  const size_t dims = binarizer.input_dims();
  const size_t bands = spec().bands().size();
  std::vector<float> rows;
  row_of_ = CollectRows(rows);
  CountGroups();
  const size_t row_count = row_of_.back() + 1;
  const size_t codes = code_of(query_count(), 0);
  planes_.resize(codes * query_words());
  weights_.resize(codes * bands);
  offsets_.resize(codes);
  factors_.resize(query_count());
  const size_t at_a_time = std::clamp(row_count / pool.slots(), kFewEncodeRows, kEncodeRows);
  pool.ParallelFor((row_count + at_a_time - 1) / at_a_time, [&](size_t part, size_t) {
    const size_t begin = part * at_a_time;
    const size_t count = std::min(at_a_time, row_count - begin);
    binarizer.ScaleQueries(rows.data() + begin * dims, count, factors_.data() + begin);
    const std::vector<GroupSet> wanted = ChooseGroups(rows.data() + begin * dims, begin, count);
    const size_t code = code_of(begin, 0);
    binarizer.EncodeQueriesOf(wanted, rows.data() + begin * dims, planes_.data() + code * query_words(),
                              weights_.data() + code * bands, offsets_.data() + code);
  });
  if (row_count < query_count()) SpreadCodes();
}

void SearchBatch::SpreadCodes() {
  const auto spread = [](auto& values, size_t width, size_t from, size_t to) {
    std::copy_n(values.begin() + static_cast<ptrdiff_t>(from * width), width,
                values.begin() + static_cast<ptrdiff_t>(to * width));
  };
  // A query's row is not behind it, so from the last one on none is overwritten before it is copied.
  for (size_t q = row_of_.size(); q-- > 0;) {
    if (row_of_[q] == q) continue;
    spread(planes_, spec().groups() * query_words(), row_of_[q], q);
    spread(weights_, spec().groups() * spec().bands().size(), row_of_[q], q);
    spread(offsets_, spec().groups(), row_of_[q], q);
    spread(factors_, 1, row_of_[q], q);
  }
}

void SearchBatch::LocateIds() {
  std::vector<const Filter*> filters;
  for (const auto& job : jobs_) {
    if (job->rows.has_value()) continue;
    if (job->filter != nullptr) filters.push_back(job->filter.get());
    for (const auto& filter : job->filters) filters.push_back(filter.get());
  }
  ids_ = bebr::LocateIds(filters, *leader().shards, target_->view());
}

std::vector<ScanQuery> SearchBatch::ScanQueries() {
  std::vector<ScanQuery> scan_queries;
  for (size_t q = 0; q < query_count(); ++q) {
    SearchJob& job = *jobs_[job_of_query_[q]];
    const SearchRequest* request = &job.request;
    ScanQuery& query = scan_queries.emplace_back();
    query.filter = job.FilterOf(parts_[job_of_query_[q]]->begin + q - parts_[job_of_query_[q]]->first);
    query.ids = &ids_;
    if (job.rows.has_value()) query.rows = &*job.rows;
    // Of those that a part chooses by their first levels, whoever merges it selects.
    query.k = request->part && choosing() ? request->candidates : CandidateCount(*request);
    if (!wanted_.empty()) query.groups = wanted_[q];
    // With rerank the final score is another one, so the estimate may drop nothing; nor may a part that chooses.
    if (request->min_score.has_value() && request->rerank == 0 && !(request->part && choosing())) {
      query.min_score = *request->min_score;
      // A little less, for what rounding does; Hits looks again.
      if (factors_[q] != 1.0f)
        query.min_score = query.min_score / factors_[q] - std::fabs(query.min_score / factors_[q]) * kRounding;
    }
    if (request->cancelled != nullptr || request->deadline != absl::InfiniteDuration()) {
      query.stopped = [request](SteadyTime now) { return !Interrupted(*request, now).ok(); };
    }
  }
  return scan_queries;
}

void SearchBatch::ScaleBack(size_t query) {
  if (factors_[query] == 1.0f) return;
  for (Candidate& candidate : found_[query]) candidate.score *= factors_[query];
  std::sort(found_[query].begin(), found_[query].end(),
            [this](const Candidate& a, const Candidate& b) { return target_->Better(a, b); });
}

void SearchBatch::MakeScan(FairPool& pool) {
  simd::CodeShape shape = MakeShape(spec(), leader().version.binarizer->query_levels());
  prepared_.emplace(Prepare(shape, pool));
  const SearchRequest& request = leader().request;
  if (has_first_pass()) {
    for (uint32_t b = 0; b < shape.band_count; ++b) {
      const uint32_t levels = shape.bands[b].scored_levels();
      shape.bands[b].left_out = std::max(levels, request.first_levels) - request.first_levels;
    }
    shape.bound = request.candidates == 0;
    prepared_first_.emplace(Prepare(shape, pool));
    first_.emplace(FirstPass{*prepared_first_, request.candidates});
  }
  scan_ = std::make_unique<CodeScan>(*target_, *prepared_, first_.has_value() ? &*first_ : nullptr, scan_queries_);
}

absl::StatusOr<std::vector<SearchHit>> SearchBatch::Hits(const SearchJob& job, size_t query,
                                                         absl::Span<const float> embedding) const {
  const SearchRequest& request = job.request;
  std::vector<ScoredCandidate> scored;
  if (request.rerank > 0) {
    BEBR_ASSIGN_OR_RETURN(
        scored, Rerank(*target_, job.shards->store(), found_[query],
                       request.part && choosing() ? found_[query].size() : request.rerank,
                       {embedding, job.version.embedding, job.manifest->store_floats, job.version.binarizer->metric(),
                        [&request] { return Interrupted(request, SteadyNow()); }}));
  } else {
    for (const Candidate& candidate : found_[query]) scored.push_back({candidate, ScoreKind::kEstimated});
  }
  std::vector<SearchHit> hits;
  const CodeSpec scored_by = spec().Derived();
  std::vector<uint32_t> stored(spec().code_words()), words(spec().derived_words());
  // Of a part, whoever merges it decides what comes after the selection.
  const size_t end = request.part ? scored.size() : std::min(scored.size(), request.offset + request.k);
  const std::vector<std::string_view> ids = IdsOf(*target_, absl::MakeConstSpan(scored).first(end));
  for (size_t i = request.part ? 0 : request.offset; i < end; ++i) {
    const ScoredCandidate& entry = scored[i];
    if (!request.part && request.min_score.has_value() && entry.candidate.score < *request.min_score) break;
    const ScanTarget::Part& part = target_->parts()[entry.candidate.segment];
    const uint32_t row = entry.candidate.row;
    SearchHit hit;
    hit.id = ids[i];
    hit.segment = entry.candidate.segment;
    hit.row = row;
    hit.score = entry.candidate.score;
    hit.score_kind = entry.kind;
    const CodeFactors document = part.space->Load(row, stored.data());
    spec().Derive(stored.data(), words.data());
    hit.its = InformationScore(scored_by, job.version.binarizer->query_levels(),
                               planes_.data() + code_of(query, document.group) * query_words(), words.data());
    if (const Version* version = job.manifest->VersionByNumber(part.space->column->version(row)))
      hit.version = version->name;
    if (request.explain) hit.explanation = ExplainHit(query, entry.candidate, words.data(), document);
    hits.push_back(std::move(hit));
  }
  return hits;
}

std::shared_ptr<const Explanation> SearchBatch::ExplainHit(size_t query, const Candidate& candidate,
                                                           const uint32_t* words, CodeFactors document) const {
  const size_t bands = spec().bands().size();
  const size_t code = code_of(query, document.group);
  const EncodedQuery encoded{leader().version.binarizer->query_levels(), planes_.data() + code * query_words(),
                             weights_.data() + code * bands, offsets_[code], factors_[query]};
  auto explanation = std::make_shared<Explanation>(Explain(spec().Derived(), encoded, words, document));
  if (!probes_.empty()) explanation->nearer_share = ProbeOf(query).NearerShare(NearnessOf(query), document.group);
  explanation->shard = target_->parts()[candidate.segment].shard;
  explanation->segment = candidate.segment;
  explanation->row = candidate.row;
  return explanation;
}

absl::Status SearchBatch::FillHits(SearchJob& job, size_t query, size_t position) {
  // A stopped query was not scanned to the end: it has no result.
  BEBR_RETURN_IF_ERROR(Interrupted(job.request, SteadyNow()));
  std::vector<Candidate> chosen;
  found_[query] = scan_->Best(query, job.request.part ? &chosen : nullptr);
  const std::vector<Candidate> selected = job.request.part ? found_[query] : std::vector<Candidate>();
  ScaleBack(query);
  // Of those that were chosen the excluded ones take a place too.
  if (!job.request.part || !choosing()) LeaveOut(*target_, job.request, found_[query]);
  if (job.choose != nullptr) {
    BEBR_ASSIGN_OR_RETURN(found_[query], job.choose(std::move(found_[query])));
  }
  std::vector<SearchHit>& hits = job.result.hits[position];
  BEBR_ASSIGN_OR_RETURN(hits, Hits(job, query, job.request.queries[position]));
  if (job.request.part) {
    SetKeys(selected, absl::MakeSpan(hits), &SearchHit::key);
    SetKeys(chosen, absl::MakeSpan(hits), &SearchHit::first_key);
  }
  return CompleteHits(job.request, *job.shards, target_->store_view(), absl::MakeSpan(hits), job.result_bytes);
}

bool SearchBatch::FinishNext(Weight weight) {
  ToFinish& finish = weight == Weight::kLight ? light_ : heavy_;
  const size_t i = finish.next.fetch_add(1);
  if (i < finish.queries.size()) FinishQuery(finish.queries[i]);
  return i + 1 < finish.queries.size();
}

void SearchBatch::FinishQuery(size_t query) {
  const size_t j = job_of_query_[query];
  Part& part = *parts_[j];
  const size_t position = query - part.first;
  if (position == 0) part.begun = SteadyNow();
  if (part.Status().ok()) {
    if (absl::Status status = FillHits(*jobs_[j], query, part.begin + position); !status.ok())
      part.Fail(std::move(status));
  }
  if (part.queries_left.fetch_sub(1, std::memory_order_acq_rel) == 1) EndPart(j);
}

void SearchBatch::EndPart(size_t j) {
  SearchJob& job = *jobs_[j];
  Part& part = *parts_[j];
  if (absl::Status status = part.Status(); !status.ok()) return job.done(std::move(status));
  SearchResult& result = job.result;
  result.timings.queue_us += Micros(job.submitted, started_);
  result.timings.encode_us += timings_.encode_us;
  result.timings.scan_us += timings_.scan_us;
  result.timings.queries_in_scan = std::max(result.timings.queries_in_scan, timings_.queries_in_scan);
  if (job.request.rerank > 0) result.timings.rerank_us += std::max<int64_t>(1, Micros(part.begun, SteadyNow()));
  for (size_t i = 0; i < part.count; ++i) {
    result.documents_scanned += documents_[part.first + i];
    if (job.request.probe > 0.0f) result.scanned_share += shares_.empty() ? 1.0f : shares_[part.first + i];
  }
  job.scanned += part.count;
  if (job.queries_left() == 0) return AnswerJob(job);
  job.target = target_;
  rest_(std::move(jobs_[j]));
}

void SearchBatch::AnswerJob(SearchJob& job) const {
  SearchResult& result = job.result;
  result.documents_scanned /= result.hits.size();
  result.scanned_share /= static_cast<double>(result.hits.size());
  result.rerank = job.request.rerank;
  result.chosen = choosing() ? job.request.candidates : 0;
  result.documents = target_->live_rows();
  AddWarnings(job, target_->view(), result);
  job.done(std::move(result));
}

}  // namespace bebr
