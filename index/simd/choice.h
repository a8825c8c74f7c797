// Which kernel table is quickest for codes of one shape, measured on the processor that this runs on.
//
//   const simd::KernelTable& kernels = simd::KernelsFor(shape, query_count);
#ifndef BEBR_INDEX_SIMD_CHOICE_H_
#define BEBR_INDEX_SIMD_CHOICE_H_

#include <cstddef>
#include <span>

#include "index/simd/kernels.h"

namespace bebr::simd {

// What one table took.
struct MeasuredTable {
  const KernelTable* table;
  double ns_per_score;  // of one document for one query, codes in the cache, the best of a few runs
};

// A choice that was made.
struct TableChoice {
  const CodeShape& shape;
  size_t query_count;                       // of the batches that were measured
  std::span<const MeasuredTable> measured;  // every supported table but scalar, in the order of AllKernels()
  const KernelTable& chosen;
};

// The table to scan batches of `query_count` queries with. The order of AllKernels() is right for most processors and
// shapes, not for all: so the tables are measured when a shape is first asked for with one query, with a few and with
// many, on made-up codes, for at most some 2 ms a table, while others who ask wait; a table is preferred to one before
// it where it takes less than nine tenths. All tables give the same bits, so only time depends on the choice. Where
// BEBR_SIMD is set there is none: Kernels(). The choices of at most 1,024 shapes are kept; then, too, it is Kernels().
//
// Prepared queries belong to the table that prepared them. Thread-safe.
const KernelTable& KernelsFor(const CodeShape& shape, size_t query_count);

// The rule: the first of the tables that no later one is much quicker than. `measured` is not empty.
const KernelTable& Quickest(std::span<const MeasuredTable> measured);

// Has every choice from now on told to `listener`, for a log; null: to nobody. It must be quick, and not ask for
// kernels.
void TellChoicesTo(void (*listener)(const TableChoice& choice));

}  // namespace bebr::simd

#endif  // BEBR_INDEX_SIMD_CHOICE_H_
