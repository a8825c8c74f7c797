#include "index/base/aligned_buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace bebr {
namespace {

size_t Misalignment(const void* pointer, size_t alignment) { return reinterpret_cast<uintptr_t>(pointer) % alignment; }

TEST(AlignedBufferTest, IsZeroedAndAlignedToACacheLine) {
  for (const size_t size : {1, 15, 16, 17, 1000}) {
    AlignedBuffer<uint32_t> buffer(size);
    EXPECT_EQ(buffer.size(), size);
    EXPECT_EQ(Misalignment(buffer.data(), 64), 0u);
    EXPECT_TRUE(std::all_of(buffer.begin(), buffer.end(), [](uint32_t value) { return value == 0; }));
    std::fill(buffer.begin(), buffer.end(), 7u);
    EXPECT_EQ(buffer[size - 1], 7u);
  }
}

TEST(AlignedBufferTest, LargeOnesAreAlignedToAHugePage) {
  AlignedBuffer<float> buffer(AlignedBuffer<float>::kHugePage / sizeof(float));
  EXPECT_EQ(Misalignment(buffer.data(), AlignedBuffer<float>::kHugePage), 0u);
}

TEST(AlignedBufferTest, EmptyHoldsNothing) {
  AlignedBuffer<int> none;
  AlignedBuffer<int> zero(0);
  EXPECT_TRUE(none.empty());
  EXPECT_TRUE(zero.empty());
  EXPECT_EQ(zero.begin(), zero.end());
}

TEST(AlignedBufferTest, MovingHandsTheMemoryOver) {
  AlignedBuffer<int> a(3);
  a[1] = 5;
  const int* memory = a.data();
  AlignedBuffer<int> b(std::move(a));
  EXPECT_EQ(b.data(), memory);
  EXPECT_EQ(b.size(), 3u);
  AlignedBuffer<int> c(1);
  c = std::move(b);
  EXPECT_EQ(c.data(), memory);
  EXPECT_EQ(c[1], 5);
}

}  // namespace
}  // namespace bebr
