// The quickest table for a shape: chosen once, among all that the processor has, and never against BEBR_SIMD.
#include "index/simd/choice.h"

#include <cstdlib>
#include <cstring>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/unit/simd/test_tables.h"

namespace bebr::simd {
namespace {

std::vector<std::string> told_of;
std::vector<std::string> measured_tables;

void Listen(const TableChoice& choice) {
  told_of.push_back(std::to_string(choice.shape.bands[0].dims) + " dims, " + std::to_string(choice.query_count));
  measured_tables.clear();
  for (const MeasuredTable& one : choice.measured) {
    measured_tables.push_back(one.table->name);
    EXPECT_GT(one.ns_per_score, 0.0);
  }
  EXPECT_EQ(&choice.chosen, &Quickest(choice.measured));
}

TEST(Choice, IsMadeOnceForAShapeAndASizeOfBatches) {
  unsetenv("BEBR_SIMD");
  TellChoicesTo(Listen);
  const CodeShape shape = MakeShape({{64, 4}, {33, 2}}, 6), other = MakeShape({{256, 1}}, 1);
  const KernelTable& chosen = KernelsFor(shape, 64);
  EXPECT_TRUE(chosen.supported());
  std::vector<std::string> expected;
  for (const KernelTable* table : AllKernels()) {
    if (table->supported() && std::string(table->name) != "scalar") expected.push_back(table->name);
  }
  if (expected.empty()) GTEST_SKIP() << "this processor has the scalar table alone";
  EXPECT_EQ(measured_tables, expected);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (const size_t queries : {8, 64, 1000}) EXPECT_EQ(&KernelsFor(shape, queries), &chosen);
      for (const size_t queries : {0, 1, 2, 7}) EXPECT_TRUE(KernelsFor(shape, queries).supported());
      EXPECT_TRUE(KernelsFor(other, 1).supported());
    });
  }
  for (std::thread& thread : threads) thread.join();
  TellChoicesTo(nullptr);
  EXPECT_EQ(std::multiset<std::string>(told_of.begin(), told_of.end()),
            (std::multiset<std::string>{"64 dims, 32", "64 dims, 1", "64 dims, 4", "256 dims, 1"}));
}

TEST(Choice, GoesToAMuchQuickerTableOnly) {
  const KernelTable first = {}, second = {}, third = {};
  EXPECT_EQ(&Quickest(std::vector<MeasuredTable>{{&first, 1.0}}), &first);
  EXPECT_EQ(&Quickest(std::vector<MeasuredTable>{{&first, 1.0}, {&second, 0.95}, {&third, 2.0}}), &first);
  EXPECT_EQ(&Quickest(std::vector<MeasuredTable>{{&first, 1.0}, {&second, 0.8}, {&third, 0.79}}), &second);
  EXPECT_EQ(&Quickest(std::vector<MeasuredTable>{{&first, 1.0}, {&second, 0.8}, {&third, 0.4}}), &third);
}

// In a process of its own, where nothing is chosen yet.
TEST(ChoiceDeathTest, ObeysTheEnvironment) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        setenv("BEBR_SIMD", "scalar", 1);
        std::exit(std::strcmp(KernelsFor(MakeShape({{64, 4}}, 4), 64).name, "scalar") == 0 ? 0 : 3);
      },
      testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace bebr::simd
