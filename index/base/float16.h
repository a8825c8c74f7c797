// IEEE 754 binary16, the storage type of floats where half the bytes are enough.
#ifndef BEBR_INDEX_BASE_FLOAT16_H_
#define BEBR_INDEX_BASE_FLOAT16_H_

#include <cstddef>
#include <cstdint>

namespace bebr {

// Largest finite binary16 value; larger magnitudes become infinity when converted.
inline constexpr float kFloat16Max = 65504.0f;

float HalfToFloat(uint16_t half);
// Rounds to nearest, ties to even.
uint16_t FloatToHalf(float value);

void HalfToFloat(const uint16_t* halves, size_t count, float* out);
void FloatToHalf(const float* values, size_t count, uint16_t* out);

}  // namespace bebr

#endif  // BEBR_INDEX_BASE_FLOAT16_H_
