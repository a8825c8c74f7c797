#include "index/learn/learner.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "index/base/background.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

// The version is that of the last step no longer, if somebody has retired it.
bool IsThere(const CollectionManifest& manifest, const std::string& version) {
  return !version.empty() && manifest.FindVersion(version).ok();
}

// A step that leaves nothing to fit.
absl::StatusOr<std::optional<Lesson>> Done(const absl::Status& status) {
  if (!status.ok()) return status;
  return std::optional<Lesson>();
}

}  // namespace

Learner::Learner(Registry* registry, Upgrades* upgrades, Capacity* capacity, SearchNow search, Options options)
    : registry_(registry), upgrades_(upgrades), capacity_(capacity), search_(std::move(search)), options_(options) {}

Learner::~Learner() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    if (unwanted_ != nullptr) *unwanted_ = true;
  }
  wake_.NotifyAll();
  if (thread_.joinable()) thread_.join();
}

void Learner::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Learner::Forget(std::string_view collection) {
  MutexLock lock(&mutex_);
  if (held_ == collection) *unwanted_ = true;
  wake_.NotifyAll();  // a step that waits for its next read
  while (held_ == collection) wake_.Wait(&mutex_);
  progress_.erase(std::string(collection));
}

bool Learner::Wait(absl::Duration duration) {
  const SteadyTime until = SteadyNow() + duration;
  MutexLock lock(&mutex_);
  while (!stopping_ && SteadyNow() < until) wake_.WaitFor(&mutex_, until - SteadyNow());
  return !stopping_;
}

bool Learner::stopping() const {
  MutexLock lock(&mutex_);
  return stopping_;
}

std::shared_ptr<std::atomic<bool>> Learner::unwanted() const {
  MutexLock lock(&mutex_);
  return unwanted_;
}

Learner::Progress Learner::ProgressOf(const std::string& name) const {
  MutexLock lock(&mutex_);
  const auto found = progress_.find(name);
  return found == progress_.end() ? Progress() : found->second;
}

void Learner::SetProgress(const std::string& name, absl::FunctionRef<void(Progress&)> edit) {
  MutexLock lock(&mutex_);
  edit(progress_[name]);
}

void Learner::Run() {
  YieldToOthers();
  do {
    std::vector<std::string> names;
    for (const auto& collection : registry_->List()) {
      const auto manifest = collection->manifest();
      if (manifest->auto_record.has_value()) names.push_back(manifest->name);
    }
    for (const std::string& name : names) LookAt(name);
  } while (Wait(options_.pace / 10));
}

void Learner::LookAt(const std::string& name) {
  if (stopping() || SteadyNow() < ProgressOf(name).retry) return;
  absl::StatusOr<std::optional<Lesson>> lesson = Done(absl::OkStatus());
  {
    MutexLock lock(&mutex_);
    held_ = name;
    unwanted_ = std::make_shared<std::atomic<bool>>(stopping_);
  }
  if (auto collection = registry_->Find(name); collection.ok()) lesson = Step(*collection);
  {
    MutexLock lock(&mutex_);
    held_.clear();
  }
  wake_.NotifyAll();
  absl::Status status = lesson.status();
  if (status.ok() && lesson->has_value()) status = Learn(**std::move(lesson));
  if (stopping() || absl::IsNotFound(status) || absl::IsCancelled(status)) return;
  SetProgress(name, [&](Progress& progress) {
    progress.error = std::string(status.message());
    if (!status.ok()) progress.retry = SteadyNow() + 6 * options_.pace;
  });
  if (!status.ok()) LogWarning("collection {}: a binarizer of its own: {}", name, status.ToString());
}

