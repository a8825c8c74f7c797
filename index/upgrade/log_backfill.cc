#include "index/upgrade/log_backfill.h"

#include <algorithm>
#include <memory>
#include <queue>
#include <utility>
#include <vector>

#include "index/base/checksum.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

// A document that needs a code, and its shard.
struct Needs {
  std::string_view id;
  uint32_t shard = 0;
  bool operator<(const Needs& other) const { return id < other.id; }
};

// What the mutations borrow.
struct Encoded {
  std::vector<std::string> ids;
  std::vector<uint32_t> words;
  std::vector<CodeFactors> factors;
};

// The first after `after`, in order.
std::vector<Needs> FindNeeds(const CollectionView& view, const Version& version, std::string_view after, size_t most) {
  std::priority_queue<Needs> first;  // the last of them on top
  for (uint32_t shard = 0; shard < view.shards.size(); ++shard) {
    for (const SegmentView& segment : view.shards[shard]->segments) {
      const SegmentView::SpaceView* space = segment.FindSpace(version.space);
      for (uint32_t row = 0; row < segment.rows; ++row) {
        if (segment.deleted != nullptr && segment.deleted->test(row)) continue;
        if (space != nullptr && space->column->has(row) && space->column->version(row) == version.number) continue;
        const std::string_view id = segment.segment->id(row);
        if (id <= after || (first.size() == most && first.top().id <= id)) continue;
        first.push({id, shard});
        if (first.size() > most) first.pop();
      }
    }
  }
  std::vector<Needs> found;
  for (; !first.empty(); first.pop()) found.push_back(first.top());
  std::reverse(found.begin(), found.end());
  return found;
}

}  // namespace

absl::StatusOr<CodesOfStored> EncodeStored(const Collection& collection, std::string_view version,
                                           std::string_view after, size_t most) {
  const auto manifest = collection.manifest();
  BEBR_ASSIGN_OR_RETURN(const Version* found, manifest->FindVersion(version));
  const auto view = collection.shards()->view();
  const std::vector<Needs> needs = FindNeeds(*view, *found, after, most);
  auto encoded = std::make_shared<Encoded>();
  CodesOfStored result{.request = {.mutations = {}, .owner = encoded}};
  if (needs.empty()) return result;
  result.last_id = needs.back().id;
  const Binarizer& binarizer = *found->binarizer;
  const size_t dims = binarizer.input_dims(), words = binarizer.spec().code_words();
  std::vector<float> matrix;
  for (uint32_t shard = 0; shard < view->shards.size(); ++shard) {
    std::vector<std::string_view> ids;
    for (const Needs& one : needs) {
      if (one.shard == shard) ids.push_back(one.id);
    }
    if (ids.empty()) continue;
    BEBR_ASSIGN_OR_RETURN(const auto floats,
                          collection.shards()->store().GetFloats(view->store.get(), found->embedding, shard, ids));
    for (size_t i = 0; i < ids.size(); ++i) {
      if (!floats[i].has_value()) continue;  // the document has no embedding of this version
      matrix.resize(matrix.size() + dims);
      BEBR_RETURN_IF_ERROR(ReadStoredFloats(manifest->store_floats, *floats[i], absl::MakeSpan(matrix).last(dims)));
      encoded->ids.emplace_back(ids[i]);
      Mutation& mutation = result.request.mutations.emplace_back();
      mutation.kind = MutationKind::kMerge;
      mutation.expected_floats = {.embedding = found->embedding, .crc32c = Crc32c(*floats[i])};
    }
  }
  const size_t count = encoded->ids.size();
  encoded->words.resize(count * words);
  encoded->factors.resize(count);
  if (count > 0) binarizer.EncodeDocuments(matrix.data(), count, encoded->words.data(), encoded->factors.data());
  for (size_t i = 0; i < count; ++i) {
    Mutation& mutation = result.request.mutations[i];
    mutation.id = encoded->ids[i];
    mutation.codes.push_back({found->space, static_cast<uint8_t>(found->number), encoded->factors[i],
                              absl::MakeConstSpan(encoded->words.data() + i * words, words)});
  }
  return result;
}

}  // namespace bebr
