#include "index/search/browse.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "index/base/status_macros.h"
#include "index/search/located_ids.h"
#include "index/search/search_job.h"
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

// What a value takes beside its bytes, where it is counted.
constexpr uint64_t kValueBytes = 128;
// Memory is asked for in steps.
constexpr uint64_t kMemoryStep = 64 << 10;

absl::Status TooManyValues(std::string_view attribute, size_t most) {
  return absl::ResourceExhaustedError(absl::StrFormat(
      "attribute \"%s\" has more than %d different values, the limit; narrow the filter", attribute, most));
}

// A ValueCounter counts the values of one attribute, segment by segment. Those of a list count one by one, and only
// different ones count against the limit, whatever lists they are in. Asks for the memory that it takes, and whether
// somebody waits.
class ValueCounter {
 public:
  ValueCounter(const FacetRequest& request, size_t max_values, Interrupter interrupted)
      : request_(request), max_values_(max_values), interrupted_(interrupted) {}

  // Counts a segment's rows. AddPending is to follow the last one of those that share the dictionary.
  absl::Status Count(const AttributeColumns::Column& column, const RowSet& rows,
                     const AttributeDictionary& dictionary) {
    ForEachRow(rows, [&](uint32_t row) {
      const AttributeType type = column.types[row];
      if (type == AttributeType::kAbsent) return;
      ++present_;
      if (type != AttributeType::kStored) ++pending_[{type, column.values[row]}];
    });
    return pending_.size() <= max_values_ ? absl::OkStatus() : AddPending(dictionary);
  }

  absl::Status AddPending(const AttributeDictionary& dictionary) {
    BEBR_RETURN_IF_ERROR(Take(0));
    std::vector<uint32_t> numbers;
    for (const auto& [key, count] : pending_) {
      if (key.first == AttributeType::kString || key.first == AttributeType::kList) {
        numbers.push_back(static_cast<uint32_t>(key.second));
      } else {
        Add(PackScalar(NumberOf(key.first, key.second)), count);
      }
    }
    for (size_t begin = 0; begin < numbers.size() && problem_.ok(); begin += AttributeDictionary::kRun) {
      BEBR_RETURN_IF_ERROR(interrupted_());
      dictionary.ForEach(absl::MakeConstSpan(numbers).subspan(begin, AttributeDictionary::kRun),
                         [this](uint32_t number, std::string_view text) { AddText(number, text); });
    }
    pending_.clear();
    return problem_;
  }

  // Rows that have a value, also one that is stored only and not counted by value.
  uint64_t present() const { return present_; }
  // By PackScalar.
  const absl::flat_hash_map<std::string, uint64_t>& total() const { return total_; }

 private:
  // A text or a list.
  void AddText(uint32_t number, std::string_view text) {
    if (const auto list = pending_.find({AttributeType::kList, number}); list != pending_.end()) {
      return ForEachInList(text, [&](std::string_view packed) { Add(packed, list->second); });
    }
    packed_.assign(1, '\0');  // as PackScalar does
    packed_.append(text);
    Add(packed_, pending_.at({AttributeType::kString, number}));
  }

  void Add(std::string_view packed, uint64_t count) {
    if (!problem_.ok()) return;
    if (const auto it = total_.find(absl::string_view(packed.data(), packed.size())); it != total_.end()) {
      it->second += count;
      return;
    }
    problem_ = total_.size() < max_values_ ? Take(kValueBytes + packed.size())
                                           : TooManyValues(request_.attribute, max_values_);
    if (problem_.ok()) total_.emplace(std::string(packed), count);
  }

  // What is pending goes when it is added; the values of all shards stay.
  absl::Status Take(uint64_t bytes) {
    total_bytes_ += bytes;
    const uint64_t needed = total_bytes_ + pending_.size() * kValueBytes;
    if (request_.take_memory == nullptr || needed <= taken_) return absl::OkStatus();
    const uint64_t more = std::max(needed - taken_, kMemoryStep);
    taken_ += more;
    return request_.take_memory(more);
  }

  const FacetRequest& request_;
  const size_t max_values_;
  const Interrupter interrupted_;
  absl::flat_hash_map<std::pair<AttributeType, uint64_t>, uint64_t> pending_;  // by what columns hold
  absl::flat_hash_map<std::string, uint64_t> total_;
  std::string packed_;  // of AddText
  uint64_t present_ = 0;
  uint64_t total_bytes_ = 0;
  uint64_t taken_ = 0;  // of memory
  absl::Status problem_;
};