absl::StatusOr<std::optional<Lesson>> Learner::Step(const std::shared_ptr<Collection>& collection) {
  const auto manifest = collection->manifest();
  const AutoRecord& record = *manifest->auto_record;
  if (record.dropping_floats) return Done(DropFloats(*collection));
  BEBR_ASSIGN_OR_RETURN(const Version* version, manifest->FindVersion(""));
  if (record.final || version->name != record.version) return Done(absl::OkStatus());
  BEBR_ASSIGN_OR_RETURN(const bool incomplete, Incomplete(*collection, *version));
  if (incomplete) return Done(absl::OkStatus());
  if (IsThere(*manifest, record.candidate)) {
    BEBR_ASSIGN_OR_RETURN(const Version* candidate, manifest->FindVersion(record.candidate));
    return Done(BringIn(*collection, *candidate));
  }
  if (!record.outgoing.empty()) return Done(RetireOutgoing(*collection));
  const auto change = [&](absl::FunctionRef<absl::Status(CollectionManifest&)> edit) {
    return Done(Change(manifest->name, manifest->created_unix_us, edit));
  };
  if (!record.candidate.empty()) {
    return change([](CollectionManifest& changed) {
      AddEvent(changed, absl::StrFormat("%s was retired by somebody", changed.auto_record->candidate));
      changed.auto_record->candidate.clear();
      return absl::OkStatus();
    });
  }
  if (!record.keeps_floats && record.promotions > 0) {
    return change([](CollectionManifest& changed) {
      Finish(changed);
      return absl::OkStatus();
    });
  }
  const Situation situation = SituationOf(*collection, *version);
  if (MeasureIsDue(record, situation)) {
    BEBR_ASSIGN_OR_RETURN(const Comparison comparison, CompareWith(*collection, *version, nullptr));
    return change([&](CollectionManifest& changed) {
      RecordMeasure(changed, comparison);
      return absl::OkStatus();
    });
  }
  std::string reason = ReasonToFit(record, situation, options_.first_documents);
  if (reason.empty()) return Done(absl::OkStatus());
  return ReadLesson(*collection, std::move(reason), {.cancelled = unwanted()});
}

Situation Learner::SituationOf(const Collection& collection, const Version& version) {
  Situation situation;
  const std::string name = collection.manifest()->name;
  situation.documents = collection.DocumentsWithEmbedding(version.embedding);
  const SteadyTime now = SteadyNow();
  SetProgress(name, [&](Progress& progress) {
    if (situation.documents > progress.documents || progress.grew == SteadyTime()) progress.grew = now;
    progress.documents = situation.documents;
    situation.quiet = now - progress.grew >= options_.pace;
  });
  const auto sample = upgrades_->LastRecall(name, version.name);
  if (sample.has_value() && sample->measured > ProgressOf(name).fitted) situation.monitored = sample->recall;
  return situation;
}

absl::StatusOr<bool> Learner::Incomplete(const Collection& collection, const Version& version) {
  // Counted first: what comes meanwhile has its code at once.
  const uint64_t documents = collection.DocumentsWithEmbedding(version.embedding);
  if (collection.DocumentsInSpace(version.space) >= documents) return version.backfilling;
  const std::string name = collection.manifest()->name;
  if (version.backfilling || SteadyNow() < ProgressOf(name).backfilled + options_.pace) return true;
  SetProgress(name, [](Progress& progress) { progress.backfilled = SteadyNow(); });
  BEBR_RETURN_IF_ERROR(upgrades_->StartBackfill(name, version.name, 0));
  return true;
}

absl::Status Learner::BringIn(const Collection& collection, const Version& candidate) {
  BEBR_ASSIGN_OR_RETURN(const bool incomplete, Incomplete(collection, candidate));
  if (incomplete) return absl::OkStatus();
  const auto manifest = collection.manifest();
  BEBR_ASSIGN_OR_RETURN(const Version* against, manifest->FindVersion(""));
  BEBR_ASSIGN_OR_RETURN(const Comparison comparison, CompareWith(collection, candidate, against));
  SetProgress(manifest->name, [](Progress& progress) { progress.promoted = SteadyNow(); });
  return Change(manifest->name, manifest->created_unix_us,
                [&](CollectionManifest& changed) { return Decide(changed, comparison); });
}

absl::StatusOr<Comparison> Learner::CompareWith(const Collection& collection, const Version& version,
                                                const Version* against) {
  const auto spend = [this, unwanted = unwanted()](size_t documents) -> absl::Status {
    MutexLock lock(&mutex_);
    if (options_.documents_per_s > 0) {
      const double seconds = static_cast<double>(documents) / static_cast<double>(options_.documents_per_s);
      next_read_ = std::max(next_read_, SteadyNow()) + absl::Seconds(seconds);
      while (!*unwanted && SteadyNow() < next_read_) wake_.WaitFor(&mutex_, next_read_ - SteadyNow());
    }
    return *unwanted ? absl::CancelledError("nobody waits for it any more") : absl::OkStatus();
  };
  return Compare(collection, version, against, search_, {.threads = 1, .spend = spend, .cancelled = unwanted()});
}

