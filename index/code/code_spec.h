// What a code is: its bands, levels, packing and integer dot product.
#ifndef BEBR_INDEX_CODE_CODE_SPEC_H_
#define BEBR_INDEX_CODE_CODE_SPEC_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace bebr {

inline constexpr uint32_t kMaxLevels = 4;
inline constexpr uint32_t kMaxTrellisLevels = kMaxLevels - 1;  // stored, of a band that is trellis-coded
inline constexpr uint32_t kMaxQueryLevels = 7;
inline constexpr uint32_t kMaxBands = 8;
inline constexpr uint32_t kMaxCodeDims = 8192;  // of all bands together
inline constexpr uint32_t kMinCodeBits = 8;
inline constexpr uint32_t kMaxGroups = 64;

// Some of the groups of a space: bit g stands for group g.
using GroupSet = uint64_t;
inline constexpr GroupSet kAllGroups = ~GroupSet{0};
constexpr GroupSet OneGroup(uint32_t group) { return GroupSet{1} << group; }
static_assert(kMaxGroups <= 64);

// A band is a run of code dimensions with one level count and one weight.
struct Band {
  uint32_t dims = 0;
  uint32_t levels = 0;   // of a stored document, 1..kMaxLevels
  float weight = 1.0f;   // of the band's dot product in the score; finite and > 0
  bool trellis = false;  // at most kMaxTrellisLevels levels are stored, one more is scored

  uint32_t derived_levels() const { return trellis ? levels + 1 : levels; }

  friend bool operator==(const Band&, const Band&) = default;
};

// A CodeSpec says what the codes of one space look like: bands in order, and nothing about where they come from.
//
//   CodeSpec spec = *CodeSpec::Create({{32, 4, 1.0f}, {64, 3, 1.0f}, {96, 2, 1.0f}});   // "32x4+64x3+96x2", 512 bits
//
// Code values. With L levels the value of one dimension is v = sum over t < L of 2^-t * (+-1), where bit t = 1 stands
// for +1. Read as an unsigned number c whose most significant bit is level 0, 2^(L-1) * v = 2c - (2^L - 1): an odd
// integer. The dot product of a query code (Q levels) and a document code (L levels) of one band is therefore the exact
// integer
//   D = sum over dims of (2 c_q - (2^Q - 1)) * (2 c_d - (2^L - 1)) = 2^(Q-1) 2^(L-1) * <v_q, v_d>.
//
// Packed code ("planes"). Band after band; inside a band level after level (level 0 first); inside a level one bit per
// dimension, dimension i in bit i % 32 of little-endian word i / 32, the last word padded with zero bits. A query code
// has the same layout with query_levels levels in every band. A document's code is a prefix of its query code, level by
// level: fewer levels of the same code are a valid, coarser code.
//
// Trellis codes. A band of L <= 3 levels may be trellis-coded, "128x2t": its documents store L - 1 planes as above and,
// as the last one, a plane of branches, and are scored by a code of L + 1 levels that is derived from them, each 32-bit
// word by itself. With b the word of branches, shifts towards higher dimensions that bring in zeros, and the padding of
// the last word kept zero,
//   z1 = b ^ (b << 1) ^ (b << 3),  z0 = b << 2:
// the derived planes are the L - 1 others, then z1, then z0. So a dimension's lowest two bits depend on the branches of
// itself and of the three before it: of the 2^(L+1) values each dimension has the choice of half, and which half
// depends on its neighbours. Worked example: "8x1t", b = 0x03 (dims 0 and 1): z1 = 0x03 ^ 0x06 ^ 0x18 = 0x1d, z0 =
// 0x0c; the values c are 2 0 3 3 2 0 0 0.
//
// Groups. The documents of a space may fall into groups, each with a projection of its own (binarizer/FORMAT.md): codes
// look alike in all of them, but only those of one group are compared by the same query code, so a query has a code for
// each group.
//
// Immutable value; thread-safe.
class CodeSpec {
 public:
  CodeSpec() = default;
  // INVALID_ARGUMENT unless 1..kMaxBands bands, every level count in 1..kMaxLevels, every weight finite and positive,
  // at most kMaxCodeDims dims and at least kMinCodeBits bits in all, and 1..kMaxGroups groups.
  static absl::StatusOr<CodeSpec> Create(std::vector<Band> bands, uint32_t groups = 1);

  const std::vector<Band>& bands() const { return bands_; }
  uint32_t dims() const { return dims_; }
  uint32_t max_levels() const { return max_levels_; }
  uint32_t groups() const { return groups_; }
  // Information bits of a document's code, without padding: sum of dims * levels.
  uint32_t bits() const { return bits_; }
  // 32-bit words of one level of band `b`.
  static uint32_t PlaneWords(uint32_t dims) { return (dims + 31) / 32; }
  // Whether a band is trellis-coded. Then documents are stored by this spec and scored by Derived().
  bool trellis() const { return derived_words_ != code_words_; }
  // What a score sees: of trellis codes the derived code, an ordinary one; else the same spec.
  CodeSpec Derived() const;
  uint32_t derived_words() const { return derived_words_; }
  // From code_words() words of a document's packed code to the derived_words() that are scored.
  void Derive(const uint32_t* code, uint32_t* derived) const;
  // 32-bit words of a document's packed code and of a query's with `query_levels` levels.
  uint32_t code_words() const { return code_words_; }
  uint32_t QueryWords(uint32_t query_levels) const { return plane_words_ * query_levels; }

  // "128x4", "32x4+64x3+96x2", or with trellis codes "32x4+96x2t"; groups are told beside it.
  std::string ToString() const;

  friend bool operator==(const CodeSpec& a, const CodeSpec& b) {
    return a.bands_ == b.bands_ && a.groups_ == b.groups_;
  }

 private:
  std::vector<Band> bands_;
  uint32_t dims_ = 0;
  uint32_t max_levels_ = 0;
  uint32_t bits_ = 0;
  uint32_t plane_words_ = 0;  // words of one level of all bands
  uint32_t code_words_ = 0;
  uint32_t derived_words_ = 0;
  uint32_t groups_ = 1;
};

// "128x2", or "128x2t" of a trellis-coded band.
std::string ToString(const Band& band);
// The same back, with weight 1; false if it is no band's text.
bool ParseBand(std::string_view text, Band& band);
// Parses CodeSpec::ToString's form, e.g. "128x2" or "32x4+96x2"; every weight is 1.
absl::StatusOr<CodeSpec> ParseCodeSpec(std::string_view text);

// What turns the integer dot products of a document's code into a score:
//   score = (sum over bands of w_b * D_b) * scale + offset + query_offset
// where w_b holds the band's weight, the query's own scale and the power of two in D_b; w_b, D_b and query_offset are
// those of the query's code for the document's group. See Binarizer.
struct CodeFactors {
  float scale = 0.0f;
  float offset = 0.0f;
  uint32_t group = 0;  // less than the space's groups
};

}  // namespace bebr

#endif  // BEBR_INDEX_CODE_CODE_SPEC_H_
