// From float embeddings to codes: the interface that the rest of the engine sees.
#ifndef BEBR_INDEX_BINARIZER_BINARIZER_H_
#define BEBR_INDEX_BINARIZER_BINARIZER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/code/code_spec.h"
#include "index/types/document.h"

namespace bebr {

// A Binarizer turns float embeddings of one upstream model into codes of one space. It is read from a safetensors model
// file (index/binarizer/FORMAT.md) and never changes.
//
// Shapes. Embeddings are row-major, input_dims() floats a row. Document codes are row-major, spec().code_words() words
// a row; query codes spec().QueryWords(query_levels()) words a row (CodeSpec: packed code). Where the space has groups
// a query has a code for each of spec().groups(), one after the other.
//
// Scores. With b_q, b_d the real code values and w the spec's band weights, the score
//   q_scale * sum_b w_b <b_q, b_d>_b * scale_d + offset_d + q_offset
// estimates the metric: the inner product, its value after normalising both sides for cosine, or minus the squared
// distance for l2. EncodeQueries folds q_scale, w_b and the powers of two of the integer dot product (CodeSpec) into
// one float weight per band.
//
// Determinism. A row's code depends on the row and the model only: not on the other rows of the call, the number of
// threads or the instruction set (simd::KernelTable::gemm).
//
// Thread safety: all methods are const and may run concurrently.
class Binarizer {
 public:
  virtual ~Binarizer() = default;

  // Parses a model file. INVALID_ARGUMENT names what is wrong: truncated, not safetensors, checksum, shapes, limits.
  static absl::StatusOr<std::unique_ptr<const Binarizer>> Parse(std::string_view file);

  virtual const CodeSpec& spec() const = 0;
  virtual uint32_t input_dims() const = 0;    // 1..8192
  virtual uint32_t query_levels() const = 0;  // 1..kMaxQueryLevels, at least spec().max_levels()
  virtual Metric metric() const = 0;
  virtual uint32_t checksum() const = 0;  // of the model file's contents; names the model
  // Of what codes the documents of every group, without what comes before it (Model::translation): versions of one
  // space have the same. 0 without groups.
  virtual uint32_t groups_checksum() const = 0;
  virtual std::string description() const = 0;  // one line for people: architecture, dims, code shape
  virtual size_t memory_bytes() const = 0;      // held by this object

  // Encodes `rows` embeddings. `codes` has rows * code_words() words, `factors` one entry a row. All-zero rows are
  // encoded like any other. Values must be finite (the caller checks).
  virtual void EncodeDocuments(const float* embeddings, size_t rows, uint32_t* codes, CodeFactors* factors) const = 0;
  // An inner product orders documents alike whatever the query's length, but a code tells most of a query that is as
  // long as the documents are. Gives `rows` queries the length that FORMAT.md says, and `factors`, one a row, what a
  // score is then to be multiplied with. For cosine and l2: nothing, and 1.
  virtual void ScaleQueries(float* embeddings, size_t rows, float* factors) const = 0;
  // Encodes `rows` queries, as they are. For each of them and each group, `planes` has
  // spec().QueryWords(query_levels()) words, `weights` a float a band, `offsets` one float: what
  // simd::KernelTable::prepare takes.
  virtual void EncodeQueries(const float* embeddings, size_t rows, uint32_t* planes, float* weights,
                             float* offsets) const = 0;
  // The same for a query each of `wanted`, whose groups alone are encoded: of the others nothing is written.
  virtual void EncodeQueriesOf(absl::Span<const GroupSet> wanted, const float* embeddings, uint32_t* planes,
                               float* weights, float* offsets) const = 0;
  // How near each of spec().groups() groups is to each of `rows` queries: more is nearer, none is NaN. Documents
  // are coded in the group that is nearest, or one of a few of the nearest.
  virtual void RankGroups(const float* embeddings, size_t rows, float* nearness) const = 0;
};

}  // namespace bebr

#endif  // BEBR_INDEX_BINARIZER_BINARIZER_H_
