#include "index/binarizer/trellis.h"

#include <limits>

namespace bebr {
namespace {

typedef float Floats __attribute__((vector_size(16)));
typedef int32_t Ints __attribute__((vector_size(16)));

constexpr float kFar = std::numeric_limits<float>::infinity();
constexpr uint32_t kStates = 8;
constexpr uint32_t kWord = 32;

// Whether the cheapest way to a state comes from the upper of its two predecessors (-1) or the lower one (0).
struct Choices {
  Ints of_low, of_high;  // states 0..3 and 4..7

  bool upper(uint32_t state) const { return (state < 4 ? of_low[state] : of_high[state - 4]) != 0; }
};

}  // namespace

// State s is b1 + 2 b2 + 4 b3 of the branches of the last three values. The branch b of a value leads from s to
// (2 s + b) mod 8, and with z1 = b ^ b1 ^ b3 and z0 = b2 the value's code is one of 4 u + 2 z1 + z0: of the four
// candidates that a value has, one for each z, the state's two predecessors take two.
void EncodeTrellis(const float* x, uint32_t count, uint32_t levels, uint8_t* numbers, uint8_t* derived) {
  const Floats zero = {}, z = {0.0f, 1.0f, 2.0f, 3.0f};
  const Ints z_number = {0, 1, 2, 3};
  const Floats most = zero + static_cast<float>((1u << (levels - 1)) - 1);
  Floats low = {0.0f, kFar, kFar, kFar}, high = {kFar, kFar, kFar, kFar};  // costs of the states
  Choices choices[kWord];
  Ints candidates[kWord];
  for (uint32_t i = 0; i < count; ++i) {
    Floats u = (x[i] - z) * 0.25f;
    u = u > zero ? u : zero;  // 0 if it is no number
    u = u < most ? u : most;
    const Ints candidate = __builtin_convertvector(u + 0.5f, Ints) * 4 + z_number;
    const Floats miss = x[i] - __builtin_convertvector(candidate, Floats);
    const Floats error = miss * miss;
    const Floats low_from_low =
        __builtin_shufflevector(low, low, 0, 0, 1, 1) + __builtin_shufflevector(error, error, 0, 2, 2, 0);
    const Floats low_from_high =
        __builtin_shufflevector(high, high, 0, 0, 1, 1) + __builtin_shufflevector(error, error, 2, 0, 0, 2);
    const Floats high_from_low =
        __builtin_shufflevector(low, low, 2, 2, 3, 3) + __builtin_shufflevector(error, error, 1, 3, 3, 1);
    const Floats high_from_high =
        __builtin_shufflevector(high, high, 2, 2, 3, 3) + __builtin_shufflevector(error, error, 3, 1, 1, 3);
    candidates[i] = candidate;
    choices[i].of_low = low_from_high < low_from_low;
    choices[i].of_high = high_from_high < high_from_low;
    low = low_from_high < low_from_low ? low_from_high : low_from_low;
    high = high_from_high < high_from_low ? high_from_high : high_from_low;
  }
  uint32_t state = 0;
  const auto cost = [&](uint32_t s) { return s < 4 ? low[s] : high[s - 4]; };
  for (uint32_t s = 1; s < kStates; ++s) {
    if (cost(s) < cost(state)) state = s;
  }
  for (uint32_t i = count; i-- > 0;) {
    const uint32_t branch = state & 1, before = state >> 1 | (choices[i].upper(state) ? 4u : 0u);
    const uint32_t z1 = branch ^ (before & 1) ^ before >> 2, z0 = before >> 1 & 1;
    const auto code = static_cast<uint32_t>(candidates[i][2 * z1 + z0]);
    derived[i] = static_cast<uint8_t>(code);
    numbers[i] = static_cast<uint8_t>(code >> 2 << 1 | branch);
    state = before;
  }
}

}  // namespace bebr