absl::Status Learner::RetireOutgoing(const Collection& collection) {
  const auto manifest = collection.manifest();
  const std::string& name = manifest->name;
  const std::string outgoing = manifest->auto_record->outgoing;
  if (IsThere(*manifest, outgoing)) {
    // Calls that began before the promotion may still name its embeddings.
    SetProgress(name, [](Progress& progress) {
      if (progress.promoted == SteadyTime()) progress.promoted = SteadyNow();
    });
    if (SteadyNow() < ProgressOf(name).promoted + 3 * options_.pace) return absl::OkStatus();
    BEBR_RETURN_IF_ERROR(upgrades_->Retire(name, outgoing));
  }
  SetProgress(name, [](Progress& progress) { progress.promoted = SteadyTime(); });
  return Change(name, manifest->created_unix_us, [&](CollectionManifest& changed) {
    changed.auto_record->outgoing.clear();
    return absl::OkStatus();
  });
}

absl::Status Learner::DropFloats(Collection& collection) {
  const auto manifest = collection.manifest();
  BEBR_ASSIGN_OR_RETURN(const Version* version, manifest->FindVersion(manifest->auto_record->version));
  BEBR_RETURN_IF_ERROR(collection.DropFloats(version->embedding));
  return Change(manifest->name, manifest->created_unix_us, [](CollectionManifest& changed) {
    changed.auto_record->dropping_floats = false;
    return absl::OkStatus();
  });
}

absl::Status Learner::Learn(Lesson lesson) {
  const std::string& name = lesson.collection;
  SetProgress(name, [](Progress& progress) { progress.fitting = true; });
  lesson.fit.cancelled = [this, &name] { return stopping() || !registry_->Find(name).ok(); };
  const absl::StatusOr<FittedModel> fitted = FitStart(std::move(lesson.fit));
  SetProgress(name, [](Progress& progress) {
    progress.fitting = false;
    progress.fitted = absl::Now();
  });
  BEBR_RETURN_IF_ERROR(fitted.status());
  BEBR_ASSIGN_OR_RETURN(const std::string file, SerializeModel(fitted->model));
  BEBR_ASSIGN_OR_RETURN(const std::shared_ptr<const Binarizer> binarizer, Binarizer::Parse(file));
  BEBR_RETURN_IF_ERROR(capacity_->CheckDisk());
  const auto add = [&](CollectionManifest& manifest) -> absl::Status {
    BEBR_RETURN_IF_ERROR(AddCandidate(manifest, lesson, *fitted, binarizer));
    return capacity_->CheckFits(manifest, std::max(manifest.expected_documents, lesson.documents), registry_->List());
  };
  return Change(name, lesson.created_unix_us, add, file);
}

absl::Status Learner::Change(const std::string& name, int64_t created_unix_us,
                             absl::FunctionRef<absl::Status(CollectionManifest&)> edit, std::string_view model_file) {
  const auto same = [&](const Collection&, CollectionManifest& manifest) -> absl::Status {
    if (manifest.created_unix_us != created_unix_us || !manifest.auto_record.has_value()) {
      return absl::CancelledError("another collection has the name now");
    }
    return edit(manifest);
  };
  return registry_->Change(name, same, model_file);
}

void Learner::Describe(const CollectionManifest& manifest, CollectionInfo& info) const {
  if (!manifest.auto_record.has_value()) return;
  const AutoRecord& record = *manifest.auto_record;
  const Progress progress = ProgressOf(manifest.name);
  AutoInfo& out = info.auto_info.emplace();
  out.state = record.final ? AutoState::kFinal : record.promotions > 0 ? AutoState::kFitted : AutoState::kCollecting;
  if (progress.fitting) out.state = AutoState::kFitting;
  if (const auto candidate = manifest.FindVersion(record.candidate); !record.candidate.empty() && candidate.ok()) {
    out.state = (*candidate)->backfilling ? AutoState::kBackfilling : AutoState::kChecking;
  }
  out.config = record.config;
  out.fitted_documents = record.fitted_documents;
  out.next_fit_documents = NextFitDocuments(record, options_.first_documents);
  out.recall = record.recall;
  out.recall_goal = record.recall_goal;
  out.fits = record.fits;
  out.promotions = record.promotions;
  out.events = record.events;
  out.error = progress.error;
}

}  // namespace bebr
