// The tables that dispatch.cc chooses from. A table's file is compiled for its instruction set, so the question whether
// the processor has it is asked in dispatch.cc, which is compiled for the baseline.
#ifndef BEBR_INDEX_SIMD_TABLES_H_
#define BEBR_INDEX_SIMD_TABLES_H_

#include "index/simd/kernels.h"

namespace bebr::simd {

extern const KernelTable kScalarTable;
extern const KernelTable kAvx2Table;
extern const KernelTable kAvx512BwTable;
extern const KernelTable kAvx512Table;
extern const KernelTable kAmxTable;
extern const KernelTable kNeonTable;

bool ScalarSupported();
bool Avx2Supported();
bool Avx512BwSupported();
bool Avx512Supported();
bool AmxSupported();
bool RequestAmx();  // asks the operating system
bool NeonSupported();

}  // namespace bebr::simd

#endif  // BEBR_INDEX_SIMD_TABLES_H_
