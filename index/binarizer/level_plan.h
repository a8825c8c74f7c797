// How many levels each component of a projection is coded with.
#ifndef BEBR_INDEX_BINARIZER_LEVEL_PLAN_H_
#define BEBR_INDEX_BINARIZER_LEVEL_PLAN_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "index/code/code_spec.h"

namespace bebr {

inline constexpr uint32_t kMaxPlanLevels = 2 * kMaxLevels;
inline constexpr uint32_t kMaxTrellisPlanLevels = 4;

// A LevelPlan is what a code looks like to those who make it: runs of components, each with its levels. A run of more
// levels than a band has is two bands of a CodeSpec: the first kMaxLevels levels, then the rest, of which the values
// count for 2^-kMaxLevels as much. Code words are the same as if it were one band, and so is the score:
//   "32x7+64x2"  ->  bands "32x4+32x3+64x2"
// Likewise a trellis-coded run of 4 levels: its first 2 are a band, and the other 2 one that is trellis-coded, of which
// the values count for a quarter as much:
//   "64x4t+32x2t"  ->  bands "64x2+64x2t+32x2t"
// So scans, which know bands only, need no kernels for finer values.
//
// Immutable value; thread-safe.
class LevelPlan {
 public:
  struct Run {
    uint32_t dims = 0;
    uint32_t levels = 0;   // 1..kMaxPlanLevels
    bool trellis = false;  // coded as a Band is; 1..kMaxTrellisPlanLevels then

    // Levels of its first band, which a second one may go on with.
    uint32_t first_levels() const;
    uint32_t bands() const { return first_levels() < levels ? 2 : 1; }

    friend bool operator==(const Run&, const Run&) = default;
  };

  LevelPlan() = default;
  // Every band a run; `spec` is of no plan with more levels.
  LevelPlan(const CodeSpec& spec);  // NOLINT(google-explicit-constructor): the plan of most codes
  // INVALID_ARGUMENT unless its bands are those of a CodeSpec.
  static absl::StatusOr<LevelPlan> Create(std::vector<Run> runs);
  // ToString's form.
  static absl::StatusOr<LevelPlan> Parse(std::string_view text);

  const std::vector<Run>& runs() const { return runs_; }
  uint32_t dims() const { return dims_; }  // components
  uint32_t bits() const { return bits_; }
  uint32_t max_levels() const { return max_levels_; }
  // Whether a run is trellis-coded.
  bool trellis() const;
  // Its bands, `weights` those of the runs.
  std::vector<Band> Bands(const std::vector<float>& weights) const;
  // Whether these are its bands, whatever weigh the first ones of a run.
  bool Describes(const std::vector<Band>& bands) const;
  // "32x7+64x2", or with trellis codes "32x7+64x2t".
  std::string ToString() const;

  friend bool operator==(const LevelPlan& a, const LevelPlan& b) { return a.runs_ == b.runs_; }

 private:
  std::vector<Run> runs_;
  uint32_t dims_ = 0;
  uint32_t bits_ = 0;
  uint32_t max_levels_ = 0;
};

}  // namespace bebr

#endif  // BEBR_INDEX_BINARIZER_LEVEL_PLAN_H_
