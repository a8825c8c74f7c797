#include "index/request/filtered_write.h"

#include <iterator>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "index/base/status_macros.h"
#include "index/search/browse.h"
#include "index/search/search_job.h"

namespace bebr {

absl::Status CheckSelected(const std::vector<std::string>& unknown, uint64_t count, size_t limit) {
  if (count > 0 && !unknown.empty()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("filter: %s; it matches %d documents all the same, and nothing was written",
                        absl::StrJoin(unknown, "; "), count));
  }
  if (count > limit) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("filter: it matches %d documents; one call changes at most %d. Nothing was written; take "
                        "them in parts, as by "
                        "AND id < \"...\"",
                        count, limit));
  }
  return absl::OkStatus();
}

absl::StatusOr<Collection::Selector> SelectByFilter(std::string_view filter, size_t limit, bool part,
                                                    SteadyTime deadline,
                                                    std::shared_ptr<const std::atomic<bool>> cancelled) {
  if (filter.empty()) {
    return absl::InvalidArgumentError(
        "ids and filter are empty; name documents, or say which by a filter (id >= \"\" is true of all)");
  }
  BEBR_ASSIGN_OR_RETURN(auto parsed, Filter::Parse(filter));
  return Collection::Selector(
      [parsed = std::move(parsed), limit, part, deadline, cancelled = std::move(cancelled)](
          const ShardSet& shards,
          const std::shared_ptr<const CollectionView>& view) -> absl::StatusOr<Collection::Selected> {
        Filter::Warnings warnings = UnknownIn(*parsed, *view);
        const auto interrupted = [&] { return Interrupted(deadline, cancelled.get(), SteadyNow()); };
        BEBR_ASSIGN_OR_RETURN(const Selection selection, Selection::Create(shards, view, parsed.get(), interrupted));
        const uint64_t count = selection.count();
        BEBR_RETURN_IF_ERROR(CheckSelected(part ? std::vector<std::string>() : warnings.unknown, count, limit));
        if (part) return Collection::Selected{.ids = selection.Ids()};
        Collection::Selected selected{.ids = selection.Ids(), .warnings = std::move(warnings.unknown)};
        std::move(warnings.stored.begin(), warnings.stored.end(), std::back_inserter(selected.warnings));
        return selected;
      });
}

absl::Status CheckChange(const AttributeSchema& schema, AttributeChange& change) {
  if (!change.clear && change.remove.empty() && change.set.empty()) {
    return absl::InvalidArgumentError("set, remove and clear are empty; say what is to change");
  }
  if (change.remove.size() > kMaxAttributes) {
    return absl::InvalidArgumentError(
        absl::StrFormat("remove has %d names; the limit is %d", change.remove.size(), kMaxAttributes));
  }
  for (size_t i = 0; i < change.remove.size(); ++i) {
    if (change.set.contains(change.remove[i])) {
      return absl::InvalidArgumentError(
          absl::StrFormat("remove[%d] is \"%s\", which set has too; name it in one of them", i, change.remove[i]));
    }
  }
  BEBR_RETURN_IF_ERROR(ConformAttributes("set", schema, change.set));
  return ValidateAttributes("set", change.set, schema);
}

}  // namespace bebr
