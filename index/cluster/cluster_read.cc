// Reads of a ClusterEngine.
#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "index/base/status_macros.h"
#include "index/cluster/cluster_engine_impl.h"
#include "index/cluster/merge.h"
#include "index/request/recommend.h"

namespace bebr {
namespace {

// The version that its embeddings were first of.
const std::string& EmbeddingOf(const VersionInfo& version) {
  return version.same_embeddings_as.empty() ? version.name : version.same_embeddings_as;
}

constexpr size_t kFoundAtATime = 500;

// The filter, of those of the ids that have these numbers.
std::string WithIds(const std::string& filter, const std::vector<std::string>& ids, absl::Span<const size_t> numbers) {
  std::string text = filter.empty() ? "id IN (" : absl::StrCat("(", filter, ") AND id IN (");
  for (size_t i = 0; i < numbers.size(); ++i) {
    text += i == 0 ? "\"" : ", \"";
    for (const char c : ids[numbers[i]]) {
      if (c == '"' || c == '\\') text += '\\';
      text += c;
    }
    text += '"';
  }
  return text + ")";
}

}  // namespace

absl::StatusOr<std::vector<Document>> ClusterEngine::Get(std::string_view collection, absl::Span<const std::string> ids,
                                                         bool with_embeddings) {
  const std::vector<std::vector<size_t>> of_node = Split(ids);
  // With no id at all one node says what there is to say.
  const auto is_asked = [&](size_t node) { return !of_node[node].empty() || (ids.empty() && node == 0); };
  std::vector<absl::StatusOr<std::vector<Document>>> answers(members_.size(), std::vector<Document>());
  ForEach([&](size_t node) {
    if (!is_asked(node)) return;
    if (const absl::Status hung = Hung(node); !hung.ok()) {
      answers[node] = hung;
      return;
    }
    std::vector<std::string> asked;
    for (const size_t i : of_node[node]) asked.push_back(ids[i]);
    answers[node] = members_[node].node->engine().Get(collection, asked, with_embeddings);
  });
  std::vector<size_t> nodes;
  std::vector<absl::Status> errors;
  for (size_t node = 0; node < answers.size(); ++node) {
    if (!is_asked(node)) continue;
    nodes.push_back(node);
    errors.push_back(answers[node].status());
  }
  BEBR_RETURN_IF_ERROR(FirstError(nodes, errors));
  std::vector<size_t> next(members_.size());
  std::vector<Document> documents;
  for (const std::string& id : ids) {
    const size_t node = NodeOf(id);
    std::vector<Document>& found = *answers[node];
    if (next[node] < found.size() && found[next[node]].id == id) documents.push_back(std::move(found[next[node]++]));
  }
  return documents;
}

absl::Status ClusterEngine::CheckWhole(const std::vector<std::string>& tokens) const {
  if (JoinTokens(tokens).empty()) return absl::OkStatus();
  for (size_t node = 0; node < tokens.size(); ++node) {
    if (!tokens[node].empty()) continue;
    return absl::FailedPreconditionError(
        absl::StrFormat("the view is without the documents of node %s, which did not answer when it was kept: set "
                        "allow_partial, as then, "
                        "or keep another one",
                        PlaceOf(node).name));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<PageDocument>> ClusterEngine::Find(const PageRequest& page,
                                                              const std::vector<std::string>& ids, bool partial) {
  const std::vector<std::string> tokens = TokensOf(page.view_token);
  if (!partial) BEBR_RETURN_IF_ERROR(CheckWhole(tokens));
  const std::vector<std::vector<size_t>> of_node = Split(ids);
  std::vector<absl::Status> errors(members_.size());
  std::vector<std::vector<PageDocument>> found(members_.size());
  ForEach([&](size_t node) {
    if (of_node[node].empty() || (!page.view_token.empty() && tokens[node].empty())) return;
    if (partial && !StateOf(node).ok()) return;
    PageRequest own = page;
    own.part = true;
    own.limit = std::min(kFoundAtATime, kMaxPageDocuments);
    own.view_token = tokens[node];
    for (size_t first = 0; first < of_node[node].size() && errors[node].ok(); first += kFoundAtATime) {
      const auto numbers = absl::MakeConstSpan(of_node[node]).subspan(first, kFoundAtATime);
      own.filter = WithIds(page.filter, ids, numbers);
      own.after.clear();
      do {
        auto next = members_[node].node->engine().Scroll(own);
        errors[node] = next.status();
        if (!next.ok()) break;
        std::move(next->documents.begin(), next->documents.end(), std::back_inserter(found[node]));
        own.after = next->next;
      } while (!own.after.empty());
    }
    if (partial && SaysNothing(errors[node])) errors[node] = absl::OkStatus();
  });
  BEBR_RETURN_IF_ERROR(FirstError(errors));
  std::vector<PageDocument> all;
  for (auto& part : found) std::move(part.begin(), part.end(), std::back_inserter(all));
  return all;
}

absl::StatusOr<Page> ClusterEngine::Scroll(const PageRequest& request) {
  PageRequest part = request;
  part.part = true;
  part.strict = false;
  const std::vector<std::string> tokens = TokensOf(request.view_token);
  BEBR_RETURN_IF_ERROR(CheckWhole(tokens));
  std::vector<absl::StatusOr<Page>> answers(members_.size(), absl::UnknownError(""));
  ForEach([&](size_t node) {
    PageRequest own = part;
    own.view_token = tokens[node];
    answers[node] = members_[node].node->engine().Scroll(own);
  });
  std::vector<absl::Status> errors;
  std::vector<std::string> kept;
  std::vector<Page> parts;
  for (auto& answer : answers) {
    errors.push_back(answer.status());
    kept.push_back(answer.ok() ? answer->view_token : "");
    if (answer.ok()) parts.push_back(*std::move(answer));
  }
  const std::string token = JoinTokens(kept);
  const absl::Status error = FirstError(errors);
  absl::StatusOr<Page> page = error.ok() ? MergePages(request, std::move(parts)) : absl::StatusOr<Page>(error);
  if (!page.ok() && request.view_token.empty()) ReleaseView(token);
  if (page.ok()) page->view_token = token;
  return page;
}

absl::StatusOr<CountResult> ClusterEngine::Count(const CountRequest& request) {
  CountRequest part = request;
  part.part = true;
  part.strict = false;
  BEBR_ASSIGN_OR_RETURN(const std::vector<CountResult> parts,
                        FromAll<CountResult>([&](Engine& engine) { return engine.Count(part); }));
  return MergeCounts(request, parts);
}

absl::StatusOr<FacetResult> ClusterEngine::Facets(const FacetRequest& request) {
  FacetRequest part = request;
  part.part = true;
  part.strict = false;
  BEBR_ASSIGN_OR_RETURN(std::vector<FacetResult> parts,
                        FromAll<FacetResult>([&](Engine& engine) { return engine.Facets(part); }));
  return MergeFacets(request, std::move(parts));
}

absl::StatusOr<CollectionInfo> ClusterEngine::InfoOf(std::string_view name, bool partial) {
  if (!partial) return GetCollection(name);
  absl::Status error;
  for (size_t node = 0; node < members_.size(); ++node) {
    const absl::Status state = StateOf(node);
    absl::StatusOr<CollectionInfo> info = state.ok() ? members_[node].node->engine().GetCollection(name) : state;
    if (info.ok() || !SaysNothing(info.status())) return info;
    error = OfNode(node, info.status());
  }
  return error;
}

absl::StatusOr<std::vector<float>> ClusterEngine::Recommend(const ExampleRequest& request) {
  return QueryOfExamples(request, {}, /*partial=*/false);
}

absl::StatusOr<std::vector<float>> ClusterEngine::QueryOfExamples(const ExampleRequest& request,
                                                                  const PageRequest& seen, bool partial) {
  BEBR_ASSIGN_OR_RETURN(const CollectionInfo info, InfoOf(request.collection, partial));
  const std::string& wanted = request.version.empty() ? info.default_version : request.version;
  std::vector<std::string> known;
  for (const VersionInfo& version : info.versions) {
    if (version.state == VersionState::kRetired) continue;
    if (version.name == wanted) {
      // Get gives embeddings under the first version that takes them and is still there.
      const auto given = std::find_if(info.versions.begin(), info.versions.end(), [&](const VersionInfo& other) {
        return other.state != VersionState::kRetired && EmbeddingOf(other) == EmbeddingOf(version);
      });
      const ExampleSpace space{.collection = info.name,
                               .version = version.name,
                               .embedding = given->name,
                               .input_dims = version.input_dims,
                               .metric = version.metric,
                               .keeps_floats = info.store_floats != FloatStorage::kNone};
      return QueryOf(space, request, [&](const std::vector<std::string>& ids) -> absl::StatusOr<std::vector<Document>> {
        if (seen.view_token.empty()) return Get(request.collection, ids, /*with_embeddings=*/true);
        return GetSeen(seen, ids);
      });
    }
    known.push_back(version.name);
  }
  return absl::NotFoundError(absl::StrFormat("collection \"%s\" has no version \"%s\"; it has: %s", info.name, wanted,
                                             absl::StrJoin(known, ", ")));
}

absl::StatusOr<std::vector<Document>> ClusterEngine::GetSeen(const PageRequest& seen,
                                                             const std::vector<std::string>& ids) {
  PageRequest page = seen;
  page.with_embeddings = true;
  BEBR_ASSIGN_OR_RETURN(std::vector<PageDocument> found, Find(page, ids, /*partial=*/false));
  std::map<std::string, Document> by_id;
  for (PageDocument& one : found) by_id[one.document.id] = std::move(one.document);
  std::vector<Document> documents;
  for (const std::string& id : ids) {
    if (const auto known = by_id.find(id); known != by_id.end()) documents.push_back(known->second);
  }
  return documents;
}

std::vector<std::string> ClusterEngine::TokensOf(std::string_view token) const {
  if (token.empty()) return std::vector<std::string>(members_.size());
  std::vector<std::string> tokens = absl::StrSplit(std::string(token), '.');
  // Of a token that is none of ours every node says so.
  if (tokens.size() != members_.size()) tokens.assign(members_.size(), std::string(token));
  return tokens;
}

std::string ClusterEngine::JoinTokens(const std::vector<std::string>& tokens) {
  const bool none = std::all_of(tokens.begin(), tokens.end(), [](const std::string& token) { return token.empty(); });
  return none ? "" : absl::StrJoin(tokens, ".");
}

void ClusterEngine::ReleaseView(const std::string& view_token) {
  if (view_token.empty()) return;
  const std::vector<std::string> tokens = TokensOf(view_token);
  for (size_t node = 0; node < tokens.size(); ++node) {
    if (!tokens[node].empty()) members_[node].node->engine().ReleaseView(tokens[node]);
  }
}

}  // namespace bebr
