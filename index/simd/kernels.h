// The kernel tables: one implementation of the scan's and the encoder's inner loops per instruction set, chosen at run
// time.
//
//   const simd::KernelTable& kernels = simd::Kernels();          // the best this processor runs, or $BEBR_SIMD
//   std::vector<std::byte> prepared(kernels.prepared_bytes(shape));
//   kernels.prepare(shape, planes, weights, query_offset, prepared.data());
//   kernels.scan(shape, blocks, block_count, &prepared_ptr, 1, &hits);
//
// Every table gives bit-identical results: the integer dot products are exact, and the floating-point operations after
// them, and those of gemm, are written in one fixed order (see below).
//
// Includes nothing but the standard library. Thread safety: tables are constant; every function is pure.
#ifndef BEBR_INDEX_SIMD_KERNELS_H_
#define BEBR_INDEX_SIMD_KERNELS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace bebr::simd {

inline constexpr uint32_t kBlockRows = 16;  // documents in a block
inline constexpr uint32_t kMaxBands = 8;
inline constexpr uint32_t kMaxLevels = 4;
inline constexpr uint32_t kMaxQueryLevels = 7;
// What the magnitudes of a query's values of dimensions 4 i .. 4 i + 3 of a band sum to at most, so that a byte holds
// it: four values of up to 6 levels always do, of 7 levels the caller sees to it.
inline constexpr uint32_t kMostOfFour = 255;

// What a kernel must know of a band.
struct BandShape {
  uint32_t dims = 0;
  uint32_t levels = 0;    // of a document's code, 1..4, or 1..3 of a trellis-coded one
  uint32_t left_out = 0;  // the last of the levels below that a score does without, not all
  bool trellis = false;   // whether the last level is one of branches, from which a score's last two levels are derived

  uint32_t scored_levels() const { return trellis ? levels + 1 : levels; }
};

// What a kernel must know of documents and queries it compares. Words of one level of a band: ceil(dims / 32).
struct CodeShape {
  BandShape bands[kMaxBands];
  uint32_t band_count = 0;
  uint32_t query_levels = 0;  // of every band of the query, 1..kMaxQueryLevels
  uint32_t code_words = 0;    // 32-bit words of a document's packed code: sum of levels * ceil(dims / 32)
  bool bound = false;         // of the levels left out, assume the most they can add to the score
};

// The scan layout. A block holds 16 documents ("lanes"), 64-byte aligned:
//   uint32_t words[code_words][16]   word w of the packed code (CodeSpec's order) of lane i
//   float    scale[16]
//   float    offset[16]
// Padding bits after a band's last dimension are zero. Codes go in and out through StoreLane and LoadLane only.
constexpr size_t BlockBytes(uint32_t code_words) { return (size_t{code_words} + 2) * 4 * kBlockRows; }

// Writes a packed code of shape.code_words words, and its factors, into a lane of a block; and reads them back.
void StoreLane(const CodeShape& shape, uint32_t lane, const uint32_t* code, float scale, float offset, void* block);
void LoadLane(const CodeShape& shape, uint32_t lane, const void* block, uint32_t* code, float* scale, float* offset);

// What a scan keeps for one query: the documents with score >= threshold. A score that is no number is never kept.
struct QueryHits {
  float threshold;
  uint32_t* positions;  // 16 * block + lane, ascending; the caller's, room for all lanes
  float* scores;        // of these, likewise
  size_t count;         // set by the kernel
};

// How the 64 bits of a stored value become its key, a number in the order of the values: as they are; of int64, the
// sign bit turned; of doubles, the bits of negative ones turned, and of others the sign bit.
enum class KeyForm { kPlain, kSigned, kDouble };

// A test of a column's rows: of this type, and with a key from `least` to `most`, both included; least <= most.
struct RangeTest {
  uint8_t type;
  KeyForm form;
  uint64_t least;
  uint64_t most;
};

// One implementation of the inner loops. All functions are pure; buffers are the caller's.
struct KernelTable {
  const char* name;     // "scalar", "avx2", "avx512bw", "avx512", "amx", "neon": what BEBR_SIMD takes
  bool (*supported)();  // by the processor this runs on

  // Bytes of a prepared query: the table's own form of it. The buffer must be 64-byte aligned.
  size_t (*prepared_bytes)(const CodeShape& shape);
  // Batches of which all queries lie at equal distances in memory are faster with some tables.
  // `planes`: the query's packed code, query_levels levels in every band, kMostOfFour kept. `weights`: one per band.
  void (*prepare)(const CodeShape& shape, const uint32_t* planes, const float* weights, float query_offset,
                  void* prepared);
  // Scores of all lanes of `block_count` consecutive blocks for `query_count` prepared queries:
  //   scores[q * stride + 16 * block + lane], each computed as
  //   acc = 0; for each band in order: acc = acc + weight_b * float(D_b);   score = ((acc * scale) + offset) +
  //   query_offset
  // with every operation rounded on its own (no fused multiply-add) and D_b the exact integer of CodeSpec; of trellis
  // codes that of the derived code. Of a band
  // with levels left out, D_b is 2^left_out times the exact integer of the code that the first levels are; the others
  // would add an integer of magnitude up to (2^left_out - 1) * sum of |v_q|, and `bound` adds that much or, for a
  // negative weight, takes it off. Every operation is monotone, so that no document whose scale is not negative has a
  // score above its bound, to the last bit.
  void (*score)(const CodeShape& shape, const void* blocks, size_t block_count, const void* const* prepared,
                size_t query_count, float* scores, size_t stride);
  // The same scores, of which it keeps for each query those that reach the query's threshold: what a scan for the best
  // few is made of. Most documents are ruled out by an upper bound of their score, in fewer operations than the score
  // itself takes; those that are kept have exactly the bits that `score` writes.
  void (*scan)(const CodeShape& shape, const void* blocks, size_t block_count, const void* const* prepared,
               size_t query_count, QueryHits* hits);

  // Dense layer. `packed` is a weight matrix W (n outputs x k inputs, row-major) after pack; the layout is the table's
  // own.
  size_t (*packed_floats)(size_t n, size_t k);
  void (*pack)(const float* weights, size_t n, size_t k, float* packed);
  // out[r * out_stride + j] = the chain acc = bias[j] (or 0); for i = 0..k-1: acc = fma(x[r * x_stride + i], W[j][i],
  // acc) for `rows` rows. The chain is the same for every table, row count and position: a row's result depends on
  // nothing else.
  void (*gemm)(const float* x, size_t rows, size_t x_stride, const float* packed, size_t n, size_t k, const float* bias,
               float* out, size_t out_stride);

  // Filters. Bit i % 64 of bits[i / 64] tells whether row i passes the test; 64 * words rows. Rows have a type, a byte,
  // and a value, which is read where some row of the same 64 has the type.
  void (*match)(const RangeTest& test, const uint8_t* types, const uint64_t* values, size_t words, uint64_t* bits);
};

// Every table compiled into this binary, best first; the last is "scalar". Some may not be supported by this processor.
std::span<const KernelTable* const> AllKernels();
// The table `name`, or null.
const KernelTable* FindKernels(std::string_view name);
// The best supported table, or the one that the environment variable BEBR_SIMD names. A name that is unknown or not
// supported by this processor ends the process with a message: a silent fallback would hide a slow server.
const KernelTable& Kernels();

}  // namespace bebr::simd

#endif  // BEBR_INDEX_SIMD_KERNELS_H_
