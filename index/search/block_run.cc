#include "index/search/block_run.h"

#include <algorithm>
#include <cstring>

namespace bebr {
namespace {

constexpr size_t kBlocksAhead = 4;  // of the one that is copied, the memory is asked for
constexpr size_t kLineBytes = 64;

using Part = ScanTarget::Part;

const std::byte* BlockAt(const Part& part, const Part::Stretch& stretch, uint32_t position) {
  return stretch.data + (position - stretch.begin) * part.space->column->block_bytes();
}

void AskFor(const std::byte* block, size_t bytes) {
  for (size_t at = 0; at < bytes; at += kLineBytes) __builtin_prefetch(block + at);
}

}  // namespace

BlockRun RunInPlace(const ScanTarget& target, uint32_t part, const Part::Stretch& stretch, uint32_t begin,
                    uint32_t end) {
  return {.part = part,
          .count = end - begin,
          .group = stretch.group,
          .blocks = BlockAt(target.parts()[part], stretch, begin),
          .stretch = &stretch,
          .begin = begin};
}

BlockRun BlockCopies::Copy(const ScanTarget& target, uint32_t number, absl::Span<const uint32_t> positions,
                           size_t most) {
  const Part& part = target.parts()[number];
  const size_t bytes = part.space->column->block_bytes();
  if (buffer_.size() < most * bytes) buffer_ = AlignedBuffer<std::byte>(most * bytes);
  BlockRun run{.part = number, .blocks = buffer_.data(), .positions = positions.data()};
  run.group = part.StretchAt(positions.front()).group;
  const size_t count = std::min(most, positions.size());
  for (size_t i = 0; i < std::min(kBlocksAhead, count); ++i)
    AskFor(BlockAt(part, part.StretchAt(positions[i]), positions[i]), bytes);
  for (; run.count < count; ++run.count) {
    const uint32_t position = positions[run.count];
    const Part::Stretch& stretch = part.StretchAt(position);
    if (stretch.group != run.group) break;
    if (const size_t ahead = run.count + kBlocksAhead; ahead < positions.size())
      AskFor(BlockAt(part, part.StretchAt(positions[ahead]), positions[ahead]), bytes);
    std::memcpy(buffer_.data() + run.count * bytes, BlockAt(part, stretch, position), bytes);
  }
  return run;
}

}  // namespace bebr
