#include "index/learn/steps.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"
#include "index/upgrade/versions.h"

namespace bebr {
namespace {

// Below the recall at the last comparison by more than this, something has changed: queries of a sample of 400 are not
// that far off.
constexpr double kTolerance = 0.03;
// A recall that was asked for counts as reached within what a sample tells.
constexpr double kSampleError = 0.01;
constexpr double kMoreDocuments = 1.25;
// Fits must not use up the versions that a collection may have.
constexpr size_t kMostVersions = kMaxVersions - 54;

double GoalFor(const AutoRecord& record, double recall) {
  return record.config.recall > 0.0 ? record.config.recall : std::max(0.0, recall - kTolerance);
}

bool MuchMore(uint64_t documents, uint64_t before) {
  return static_cast<double>(documents) >= kMoreDocuments * static_cast<double>(before);
}

// The first free name.
std::string CandidateName(const CollectionManifest& manifest) {
  const auto taken = [&](const std::string& name) {
    return std::any_of(manifest.versions.begin(), manifest.versions.end(),
                       [&](const Version& version) { return version.name == name; });
  };
  uint32_t number = manifest.auto_record->fits + 1;
  while (taken(absl::StrCat("auto-", number))) ++number;
  return absl::StrCat("auto-", number);
}

}  // namespace

std::string ReasonToFit(const AutoRecord& record, const Situation& situation, uint64_t first_documents) {
  const uint64_t documents = situation.documents;
  if (record.final) return "";
  if (record.fitted_documents == 0) {
    return documents < first_documents ? "" : absl::StrFormat("%d documents are there", documents);
  }
  if (documents >= kGrowth * record.fitted_documents) {
    return absl::StrFormat("%d documents are there, %d times those of the last fit", documents,
                           documents / record.fitted_documents);
  }
  if (record.promotions == 0 || !record.keeps_floats) return "";
  if (record.recall < record.recall_goal && MuchMore(record.measured_documents, record.fitted_documents)) {
    return absl::StrFormat("recall@10 has fallen to %.3f, below %.3f", record.recall, record.recall_goal);
  }
  if (situation.monitored.has_value() && *situation.monitored < record.recall_goal) {
    return absl::StrFormat("recall@10 is %.3f by the monitor, below %.3f", *situation.monitored, record.recall_goal);
  }
  const size_t most = std::min(kMaxLessonRows, kMaxLessonBytes / (record.config.dims * sizeof(float)));
  if (situation.quiet && record.fitted_rows < most && MuchMore(documents, record.fitted_documents)) {
    return absl::StrFormat("%d documents are there and no more come: the last fit was to %d rows", documents,
                           record.fitted_rows);
  }
  return "";
}

bool MeasureIsDue(const AutoRecord& record, const Situation& situation) {
  if (record.promotions == 0 || record.final || !record.keeps_floats) return false;
  return situation.documents >= 2 * record.measured_documents ||
         (situation.quiet && MuchMore(situation.documents, record.measured_documents));
}

uint64_t NextFitDocuments(const AutoRecord& record, uint64_t first_documents) {
  if (record.final || (!record.keeps_floats && record.promotions > 0)) return 0;
  return record.fitted_documents == 0 ? first_documents : kGrowth * record.fitted_documents;
}

void AddEvent(CollectionManifest& manifest, std::string text) {
  LogInfo("collection {}: {}", manifest.name, text);
  std::vector<AutoEvent>& events = manifest.auto_record->events;
  events.push_back({absl::ToUnixMicros(absl::Now()), std::move(text)});
  if (events.size() > kMaxAutoEvents) events.erase(events.begin());
}

absl::Status AddCandidate(CollectionManifest& manifest, const Lesson& lesson, const FittedModel& fitted,
                          std::shared_ptr<const Binarizer> binarizer) {
  AutoRecord& record = *manifest.auto_record;
  if (record.version != manifest.default_version || !record.candidate.empty()) {
    return absl::FailedPreconditionError("the versions have been changed meanwhile");
  }
  if (manifest.versions.size() >= kMostVersions) {
    return absl::ResourceExhaustedError(absl::StrFormat(
        "the collection has had %d versions: the others are left to its users", manifest.versions.size()));
  }
  const std::string name = CandidateName(manifest);
  const CodeSpec spec = binarizer->spec();
  const std::string embeddings = manifest.default_version;
  BEBR_ASSIGN_OR_RETURN(manifest, WithVersion(std::move(manifest), {.name = name, .same_embeddings_as = embeddings},
                                              std::move(binarizer)));
  AutoRecord& changed = *manifest.auto_record;
  changed.candidate = name;
  changed.fitted_documents = lesson.documents;
  changed.fitted_rows = fitted.rows;
  ++changed.fits;
  const std::string groups = spec.groups() == 1 ? "" : absl::StrFormat(" in %d groups", spec.groups());
  AddEvent(manifest, absl::StrFormat("%s: %s is fitted to %d rows, %d bits as %s%s, recall@10 %.3f on other rows%s",
                                     lesson.reason, name, fitted.rows, spec.bits(), spec.ToString(), groups,
                                     fitted.recall_at_10, fitted.reached ? "" : ", which is not what was asked for"));
  return absl::OkStatus();
}

absl::Status Decide(CollectionManifest& manifest, const Comparison& comparison) {
  AutoRecord& record = *manifest.auto_record;
  BEBR_ASSIGN_OR_RETURN(const Version* candidate, manifest.FindVersion(record.candidate));
  const VersionCheck& check = comparison.check;
  if (manifest.default_version != record.version || check.against != record.version) {
    return absl::FailedPreconditionError("the versions have been changed meanwhile");
  }
  manifest.versions[candidate->number].check = check;
  const bool reached = record.config.recall > 0.0 && check.recall >= record.config.recall - kSampleError;
  const bool better = check.recall >= check.against_recall || reached;
  record.measured_documents = check.documents;
  record.recall = better ? check.recall : check.against_recall;
  record.recall_goal = GoalFor(record, record.recall);
  const std::string figures = absl::StrFormat("recall@10 %.3f against %.3f of %s on %d of %d documents", check.recall,
                                              check.against_recall, check.against, check.queries, check.documents);
  if (!better) {
    record.outgoing = std::exchange(record.candidate, "");
    AddEvent(manifest,
             absl::StrFormat("%s stays the default and %s is retired: %s", record.version, record.outgoing, figures));
    return absl::OkStatus();
  }
  manifest.previous_default = manifest.default_version;
  manifest.default_version = record.candidate;
  record.outgoing = record.version;
  record.version = std::exchange(record.candidate, "");
  ++record.promotions;
  if (record.measures_rerank) manifest.default_rerank = comparison.rerank;
  AddEvent(manifest, absl::StrFormat("%s is the default now: %s; searches rerank %d", record.version, figures,
                                     manifest.KeepsFloats() ? manifest.default_rerank : 0));
  return absl::OkStatus();
}

void RecordMeasure(CollectionManifest& manifest, const Comparison& comparison) {
  AutoRecord& record = *manifest.auto_record;
  record.recall = comparison.check.recall;
  record.measured_documents = comparison.check.documents;
  if (record.measures_rerank) manifest.default_rerank = comparison.rerank;
  AddEvent(manifest, absl::StrFormat("%s has recall@10 %.3f on %d documents; searches rerank %d", record.version,
                                     record.recall, record.measured_documents, manifest.default_rerank));
}

void Finish(CollectionManifest& manifest) {
  AutoRecord& record = *manifest.auto_record;
  manifest.store_floats = FloatStorage::kNone;
  record.final = true;
  record.dropping_floats = true;
  for (Version& version : manifest.versions) version.backfilling = false;
  AddEvent(manifest,
           absl::StrFormat("%s is final: the collection stores no floats, so there is nothing to fit to again",
                           record.version));
}

}  // namespace bebr
