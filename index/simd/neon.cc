// NEON, part of every 64-bit Arm processor: look-up sums, one block in a vector.
#include <arm_neon.h>

#include "index/simd/gemm.h"
#include "index/simd/lookup_sums.h"
#include "index/simd/match.h"
#include "index/simd/score_driver.h"
#include "index/simd/tables.h"

namespace bebr::simd {
namespace {

struct Vec {
  using F = float32x4_t;
  using I = int32x4_t;
  static constexpr int kFloats = 4;
  static constexpr int kPanel = 4;
  static constexpr int kGemmRows = 6;

  static F LoadF(const float* p) { return vld1q_f32(p); }
  static void StoreF(float* p, F v) { vst1q_f32(p, v); }
  static F SetF(float v) { return vdupq_n_f32(v); }
  static F Add(F a, F b) { return vaddq_f32(a, b); }
  static F Mul(F a, F b) { return vmulq_f32(a, b); }
  static F Fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
  static I LoadI(const int32_t* p) { return vld1q_s32(p); }
  static F ToFloat(I v) { return vcvtq_f32_s32(v); }
  static void StoreI(int32_t* p, I v) { vst1q_s32(p, v); }
  static I SetI(int32_t v) { return vdupq_n_s32(v); }
  static I MaxI(I a, I b) { return vmaxq_s32(a, b); }
  static I ToInt(F v) { return vcvtq_s32_f32(v); }
  static F Max(F a, F b) { return vmaxnmq_f32(a, b); }
  static F Min(F a, F b) { return vminnmq_f32(a, b); }
  static float Highest(F v) { return vmaxvq_f32(v); }
  static bool AnyAbove(I a, I b) { return vmaxvq_u32(vcgtq_s32(a, b)) != 0; }
  static bool AnyNotLess(F a, F b) { return vminvq_u32(vcltq_f32(a, b)) == 0; }
  static uint32_t AtLeast(F a, F b) {
    static constexpr uint32_t kBits[4] = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(vcgeq_f32(a, b), vld1q_u32(kBits)));
  }
};

struct Bytes {
  using B = uint8x16_t;
  static constexpr size_t kBlocks = 1;
  static constexpr int kSteps = 0;  // a vector is one block's anyway
  static constexpr uint32_t kNibbleOrder[8] = {0, 1, 2, 3, 4, 5, 6, 7};

  static B Zero() { return vdupq_n_u8(0); }
  static B Table(const uint8_t* p) { return vld1q_u8(p); }
  static B LoadIndex(const uint8_t* p) { return vld1q_u8(p); }
  static B Lookup(B table, B index) { return vqtbl1q_u8(table, index); }
  static B Add8(B a, B b) { return vaddq_u8(a, b); }
  static B Add16(B a, B b) { return vreinterpretq_u8_u16(vaddq_u16(vreinterpretq_u16_u8(a), vreinterpretq_u16_u8(b))); }
  static B ShiftRight8(B a) { return vreinterpretq_u8_u16(vshrq_n_u16(vreinterpretq_u16_u8(a), 8)); }

  // The de-interleaving load puts byte j of 16 words into vector j.
  static void UnpackWord(const uint32_t* const* rows, size_t offset, uint8_t* out) {
    const uint8x16x4_t bytes = vld4q_u8(reinterpret_cast<const uint8_t*>(rows[0] + offset));
    for (int j = 0; j < 4; ++j) {
      vst1q_u8(out + 32 * j, vandq_u8(bytes.val[j], vdupq_n_u8(15)));
      vst1q_u8(out + 32 * j + 16, vshrq_n_u8(bytes.val[j], 4));
    }
  }

  static void StoreSums(B even_bytes, B odd_bytes, int32_t* sums, bool add) {
    const uint16x8_t odd = vreinterpretq_u16_u8(odd_bytes);
    const uint16x8_t even = vsubq_u16(vreinterpretq_u16_u8(even_bytes), vshlq_n_u16(odd, 8));
    const uint16x8_t first = vzip1q_u16(even, odd);  // documents 0..7
    const uint16x8_t second = vzip2q_u16(even, odd);
    StoreFour(vget_low_u16(first), sums, add);
    StoreFour(vget_high_u16(first), sums + 4, add);
    StoreFour(vget_low_u16(second), sums + 8, add);
    StoreFour(vget_high_u16(second), sums + 12, add);
  }

 private:
  static void StoreFour(uint16x4_t values, int32_t* sums, bool add) {
    int32x4_t wide = vreinterpretq_s32_u32(vmovl_u16(values));
    if (add) wide = vaddq_s32(wide, vld1q_s32(sums));
    vst1q_s32(sums, wide);
  }
};

using Sums = LookupSums<Bytes>;

}  // namespace

const KernelTable kNeonTable = {"neon",
                                NeonSupported,
                                VecPreparedBytes<Sums>,
                                VecPrepare<Sums>,
                                VecScore<Vec, Sums>,
                                VecScan<Vec, Sums>,
                                VecPackedFloats<Vec>,
                                VecPack<Vec>,
                                VecGemm<Vec>,
                                Match<PortableRows>};

}  // namespace bebr::simd
