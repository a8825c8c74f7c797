#include "index/collection/scrubber.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/background.h"
#include "index/base/logging.h"
#include "index/types/shown_text.h"

namespace bebr {
namespace {

// Few, so that a view is held for a moment only, and one update may write them all (CheckUpdated in shard/resolve.cc).
constexpr size_t kRowsAtATime = 24;
// Of a table, which is read for one code of it, and for the attributes of one document.
constexpr uint64_t kBlockBytes = 8 << 10;
// What was just loaded was just read.
constexpr int kFirstShare = 24;

const SegmentView* FindView(const ShardView& shard, const Segment* segment) {
  for (const SegmentView& view : shard.segments) {
    if (view.segment.get() == segment) return &view;
  }
  return nullptr;
}

// The rows of a segment in the order of their ids, in which what is stored of them lies together.
std::vector<uint32_t> InOrder(const SegmentView& view) {
  std::vector<uint32_t> rows;
  for (uint32_t row = 0; row < view.rows; ++row) {
    if (view.deleted == nullptr || !view.deleted->test(row)) rows.push_back(row);
  }
  std::sort(rows.begin(), rows.end(),
            [&](uint32_t a, uint32_t b) { return view.segment->id(a) < view.segment->id(b); });
  return rows;
}

}  // namespace

struct Scrubber::Subject {
  std::weak_ptr<Collection> collection;  // which may be dropped meanwhile
  std::string name;
  absl::Status damage;  // the first
  absl::Status unread;  // the first error that tells of no damage, and leaves something unread
};

Scrubber::Scrubber(Registry* registry, Options options) : registry_(registry), options_(options) {
  if (options_.interval > absl::ZeroDuration()) thread_ = std::thread([this] { Run(); });
}

Scrubber::~Scrubber() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  wake_.NotifyAll();
  if (thread_.joinable()) thread_.join();
}

void Scrubber::Run() {
  YieldToOthers();
  for (SteadyTime next = SteadyNow() + options_.interval / kFirstShare; WaitUntil(next);) {
    next = std::max(next + options_.interval, SteadyNow());
    Pass();
  }
}

bool Scrubber::WaitUntil(SteadyTime time) {
  MutexLock lock(&mutex_);
  for (SteadyTime now = SteadyNow(); !stopping_ && now < time; now = SteadyNow()) wake_.WaitFor(&mutex_, time - now);
  return !stopping_;
}

bool Scrubber::Pace(uint64_t compared, uint64_t read) {
  bytes_.fetch_add(compared, std::memory_order_relaxed);
  if (options_.bytes_per_s > 0) {
    next_ = std::max(next_, SteadyNow()) +
            absl::Seconds(static_cast<double>(read) / static_cast<double>(options_.bytes_per_s));
  }
  return WaitUntil(next_);
}

void Scrubber::Pass() {
  std::vector<Subject> subjects;
  for (const auto& collection : registry_->List())
    subjects.push_back({collection, collection->manifest()->name, {}, {}});
  std::map<std::string, absl::Status> unread;
  for (Subject& subject : subjects) {
    CheckTables(subject);
    CheckSegments(subject);
    if (!Pace(0, 0)) return;
    const auto collection = subject.collection.lock();
    if (collection != nullptr && subject.damage.ok() && subject.unread.ok()) collection->SetDamage(absl::OkStatus());
    if (!subject.unread.ok()) unread[subject.name] = subject.unread;
  }
  unread_ = std::move(unread);
}

void Scrubber::Found(Subject& subject, const Collection& collection, const absl::Status& status) {
  absl::Status& first = absl::IsDataLoss(status) ? subject.damage : subject.unread;
  if (status.ok() || !first.ok()) return;
  const auto open = registry_->Find(subject.name);
  if (!open.ok() || open->get() != &collection) return;  // dropped, and its files are gone
  first = status;
  if (!absl::IsDataLoss(status)) {
    LogError("scrubbing cannot read all of collection {}: {}", subject.name, status.ToString());
    const auto before = unread_.find(subject.name);
    if (before == unread_.end() || before->second != status || !subject.damage.ok()) return;
  }
  if ((*open)->damage() != status)
    LogError("collection {} is damaged: {}", subject.name, std::string(status.message()));
  (*open)->SetDamage(status);
}

