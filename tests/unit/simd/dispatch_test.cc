// BEBR_SIMD is obeyed, and never silently. Kernels() chooses once for a process, so every case runs in one of its own.
#include <cstdlib>
#include <cstring>

#include "gtest/gtest.h"
#include "index/simd/kernels.h"

namespace bebr::simd {
namespace {

// Exits 0 if Kernels() is `name` with BEBR_SIMD as given (null: unset).
[[noreturn]] void ExitWhetherChosen(const char* wanted, const char* name) {
  if (wanted != nullptr) {
    setenv("BEBR_SIMD", wanted, 1);
  } else {
    unsetenv("BEBR_SIMD");
  }
  std::exit(std::strcmp(Kernels().name, name) == 0 ? 0 : 3);
}

class DispatchDeathTest : public testing::Test {
 protected:
  DispatchDeathTest() { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

TEST_F(DispatchDeathTest, TheOverrideTakesEffectForEverySupportedTable) {
  for (const KernelTable* table : AllKernels()) {
    if (!table->supported()) continue;
    EXPECT_EXIT(ExitWhetherChosen(table->name, table->name), testing::ExitedWithCode(0), "") << table->name;
  }
}

TEST_F(DispatchDeathTest, WithoutOverrideTheBestSupportedTableIsChosen) {
  const char* best = nullptr;
  for (const KernelTable* table : AllKernels()) {
    if (best == nullptr && table->supported()) best = table->name;
  }
  ASSERT_NE(best, nullptr);
  EXPECT_EXIT(ExitWhetherChosen(nullptr, best), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(ExitWhetherChosen("", best), testing::ExitedWithCode(0), "");
}

TEST_F(DispatchDeathTest, AnUnknownNameEndsTheProcess) {
  EXPECT_EXIT(ExitWhetherChosen("sse9", ""), testing::ExitedWithCode(1),
              "BEBR_SIMD=sse9: no such kernel table. Tables in this program: .*scalar; supported by this processor: ");
}

TEST_F(DispatchDeathTest, AnUnsupportedNameEndsTheProcess) {
  for (const KernelTable* table : AllKernels()) {
    if (table->supported()) continue;
    EXPECT_EXIT(ExitWhetherChosen(table->name, ""), testing::ExitedWithCode(1), "does not have the instructions");
  }
}

TEST(Dispatch, TablesAreFoundByName) {
  EXPECT_STREQ(AllKernels().back()->name, "scalar");
  for (const KernelTable* table : AllKernels()) EXPECT_EQ(FindKernels(table->name), table);
  EXPECT_EQ(FindKernels(""), nullptr);
  EXPECT_EQ(FindKernels("avx"), nullptr);
}

}  // namespace
}  // namespace bebr::simd
