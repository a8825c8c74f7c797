// One fit to a collection's own documents.
#ifndef BEBR_INDEX_LEARN_LESSON_H_
#define BEBR_INDEX_LEARN_LESSON_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "index/collection/collection.h"
#include "index/fit/fit.h"
#include "index/upgrade/recall.h"

namespace bebr {

// How many rows a fit takes at most, and how many bytes of floats.
inline constexpr size_t kMaxLessonRows = 20000;
inline constexpr size_t kMaxLessonBytes = size_t{64} << 20;

// A Lesson is all that a fit needs of a collection, which need not be held while it runs.
struct Lesson {
  std::string collection;
  int64_t created_unix_us = 0;  // of the collection: another one may have its name when the fit is done
  std::string reason;           // for which it is made
  uint64_t documents = 0;       // there when it was read
  FitRequest fit;
};

// Reads the stored floats of a sample of the documents that the default version takes: those with the smallest hashes
// of their ids, but for the very smallest, by which versions are compared. FAILED_PRECONDITION where there are too few;
// CANCELLED.
absl::StatusOr<Lesson> ReadLesson(const Collection& collection, std::string reason, const ReadingPace& pace);

}  // namespace bebr

#endif  // BEBR_INDEX_LEARN_LESSON_H_
