// The code search that training is measured by.
#ifndef BEBR_INDEX_FIT_CODE_SEARCH_H_
#define BEBR_INDEX_FIT_CODE_SEARCH_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "index/base/aligned_buffer.h"
#include "index/base/thread_pool.h"
#include "index/binarizer/binarizer.h"
#include "index/exact/matrix.h"
#include "index/fit/linear_algebra.h"
#include "index/simd/kernels.h"

namespace bebr {

// A CodeSearch holds the codes of a set of embeddings and finds the best of them for queries with the server's own
// encoder and kernels, so that what is measured here is what the server answers.
//
// Ownership: keeps references to the binarizer and the pool, and `continues`, which is asked by all threads that work
// (linear_algebra.h). Cost: (code_words + 4) * 4 bytes a row, twice that where
// the space has groups. Thread safety: const methods may run concurrently.
class CodeSearch {
 public:
  CodeSearch(const Binarizer& binarizer, const Matrix& documents, ThreadPool& pool,
             const Continues& continues = nullptr);

  // Codes rows 0, every, 2 * every, ... again by another binarizer of the same space; `documents` are all rows' other
  // embeddings.
  void Recode(const Binarizer& binarizer, const Matrix& documents, size_t every);

  // The `depth` best rows for every query, best first, ties by row number: queries.rows * min(depth, rows) row numbers.
  std::vector<uint32_t> Search(const Matrix& queries, size_t depth) const;
  // The same, queries encoded by another binarizer of the same space.
  std::vector<uint32_t> Search(const Binarizer& query_binarizer, const Matrix& queries, size_t depth) const;

 private:
  // The blocks of one group of documents.
  struct GroupRange {
    size_t first = 0;
    size_t end = 0;
  };
  void Store(size_t row, const uint32_t* code, const CodeFactors& factors);
  // Gives every row a place in the blocks of its group, and stores its code there.
  void StoreAll(const std::vector<uint32_t>& codes, const std::vector<CodeFactors>& factors);
  void SearchRange(const Binarizer& binarizer, const Matrix& queries, size_t first, size_t count, size_t depth,
                   uint32_t* out) const;

  const Binarizer& binarizer_;
  ThreadPool& pool_;
  const Continues continues_;
  simd::CodeShape shape_;
  size_t rows_ = 0;
  size_t block_bytes_ = 0;
  std::vector<GroupRange> groups_;
  std::vector<uint32_t> place_of_;  // by row
  std::vector<uint32_t> row_of_;    // by place; kNoRow: none
  AlignedBuffer<std::byte> data_;   // blocks in scan layout
  // By row, where the space has groups, between which another code may move a row.
  std::vector<uint32_t> codes_;
  std::vector<CodeFactors> factors_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_FIT_CODE_SEARCH_H_
