#include "index/search/browse.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"

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
using ValueCounts = absl::flat_hash_map<AttributeValue, uint64_t>;

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

AttributeValue ValueOf(AttributeType type, uint64_t value, const absl::flat_hash_map<uint64_t, std::string>& texts) {
  switch (type) {
    case AttributeType::kInt:
      return static_cast<int64_t>(value);
    case AttributeType::kDouble:
      return std::bit_cast<double>(value) + 0.0;  // one zero
    case AttributeType::kBool:
      return value != 0;
    default:
      return texts.at(value);
  }
}

// Adds a shard's counts, with the texts for the numbers of its dictionary.
void AddCounts(const ColumnCounts& counts, const AttributeDictionary& dictionary, ValueCounts& total) {
  absl::flat_hash_map<uint64_t, std::string> texts;
  for (const auto& [key, count] : counts) {
    if (key.first == AttributeType::kString) texts.try_emplace(key.second);
  }
  if (!texts.empty()) {
    dictionary.ForEach([&](uint32_t number, std::string_view text) {
      if (const auto it = texts.find(number); it != texts.end()) it->second = text;
    });
  }
  for (const auto& [key, count] : counts) total[ValueOf(key.first, key.second, texts)] += count;
}

absl::Status TooManyValues(std::string_view attribute) {
  return absl::ResourceExhaustedError(absl::StrFormat(
      "attribute \"%s\" has more than %d different values, the limit; narrow the filter", attribute, kMaxFacetValues));
}

}  // namespace

Selection::Selection(std::shared_ptr<const CollectionView> collection_view, const Filter* filter)
    : view_(std::move(collection_view)) {
  for (uint32_t shard = 0; shard < view_->shards.size(); ++shard) {
    const ShardView& view = *view_->shards[shard];
    std::optional<Filter::TextAnswers> texts;
    if (filter != nullptr) texts = filter->CompareTexts(*view.dictionary);
    for (const SegmentView& segment : view.segments) {
      if (segment.rows == segment.deleted_rows) continue;
      RowSet rows = filter == nullptr ? AllRows(segment.rows)
                                      : filter->Evaluate(*segment.attributes, *view.dictionary, *texts, segment.rows,
                                                         segment.segment.get());
      if (segment.deleted != nullptr) {
        for (size_t i = 0; i < rows.size(); ++i) rows[i] &= ~segment.deleted->words[i];
      }
      parts_.push_back({&segment, shard, std::move(rows)});
    }
  }
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

std::vector<SelectedRow> Selection::PageAfter(std::string_view after, size_t limit) const {
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

absl::StatusOr<FacetResult> Selection::CountValues(std::string_view attribute, size_t limit) const {
  FacetResult result{.documents = count()};
  ValueCounts total;
  for (uint32_t shard = 0; shard < view_->shards.size(); ++shard) {
    ColumnCounts counts;
    for (const Part& part : parts_) {
      if (part.shard != shard) continue;
      const auto column = part.view->attributes->find(attribute);
      if (column == part.view->attributes->end()) continue;
      result.with_attribute += CountColumn(*column->second, part.rows, counts);
      if (counts.size() > kMaxFacetValues) return TooManyValues(attribute);
    }
    AddCounts(counts, *view_->shards[shard]->dictionary, total);
    if (total.size() > kMaxFacetValues) return TooManyValues(attribute);
  }
  result.values = total.size();
  for (const auto& [value, documents] : total) {
    result.facets.push_back({value, documents});
  }
  const auto better = [](const Facet& a, const Facet& b) {
    return a.documents != b.documents ? a.documents > b.documents : a.value < b.value;
  };
  const size_t kept = std::min(limit, result.facets.size());
  std::partial_sort(result.facets.begin(), result.facets.begin() + static_cast<ptrdiff_t>(kept), result.facets.end(),
                    better);
  result.facets.resize(kept);
  return result;
}

absl::StatusOr<Selection> Select(const ShardSet& shards, std::string_view filter) {
  std::unique_ptr<const Filter> parsed;
  if (!filter.empty()) {
    BEBR_ASSIGN_OR_RETURN(parsed, Filter::Parse(filter));
  }
  return Selection(shards.view(), parsed.get());
}

absl::StatusOr<FacetResult> CountValues(const ShardSet& shards, const FacetRequest& request) {
  if (request.attribute.empty()) return absl::InvalidArgumentError("attribute is empty; name one");
  if (request.limit == 0 || request.limit > kMaxFacets) {
    return absl::InvalidArgumentError(absl::StrFormat("limit is %d; it is 1 to %d", request.limit, kMaxFacets));
  }
  BEBR_ASSIGN_OR_RETURN(const Selection selection, Select(shards, request.filter));
  return selection.CountValues(request.attribute, request.limit);
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
  }
  return codes;
}

}  // namespace bebr
