// What few rows can say of a recall among many.
#ifndef BEBR_INDEX_FIT_FEW_ROWS_H_
#define BEBR_INDEX_FIT_FEW_ROWS_H_

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "index/base/thread_pool.h"
#include "index/binarizer/model.h"
#include "index/exact/matrix.h"
#include "index/fit/validation.h"
#include "index/types/document.h"

namespace bebr {

// An estimate of recall@10 among many documents that the fit has not seen. A held-out query's ten neighbours among a
// hundred rows are easily told from the others, and the rows are those that the model is fitted to, so such a recall
// says too much: of 100 rows of text embeddings 0.84 where it is 0.49, of 1,000 0.66 for 0.59. Here the rows are cut in
// five, and those of each part are queries and documents of a model that `fit` makes of the other four; and of n
// documents the first sqrt(n / 25), at most ten, count as neighbours, as these lie about as close as ten do among many.
// That gave 0.53 for 0.49, 0.57 for 0.56 (500 rows), 0.60 for 0.59, 0.61 for 0.60 (2,000), 0.62 for 0.61 (5,000). Of
// data in tight clusters that still says too much: few rows do not show that others are much closer.
//
// INVALID_ARGUMENT for fewer than 20 rows; errors of `fit`. Cost: five fits, of more than 1,024 dims
// one.
absl::StatusOr<double> RecallAmongMany(const Matrix& rows, Metric metric,
                                       absl::FunctionRef<absl::StatusOr<Model>(const Matrix& part)> fit,
                                       ThreadPool& pool);

// Whether rows are so few for their dims that their principal components are theirs alone: shapes that rely on these
// find more among such rows than among others.
bool AreFew(const Matrix& rows);

// What a model that `fit` makes of every other row finds among those between, for the validator's queries.
absl::StatusOr<HeldOutRecall> RecallAmongOthers(const Matrix& rows, const Validator& validator,
                                                absl::FunctionRef<absl::StatusOr<Model>(const Matrix& part)> fit);

}  // namespace bebr

#endif  // BEBR_INDEX_FIT_FEW_ROWS_H_
