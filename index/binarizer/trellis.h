// The codes of trellis-coded bands.
#ifndef BEBR_INDEX_BINARIZER_TRELLIS_H_
#define BEBR_INDEX_BINARIZER_TRELLIS_H_

#include <cstdint>

namespace bebr {

// Codes up to 32 values, which share a word of a band of `levels` stored levels (CodeSpec, "Trellis codes"), so that
// the sum of (x - c)^2 is least, where c is the derived code of a value: an integer in 0 .. 2^(levels + 1) - 1. Writes
// for each value the stored levels as a number whose lowest bit is the branch, and c.
//
// A Viterbi search: the state is the last three branches, each of the 8 states keeps its cheapest way, and of equal
// ways that of the lower state. The order of all floating-point operations is fixed. Cost: some 40 operations on four
// floats a value.
void EncodeTrellis(const float* x, uint32_t count, uint32_t levels, uint8_t* numbers, uint8_t* derived);

// Codes such that the sum of weights[i] (x[i] - c[i] + shifts[i] + sum over j < i of rows[i][j] (x[j] - c[j]))^2 is
// small: the same search, in which each way carries its own errors along, so that the code it finds need not be the
// best one. Cost: some 200 operations on four floats a value.
void EncodeShapedTrellis(const float* x, const float* shifts, const float* const* rows, const float* weights,
                         uint32_t count, uint32_t levels, uint8_t* numbers, uint8_t* derived);

}  // namespace bebr

#endif  // BEBR_INDEX_BINARIZER_TRELLIS_H_
