#include "index/log/memory_log.h"

#include <algorithm>
#include <functional>
#include <random>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

AppendId NewAppendId() {
  std::random_device random;
  const auto word = [&] { return uint64_t{random()} << 32 | random(); };
  return {word(), word()};
}

}  // namespace

// What a log holds. Thread safety: as Log.
class MemoryLogs::Contents {
 public:
  explicit Contents(std::string name) : name_(std::move(name)) {}

  absl::StatusOr<LogWriter> BeginWriter(std::string_view name) {
    BEBR_RETURN_IF_ERROR(CheckLogName("writer", name));
    MutexLock lock(&mutex_);
    BEBR_RETURN_IF_ERROR(There());
    Writer& writer = writers_[std::string(name)];
    ++writer.epoch;
    return LogWriter{std::string(name), writer.epoch, writer.number, writer.place};
  }

  absl::StatusOr<LogPlace> Append(const LogWriter& by, uint64_t number, absl::Span<const LogRecord> records) {
    BEBR_RETURN_IF_ERROR(CheckAppend(records));
    MutexLock lock(&mutex_);
    BEBR_RETURN_IF_ERROR(There());
    const auto it = writers_.find(by.name);
    if (it == writers_.end() || it->second.epoch != by.epoch) return Fenced(by.name);
    Writer& writer = it->second;
    if (number == writer.number && number > 0) return writer.place;
    if (number != writer.number + 1) return WrongNumber(by.name, number, writer.number);
    One one{.append = NewAppendId(), .writer = by.name, .records = {}};
    for (const LogRecord& record : records) one.records[record.shard] = record.bytes;
    appends_.push_back(std::move(one));
    writer.number = number;
    writer.place = Head();
    grown_.NotifyAll();
    return writer.place;
  }

  absl::StatusOr<LogPage> Read(const LogPlace& after, absl::Span<const uint32_t> shards, size_t max_bytes) {
    MutexLock lock(&mutex_);
    BEBR_RETURN_IF_ERROR(There());
    if (after.position < trimmed_.position) return TrimmedAway(name_, after.position);
    if (after.position > Head().position) return EndsEarlier(name_, after, Head());
    if (PlaceOf(after.position) != after) return LostHistory(name_, after, "another one is there now");
    LogPage page{.entries = {}, .places = {}, .place = after, .head = Head()};
    size_t bytes = 0;
    for (uint64_t position = after.position + 1; position <= Head().position; ++position) {
      const One& one = At(position);
      size_t more = 0;
      for (const uint32_t shard : shards) more += one.records.contains(shard) ? one.records.at(shard).size() : 0;
      if (position > after.position + 1 && bytes + more > max_bytes) break;
      bytes += more;
      for (const auto& [shard, record] : one.records) {
        if (std::find(shards.begin(), shards.end(), shard) != shards.end())
          page.entries.push_back({position, shard, record});
      }
      page.place = PlaceOf(position);
      page.places.push_back(page.place);
    }
    return page;
  }

  absl::StatusOr<LogPlace> WaitBeyond(uint64_t position, SteadyTime deadline) {
    MutexLock lock(&mutex_);
    for (;;) {
      BEBR_RETURN_IF_ERROR(There());
      const absl::Duration left = deadline - SteadyNow();
      if (Head().position > position || left <= absl::ZeroDuration()) return Head();
      grown_.WaitFor(&mutex_, std::min(left, absl::Seconds(1)));
    }
  }

  absl::StatusOr<LogState> State() {
    MutexLock lock(&mutex_);
    BEBR_RETURN_IF_ERROR(There());
    return LogState{Head(), trimmed_, identity_};
  }

  absl::StatusOr<LogSize> Size() {
    MutexLock lock(&mutex_);
    BEBR_RETURN_IF_ERROR(There());
    LogSize size{.oldest = appends_.empty() ? 0 : trimmed_.position + 1};
    for (const One& one : appends_) {
      size.rows += 1 + one.records.size();
      for (const auto& [shard, record] : one.records) size.bytes += record.size();
    }
    return size;
  }

  absl::StatusOr<LogPlace> Trim(uint64_t through) {
    MutexLock lock(&mutex_);
    BEBR_RETURN_IF_ERROR(There());
    while (trimmed_.position < std::min(through, Head().position)) {
      trimmed_ = PlaceOf(trimmed_.position + 1);
      appends_.erase(appends_.begin());
    }
    return trimmed_;
  }

