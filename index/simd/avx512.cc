// AVX-512 with VPOPCNTDQ, VNNI and VBMI: Ice Lake, Zen 4 and later.
#include "index/simd/avx512_sums.h"
#include "index/simd/tables.h"

namespace bebr::simd {

const KernelTable BEBR_SIMD_AVX512_TABLE = {"avx512",
                                            Avx512Supported,
                                            VecPreparedBytes<Avx512Sums>,
                                            VecPrepare<Avx512Sums>,
                                            VecScore<Vec, Avx512Sums>,
                                            VecScan<Vec, Avx512Sums>,
                                            VecPackedFloats<Vec>,
                                            VecPack<Vec>,
                                            VecGemm<Vec>,
                                            Match<Avx512Rows>};

}  // namespace bebr::simd
