#include "server/rpc/methods.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string>
#include <utility>

#include "index/engine.h"
#include "server/rpc/node_methods.h"

namespace bebr {

namespace {

std::vector<std::string> ServicesOf(const std::vector<Method>& methods) {
  std::set<std::string> names;
  for (const Method& method : methods) names.insert(method.path.substr(1, method.path.rfind('/') - 1));
  return std::vector<std::string>(names.begin(), names.end());
}

}  // namespace

std::vector<Method> AllMethods(HealthState* health, const NodePlace* node) {
  std::vector<Method> all;
  const auto add = [&all](std::vector<Method> methods) {
    std::move(methods.begin(), methods.end(), std::back_inserter(all));
  };
  for (auto* methods : {AdminMethods, AliasMethods, BrowseMethods, ClusterMethods, MemberMethods, CollectionMethods,
                        DocumentMethods, SearchMethods, SnapshotMethods, VersionMethods}) {
    add(methods());
  }
  if (node != nullptr) {
    std::vector<Method> of_node = NodeMethods(*node, all);
    RefuseWrites(*node, all);
    add(std::move(of_node));
  }
  add(HealthMethods(health));
  add(ReflectionMethods(ServicesOf(all)));
  return all;
}

FieldLimits ApiLimits() {
  return {{"bebr.v1.UpsertRequest.documents", kMaxDocumentsPerRequest},
          {"bebr.v1.StreamUpsertRequest.documents", kMaxDocumentsPerRequest},
          {"bebr.v1.GetRequest.ids", kMaxDocumentsPerRequest},
          {"bebr.v1.StreamGetRequest.ids", kMaxStreamedIds},
          {"bebr.v1.DeleteRequest.ids", kMaxDocumentsPerRequest},
          {"bebr.v1.UpdateAttributesRequest.ids", kMaxDocumentsPerRequest},
          {"bebr.v1.UpdateAttributesRequest.set", kMaxAttributes},
          {"bebr.v1.UpdateAttributesRequest.remove", kMaxAttributes},
          {"bebr.v1.SearchOptions.exclude_ids", kMaxExcluded},
          {"bebr.v1.FilterList.filters", kMaxFilterValues},
          {"bebr.v1.FilterTest.values", kMaxFilterValues},
          {"bebr.v1.Examples.positive_ids", kMaxExamples},
          {"bebr.v1.Examples.positives", kMaxExamples},
          {"bebr.v1.Examples.negative_ids", kMaxExamples},
          {"bebr.v1.Examples.negatives", kMaxExamples},
          {"bebr.v1.BatchSearchRequest.queries", kMaxQueriesPerRequest},
          {"bebr.node.v1.SearchRequest.queries", kMaxQueriesPerRequest},
          {"bebr.node.v1.SearchRequest.group_values", kMaxQueriesPerRequest},
          {"bebr.node.v1.GroupValues.values", kMaxK},
          {"bebr.v1.CheckVersionRequest.queries", kMaxCheckQueries},
          {"bebr.v1.CheckVersionRequest.against_queries", kMaxCheckQueries},
          {"bebr.v1.CollectionConfig.attributes", kMaxAttributeRules},
          // One document of too many is an error of its own, which leaves others to be written (UpsertOptions.partial).
          {"bebr.v1.Document.attributes", 16 * kMaxAttributes}};
}

}  // namespace bebr
