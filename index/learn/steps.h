// The steps of a collection's own binarizers, as changes of its manifest: each is one replacement of the file, so that
// a kill leaves the state before it or after it.
#ifndef BEBR_INDEX_LEARN_STEPS_H_
#define BEBR_INDEX_LEARN_STEPS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "index/binarizer/binarizer.h"
#include "index/catalog/manifest.h"
#include "index/learn/comparison.h"
#include "index/learn/lesson.h"

namespace bebr {

// What the rules for a new fit look at beside the record.
struct Situation {
  uint64_t documents = 0;           // with stored floats
  bool quiet = false;               // none have come for a while
  std::optional<double> monitored;  // recall@10 by the recall monitor, if that is newer than the last fit
};

inline constexpr uint64_t kGrowth = 10;  // so many times the documents of the last fit bring the next one

// Why a new fit is due, in words; empty: it is not. `first_documents` bring the first one.
std::string ReasonToFit(const AutoRecord& record, const Situation& situation, uint64_t first_documents);
// Whether the recall of the default version is to be measured again: twice the documents, or a quarter more and quiet.
bool MeasureIsDue(const AutoRecord& record, const Situation& situation);
// Documents that bring the next fit; 0: none will.
uint64_t NextFitDocuments(const AutoRecord& record, uint64_t first_documents);

// Keeps the last kMaxAutoEvents, and logs it.
void AddEvent(CollectionManifest& manifest, std::string text);

// Adds the version that was fitted, for the default version's embeddings, in a space of its own.
absl::Status AddCandidate(CollectionManifest& manifest, const Lesson& lesson, const FittedModel& fitted,
                          std::shared_ptr<const Binarizer> binarizer);
// Makes the candidate the default if it is at least as good, or reaches the recall that was asked for; else it is to be
// retired. FAILED_PRECONDITION if somebody has changed the versions meanwhile.
absl::Status Decide(CollectionManifest& manifest, const Comparison& comparison);
// Records the recall of the default version.
void RecordMeasure(CollectionManifest& manifest, const Comparison& comparison);
// Ends it for a collection that is to keep no floats: they are dropped next.
void Finish(CollectionManifest& manifest);

}  // namespace bebr

#endif  // BEBR_INDEX_LEARN_STEPS_H_
