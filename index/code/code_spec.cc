#include "index/code/code_spec.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

absl::Status CheckBand(size_t b, const Band& band) {
  if (band.dims == 0 || band.dims > kMaxCodeDims) {
    return absl::InvalidArgumentError(
        absl::StrFormat("band %d has %d dims; a band has 1 to %d", b, band.dims, kMaxCodeDims));
  }
  if (band.levels == 0 || band.levels > kMaxLevels) {
    return absl::InvalidArgumentError(
        absl::StrFormat("band %d has %d levels; a band has 1 to %d", b, band.levels, kMaxLevels));
  }
  if (band.trellis && band.levels > kMaxTrellisLevels) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "band %d is trellis-coded with %d levels; such a band has 1 to %d", b, band.levels, kMaxTrellisLevels));
  }
  if (!std::isfinite(band.weight) || band.weight <= 0.0f) {
    return absl::InvalidArgumentError(
        absl::StrFormat("band %d has weight %g; a weight is finite and above 0", b, band.weight));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CodeSpec> CodeSpec::Create(std::vector<Band> bands, uint32_t groups) {
  if (bands.empty() || bands.size() > kMaxBands) {
    return absl::InvalidArgumentError(
        absl::StrFormat("a code has %d bands; it needs 1 to %d", bands.size(), kMaxBands));
  }
  if (groups == 0 || groups > kMaxGroups) {
    return absl::InvalidArgumentError(absl::StrFormat("a space has %d groups; it has 1 to %d", groups, kMaxGroups));
  }
  CodeSpec spec;
  spec.groups_ = groups;
  uint64_t dims = 0;
  for (size_t b = 0; b < bands.size(); ++b) {
    const Band& band = bands[b];
    BEBR_RETURN_IF_ERROR(CheckBand(b, band));
    dims += band.dims;
    spec.bits_ += band.dims * band.levels;
    spec.plane_words_ += PlaneWords(band.dims);
    spec.code_words_ += PlaneWords(band.dims) * band.levels;
    spec.derived_words_ += PlaneWords(band.dims) * band.derived_levels();
    spec.max_levels_ = std::max(spec.max_levels_, band.levels);
  }
  if (dims > kMaxCodeDims) {
    return absl::InvalidArgumentError(
        absl::StrFormat("the bands have %d dims in all; the limit is %d", dims, kMaxCodeDims));
  }
  if (spec.bits_ < kMinCodeBits) {
    return absl::InvalidArgumentError(
        absl::StrFormat("the code has %d bits; it needs at least %d", spec.bits_, kMinCodeBits));
  }
  spec.dims_ = static_cast<uint32_t>(dims);
  spec.bands_ = std::move(bands);
  return spec;
}

CodeSpec CodeSpec::Derived() const {
  if (!trellis()) return *this;
  CodeSpec derived = *this;
  derived.bits_ = derived.max_levels_ = 0;
  for (Band& band : derived.bands_) {
    band.levels = band.derived_levels();
    band.trellis = false;
    derived.bits_ += band.dims * band.levels;
    derived.max_levels_ = std::max(derived.max_levels_, band.levels);
  }
  derived.code_words_ = derived_words_;
  return derived;
}

void CodeSpec::Derive(const uint32_t* code, uint32_t* derived) const {
  for (const Band& band : bands_) {
    const uint32_t words = PlaneWords(band.dims), plain = words * (band.trellis ? band.levels - 1 : band.levels);
    derived = std::copy_n(code, plain, derived);
    code += plain;
    if (!band.trellis) continue;
    for (uint32_t w = 0; w < words; ++w) {
      const uint32_t rest = band.dims - w * 32, used = rest < 32 ? (1u << rest) - 1 : ~0u;
      derived[w] = (code[w] ^ code[w] << 1 ^ code[w] << 3) & used;
      derived[words + w] = code[w] << 2 & used;
    }
    code += words;
    derived += 2 * words;
  }
}

std::string CodeSpec::ToString() const {
  std::string text;
  for (const Band& band : bands_) absl::StrAppend(&text, text.empty() ? "" : "+", bebr::ToString(band));
  return text;
}

std::string ToString(const Band& band) { return absl::StrCat(band.dims, "x", band.levels, band.trellis ? "t" : ""); }

bool ParseBand(std::string_view text, Band& band) {
  const std::vector<absl::string_view> numbers = absl::StrSplit(absl::string_view(text.data(), text.size()), 'x');
  if (numbers.size() != 2) return false;
  band.trellis = absl::EndsWith(numbers[1], "t");
  return absl::SimpleAtoi(numbers[0], &band.dims) && absl::SimpleAtoi(absl::StripSuffix(numbers[1], "t"), &band.levels);
}

absl::StatusOr<CodeSpec> ParseCodeSpec(std::string_view text) {
  std::vector<Band> bands;
  for (absl::string_view part : absl::StrSplit(absl::string_view(text.data(), text.size()), '+')) {
    Band band;
    if (!ParseBand(std::string_view(part.data(), part.size()), band)) {
      return absl::InvalidArgumentError(
          absl::StrFormat("'%s' is no code shape; write dims x levels, e.g. 128x2 or 32x4+96x2", text));
    }
    bands.push_back(band);
  }
  return CodeSpec::Create(std::move(bands));
}

}  // namespace bebr
