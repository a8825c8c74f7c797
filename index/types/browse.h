// The value types of reading back what a collection holds.
#ifndef BEBR_INDEX_TYPES_BROWSE_H_
#define BEBR_INDEX_TYPES_BROWSE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "index/types/document.h"
#include "index/types/filter_facts.h"

namespace bebr {

inline constexpr size_t kMaxPageDocuments = 10000;
inline constexpr size_t kMaxStreamedIds = 1000000;  // of a call that is answered in pieces
inline constexpr size_t kMaxFacets = 10000;
inline constexpr size_t kMaxFacetValues = 1000000;  // different ones that are counted

// Which page of a collection's documents. Pages go by the order of the ids' bytes, so a document that is there all the
// while is on exactly one of them, whatever is written meanwhile.
struct PageRequest {
  std::string collection;
  std::string filter;   // as of a search; empty = all documents
  std::string after;    // only ids beyond this one; empty: from the first
  size_t limit = 1000;  // 1..kMaxPageDocuments
  bool with_attributes = false;
  bool with_embeddings = false;
  bool with_codes = false;
  bool strict = false;  // a filter that asks for what no document has is an error, not a warning
  bool part = false;    // one of several engines' (index/cluster): facts in place of warnings
  // As of a search.
  absl::Duration keep_view = absl::ZeroDuration();
  std::string view_token, view_owner;
  uint64_t max_bytes = 0;  // of memory: a page ends early once it takes more; 0 = no limit
  // Told of the bytes of memory that the page has come to take, now and then; an error ends the work. May be null.
  std::function<absl::Status(uint64_t bytes)> take_memory;
  absl::Duration deadline = absl::InfiniteDuration();  // on the clock of SteadyNow(), index/base/clock.h
  std::shared_ptr<std::atomic<bool>> cancelled;        // may be null; set by the caller at any time
};

// A document's code in one space, as it is in memory.
struct DocumentCode {
  std::string version;  // that wrote it
  uint32_t space = 0;
  float scale = 0, offset = 0;
  uint32_t group = 0;           // of the document, in a space in groups
  std::vector<uint32_t> words;  // packed code: index/code/code_spec.h
};

// A document of a page.
struct PageDocument {
  Document document;
  std::vector<DocumentCode> codes;
};

// A page of documents.
struct Page {
  std::vector<PageDocument> documents;
  std::string next;                   // the `after` of the next page; empty: this was the last
  std::string view_token;             // of the view that is kept, if one is
  std::vector<std::string> warnings;  // what the filter asks for and no document has
  bool may_be_stale = false;          // as of SearchResult
  FilterFacts filter_facts;           // of a part: in place of warnings
};

// What an attribute is asked for.
struct FacetRequest {
  std::string collection;
  std::string filter;  // as of a search; empty = all documents
  std::string attribute;
  size_t limit = 100;   // 1..kMaxFacets
  bool strict = false;  // as of a page; also of the attribute
  bool part = false;    // as of a page; all values, in no order
  // Asked before the different values take so many more bytes of memory; an error ends the work. May be null.
  std::function<absl::Status(uint64_t bytes)> take_memory;
  absl::Duration deadline = absl::InfiniteDuration();  // on the clock of SteadyNow(), index/base/clock.h
  std::shared_ptr<std::atomic<bool>> cancelled;        // may be null; set by the caller at any time
};

// What is to be counted.
struct CountRequest {
  std::string collection;
  std::string filter;                                  // as of a search; empty = all documents
  bool strict = false;                                 // as of a page
  bool part = false;                                   // as of a page
  absl::Duration deadline = absl::InfiniteDuration();  // on the clock of SteadyNow(), index/base/clock.h
  std::shared_ptr<std::atomic<bool>> cancelled;        // may be null; set by the caller at any time
};

// How many there are.
struct CountResult {
  uint64_t documents = 0;
  std::vector<std::string> warnings;  // as of a page
  bool may_be_stale = false;          // as of SearchResult
  FilterFacts filter_facts;           // as of a page
};

// A value of an attribute, and how many documents have it.
struct Facet {
  AttributeValue value;
  uint64_t documents = 0;
};

// The values of an attribute.
struct FacetResult {
  std::vector<Facet> facets;                  // the most frequent first, then by type and value
  uint64_t values = 0;                        // different ones in all
  uint64_t documents = 0;                     // that satisfy the filter
  uint64_t with_attribute = 0;                // of these
  std::vector<std::string> warnings;          // as of a page; and if no document has the attribute
  bool may_be_stale = false;                  // as of SearchResult
  FilterFacts filter_facts, attribute_facts;  // as of a page
};

}  // namespace bebr

#endif  // BEBR_INDEX_TYPES_BROWSE_H_
