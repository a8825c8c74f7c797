#include "index/collection/attribute_names.h"

#include <utility>

#include "absl/strings/str_format.h"

namespace bebr {

AttributeNames::AttributeNames(const ShardSet* shards) : shards_(*shards) {
  MutexLock lock(&mutex_);
  names_ = std::make_shared<const Names>(Count());
}

std::shared_ptr<const AttributeNames::Names> AttributeNames::names() const {
  MutexLock lock(&mutex_);
  return names_;
}

AttributeNames::Names AttributeNames::Count() const {
  Names names(under_way_.begin(), under_way_.end());
  const auto view = shards_.view();  // lives as long as the loop
  for (const auto& shard : view->shards) {
    for (const SegmentView& segment : shard->segments) {
      for (const auto& [name, column] : *segment.attributes) {
        if (column->in_use()) names.insert(name);
      }
    }
  }
  return names;
}

absl::StatusOr<AttributeNames::Fresh> AttributeNames::Admit(const std::vector<DocumentInput>& documents) {
  const std::shared_ptr<const Names> known = names();
  Names seen;
  std::vector<NameOf> unknown;
  for (size_t i = 0; i < documents.size(); ++i) {
    for (const auto& [name, value] : documents[i].attributes) {
      if (!known->contains(name) && seen.insert(name).second)
        unknown.emplace_back(&name, absl::StrFormat("documents[%d].attributes[\"%s\"]", i, name));
    }
  }
  return AdmitUnknown(unknown);
}

absl::StatusOr<AttributeNames::Fresh> AttributeNames::Admit(const Attributes& set) {
  const std::shared_ptr<const Names> known = names();
  std::vector<NameOf> unknown;
  for (const auto& [name, value] : set) {
    if (!known->contains(name)) unknown.emplace_back(&name, absl::StrFormat("set[\"%s\"]", name));
  }
  return AdmitUnknown(unknown);
}

absl::StatusOr<AttributeNames::Fresh> AttributeNames::AdmitUnknown(const std::vector<NameOf>& unknown) {
  Fresh fresh;
  if (unknown.empty()) return fresh;
  MutexLock lock(&mutex_);
  // Counted anew: replicas of a cluster let names in that this one has not seen.
  auto next = std::make_shared<Names>(Count());
  for (const auto& [name, field] : unknown) {
    fresh.push_back(*name);
    if (next->contains(*name)) continue;
    if (next->size() >= kMaxAttributeNames) {
      return absl::ResourceExhaustedError(absl::StrFormat(
          "%s would be one name too many: the documents of the collection have %d different attribute names and the "
          "limit is %d. Put what differs from document to document into values, as in user = \"4711\" instead of "
          "user_4711 = true, or delete documents whose names are not needed",
          field, next->size(), kMaxAttributeNames));
    }
    next->insert(*name);
  }
  names_ = std::move(next);
  under_way_.insert(fresh.begin(), fresh.end());
  return fresh;
}

void AttributeNames::Done(const Fresh& fresh) {
  if (fresh.empty()) return;
  MutexLock lock(&mutex_);
  for (const std::string& name : fresh) under_way_.erase(under_way_.find(name));
}

}  // namespace bebr
