#include "index/search/browse.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/segment/attribute_list.h"

namespace bebr {
namespace {

// Calls visit(row) for every bit.
template <typename Visit>
void ForEachRow(const RowSet& rows, const Visit& visit) {
  for (size_t word = 0; word < rows.size(); ++word) {
    for (uint64_t bits = rows[word]; bits != 0; bits &= bits - 1) {
      visit(static_cast<uint32_t>(word * 64 + static_cast<size_t>(std::countr_zero(bits))));
    }
  }
}

uint64_t CountOf(const RowSet& rows) {
  uint64_t count = 0;
  for (const uint64_t word : rows) count += static_cast<uint64_t>(std::popcount(word));
  return count;
}

RowSet AllRows(uint32_t rows) {
  RowSet all((uint64_t{rows} + 63) / 64, ~uint64_t{0});
  if (rows % 64 != 0) all.back() = (uint64_t{1} << (rows % 64)) - 1;
  return all;
}

// Values of a shard's columns, by type and what the column holds, and how often they are there.
using ColumnCounts = absl::flat_hash_map<std::pair<AttributeType, uint64_t>, uint64_t>;
// The same of all shards, by PackScalar.
using ValueCounts = absl::flat_hash_map<std::string, uint64_t>;

// Returns how many rows have a value, also one that is stored only and not counted by value.
uint64_t CountColumn(const AttributeColumns::Column& column, const RowSet& rows, ColumnCounts& counts) {
  uint64_t present = 0;
  ForEachRow(rows, [&](uint32_t row) {
    const AttributeType type = column.types[row];
    if (type == AttributeType::kAbsent) return;
    ++present;
    if (type != AttributeType::kStored) ++counts[{type, column.values[row]}];
  });
  return present;
}

AttributeScalar ValueOf(AttributeType type, uint64_t value, const absl::flat_hash_map<uint64_t, std::string>& texts) {
  switch (type) {
    case AttributeType::kInt:
      return static_cast<int64_t>(value);
    case AttributeType::kDouble:
      return std::bit_cast<double>(value) + 0.0;  // one zero
    case AttributeType::kBool:
      return value != 0;
    case AttributeType::kTimestamp:
      return Timestamp{static_cast<int64_t>(value)};
    default:
      return texts.at(value);
  }
}

// What a value takes beside a text: in the counts of its shard, and in those of all or the answer.
constexpr uint64_t kValueBytes = 128;

bool HasText(AttributeType type) { return type == AttributeType::kString || type == AttributeType::kList; }

// The texts and lists for the numbers of a shard's dictionary that are among its counts.
absl::flat_hash_map<uint64_t, std::string> TextsOf(const ColumnCounts& counts, const AttributeDictionary& dictionary) {
  absl::flat_hash_map<uint64_t, std::string> texts;
  for (const auto& [key, count] : counts) {
    if (HasText(key.first)) texts.try_emplace(key.second);
  }
  if (texts.empty()) return texts;
  dictionary.ForEach([&](uint32_t number, std::string_view text) {
    if (const auto it = texts.find(number); it != texts.end()) it->second = text;
  });
  return texts;
}

// What a shard's counts and their texts will take. The values of lists are counted one by one, up to the limit.
uint64_t MemoryOf(const ColumnCounts& counts, const AttributeDictionary& dictionary) {
  uint64_t bytes = counts.size() * kValueBytes;
  const auto has_text = [](const auto& entry) { return HasText(entry.first.first); };
  if (std::none_of(counts.begin(), counts.end(), has_text)) return bytes;
  uint64_t in_lists = 0;
  dictionary.ForEach([&](uint32_t number, std::string_view text) {
    const bool is_list = counts.contains({AttributeType::kList, number});
    if (is_list) ForEachInList(text, [&](std::string_view) { ++in_lists; });
    if (is_list || counts.contains({AttributeType::kString, number})) bytes += 2 * text.size();
  });
  return bytes + std::min<uint64_t>(in_lists, kMaxFacetValues) * kValueBytes;
}

// Adds a shard's counts, those of a list to each of its values. Stops where there are too many values.
void AddCounts(const ColumnCounts& counts, const AttributeDictionary& dictionary, ValueCounts& total) {
  const absl::flat_hash_map<uint64_t, std::string> texts = TextsOf(counts, dictionary);
  for (const auto& entry : counts) {
    const auto [type, value] = entry.first;
    if (type != AttributeType::kList) {
      total[PackScalar(ValueOf(type, value, texts))] += entry.second;
    } else {
      ForEachInList(texts.at(value), [&](std::string_view packed) { total[std::string(packed)] += entry.second; });
    }
    if (total.size() > kMaxFacetValues) return;
  }
}

absl::Status TooManyValues(std::string_view attribute) {
  return absl::ResourceExhaustedError(absl::StrFormat(
      "attribute \"%s\" has more than %d different values, the limit; narrow the filter", attribute, kMaxFacetValues));
}

}  // namespace

absl::StatusOr<Selection> Selection::Create(std::shared_ptr<const CollectionView> view, const Filter* filter,
                                            Interrupter interrupted) {
  Selection selection(std::move(view));
  for (uint32_t shard = 0; shard < selection.view_->shards.size(); ++shard) {
    BEBR_RETURN_IF_ERROR(selection.AddShard(shard, filter, interrupted));
  }
  return selection;
}

absl::Status Selection::AddShard(uint32_t number, const Filter* filter, Interrupter interrupted) {
  const ShardView& view = *view_->shards[number];
  BEBR_RETURN_IF_ERROR(interrupted());
  std::optional<Filter::TextAnswers> texts;
  if (filter != nullptr) texts = filter->CompareTexts(*view.dictionary, [&] { return !interrupted().ok(); });
  BEBR_RETURN_IF_ERROR(interrupted());
  for (const SegmentView& segment : view.segments) {
    if (segment.rows == segment.deleted_rows) continue;
    BEBR_RETURN_IF_ERROR(interrupted());
    RowSet rows = filter == nullptr ? AllRows(segment.rows)
                                    : filter->Evaluate(*segment.attributes, *view.dictionary, *texts, segment.rows,
                                                       segment.segment.get());
    if (segment.deleted != nullptr) {
      for (size_t i = 0; i < rows.size(); ++i) rows[i] &= ~segment.deleted->words[i];
    }
    parts_.push_back({&segment, number, std::move(rows)});
  }
  return absl::OkStatus();
}

uint64_t Selection::count() const {
  uint64_t count = 0;
  for (const Part& part : parts_) count += CountOf(part.rows);
  return count;
}

std::vector<std::string> Selection::Ids() const {
  std::vector<std::string> ids;
  for (const Part& part : parts_) {
    ForEachRow(part.rows, [&](uint32_t row) { ids.emplace_back(part.view->segment->id(row)); });
  }
  return ids;
}

absl::StatusOr<std::vector<SelectedRow>> Selection::PageAfter(std::string_view after, size_t limit,
                                                              Interrupter interrupted) const {
  const auto less = [](const SelectedRow& a, const SelectedRow& b) { return a.id < b.id; };
  std::vector<SelectedRow> page;
  std::optional<std::string_view> least_of_others;  // rows from here on are not among the first
  const auto cut = [&] {
    if (page.size() <= limit) return;
    std::nth_element(page.begin(), page.begin() + static_cast<ptrdiff_t>(limit) - 1, page.end(), less);
    page.resize(limit);
    least_of_others = page.back().id;
  };
  for (const Part& part : parts_) {
    BEBR_RETURN_IF_ERROR(interrupted());
    ForEachRow(part.rows, [&](uint32_t row) {
      const std::string_view id = part.view->segment->id(row);
      if (id <= after || (least_of_others.has_value() && id >= *least_of_others)) return;
      page.push_back({id, part.view, row});
      if (page.size() >= 2 * limit + 64) cut();
    });
  }
  cut();
  std::sort(page.begin(), page.end(), less);
  return page;
}

absl::StatusOr<FacetResult> Selection::CountValues(const FacetRequest& request, Interrupter interrupted) const {
  FacetResult result{.documents = count()};
  ValueCounts total;
  uint64_t taken = 0;  // of memory
  for (uint32_t shard = 0; shard < view_->shards.size(); ++shard) {
    ColumnCounts counts;
    for (const Part& part : parts_) {
      if (part.shard != shard) continue;
      BEBR_RETURN_IF_ERROR(interrupted());
      const auto column = part.view->attributes->find(request.attribute);
      if (column == part.view->attributes->end()) continue;
      result.with_attribute += CountColumn(*column->second, part.rows, counts);
      if (counts.size() > kMaxFacetValues) return TooManyValues(request.attribute);
    }
    const AttributeDictionary& dictionary = *view_->shards[shard]->dictionary;
    // A shard's counts go when they are added; the values of all shards stay.
    const uint64_t needed = total.size() * kValueBytes + MemoryOf(counts, dictionary);
    if (request.take_memory != nullptr && needed > taken) {
      BEBR_RETURN_IF_ERROR(request.take_memory(needed - taken));
      taken = needed;
    }
    AddCounts(counts, dictionary, total);
    if (total.size() > kMaxFacetValues) return TooManyValues(request.attribute);
  }
  result.values = total.size();
  for (const auto& [value, documents] : total) {
    result.facets.push_back({ToValue(UnpackScalar(value)), documents});
  }
  const auto better = [](const Facet& a, const Facet& b) {
    return a.documents != b.documents ? a.documents > b.documents : a.value < b.value;
  };
  const size_t kept = std::min(request.limit, result.facets.size());
  std::partial_sort(result.facets.begin(), result.facets.begin() + static_cast<ptrdiff_t>(kept), result.facets.end(),
                    better);
  result.facets.resize(kept);
  return result;
}

absl::StatusOr<Selection> Select(const ShardSet& shards, std::string_view filter, Interrupter interrupted) {
  std::unique_ptr<const Filter> parsed;
  if (!filter.empty()) {
    BEBR_ASSIGN_OR_RETURN(parsed, Filter::Parse(filter));
  }
  return Selection::Create(shards.view(), parsed.get(), interrupted);
}

absl::StatusOr<FacetResult> CountValues(const ShardSet& shards, const FacetRequest& request) {
  if (request.attribute.empty()) return absl::InvalidArgumentError("attribute is empty; name one");
  if (request.limit == 0 || request.limit > kMaxFacets) {
    return absl::InvalidArgumentError(absl::StrFormat("limit is %d; it is 1 to %d", request.limit, kMaxFacets));
  }
  const auto interrupted = [&request] { return Interrupted(request, SteadyNow()); };
  BEBR_ASSIGN_OR_RETURN(const Selection selection, Select(shards, request.filter, interrupted));
  return selection.CountValues(request, interrupted);
}

std::vector<DocumentCode> CodesOf(const SelectedRow& row, const CollectionManifest& manifest) {
  std::vector<DocumentCode> codes;
  for (const SegmentView::SpaceView& space : row.view->spaces) {
    if (!space.column->has(row.row)) continue;
    DocumentCode& code = codes.emplace_back();
    code.space = space.space;
    if (const Version* version = manifest.VersionByNumber(space.column->version(row.row))) code.version = version->name;
    code.words.resize(space.column->code_words());
    const CodeFactors factors = space.Load(row.row, code.words.data());
    code.scale = factors.scale;
    code.offset = factors.offset;
    code.group = factors.group;
  }
  return codes;
}

}  // namespace bebr
