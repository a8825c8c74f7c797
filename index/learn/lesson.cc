#include "index/learn/lesson.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/learn/comparison.h"
#include "index/learn/first_model.h"

namespace bebr {
namespace {

constexpr size_t kLeastRows = 20;

// Of few documents most are needed for the fit: then some of them are in both.
size_t RowsLeftOut(size_t documents) { return std::min(kComparisonQueries, documents / 5); }

}  // namespace

absl::StatusOr<Lesson> ReadLesson(const Collection& collection, std::string reason, const ReadingPace& pace) {
  const auto manifest = collection.manifest();
  const AutoRecord& record = *manifest->auto_record;
  BEBR_ASSIGN_OR_RETURN(const Version* version, manifest->FindVersion(""));
  Lesson lesson;
  lesson.collection = manifest->name;
  lesson.created_unix_us = manifest->created_unix_us;
  lesson.reason = std::move(reason);
  lesson.documents = collection.DocumentsWithEmbedding(version->embedding);
  const size_t dims = record.config.dims;
  const size_t left_out = RowsLeftOut(lesson.documents);
  const size_t most = std::min(kMaxLessonRows, kMaxLessonBytes / (dims * sizeof(float)));
  BEBR_ASSIGN_OR_RETURN(std::vector<Queries> sampled, SampleQueries(collection, {&version, 1}, left_out + most, pace));
  std::vector<std::vector<float>>& rows = sampled[0].rows;
  if (rows.size() < left_out + kLeastRows) {
    return absl::FailedPreconditionError(
        absl::StrFormat("%d documents have stored floats, which are too few to fit to", rows.size()));
  }
  FitRequest& fit = lesson.fit;
  fit.rows.dims = dims;
  fit.rows.rows = rows.size() - left_out;
  fit.rows.values.reserve(fit.rows.rows * dims);
  for (size_t r = left_out; r < rows.size(); ++r) {
    fit.rows.values.insert(fit.rows.values.end(), rows[r].begin(), rows[r].end());
    rows[r] = {};  // or all of them would be held twice
  }
  fit.metric = record.config.metric;
  fit.recall = record.config.recall;
  fit.bits = record.config.recall > 0.0 ? 0 : FirstBits(record.config);
  fit.seed = record.fits + 1;
  return lesson;
}

}  // namespace bebr
