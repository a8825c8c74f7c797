#include "index/collection/row_check.h"

#include <algorithm>
#include <bit>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/storage/format.h"
#include "index/types/document.h"
#include "index/types/write.h"

namespace bebr {
namespace {

// What the writes borrow: the ids, which are the view's, and what is stored.
struct Owner {
  std::shared_ptr<const CollectionView> view;
  std::deque<std::vector<uint32_t>> words;
  std::deque<AttributeChange> changes;
};

// The stored code of a document, checked against its space.
absl::StatusOr<StoredCode> Decode(const std::string& bytes, const CodeSpec& spec, std::string_view id,
                                  std::string* buffer) {
  BEBR_ASSIGN_OR_RETURN(const StoredCode code, DecodeCode(bytes, buffer));
  if (code.words.size() == spec.code_words() && code.version < kMaxVersions && code.group < spec.groups()) return code;
  return absl::DataLossError(absl::StrFormat("the stored code of document \"%s\" is not one of its space", id));
}

bool SameBits(float a, float b) { return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b); }

// Whether the code that the row has is the stored one. `words` is room for one.
bool Equal(const SegmentView::SpaceView& space, uint32_t row, const StoredCode& stored, std::vector<uint32_t>& words) {
  if (space.column->version(row) != stored.version) return false;
  const CodeFactors factors = space.Load(row, words.data());
  return SameBits(factors.scale, stored.scale) && SameBits(factors.offset, stored.offset) &&
         factors.group == stored.group && std::equal(words.begin(), words.end(), stored.words.begin());
}

class Comparison {
 public:
  Comparison(CollectionStore& store, const CheckedRows& checked) : store_(store), checked_(checked) {
    owner_->view = checked.view;
    for (const uint32_t row : checked.rows) {
      // A length that cannot be is not followed any further.
      const std::string_view id = checked.segment->segment->id(row);
      ids_.push_back(id.substr(0, kMaxIdBytes));
    }
  }

  absl::Status CompareSpace(const SegmentView::SpaceView& space) {
    BEBR_ASSIGN_OR_RETURN(const auto stored,
                          store_.GetCodes(checked_.view->store.get(), space.space, checked_.shard, ids_));
    const CodeSpec& spec = space.column->spec();
    std::vector<uint32_t> words(spec.code_words());
    std::string buffer;
    for (size_t i = 0; i < ids_.size(); ++i) {
      const bool has = space.column->has(checked_.rows[i]);
      found_.bytes += has ? words.size() * sizeof(uint32_t) + sizeof(CodeFactors) + ids_[i].size() : 0;
      if (!stored[i].has_value()) {
        if (has) unknown_.insert(i);
        continue;
      }
      BEBR_ASSIGN_OR_RETURN(const StoredCode code, Decode(*stored[i], spec, ids_[i], &buffer));
      if (!has || !Equal(space, checked_.rows[i], code, words)) AddCode(i, space.space, code);
    }
    return absl::OkStatus();
  }

  absl::Status CompareAttributes() {
    const SegmentView& segment = *checked_.segment;
    BEBR_ASSIGN_OR_RETURN(const auto stored, store_.GetDocuments(checked_.view->store.get(), checked_.shard, ids_,
                                                                 /*fill_cache=*/false));
    for (size_t i = 0; i < ids_.size(); ++i) {
      if (!stored[i].has_value()) {
        unknown_.insert(i);
        continue;
      }
      found_.document_bytes += stored[i]->size();
      BEBR_ASSIGN_OR_RETURN(Attributes attributes, DecodeAttributes(*stored[i]));
      for (const auto& [name, value] : attributes) found_.bytes += 1 + ValueBytes(value);
      if (segment.segment->attributes().Equal(segment.attributes, checked_.rows[i], attributes)) continue;
      Mutation& mutation = MutationOf(i);
      mutation.kind = MutationKind::kUpdate;
      mutation.change = &owner_->changes.emplace_back(AttributeChange{.clear = true, .set = std::move(attributes)});
    }
    return absl::OkStatus();
  }

  RowDifferences Take() {
    for (const size_t i : unknown_) found_.unknown.emplace_back(ids_[i]);
    for (auto& [i, mutation] : mutations_) {
      if (!unknown_.contains(i)) found_.mutations.push_back(std::move(mutation));
    }
    found_.owner = owner_;
    return std::move(found_);
  }

 private:
  // The write that mends a row.
  Mutation& MutationOf(size_t i) {
    const auto [it, fresh] = mutations_.try_emplace(i);
    Mutation& mutation = it->second;
    if (!fresh) return mutation;
    mutation.kind = MutationKind::kMerge;
    mutation.id = ids_[i];
    mutation.expected_segment = checked_.segment->segment.get();
    mutation.expected_row = checked_.rows[i];
    return mutation;
  }

  void AddCode(size_t i, uint32_t space, const StoredCode& code) {
    const std::vector<uint32_t>& words = owner_->words.emplace_back(code.words.begin(), code.words.end());
    MutationOf(i).codes.push_back(
        {space, static_cast<uint8_t>(code.version), {code.scale, code.offset, code.group}, words});
  }

  CollectionStore& store_;
  const CheckedRows& checked_;
  std::vector<std::string_view> ids_;
  const std::shared_ptr<Owner> owner_ = std::make_shared<Owner>();
  std::map<size_t, Mutation> mutations_;  // by place in rows
  std::set<size_t> unknown_;              // places in rows
  RowDifferences found_;
};

}  // namespace

absl::StatusOr<RowDifferences> CompareRows(CollectionStore& store, const CheckedRows& checked) {
  Comparison comparison(store, checked);
  for (const SegmentView::SpaceView& space : checked.segment->spaces) {
    BEBR_RETURN_IF_ERROR(comparison.CompareSpace(space));
  }
  BEBR_RETURN_IF_ERROR(comparison.CompareAttributes());
  return comparison.Take();
}

}  // namespace bebr
