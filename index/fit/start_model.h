// Models that need no training: the start, and MIB.
#ifndef BEBR_INDEX_FIT_START_MODEL_H_
#define BEBR_INDEX_FIT_START_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "index/binarizer/model.h"
#include "index/code/code_spec.h"
#include "index/exact/matrix.h"
#include "index/fit/linear_algebra.h"
#include "index/fit/row_stream.h"
#include "index/types/document.h"

namespace bebr {

// What the training-free start needs to know of a set of embeddings.
struct CorpusStatistics {
  uint32_t dims = 0;
  Metric metric = Metric::kCosine;
  size_t rows = 0;                 // that were used: not the all-zero ones
  std::vector<float> mean;         // of the rows, after normalising for cosine
  double row_length = 0.0;         // root of the mean square, likewise
  std::vector<double> covariance;  // dims x dims, of u = (x - mean) sqrt(dims) / |x - mean|; its trace is about dims
  std::vector<double> variances;   // eigenvalues of `covariance`, falling; as many as were asked for
  std::vector<float> components;   // their vectors, one a row
};

// Measures all `rows`, read twice, or of a matrix at most `kMaxFitRows` of them, evenly spaced. `components` is how
// many principal components are wanted; it is cut to dims. Runs on `threads` (Multiply). INVALID_ARGUMENT for no rows,
// more than kMaxInputDims dims, or rows that are all equal.
inline constexpr size_t kMaxFitRows = 100000;
absl::StatusOr<CorpusStatistics> MeasureCorpus(const RowStream& rows, Metric metric, size_t components, uint64_t seed,
                                               size_t threads = 1, const Continues& continues = nullptr);
absl::StatusOr<CorpusStatistics> MeasureCorpus(const Matrix& rows, Metric metric, size_t components, uint64_t seed,
                                               size_t threads = 1, const Continues& continues = nullptr);

// What a row of this squared length is multiplied by first: cosine takes rows of length 1. 0 for a row of zeros.
double UnitOf(Metric metric, double squared_length);

// u of binarizer rows: out[i] = (x_i - mean) sqrt(n) / |x_i - mean|, after normalising for cosine.
void CenterAndScale(const std::vector<float>& mean, Metric metric, const float* rows, size_t count, float* out);

// The start of training, and a sound linear binarizer by itself: principal components, cut into the runs of `plan`, a
// random rotation inside each band with the variances made equal, unit variance. Where one band has at least as many
// dims as the embeddings, a random rotation of the embeddings themselves. The bands' weights are their variances. Query
// levels above kMaxLevels ask for a fitted quantizer, whose coordinates are as wide as is best for a Gaussian's uniform
// quantizer. INVALID_ARGUMENT if several bands together have more dims than the embeddings,
// or for more levels than a band has without one.
absl::StatusOr<Model> StartModel(const CorpusStatistics& statistics, const LevelPlan& plan, uint32_t query_levels,
                                 uint64_t seed, const Continues& continues = nullptr);

// A binarizer for embeddings of which nothing is known: a random rotation that takes every direction to be as good as
// any other. `spec` has one band.
absl::StatusOr<Model> RotationModel(uint32_t dims, Metric metric, const CodeSpec& spec, uint32_t query_levels,
                                    uint64_t seed);

// Maximally informative bits (MIB): the same rotation, with every bit's threshold at the median of `rows`.
absl::StatusOr<Model> MedianModel(const CorpusStatistics& statistics, const Matrix& rows, const CodeSpec& spec,
                                  uint32_t query_levels, uint64_t seed);

}  // namespace bebr

#endif  // BEBR_INDEX_FIT_START_MODEL_H_
