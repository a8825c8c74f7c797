#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/catalog/aliases.h"
#include "tests/endurance/worst_table.h"
#include "tests/support/engine_calls.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

constexpr size_t kSnapshots = 100;  // their number has no limit but the disk
constexpr size_t kViews = 32;       // of one collection: half of max_kept_views

std::string SnapshotName(size_t i) { return Padded(absl::StrCat("s", i, "-"), 128); }

void RunSnapshots(Table& table) {
  Subject subject;
  const Documents documents = MakeDocuments(10000, kWorstDims, [](size_t, DocumentInput&) {});
  table.Run("100 snapshots of 10,000 documents, each with others", subject, [&]() -> absl::Status {
    for (size_t i = 0; i < kSnapshots; ++i) {
      // The first has all of them, a later one those of before and a hundred more.
      UpsertRequest some{.collection = "c"};
      const size_t begin = i == 0 ? 0 : i * 100, end = i == 0 ? 10000 : begin + 100;
      some.documents.assign(documents.request.documents.begin() + begin, documents.request.documents.begin() + end);
      BEBR_RETURN_IF_ERROR(UpsertAndWait(subject.engine(), std::move(some)).status());
      BEBR_RETURN_IF_ERROR(subject.engine().CreateSnapshot("c", SnapshotName(i)).status());
    }
    return absl::OkStatus();
  });
  table.Run("the list of 100 snapshots", subject, [&] { return subject.engine().ListSnapshots("").status(); });
  table.Run("the last of them restored", subject,
            [&] { return subject.engine().RestoreSnapshot("c", SnapshotName(kSnapshots - 1), "restored"); });
  table.Run("100 snapshots removed", subject, [&]() -> absl::Status {
    for (size_t i = 0; i < kSnapshots; ++i) {
      BEBR_RETURN_IF_ERROR(subject.engine().DeleteSnapshot("c", SnapshotName(i)));
    }
    return absl::OkStatus();
  });
}

// One more than there may be is refused; as many are written at each change.
void RunAliases(Table& table) {
  Subject subject;
  AliasList list{.generation = 1};
  const auto name = [](size_t i) { return Padded(absl::StrCat("a", i, "-"), kMaxCollectionNameBytes); };
  for (size_t i = 1; i < kMaxAliases; ++i) list.aliases.emplace(name(i), "c");
  subject.Close();
  absl::Status prepared = WriteAliases(subject.path(), list);
  if (prepared.ok()) prepared = subject.Open();
  table.Run("the last of 10,000 aliases", subject, [&]() -> absl::Status {
    BEBR_RETURN_IF_ERROR(prepared);
    BEBR_RETURN_IF_ERROR(subject.engine().SetAlias(name(kMaxAliases), "c", std::nullopt));
    const absl::Status refused = subject.engine().SetAlias("one-more", "c", std::nullopt);
    if (!absl::IsResourceExhausted(refused))
      return absl::InternalError(absl::StrCat("not refused: ", refused.ToString()));
    return subject.engine().ListAliases().size() == kMaxAliases ? absl::OkStatus()
                                                                : absl::InternalError("some are lost");
  });
}

// Each keeps 10,000 documents of which the next has none.
void RunViews(Table& table) {
  Subject subject;
  const auto query = RandomVectors(1, kWorstDims, 9)[0];
  table.Run("32 kept views, all documents written anew between them", subject, [&]() -> absl::Status {
    const Documents documents = MakeDocuments(10000, kWorstDims, [](size_t i, DocumentInput& d) {
      d.attributes["text"] = Padded(absl::StrCat(i, "-"), kMaxIndexedTextBytes);
    });
    SearchRequest search{.collection = "c", .queries = {query}, .k = 1, .keep_view = kMaxKeepView};
    for (size_t view = 0; view < kViews; ++view) {
      BEBR_RETURN_IF_ERROR(UpsertAndWait(subject.engine(), documents.request).status());
      BEBR_RETURN_IF_ERROR(SearchAndWait(subject.engine(), search).status());
    }
    const absl::Status refused = SearchAndWait(subject.engine(), search).status();
    return absl::IsResourceExhausted(refused) ? absl::OkStatus() : absl::InternalError("one more is not refused");
  });
}

}  // namespace

void RunKept(Table& table) {
  RunSnapshots(table);
  RunAliases(table);
  RunViews(table);
}

}  // namespace bebr::testing
