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

// What each state has of something, states 0..3 and 4..7.
struct OfStates {
  Floats low, high;
};

// The lowest state of least cost.
uint32_t Cheapest(const OfStates& costs) {
  const auto cost = [&](uint32_t s) { return s < 4 ? costs.low[s] : costs.high[s - 4]; };
  uint32_t state = 0;
  for (uint32_t s = 1; s < kStates; ++s) {
    if (cost(s) < cost(state)) state = s;
  }
  return state;
}

// The candidate of each of four states, for the z that its branch leads to.
Floats Candidates(Floats target, Floats z, Floats most) {
  const Floats zero = {};
  Floats u = (target - z) * 0.25f;
  u = u > zero ? u : zero;  // 0 if it is no number
  u = u < most ? u : most;
  return __builtin_convertvector(__builtin_convertvector(u + 0.5f, Ints), Floats) * 4.0f + z;
}

// Of what the ways to the states had before a value, what those have that were chosen for it.
OfStates Followed(const OfStates& before, const Choices& choices) {
  const Floats low_from_low = __builtin_shufflevector(before.low, before.low, 0, 0, 1, 1);
  const Floats low_from_high = __builtin_shufflevector(before.high, before.high, 0, 0, 1, 1);
  const Floats high_from_low = __builtin_shufflevector(before.low, before.low, 2, 2, 3, 3);
  const Floats high_from_high = __builtin_shufflevector(before.high, before.high, 2, 2, 3, 3);
  return {choices.of_low ? low_from_high : low_from_low, choices.of_high ? high_from_high : high_from_low};
}

// Of both branches of four predecessors, what the states that they lead to get, in their order.
Floats First(Floats of_0, Floats of_1) { return __builtin_shufflevector(of_0, of_1, 0, 4, 1, 5); }
Floats Last(Floats of_0, Floats of_1) { return __builtin_shufflevector(of_0, of_1, 2, 6, 3, 7); }

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
  uint32_t state = Cheapest({low, high});
  for (uint32_t i = count; i-- > 0;) {
    const uint32_t branch = state & 1, before = state >> 1 | (choices[i].upper(state) ? 4u : 0u);
    const uint32_t z1 = branch ^ (before & 1) ^ before >> 2, z0 = before >> 1 & 1;
    const auto code = static_cast<uint32_t>(candidates[i][2 * z1 + z0]);
    derived[i] = static_cast<uint8_t>(code);
    numbers[i] = static_cast<uint8_t>(code >> 2 << 1 | branch);
    state = before;
  }
}

void EncodeShapedTrellis(const float* x, const float* shifts, const float* const* rows, const float* weights,
                         uint32_t count, uint32_t levels, uint8_t* numbers, uint8_t* derived) {
  // The z of branches 0 and 1 from states 0..3; from 4..7 it is the other way round.
  const Floats zero = {}, z_same = {0.0f, 2.0f, 1.0f, 3.0f}, z_other = {2.0f, 0.0f, 3.0f, 1.0f};
  const Floats most = zero + static_cast<float>((1u << (levels - 1)) - 1);
  OfStates costs = {{0.0f, kFar, kFar, kFar}, {kFar, kFar, kFar, kFar}};
  OfStates errors[kWord];  // of the way to each state, by value
  OfStates codes[kWord];
  Choices choices[kWord];
  for (uint32_t i = 0; i < count; ++i) {
    OfStates target = {zero, zero};
    for (uint32_t j = 0; j < i; ++j) {
      target.low += errors[j].low * rows[i][j];
      target.high += errors[j].high * rows[i][j];
    }
    target.low += x[i] + shifts[i];
    target.high += x[i] + shifts[i];
    const OfStates code_0 = {Candidates(target.low, z_same, most), Candidates(target.high, z_other, most)};
    const OfStates code_1 = {Candidates(target.low, z_other, most), Candidates(target.high, z_same, most)};
    const OfStates miss_0 = {target.low - code_0.low, target.high - code_0.high};
    const OfStates miss_1 = {target.low - code_1.low, target.high - code_1.high};
    const OfStates cost_0 = {costs.low + miss_0.low * miss_0.low * weights[i],
                             costs.high + miss_0.high * miss_0.high * weights[i]};
    const OfStates cost_1 = {costs.low + miss_1.low * miss_1.low * weights[i],
                             costs.high + miss_1.high * miss_1.high * weights[i]};
    const Floats low_from_low = First(cost_0.low, cost_1.low), low_from_high = First(cost_0.high, cost_1.high);
    const Floats high_from_low = Last(cost_0.low, cost_1.low), high_from_high = Last(cost_0.high, cost_1.high);
    const Ints of_low = low_from_high < low_from_low, of_high = high_from_high < high_from_low;
    choices[i] = {of_low, of_high};
    costs = {of_low ? low_from_high : low_from_low, of_high ? high_from_high : high_from_low};
    codes[i] = {of_low ? First(code_0.high, code_1.high) : First(code_0.low, code_1.low),
                of_high ? Last(code_0.high, code_1.high) : Last(code_0.low, code_1.low)};
    for (uint32_t j = 0; j < i; ++j) errors[j] = Followed(errors[j], choices[i]);
    errors[i] = {x[i] - codes[i].low, x[i] - codes[i].high};
  }
  uint32_t state = Cheapest(costs);
  for (uint32_t i = count; i-- > 0;) {
    const auto code = static_cast<uint32_t>(state < 4 ? codes[i].low[state] : codes[i].high[state - 4]);
    derived[i] = static_cast<uint8_t>(code);
    numbers[i] = static_cast<uint8_t>(code >> 2 << 1 | (state & 1));
    state = state >> 1 | (choices[i].upper(state) ? 4u : 0u);
  }
}

}  // namespace bebr