// What is to be said of facts, or with `strict` the error.
absl::StatusOr<std::vector<std::string>> Warn(const Filter* filter, const FilterFacts& facts, bool strict) {
  if (filter == nullptr) return std::vector<std::string>();
  std::vector<std::string> warnings = WarningsOf(*filter, facts);
  if (strict) BEBR_RETURN_IF_ERROR(CheckKnown(warnings));
  return warnings;
}

// That some document has a value of the attribute that can be counted.
std::shared_ptr<const Filter> HasValues(const std::string& attribute) {
  return Filter::WithOtherValue(/*base=*/nullptr, attribute, /*known=*/{}, /*lists=*/false);
}

bool MoreFrequent(const Facet& a, const Facet& b) {
  return a.documents != b.documents ? a.documents > b.documents : a.value < b.value;
}

absl::Status CheckLimits(const FacetRequest& request) {
  if (request.attribute.empty()) return absl::InvalidArgumentError("attribute is empty; name one");
  if (request.limit == 0 || request.limit > kMaxFacets) {
    return absl::InvalidArgumentError(absl::StrFormat("limit is %d; it is 1 to %d", request.limit, kMaxFacets));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Selection> Selection::Create(const ShardSet& shards, std::shared_ptr<const CollectionView> view,
                                            const Filter* filter, Interrupter interrupted) {
  Selection selection(std::move(view));
  Filter::LocatedIds ids;
  if (filter != nullptr) ids = LocateIds({filter}, shards, *selection.view_);
  for (uint32_t shard = 0; shard < selection.view_->shards.size(); ++shard) {
    BEBR_RETURN_IF_ERROR(selection.AddShard(shard, filter, ids, interrupted));
  }
  return selection;
}

absl::Status Selection::AddShard(uint32_t number, const Filter* filter, const Filter::LocatedIds& ids,
                                 Interrupter interrupted) {
  const ShardView& view = *view_->shards[number];
  BEBR_RETURN_IF_ERROR(interrupted());
  std::optional<Filter::TextAnswers> texts;
  if (filter != nullptr) texts = filter->CompareTexts(*view.dictionary, [&] { return !interrupted().ok(); });
  BEBR_RETURN_IF_ERROR(interrupted());
  for (const SegmentView& segment : view.segments) {
    if (segment.rows == segment.deleted_rows) continue;
    BEBR_RETURN_IF_ERROR(interrupted());
    const Filter::Ids of_segment{*segment.segment, ids};
    RowSet rows = filter == nullptr
                      ? AllRows(segment.rows)
                      : filter->Evaluate(*segment.attributes, *view.dictionary, *texts, segment.rows, &of_segment);
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

void Selection::Keep(std::vector<SelectedRow>& rows) const {
  absl::flat_hash_map<const SegmentView*, const RowSet*> parts;
  for (const Part& part : parts_) parts[part.view] = &part.rows;
  std::erase_if(rows, [&](const SelectedRow& row) {
    const auto part = parts.find(row.view);
    return part == parts.end() || ((*part->second)[row.row / 64] >> (row.row % 64) & 1) == 0;
  });
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

absl::StatusOr<FacetResult> Selection::CountValues(const FacetRequest& request, Interrupter interrupted,
                                                   size_t max_values) const {
  FacetResult result{.documents = count()};
  ValueCounter counter(request, max_values, interrupted);
  for (uint32_t shard = 0; shard < view_->shards.size(); ++shard) {
    const AttributeDictionary& dictionary = *view_->shards[shard]->dictionary;
    for (const Part& part : parts_) {
      if (part.shard != shard) continue;
      BEBR_RETURN_IF_ERROR(interrupted());
      const auto column = part.view->attributes->find(request.attribute);
      if (column == part.view->attributes->end()) continue;
      BEBR_RETURN_IF_ERROR(counter.Count(*column->second, part.rows, dictionary));
    }
    BEBR_RETURN_IF_ERROR(counter.AddPending(dictionary));
  }
  result.with_attribute = counter.present();
  result.values = counter.total().size();
  for (const auto& [value, documents] : counter.total()) {
    result.facets.push_back({ToValue(UnpackScalar(value)), documents});
  }
  if (!request.part) KeepMostFrequent(request.limit, result.facets);
  return result;
}

absl::StatusOr<std::vector<SelectedRow>> SelectIds(const ShardSet& shards, std::shared_ptr<const CollectionView> view,
                                                   absl::Span<const std::string_view> ids, const Filter* filter,
                                                   Interrupter interrupted) {
  std::vector<SelectedRow> rows;
  for (const RowInView& found : shards.Locate(*view, ids)) {
    if (found.segment != nullptr) rows.push_back({found.segment->segment->id(found.row), found.segment, found.row});
  }
  if (filter == nullptr || rows.empty()) return rows;
  BEBR_ASSIGN_OR_RETURN(const Selection selection, Selection::Create(shards, std::move(view), filter, interrupted));
  selection.Keep(rows);
  return rows;
}

absl::Status CheckFacetValues(std::string_view attribute, size_t values, size_t most) {
  return values > most ? TooManyValues(attribute, most) : absl::OkStatus();
}

void KeepMostFrequent(size_t limit, std::vector<Facet>& facets) {
  const size_t kept = std::min(limit, facets.size());
  std::partial_sort(facets.begin(), facets.begin() + static_cast<ptrdiff_t>(kept), facets.end(), MoreFrequent);
  facets.resize(kept);
}

absl::StatusOr<FilteredSelection> Select(const ShardSet& shards, std::shared_ptr<const CollectionView> view,
                                         std::string_view filter, bool strict, Interrupter interrupted) {
  std::unique_ptr<const Filter> parsed;
  FilterFacts facts;
  if (!filter.empty()) {
    BEBR_ASSIGN_OR_RETURN(parsed, Filter::Parse(filter));
    facts = FactsOf(*parsed, *view);
  }
  BEBR_ASSIGN_OR_RETURN(std::vector<std::string> warnings, Warn(parsed.get(), facts, strict));
  BEBR_ASSIGN_OR_RETURN(Selection rows, Selection::Create(shards, std::move(view), parsed.get(), interrupted));
  return FilteredSelection{std::move(rows), std::move(warnings), std::move(facts)};
}

absl::StatusOr<std::vector<std::string>> WarningsOfFilter(std::string_view filter, const FilterFacts& facts,
                                                          bool strict) {
  std::unique_ptr<const Filter> parsed;
  if (!filter.empty()) {
    BEBR_ASSIGN_OR_RETURN(parsed, Filter::Parse(filter));
  }
  return Warn(parsed.get(), facts, strict);
}

absl::Status AddFacetWarnings(const FacetRequest& request, FacetResult& result) {
  BEBR_ASSIGN_OR_RETURN(result.warnings, WarningsOfFilter(request.filter, result.filter_facts, request.strict));
  const auto attribute = HasValues(request.attribute);
  BEBR_ASSIGN_OR_RETURN(std::vector<std::string> of_attribute,
                        Warn(attribute.get(), result.attribute_facts, request.strict));
  for (std::string& warning : of_attribute) {
    if (std::find(result.warnings.begin(), result.warnings.end(), warning) == result.warnings.end()) {
      result.warnings.push_back(std::move(warning));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<FacetResult> CountValues(const ShardSet& shards, const FacetRequest& request) {
  BEBR_RETURN_IF_ERROR(CheckLimits(request));
  const auto interrupted = [&request] { return Interrupted(request, SteadyNow()); };
  const std::shared_ptr<const CollectionView> view = shards.view();
  BEBR_ASSIGN_OR_RETURN(FilteredSelection selection, Select(shards, view, request.filter, request.strict, interrupted));
  // What is to be said comes first: with `strict` it is the error.
  FacetResult said{.filter_facts = std::move(selection.facts)};
  said.attribute_facts = FactsOf(*HasValues(request.attribute), *view);
  if (!request.part) BEBR_RETURN_IF_ERROR(AddFacetWarnings(request, said));
  BEBR_ASSIGN_OR_RETURN(FacetResult result, selection.rows.CountValues(request, interrupted));
  result.warnings = std::move(said.warnings);
  result.filter_facts = std::move(said.filter_facts);
  result.attribute_facts = std::move(said.attribute_facts);
  return result;
}

std::string WriterOf(const SelectedRow& row, uint32_t space, const CollectionManifest& manifest) {
  const SegmentView::SpaceView* found = nullptr;
  for (const SegmentView::SpaceView& candidate : row.view->spaces) {
    if (candidate.column->has(row.row) && (found == nullptr || candidate.space == space)) found = &candidate;
  }
  const Version* version = found != nullptr ? manifest.VersionByNumber(found->column->version(row.row)) : nullptr;
  return version != nullptr ? version->name : "";
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
