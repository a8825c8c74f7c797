#include "index/fit/validation.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "index/base/status_macros.h"
#include "index/binarizer/encoder.h"
#include "index/exact/neighbors.h"

namespace bebr {

Matrix EvenlySpaced(const Matrix& rows, size_t limit) {
  if (rows.rows <= limit) return rows;
  Matrix sample;
  sample.rows = limit;
  sample.dims = rows.dims;
  sample.values.resize(limit * rows.dims);
  for (size_t i = 0; i < limit; ++i) std::copy_n(rows.row(i * rows.rows / limit), rows.dims, sample.row(i));
  return sample;
}

Validator::Validator(const Matrix& documents, Matrix queries, Metric metric, ThreadPool& pool, Continues continues)
    : documents_(EvenlySpaced(documents, kMaxDocuments)),
      queries_(std::move(queries)),
      metric_(metric),
      pool_(pool),
      continues_(std::move(continues)),
      exact_(
          ExactNeighbors(documents_, queries_, kDepth, metric, pool.size(), [this] { return Ask(continues_).ok(); })) {}

Validator Validator::Smaller(size_t queries, size_t documents) const {
  return Validator(EvenlySpaced(documents_, documents), EvenlySpaced(queries_, queries), metric_, pool_, continues_);
}

Validator Validator::Among(const Matrix& documents) const {
  return Validator(documents, queries_, metric_, pool_, continues_);
}

absl::StatusOr<HeldOutRecall> Validator::Measure(const Model& model) const {
  BEBR_RETURN_IF_ERROR(Ask(continues_));
  BEBR_ASSIGN_OR_RETURN(const std::unique_ptr<const Binarizer> binarizer, MakeBinarizer(model, 0));
  HeldOutRecall recall = Measure(*binarizer);
  BEBR_RETURN_IF_ERROR(Ask(continues_));
  return recall;
}

void Validator::MeasureAlsoOn(const Binarizer& older, const Matrix& older_documents) {
  older_documents_ = EvenlySpaced(older_documents, kMaxDocuments);
  on_older_ = std::make_unique<const CodeSearch>(older, older_documents_, pool_);
}

HeldOutRecall Validator::Measure(const Binarizer& binarizer) const {
  const CodeSearch search(binarizer, documents_, pool_, continues_);
  HeldOutRecall recall = Measure(search, binarizer, queries_);
  if (on_older_ == nullptr) return recall;
  const HeldOutRecall on_older = Measure(*on_older_, binarizer, queries_);
  recall.at_10 = 0.5 * (recall.at_10 + on_older.at_10);
  recall.at_50 = 0.5 * (recall.at_50 + on_older.at_50);
  for (size_t q = 0; q < queries_.rows; ++q) recall.per_query[q] = 0.5f * (recall.per_query[q] + on_older.per_query[q]);
  return recall;
}

HeldOutRecall Validator::Measure(const CodeSearch& search, const Binarizer& query_binarizer,
                                 const Matrix& queries) const {
  const std::vector<uint32_t> found = search.Search(query_binarizer, queries, 50);
  const size_t depth = std::min<size_t>(50, documents_.rows), k = std::min(kDepth, documents_.rows);
  HeldOutRecall recall;
  for (size_t q = 0; q < queries_.rows; ++q) {
    recall.per_query.push_back(
        static_cast<float>(bebr::Recall(exact_.data() + q * k, k, found.data() + q * depth, depth, 10)));
    recall.at_10 += recall.per_query.back();
    recall.at_50 += bebr::Recall(exact_.data() + q * k, k, found.data() + q * depth, depth, 50);
  }
  recall.at_10 /= static_cast<double>(queries_.rows);
  recall.at_50 /= static_cast<double>(queries_.rows);
  return recall;
}

double StandardError(const HeldOutRecall& recall) {
  const auto count = static_cast<double>(recall.per_query.size());
  double squares = 0.0;
  for (const float of_query : recall.per_query) squares += (of_query - recall.at_10) * (of_query - recall.at_10);
  return count > 1.0 ? std::sqrt(squares / (count - 1.0) / count) : 1.0;
}

double PairedGain(const HeldOutRecall& a, const HeldOutRecall& b) {
  const size_t count = std::min(a.per_query.size(), b.per_query.size());
  double sum = 0.0, squares = 0.0;
  for (size_t i = 0; i < count; ++i) {
    const double difference = a.per_query[i] - b.per_query[i];
    sum += difference;
    squares += difference * difference;
  }
  if (count < 2 || squares == 0.0) return 0.0;
  const double mean = sum / static_cast<double>(count);
  const double variance = std::max(squares / static_cast<double>(count) - mean * mean, 1e-12);
  return mean / std::sqrt(variance / static_cast<double>(count));
}

Matrix SplitRows(Matrix& input, size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  Matrix taken;
  taken.rows = count;
  taken.dims = input.dims;
  taken.values.reserve(count * input.dims);
  for (size_t i = 0; i < count; ++i) {
    float* row = input.row(random() % input.rows);
    taken.values.insert(taken.values.end(), row, row + input.dims);
    const float* last = input.row(input.rows - 1);
    if (row != last) std::copy_n(last, input.dims, row);
    --input.rows;
  }
  input.values.resize(input.rows * input.dims);
  return taken;
}

}  // namespace bebr
