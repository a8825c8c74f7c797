// What a collection holds, found without a query: pages in the order of the ids, counts, values of attributes.
#ifndef BEBR_INDEX_SEARCH_BROWSE_H_
#define BEBR_INDEX_SEARCH_BROWSE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "index/base/interruption.h"
#include "index/catalog/manifest.h"
#include "index/search/filter.h"
#include "index/shard/shard_set.h"
#include "index/types/browse.h"

namespace bebr {

// A row of a segment, with the id of its document.
struct SelectedRow {
  std::string_view id;
  const SegmentView* view = nullptr;
  uint32_t row = 0;
};

// A Selection is the documents of a collection that satisfy a filter, as a view sees them.
//
// Holds the view, so what it points to stays as it is. Immutable; thread-safe. Cost: the filter's, and a bit a row.
class Selection {
 public:
  // `filter` may be null: all documents. `view` is one of the shards'. `interrupted` is asked for every segment.
  static absl::StatusOr<Selection> Create(const ShardSet& shards, std::shared_ptr<const CollectionView> view,
                                          const Filter* filter, Interrupter interrupted);

  uint64_t count() const;
  // Takes out the rows, of the same view, that are not among them.
  void Keep(std::vector<SelectedRow>& rows) const;
  // Of all documents, in no order.
  std::vector<std::string> Ids() const;
  // The first `limit` rows, at least 1, in the order of the ids, of those with an id beyond `after`. Costs a look at
  // the id of each document.
  absl::StatusOr<std::vector<SelectedRow>> PageAfter(std::string_view after, size_t limit,
                                                     Interrupter interrupted) const;
  // The values of the request's attribute; RESOURCE_EXHAUSTED if there are more than `max_values` different ones; those
  // of lists count one by one. `interrupted` is asked for every segment and every thousand texts or lists.
  absl::StatusOr<FacetResult> CountValues(const FacetRequest& request, Interrupter interrupted,
                                          size_t max_values = kMaxFacetValues) const;

 private:
  explicit Selection(std::shared_ptr<const CollectionView> view) : view_(std::move(view)) {}
  absl::Status AddShard(uint32_t number, const Filter* filter, const Filter::LocatedIds& ids, Interrupter interrupted);

  struct Part {
    const SegmentView* view = nullptr;
    uint32_t shard = 0;
    RowSet rows;  // that are documents and satisfy the filter
  };

  std::shared_ptr<const CollectionView> view_;
  std::vector<Part> parts_;
};

// The rows that satisfy a filter, and what is to be said of it.
struct FilteredSelection {
  Selection rows;
  std::vector<std::string> warnings;  // what it asks for and no document has
  FilterFacts facts;                  // from which these are
};

// The documents of these ids, all different, that are there and satisfy a filter, which may be null; in no order. Costs
// a look at the id table each (Shard::Locate), and the filter.
absl::StatusOr<std::vector<SelectedRow>> SelectIds(const ShardSet& shards, std::shared_ptr<const CollectionView> view,
                                                   absl::Span<const std::string_view> ids, const Filter* filter,
                                                   Interrupter interrupted);
// The documents that satisfy the text of a filter; empty: all. INVALID_ARGUMENT as of Filter::Parse and, if `strict`,
// in place of warnings.
absl::StatusOr<FilteredSelection> Select(const ShardSet& shards, std::shared_ptr<const CollectionView> view,
                                         std::string_view filter, bool strict, Interrupter interrupted);
// Selection::CountValues of a request, whose limits are checked.
absl::StatusOr<FacetResult> CountValues(const ShardSet& shards, const FacetRequest& request);

// What is to be said of facts, which may be those of several views: of a filter's text, and of all that facets ask for.
// INVALID_ARGUMENT in place of warnings if `strict`.
absl::StatusOr<std::vector<std::string>> WarningsOfFilter(std::string_view filter, const FilterFacts& facts,
                                                          bool strict);
absl::Status AddFacetWarnings(const FacetRequest& request, FacetResult& result);
// RESOURCE_EXHAUSTED if an attribute has too many different values to be counted.
absl::Status CheckFacetValues(std::string_view attribute, size_t values, size_t most = kMaxFacetValues);
// The first `limit` of the order in which facets are returned.
void KeepMostFrequent(size_t limit, std::vector<Facet>& facets);

// The version that wrote a row's code, that in this space if there is one; empty if it has none.
std::string WriterOf(const SelectedRow& row, uint32_t space, const CollectionManifest& manifest);
// A row's codes, one a space.
std::vector<DocumentCode> CodesOf(const SelectedRow& row, const CollectionManifest& manifest);

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_BROWSE_H_
