#include "index/request/page.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/search/browse.h"

namespace bebr {
namespace {

constexpr size_t kDocumentsAtATime = 64;  // of a megabyte each, at most

// What a node of a map takes beside what is in it.
constexpr uint64_t kNodeBytes = 48;

// Some rows as documents.
absl::StatusOr<std::vector<PageDocument>> Read(const PinnedView& seen, const PageRequest& request,
                                               absl::Span<const SelectedRow> rows) {
  std::vector<PageDocument> documents(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    documents[i].document.id = rows[i].id;
    if (request.with_codes) documents[i].codes = CodesOf(rows[i], *seen.manifest);
  }
  if (!request.with_attributes && !request.with_embeddings) return documents;
  std::vector<std::string> ids;
  for (const SelectedRow& row : rows) ids.emplace_back(row.id);
  BEBR_ASSIGN_OR_RETURN(auto found, Collection::Get(seen, ids, request.with_embeddings));
  auto next = found.begin();
  std::erase_if(documents, [&](PageDocument& entry) {
    if (next == found.end() || next->id != entry.document.id) return true;
    entry.document = std::move(*next++);
    if (!request.with_attributes) entry.document.attributes.clear();
    return false;
  });
  return documents;
}

absl::Status CheckLimits(const PageRequest& request) {
  if (request.limit == 0 || request.limit > kMaxPageDocuments) {
    return absl::InvalidArgumentError(absl::StrFormat("limit is %d; it is 1 to %d", request.limit, kMaxPageDocuments));
  }
  if (request.after.size() > kMaxIdBytes) {
    return absl::InvalidArgumentError(
        absl::StrFormat("page_token has %d bytes; it is an id, of %d at most", request.after.size(), kMaxIdBytes));
  }
  return absl::OkStatus();
}

}  // namespace

uint64_t BytesOf(const PageDocument& entry) {
  uint64_t bytes = sizeof(PageDocument) + entry.document.id.size();
  for (const auto& [name, value] : entry.document.attributes) {
    bytes += kNodeBytes + sizeof(Attributes::value_type) + name.size() + ValueBytes(value);
    const auto* list = std::get_if<AttributeList>(&value);
    if (list != nullptr) bytes += list->size() * (sizeof(AttributeScalar) - sizeof(int64_t));  // counted above
  }
  for (const StoredEmbedding& embedding : entry.document.embeddings) bytes += embedding.values.size() * sizeof(float);
  for (const DocumentCode& code : entry.codes) bytes += code.words.size() * sizeof(uint32_t);
  return bytes;
}

absl::StatusOr<Page> ReadPage(const PinnedView& seen, const PageRequest& request) {
  BEBR_RETURN_IF_ERROR(CheckLimits(request));
  const auto interrupted = [&request] { return Interrupted(request, SteadyNow()); };
  BEBR_ASSIGN_OR_RETURN(FilteredSelection selection,
                        Select(*seen.shards, seen.view, request.filter, request.strict, interrupted));
  BEBR_ASSIGN_OR_RETURN(std::vector<SelectedRow> rows,
                        selection.rows.PageAfter(request.after, request.limit + 1, interrupted));
  const bool more = rows.size() > request.limit;
  if (more) rows.pop_back();
  Page page{.warnings = std::move(selection.warnings), .filter_facts = std::move(selection.facts)};
  if (request.part) page.warnings.clear();
  uint64_t bytes = 0;
  for (size_t begin = 0; begin < rows.size(); begin += kDocumentsAtATime) {
    BEBR_RETURN_IF_ERROR(interrupted());
    const auto some = absl::MakeConstSpan(rows).subspan(begin, kDocumentsAtATime);
    BEBR_ASSIGN_OR_RETURN(auto documents, Read(seen, request, some));
    const uint64_t before = bytes;
    for (PageDocument& document : documents) {
      if (request.max_bytes != 0 && bytes > 0 && bytes + BytesOf(document) > request.max_bytes) {
        if (request.take_memory != nullptr) BEBR_RETURN_IF_ERROR(request.take_memory(bytes - before));
        return page;
      }
      bytes += BytesOf(document);
      page.next = document.document.id;
      page.documents.push_back(std::move(document));
    }
    page.next = some.back().id;
    if (request.take_memory != nullptr) BEBR_RETURN_IF_ERROR(request.take_memory(bytes - before));
  }
  if (!more) page.next.clear();
  return page;
}

}  // namespace bebr