  void LoseBeyond(uint64_t position) {
    MutexLock lock(&mutex_);
    while (Head().position > position) {
      Writer& writer = writers_.at(appends_.back().writer);
      appends_.pop_back();
      --writer.number;
      writer.place = {};
      for (uint64_t at = Head().position; at > trimmed_.position && writer.place.position == 0; --at) {
        if (&writers_.at(At(at).writer) == &writer) writer.place = PlaceOf(at);
      }
    }
  }

  void SetDropped() {
    MutexLock lock(&mutex_);
    dropped_ = true;
    grown_.NotifyAll();
  }

 private:
  struct One {
    AppendId append;
    std::string writer;
    std::map<uint32_t, std::string> records;  // by shard
  };
  struct Writer {
    uint64_t epoch = 0;
    uint64_t number = 0;
    LogPlace place;
  };

  absl::Status There() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return dropped_ ? NoSuchLog(name_) : absl::OkStatus();
  }
  const One& At(uint64_t position) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return appends_[position - trimmed_.position - 1];
  }
  LogPlace PlaceOf(uint64_t position) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return position == trimmed_.position ? trimmed_ : LogPlace{position, At(position).append};
  }
  LogPlace Head() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return PlaceOf(trimmed_.position + appends_.size()); }

  const std::string name_;
  const uint64_t identity_ = NewAppendId().high | 1;
  Mutex mutex_;
  CondVar grown_;
  std::vector<One> appends_ ABSL_GUARDED_BY(mutex_);  // after trimmed_
  LogPlace trimmed_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Writer, std::less<>> writers_ ABSL_GUARDED_BY(mutex_);
  bool dropped_ ABSL_GUARDED_BY(mutex_) = false;
};

namespace {

// A handle of a log's contents.
class MemoryLog : public Log {
 public:
  explicit MemoryLog(std::shared_ptr<MemoryLogs::Contents> contents) : contents_(std::move(contents)) {}

  absl::StatusOr<LogWriter> BeginWriter(std::string_view name) override { return contents_->BeginWriter(name); }
  absl::StatusOr<LogPlace> Append(const LogWriter& writer, uint64_t number,
                                  absl::Span<const LogRecord> records) override {
    return contents_->Append(writer, number, records);
  }
  absl::StatusOr<LogPage> Read(const LogPlace& after, absl::Span<const uint32_t> shards, size_t max_bytes) override {
    return contents_->Read(after, shards, max_bytes);
  }
  absl::StatusOr<LogPlace> WaitBeyond(uint64_t position, SteadyTime deadline) override {
    return contents_->WaitBeyond(position, deadline);
  }
  absl::StatusOr<LogState> State() override { return contents_->State(); }
  absl::StatusOr<LogSize> Size() override { return contents_->Size(); }
  absl::StatusOr<LogPlace> Trim(uint64_t through) override { return contents_->Trim(through); }

 private:
  const std::shared_ptr<MemoryLogs::Contents> contents_;
};

}  // namespace

MemoryLogs::MemoryLogs() = default;
MemoryLogs::~MemoryLogs() = default;

absl::Status MemoryLogs::Create(std::string_view name) {
  BEBR_RETURN_IF_ERROR(CheckLogName("log", name));
  MutexLock lock(&mutex_);
  auto& contents = logs_[std::string(name)];
  if (contents == nullptr) contents = std::make_shared<Contents>(std::string(name));
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Log>> MemoryLogs::Open(std::string_view name) {
  MutexLock lock(&mutex_);
  const auto it = logs_.find(name);
  if (it == logs_.end()) return NoSuchLog(name);
  return std::make_unique<MemoryLog>(it->second);
}

absl::Status MemoryLogs::Drop(std::string_view name) {
  MutexLock lock(&mutex_);
  const auto it = logs_.find(name);
  if (it == logs_.end()) return absl::OkStatus();
  it->second->SetDropped();
  logs_.erase(it);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> MemoryLogs::Names() {
  MutexLock lock(&mutex_);
  std::vector<std::string> names;
  for (const auto& [name, contents] : logs_) names.push_back(name);
  return names;
}

void MemoryLogs::LoseBeyond(std::string_view name, uint64_t position) {
  MutexLock lock(&mutex_);
  logs_.find(name)->second->LoseBeyond(position);
}

}  // namespace bebr
