#include "index/cluster/log_backfills.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_format.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

constexpr absl::Duration kRetryInterval = absl::Seconds(1);
constexpr uint32_t kLeastDocuments = 64, kMostDocuments = 4096;  // of a part

bool MayPass(const absl::Status& error) {
  return absl::IsUnavailable(error) || absl::IsResourceExhausted(error) || absl::IsDeadlineExceeded(error);
}

}  // namespace

LogBackfills::~LogBackfills() {
  std::vector<std::thread> threads;
  {
    MutexLock lock(&mutex_);
    for (auto& [subject, job] : jobs_) {
      job->stopping = true;
      threads.push_back(std::move(job->thread));
    }
    wake_.NotifyAll();
  }
  for (std::thread& thread : threads) {
    if (thread.joinable()) thread.join();
  }
}

void LogBackfills::Start(const Subject& subject, uint64_t documents_per_s) {
  std::thread ended;
  {
    MutexLock lock(&mutex_);
    std::unique_ptr<Job>& job = jobs_[subject];
    if (job != nullptr && job->info.running && !job->stopping) {
      job->info.limit_documents_per_s = documents_per_s;
      return wake_.NotifyAll();
    }
    if (job != nullptr) ended = std::move(job->thread);
  }
  if (ended.joinable()) ended.join();
  MutexLock lock(&mutex_);
  std::unique_ptr<Job>& job = jobs_[subject];
  if (job != nullptr && job->info.running && !job->stopping) return;  // somebody else has begun it
  job = std::make_unique<Job>();
  job->info.running = true;
  job->info.limit_documents_per_s = documents_per_s;
  job->thread = std::thread([this, subject, begun = job.get()] { Run(subject, *begun); });
}

absl::Status LogBackfills::Stop(const Subject& subject) {
  MutexLock lock(&mutex_);
  const auto it = jobs_.find(subject);
  if (it == jobs_.end() || it->second->forgotten || !it->second->info.running) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "no backfill of version \"%s\" runs at this gateway; ask the one that it was begun through", subject.version));
  }
  it->second->stopping = true;
  wake_.NotifyAll();
  return absl::OkStatus();
}

void LogBackfills::Forget(const std::string& collection) {
  MutexLock lock(&mutex_);
  for (auto& [subject, job] : jobs_) {
    if (subject.collection == collection) job->stopping = job->forgotten = true;
  }
  wake_.NotifyAll();
}

void LogBackfills::AddTo(CollectionInfo& info) const {
  MutexLock lock(&mutex_);
  for (VersionInfo& version : info.versions) {
    const auto it = jobs_.find({info.name, version.name});
    if (it == jobs_.end() || it->second->forgotten || version.state == VersionState::kRetired) continue;
    version.backfill = it->second->info;
    if (it->second->info.running && version.state == VersionState::kAdded) version.state = VersionState::kBackfilling;
  }
}

bool LogBackfills::Rest(const Job& job, absl::Duration time) {
  const SteadyTime end = SteadyNow() + time;
  MutexLock lock(&mutex_);
  while (!job.stopping && SteadyNow() < end) wake_.WaitFor(&mutex_, end - SteadyNow());
  return !job.stopping;
}

uint32_t LogBackfills::MostDocuments(const Job& job) const {
  MutexLock lock(&mutex_);
  const uint64_t limit = job.info.limit_documents_per_s;
  return limit == 0 ? kMostDocuments
                    : static_cast<uint32_t>(std::clamp<uint64_t>(limit, kLeastDocuments, kMostDocuments));
}

void LogBackfills::Count(Job& job, uint64_t documents) {
  absl::Duration pause;
  {
    MutexLock lock(&mutex_);
    BackfillInfo& info = job.info;
    info.written += documents;
    info.documents_per_s =
        static_cast<double>(info.written) / std::max(absl::ToDoubleSeconds(SteadyNow() - job.begun), 0.1);
    if (info.limit_documents_per_s != 0)
      pause = absl::Seconds(static_cast<double>(documents) / static_cast<double>(info.limit_documents_per_s));
  }
  Rest(job, pause);
}

absl::StatusOr<uint64_t> LogBackfills::Pass(const Subject& subject, Job& job) {
  uint64_t found = 0;
  for (size_t share = 0; share < shares_; ++share) {
    std::string after;
    do {
      if (!Rest(job, absl::ZeroDuration())) return found;
      auto part = write_(share, subject, after, MostDocuments(job));
      while (!part.ok() && MayPass(part.status())) {
        {
          MutexLock lock(&mutex_);
          job.info.error = std::string(part.status().message());
        }
        if (!Rest(job, kRetryInterval)) return found;
        part = write_(share, subject, after, MostDocuments(job));
      }
      BEBR_RETURN_IF_ERROR(part.status());
      found += part->documents;
      Count(job, part->documents);
      after = part->last_id;
    } while (!after.empty());
  }
  return found;
}

void LogBackfills::Run(const Subject& subject, Job& job) {
  absl::StatusOr<uint64_t> found = 1;
  while (found.ok() && *found > 0 && Rest(job, absl::ZeroDuration())) {
    found = Pass(subject, job);
    MutexLock lock(&mutex_);
    job.info.error = std::string(found.status().message());
  }
  LogInfo("backfill of version {} of collection {}: {}", subject.version, subject.collection,
          found.ok() ? "done, or stopped" : std::string(found.status().message()));
  MutexLock lock(&mutex_);
  job.info.running = false;
  job.info.documents_per_s = 0;
}

}  // namespace bebr
