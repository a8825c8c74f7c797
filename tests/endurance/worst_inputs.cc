// For every limit of what a caller may send the worst input that it allows: time, memory and the next start are
// bounded.
//
//   worst_inputs [--seconds S]
//
// Each row is one call, or a few of a kind, on an engine or a server of its own: seconds, seconds of processors,
// megabytes of memory that it took at most beside the request, and the same of the next start. The exit code is 1 if a
// call fails, or it or the start takes more than S seconds of processors (20; 0: any time will do), or a gigabyte;
// models may take three. Which limit has which row stands in tests/README.md.
#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "index/base/status_macros.h"
#include "tests/endurance/worst_table.h"
#include "tests/support/engine_calls.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

void RunUpsert(Table& table, const std::string& what, size_t count,
               const std::function<void(size_t, DocumentInput&)>& edit) {
  Subject subject;
  const Documents documents = MakeDocuments(count, kWorstDims, edit);
  table.Run(what, subject, [&] { return UpsertAndWait(subject.engine(), documents.request).status(); });
}

void RunUpserts(Table& table) {
  RunUpsert(table, "10,000 ids of 512 bytes", 10000,
            [](size_t i, DocumentInput& d) { d.id = Padded(absl::StrCat(i, "-"), kMaxIdBytes); });
  RunUpsert(table, "one document 10,000 times", 10000, [](size_t, DocumentInput& d) { d.id = "same"; });
  RunUpsert(table, "64 attributes of 1,000 names of 128 bytes, 5,000 documents", 5000, [](size_t i, DocumentInput& d) {
    for (size_t a = 0; a < kMaxAttributes; ++a) {
      const size_t name = (i * kMaxAttributes + a) % 1000;
      d.attributes[Padded(absl::StrCat("name", name, "-"), kMaxAttributeNameBytes)] = static_cast<int64_t>(i);
    }
  });
  RunUpsert(table, "16 KiB of different indexed texts, 2,000 documents", 2000, [](size_t i, DocumentInput& d) {
    for (size_t a = 0; a < 60; ++a) d.attributes[absl::StrCat("a", a)] = Padded(absl::StrCat(i, "-", a, "-"), 250);
  });
  RunUpsert(table, "lists of 1,000 different values, 2,000 documents", 2000, [](size_t i, DocumentInput& d) {
    AttributeList list;
    for (size_t v = 0; v < 1000; ++v) list.emplace_back(static_cast<int64_t>(i * 1000 + v));
    d.attributes["list"] = std::move(list);
  });
  RunUpsert(table, "60 documents with 1 MiB of attributes", 60, [](size_t i, DocumentInput& d) {
    d.attributes["text"] = std::string(kMaxAttributesBytes - 100, static_cast<char>('a' + i % 26));
  });
  Subject wide({}, RandomModelFile(8192, *ParseCodeSpec("1024x4+7168x1"), 6, 1));
  const Documents documents = MakeDocuments(1500, 8192, [](size_t, DocumentInput&) {});
  table.Run("1,500 vectors of 8,192 floats, codes of 8,192 dims", wide,
            [&] { return UpsertAndWait(wide.engine(), documents.request).status(); });
}

void RunCollections(Table& table) {
  CollectionConfig config{.shards = kMaxShards};
  for (size_t i = 0; i < kMaxAttributeRules; ++i) {
    config.attributes[Padded(absl::StrCat("rule", i, "-"), kMaxAttributeNameBytes)] = {.kind = AttributeKind::kInt};
  }
  Subject many(config);
  const Documents documents = MakeDocuments(10000, kWorstDims, [](size_t, DocumentInput&) {});
  table.Run("256 shards and 256 rules, 10,000 documents", many,
            [&] { return UpsertAndWait(many.engine(), documents.request).status(); });
  Subject versions;
  const std::string model = RandomModelFile(kWorstDims, *ParseCodeSpec("8x1"), 1, 2);
  table.Run("254 versions of a space each", versions, [&] {
    for (uint32_t i = 1; i < kMaxVersions; ++i) {
      BEBR_RETURN_IF_ERROR(versions.engine().AddVersion(
          "c", {.name = Padded(absl::StrCat("v", i), 128), .same_embeddings_as = "v1"}, model));
    }
    return absl::OkStatus();
  });
  const Documents some = MakeDocuments(1000, kWorstDims, [](size_t, DocumentInput&) {});
  table.Run("1,000 documents for 254 versions", versions,
            [&] { return UpsertAndWait(versions.engine(), some.request).status(); });
}

bool Run(double most_seconds) {
  Table table(most_seconds);
  RunUpserts(table);
  RunCollections(table);
  RunSearched(table);
  RunKept(table);
  RunServer(table);
  return table.good();
}

}  // namespace
}  // namespace bebr::testing

int main(int argc, char** argv) {
  double seconds = 20;
  if (argc != 1 && (argc != 3 || std::string(argv[1]) != "--seconds" || !absl::SimpleAtod(argv[2], &seconds))) {
    std::fprintf(stderr, "worst_inputs [--seconds S]; see tests/README.md\n");
    return 2;
  }
  return bebr::testing::Run(seconds) ? 0 : 1;
}
