#include "index/upgrade/backfill.h"

#include <algorithm>

#include "index/base/logging.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

// Small, so that a batch holds up the writes of clients for a moment only.
constexpr size_t kBatchRows = 256;
constexpr absl::Duration kRateWindow = absl::Seconds(5);
constexpr absl::Duration kDiskInterval = absl::Seconds(1);

// What the mutations of a batch borrow.
struct Batch {
  std::shared_ptr<const CollectionView> view;  // holds the segment
  std::vector<std::string> ids;
  std::vector<uint32_t> words;
  std::vector<CodeFactors> factors;
};

// The view of `segment` in a view; null if it is no longer part of the shard.
const SegmentView* FindView(const ShardView& shard_view, const Segment* segment) {
  for (const SegmentView& view : shard_view.segments) {
    if (view.segment.get() == segment) return &view;
  }
  return nullptr;
}

}  // namespace

Backfill::Backfill(std::shared_ptr<Collection> collection, Version version, uint64_t documents_per_s,
                   std::function<bool(const Backfill*)> ended)
    : collection_(std::move(collection)),
      version_(std::move(version)),
      storage_(collection_->manifest()->store_floats),
      ended_(std::move(ended)) {
  info_.running = true;
  info_.limit_documents_per_s = documents_per_s;
  thread_ = std::thread([this] { Run(); });
}

Backfill::~Backfill() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  wake_.NotifyAll();
  thread_.join();
}

void Backfill::SetLimit(uint64_t documents_per_s) {
  {
    MutexLock lock(&mutex_);
    info_.limit_documents_per_s = documents_per_s;
    next_batch_ = SteadyTime();
  }
  wake_.NotifyAll();
}

BackfillInfo Backfill::info() const {
  MutexLock lock(&mutex_);
  BackfillInfo info = info_;
  if (!info.running || recent_.empty()) return info;
  uint64_t documents = 0;
  for (const auto& [time, count] : recent_) documents += count;
  info.documents_per_s =
      static_cast<double>(documents) / std::max(absl::ToDoubleSeconds(SteadyNow() - recent_.front().first), 0.1);
  return info;
}

bool Backfill::stopped() const {
  MutexLock lock(&mutex_);
  return stopping_;
}

bool Backfill::WaitForDisk() {
  MutexLock lock(&mutex_);
  if (!stopping_) wake_.WaitFor(&mutex_, kDiskInterval);
  return stopping_;
}

void Backfill::Run() {
  absl::Status status;
  for (;;) {
    const absl::StatusOr<uint64_t> found = Pass();
    status = found.status();
    const bool disk = absl::IsUnavailable(status) || absl::IsResourceExhausted(status);
    {
      MutexLock lock(&mutex_);
      info_.error = std::string(status.message());
    }
    if (disk ? WaitForDisk() : stopped()) break;
    if (!disk && (!status.ok() || *found == 0)) break;
  }
  {
    MutexLock lock(&mutex_);
    info_.running = false;
    if (stopping_) return;
  }
  if (status.ok()) {
    LogInfo("backfill of version {} of collection {} is done", version_.name, collection_->manifest()->name);
  } else {
    LogError("backfill of version {} of collection {} ended: {}", version_.name, collection_->manifest()->name,
             status.ToString());
  }
  while (!ended_(this) && !WaitForDisk()) {
  }
}

absl::StatusOr<uint64_t> Backfill::Pass() {
  uint64_t found = 0;
  for (uint32_t shard = 0; shard < collection_->shards()->size(); ++shard) {
    std::vector<std::shared_ptr<const Segment>> segments;
    {
      const auto view = collection_->shards()->view();  // lives as long as the loop, and no longer
      for (const SegmentView& of_segment : view->shards[shard]->segments) segments.push_back(of_segment.segment);
    }
    for (const auto& segment : segments) {
      BEBR_ASSIGN_OR_RETURN(const uint64_t in_segment, PassSegment(shard, segment));
      found += in_segment;
      if (stopped()) return found;
    }
  }
  return found;
}