void Scrubber::CheckTables(Subject& subject) {
  std::vector<CollectionStore::Table> tables;
  if (const auto collection = subject.collection.lock()) tables = collection->shards()->store().Tables();
  for (const CollectionStore::Table& table : tables) {
    {
      const auto collection = subject.collection.lock();
      if (collection == nullptr) return;
      Found(subject, *collection, collection->shards()->store().CheckTable(table));
    }
    if (!Pace(table.bytes, table.bytes)) return;
  }
}

void Scrubber::CheckSegments(Subject& subject) {
  std::vector<std::pair<uint32_t, std::weak_ptr<const Segment>>> segments;
  if (const auto collection = subject.collection.lock()) {
    const auto view = collection->shards()->view();
    for (uint32_t shard = 0; shard < view->shards.size(); ++shard) {
      for (const SegmentView& of : view->shards[shard]->segments) segments.emplace_back(shard, of.segment);
    }
  }
  for (const auto& [shard, segment] : segments) {
    CheckSegment(subject, shard, segment);
    if (!Pace(0, 0)) return;
  }
}

void Scrubber::CheckSegment(Subject& subject, uint32_t shard, const std::weak_ptr<const Segment>& segment) {
  std::vector<uint32_t> rows;
  {
    const auto collection = subject.collection.lock();
    const auto held = segment.lock();
    if (collection == nullptr || held == nullptr) return;
    const auto view = collection->shards()->view();
    if (const SegmentView* found = FindView(*view->shards[shard], held.get())) rows = InOrder(*found);
  }
  const absl::Span<const uint32_t> all = rows;
  for (size_t begin = 0; begin < all.size(); begin += kRowsAtATime) {
    if (!CheckSome(subject, shard, segment, all.subspan(begin, kRowsAtATime))) return;
  }
}

bool Scrubber::CheckSome(Subject& subject, uint32_t shard, const std::weak_ptr<const Segment>& segment,
                         absl::Span<const uint32_t> rows) {
  uint64_t bytes = 0, read = rows.size() * 2 * kBlockBytes;
  {
    const auto collection = subject.collection.lock();
    const auto held = segment.lock();
    if (collection == nullptr || held == nullptr) return false;
    const auto view = collection->shards()->view();
    const SegmentView* found = FindView(*view->shards[shard], held.get());
    if (found == nullptr) return false;
    std::vector<uint32_t> in_use;
    for (const uint32_t row : rows) {
      if (found->deleted == nullptr || !found->deleted->test(row)) in_use.push_back(row);
    }
    auto differences = CompareRows(collection->shards()->store(), {view, shard, found, in_use});
    Found(subject, *collection, differences.status());
    if (differences.ok()) {
      bytes = differences->bytes;
      read += differences->document_bytes;
      Mend(subject, *collection, *std::move(differences));
    }
  }
  return Pace(bytes, read);
}

void Scrubber::Mend(Subject& subject, Collection& collection, RowDifferences differences) {
  if (!differences.unknown.empty()) {
    Found(subject, collection,
          absl::DataLossError(absl::StrFormat(
              "%d rows in memory, the first with id \"%s\", are not stored: the memory of this machine is not to be "
              "trusted. A restart reads them again",
              differences.unknown.size(), ShownInMessage(differences.unknown.front()))));
  }
  if (differences.mutations.empty()) return;
  const std::string first(differences.mutations.front().id);
  const auto result = collection.WriteAndWait(std::move(differences.mutations), std::move(differences.owner));
  if (!result.ok())
    return LogError("rows of collection {} in memory are not mended: {}", subject.name, result.status().ToString());
  if (result->documents == 0) return;  // written meanwhile
  collection.DistrustMemory();
  mended_.fetch_add(result->documents, std::memory_order_relaxed);
  LogError(
      "{} rows of collection {} in memory were not as stored, the first of document {}, and were put right: the memory "
      "of this machine is not to be trusted",
      result->documents, subject.name, ShownInMessage(first));
}

}  // namespace bebr