absl::StatusOr<uint64_t> Backfill::PassSegment(uint32_t shard, const std::shared_ptr<const Segment>& segment) {
  uint64_t found = 0;
  uint32_t next = 0;
  while (!stopped()) {
    // A new view each time: an old one would keep what is replaced meanwhile on disk.
    const auto view = collection_->shards()->view();
    const SegmentView* segment_view = FindView(*view->shards[shard], segment.get());
    if (segment_view == nullptr) break;
    const Rows rows = TakeRows(*segment_view, &next);
    if (rows.empty()) break;
    BEBR_ASSIGN_OR_RETURN(const uint64_t in_batch, Encode(shard, view, *segment_view, rows));
    found += in_batch;
  }
  return found;
}

Backfill::Rows Backfill::TakeRows(const SegmentView& view, uint32_t* next) const {
  Rows rows;
  const SegmentView::SpaceView* space = view.FindSpace(version_.space);
  for (; *next < view.rows && rows.size() < kBatchRows; ++*next) {
    const uint32_t row = *next;
    if (view.deleted != nullptr && view.deleted->test(row)) continue;
    const bool done = space != nullptr && space->column->has(row) && space->column->version(row) == version_.number;
    if (!done) rows.push_back(row);
  }
  return rows;
}

absl::StatusOr<uint64_t> Backfill::Encode(uint32_t shard, const std::shared_ptr<const CollectionView>& view,
                                          const SegmentView& segment, const Rows& rows) {
  std::vector<std::string_view> ids;
  for (const uint32_t row : rows) ids.push_back(segment.segment->id(row));
  CollectionStore& store = collection_->shards()->store();
  BEBR_ASSIGN_OR_RETURN(const auto floats, store.GetFloats(view->store.get(), version_.embedding, shard, ids));
  const size_t dims = version_.binarizer->input_dims(), words = version_.binarizer->spec().code_words();
  auto batch = std::make_shared<Batch>();
  batch->view = view;
  std::vector<float> matrix;
  std::vector<uint32_t> kept;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!floats[i].has_value()) continue;  // the document has no embedding of this version
    matrix.resize(matrix.size() + dims);
    BEBR_RETURN_IF_ERROR(ReadStoredFloats(storage_, *floats[i], absl::MakeSpan(matrix).last(dims)));
    kept.push_back(rows[i]);
    batch->ids.emplace_back(ids[i]);
  }
  if (kept.empty()) return 0;
  batch->words.resize(kept.size() * words);
  batch->factors.resize(kept.size());
  version_.binarizer->EncodeDocuments(matrix.data(), kept.size(), batch->words.data(), batch->factors.data());
  std::vector<Mutation> mutations;
  for (size_t i = 0; i < kept.size(); ++i) {
    Mutation& mutation = mutations.emplace_back();
    mutation.kind = MutationKind::kMerge;
    mutation.id = batch->ids[i];
    mutation.codes.push_back({version_.space, static_cast<uint8_t>(version_.number), batch->factors[i],
                              absl::MakeConstSpan(batch->words.data() + i * words, words)});
    mutation.expected_segment = segment.segment.get();
    mutation.expected_row = kept[i];
  }
  BEBR_ASSIGN_OR_RETURN(const MutationResult result, collection_->WriteAndWait(std::move(mutations), batch));
  collection_->shared().documents_reencoded.fetch_add(result.documents, std::memory_order_relaxed);
  CountAndWait(result.documents);
  return kept.size();
}

void Backfill::CountAndWait(uint64_t written) {
  MutexLock lock(&mutex_);
  const SteadyTime now = SteadyNow();
  info_.written += written;
  recent_.emplace_back(now, written);
  while (recent_.front().first < now - kRateWindow) recent_.pop_front();
  if (info_.limit_documents_per_s == 0) return;
  const auto limit = static_cast<double>(info_.limit_documents_per_s);
  next_batch_ = std::max(next_batch_, now) + absl::Seconds(static_cast<double>(written) / limit);
  while (!stopping_ && SteadyNow() < next_batch_) wake_.WaitFor(&mutex_, next_batch_ - SteadyNow());
}

}  // namespace bebr
