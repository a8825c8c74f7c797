// Writes a data directory for tests/testdata, and what this build sees in it:
//
//   build/tests/write_kept_data tests/testdata/format-N   (the first free N)
//
// Run it once for each release whose formats differ from the last one's, and commit what it wrote; nothing is written
// again. It does what a server does in a long life: versions that came, were compared, re-encoded for, promoted and
// retired, documents that were replaced, merged and deleted, a snapshot, restarts; some writes are in table files and
// some in write-ahead logs.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "index/binarizer/byte_rows.h"
#include "index/binarizer/model.h"
#include "index/binarizer/spans.h"
#include "tests/formats/observe.h"
#include "tests/support/engine_calls.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

void Must(const absl::Status& status) {
  if (!status.ok()) throw std::runtime_error(status.ToString());
}

// The model with these levels of its components, `tried` groups for each document.
std::string WithFurtherLevels(const std::string& file, const std::string& levels, uint32_t tried) {
  Model model = *ParseModel(file);
  const LevelPlan plan = *LevelPlan::Parse(levels);
  model.fine = FineRules{.levels = plan, .tried_groups = tried};
  for (BasisParameters& basis : model.bases) {
    const std::vector<float> weights = std::exchange(basis.band_weights, {});
    for (const Band& band : plan.Bands(weights)) basis.band_weights.push_back(band.weight);
  }
  model.spec = *CodeSpec::Create(plan.Bands(std::vector<float>(plan.runs().size(), 1.0f)), model.spec.groups());
  return *SerializeModel(model);
}

// The model with so many bases, which its groups share, as bytes.
std::string WithSharedBases(const std::string& file, uint32_t bases) {
  Model model = *ParseModel(file);
  model.byte_bases = true;
  model.bases.resize(bases);
  for (BasisParameters& basis : model.bases) RoundToByteRows(basis.project, model.reduced_dims);
  for (GroupParameters& group : model.groups) group.basis %= bases;
  return *SerializeModel(model);
}

// The model with errors that are shaped, those along the first reduced values most.
std::string WithSpread(const std::string& file) {
  Model model = *ParseModel(file);
  for (uint32_t i = 0; i < model.reduced_dims; ++i) model.spread.push_back(1.0f / static_cast<float>(1 + i));
  return *SerializeModel(model);
}

// The model with bases that are told by spans, near those that it has.
std::string WithSpans(const std::string& file) {
  Model model = *ParseModel(file);
  const LevelPlan plan = model.levels();
  for (size_t i = 0; i < RotationBytes(plan); ++i)
    model.rotation.push_back(static_cast<float>(static_cast<int>(i * i * 7 % 255) - 127));
  for (BasisParameters& basis : model.bases) {
    basis.spans = ToSpans(plan, model.reduced_dims, basis.project);
    for (float& scale : basis.spans.scales) scale = std::min(scale, kLargestSpanScale);
    basis.project =
        FromSpans(plan, model.reduced_dims, RunTurns(plan, model.rotation), basis.spans, basis.band_weights);
  }
  return *SerializeModel(model);
}

class Writer {
 public:
  explicit Writer(const std::string& directory) : directory_(directory) {
    fs::create_directories(directory_);
    Reopen();
  }

  void Write() {
    WritePapers();
    WriteNotes();
    WriteFigures();
    WriteSamples();
    WriteSketches();
    WriteWeaves();
    WriteLedgers();
    WriteTapes();
    WriteReels();
    WriteSpools();
    WriteEvents();
    Must(engine_->SetAlias("live", "papers", ""));
    Must(engine_->SetAlias("drafts", "notes", ""));
    Reopen();
    // These stay in the write-ahead logs.
    Upsert("papers", "v3", "late-", 4, 20, 31, UpsertMode::kReplace);
    Delete("papers", {"paper-7", "paper-8"});
    Delete("notes", {"note-3"});
    WriteExpected();
    engine_.reset();
    RemoveWhatIsNotData();
  }

 private:
  void Reopen() {
    engine_.reset();
    auto engine = Engine::Open({.data_dir = directory_ + "/data", .threads = 2});
    Must(engine.status());
    engine_ = *std::move(engine);
  }

  static Attributes AttributesOf(size_t i) {
    static constexpr std::array<const char*, 4> kTopics = {"codes", "graphs", "Straße und Brücke", ""};
    Attributes attributes;
    if (i % 5 != 4) attributes["topic"] = std::string(kTopics[i % 4]);
    attributes["year"] = static_cast<int64_t>(2000 + i);
    if (i % 3 == 0) attributes["weight"] = 0.125 * static_cast<double>(i) - 1.5;
    if (i % 2 == 0) attributes["open"] = i % 4 == 0;
    if (i == 11) attributes["year"] = std::numeric_limits<int64_t>::min();
    if (i == 12) attributes.clear();
    return attributes;
  }

  void Upsert(const std::string& collection, const std::string& version, const std::string& prefix, size_t count,
              uint32_t dims, uint64_t seed, UpsertMode mode) {
    const auto vectors = RandomVectors(count, dims, seed);
    UpsertRequest request{.collection = collection, .mode = mode};
    for (size_t i = 0; i < count; ++i) {
      DocumentInput& document = request.documents.emplace_back();
      document.id = absl::StrCat(prefix, i);
      if (mode == UpsertMode::kReplace) document.attributes = AttributesOf(i);
      document.embeddings.push_back({.version = version, .values = vectors[i]});
      std::vector<std::string>& ids = ids_[collection];
      if (std::find(ids.begin(), ids.end(), document.id) == ids.end()) ids.push_back(document.id);
    }
    Must(UpsertAndWait(*engine_, std::move(request)).status());
  }

  void Delete(const std::string& collection, const std::vector<std::string>& ids) {
    Must(DeleteAndWait(*engine_, collection, ids).status());
  }

  void Backfill(const std::string& collection, const std::string& version) {
    Must(engine_->StartBackfill(collection, version, 0));
    for (bool running = true; running; std::this_thread::sleep_for(std::chrono::milliseconds(10))) {
      running = false;
      const auto info = engine_->GetCollection(collection);
      Must(info.status());
      for (const VersionInfo& found : info->versions) running |= found.backfill.has_value() && found.backfill->running;
    }
  }

  void WritePapers() {
    const CodeSpec first = *ParseCodeSpec("40x1"), second = *ParseCodeSpec("24x3+40x1"), third = *ParseCodeSpec("64x2");
    const std::string papers = "papers";
    Must(engine_->CreateCollection({.name = papers,
                                    .version = "v0",
                                    .store_floats = FloatStorage::kFloat16,
                                    .shards = 2,
                                    .expected_documents = 64},
                                   RandomModelFile(12, first, 1, 1)));
    Upsert(papers, "v0", "paper-", 32, 12, 11, UpsertMode::kReplace);
    Must(engine_->AddVersion(papers, {.name = "v1"}, RandomModelFile(16, second, 4, 2)));
    Upsert(papers, "v1", "paper-", 32, 16, 12, UpsertMode::kMerge);
    Must(engine_->PromoteVersion(papers, "v1", "v0", false));
    Must(engine_->RetireVersion(papers, "v0"));
    Reopen();
    Must(engine_->AddVersion(papers, {.name = "v2", .compatible_with = "v1"}, RandomModelFile(20, second, 3, 3)));
    Upsert(papers, "v2", "paper-", 20, 20, 13, UpsertMode::kMerge);
    Upsert(papers, "v2", "new-", 6, 20, 14, UpsertMode::kReplace);
    Upsert(papers, "v2", std::string(500, 'x') + "/é-", 1, 20, 15, UpsertMode::kReplace);
    Must(engine_->CreateSnapshot(papers, "before-v3").status());
    WriteRequests(papers, {{"v1", 16}, {"v2", 20}});
    at_snapshot_ = ObserveCollection(*engine_, papers, ids_[papers], requests_[papers]);
    Must(engine_->AddVersion(papers, {.name = "v3", .same_embeddings_as = "v2"}, RandomModelFile(20, third, 2, 4)));
    Backfill(papers, "v3");
    Must(engine_->CheckVersion(papers, {.version = "v2", .against = "v1", .sample = 10, .k = 5}).status());
    Must(engine_->PromoteVersion(papers, "v3", "v1", true));
    Upsert(papers, "v1", "paper-", 3, 16, 16, UpsertMode::kReplaceAll);
    WriteRequests(papers, {{"v1", 16}, {"v2", 20}, {"v3", 20}});
  }

  void WriteNotes() {
    Must(engine_->CreateCollection({.name = "notes", .shards = 1}, RandomModelFile(10, *ParseCodeSpec("33x4"), 4, 5)));
    Upsert("notes", "", "note-", 12, 10, 21, UpsertMode::kReplace);
    WriteRequests("notes", {{"v1", 10}});
  }

  void WriteFigures() {
    Must(engine_->CreateCollection({.name = "figures", .store_floats = FloatStorage::kFloat32, .shards = 1},
                                   RandomModelFile(10, *ParseCodeSpec("48x2"), 2, 6, Metric::kInnerProduct)));
    Upsert("figures", "", "figure-", 12, 10, 22, UpsertMode::kReplace);
    WriteRequests("figures", {{"v1", 10}});
  }

  // In groups: written by the first version, and re-encoded for a second.
  void WriteSamples() {
    const CodeSpec first = WithGroups(*ParseCodeSpec("40x2"), 3), second = WithGroups(*ParseCodeSpec("16x3+24x1"), 7);
    Must(engine_->CreateCollection({.name = "samples", .store_floats = FloatStorage::kFloat16, .shards = 2},
                                   RandomModelFile(12, first, 6, 7)));
    Upsert("samples", "v1", "sample-", 40, 12, 23, UpsertMode::kReplace);
    Must(engine_->AddVersion("samples", {.name = "v2", .same_embeddings_as = "v1"}, RandomModelFile(12, second, 5, 8)));
    Backfill("samples", "v2");
    Delete("samples", {"sample-3", "sample-17"});
    WriteRequests("samples", {{"v1", 12}, {"v2", 12}});
  }

  // Of further levels, in groups of which a document takes the best of some.
  void WriteSketches() {
    const std::string model =
        RandomModelFile(14, WithGroups(*ParseCodeSpec("8x4+40x2"), 5), 6, 9, Metric::kInnerProduct);
    Must(engine_->CreateCollection({.name = "sketches", .store_floats = FloatStorage::kFloat32, .shards = 2},
                                   WithFurtherLevels(model, "8x7+40x2", 3)));
    Upsert("sketches", "", "sketch-", 30, 14, 24, UpsertMode::kReplace);
    Delete("sketches", {"sketch-5"});
    // A version of other dims that translates into the same groups.
    const std::string first = WithFurtherLevels(model, "8x7+40x2", 3);
    Must(engine_->AddVersion("sketches", {.name = "v2", .compatible_with = "v1"}, TranslatedModelFile(first, 11, 10)));
    Upsert("sketches", "v2", "sketch-", 12, 11, 25, UpsertMode::kMerge);
    WriteRequests("sketches", {{"v1", 14}, {"v2", 11}});
  }

  // Trellis-coded: without groups, and re-encoded for a version in groups.
  void WriteWeaves() {
    const CodeSpec first = *ParseCodeSpec("40x1t+33x2t"), second = WithGroups(*ParseCodeSpec("8x4+24x3t"), 3);
    Must(engine_->CreateCollection({.name = "weaves", .store_floats = FloatStorage::kFloat16, .shards = 2},
                                   RandomModelFile(12, first, 6, 11)));
    Upsert("weaves", "v1", "weave-", 36, 12, 26, UpsertMode::kReplace);
    Must(engine_->AddVersion("weaves", {.name = "v2", .same_embeddings_as = "v1"}, RandomModelFile(12, second, 6, 12)));
    Backfill("weaves", "v2");
    Delete("weaves", {"weave-2"});
    WriteRequests("weaves", {{"v1", 12}, {"v2", 12}});
  }

  // In groups that share bases of bytes, and re-encoded for a trellis-coded version of these.
  void WriteLedgers() {
    const std::string first = WithFurtherLevels(
        RandomModelFile(14, WithGroups(*ParseCodeSpec("8x4+40x2"), 9), 6, 13, Metric::kL2), "8x6+40x2", 4);
    Must(engine_->CreateCollection({.name = "ledgers", .store_floats = FloatStorage::kFloat32, .shards = 2},
                                   WithSharedBases(first, 2)));
    Upsert("ledgers", "v1", "ledger-", 40, 14, 27, UpsertMode::kReplace);
    const std::string second = RandomModelFile(14, WithGroups(*ParseCodeSpec("8x4+24x2t"), 6), 6, 14, Metric::kL2);
    Must(engine_->AddVersion("ledgers", {.name = "v2", .same_embeddings_as = "v1"}, WithSharedBases(second, 3)));
    Backfill("ledgers", "v2");
    Delete("ledgers", {"ledger-9"});
    WriteRequests("ledgers", {{"v1", 14}, {"v2", 14}});
  }

  // Trellis-coded runs of 4 levels: without groups, and re-encoded for a version in groups with errors that are shaped.
  void WriteTapes() {
    const std::string first =
        WithFurtherLevels(RandomModelFile(12, *ParseCodeSpec("40x2t+9x1t"), 6, 15), "40x4t+9x1t", 1);
    Must(engine_->CreateCollection({.name = "tapes", .store_floats = FloatStorage::kFloat32, .shards = 2}, first));
    Upsert("tapes", "v1", "tape-", 40, 12, 28, UpsertMode::kReplace);
    const std::string second =
        WithFurtherLevels(RandomModelFile(12, WithGroups(*ParseCodeSpec("16x4+24x2"), 6), 6, 16), "16x4t+24x2t", 4);
    Must(engine_->AddVersion("tapes", {.name = "v2", .same_embeddings_as = "v1"},
                             WithSpread(WithSharedBases(second, 2))));
    Backfill("tapes", "v2");
    Delete("tapes", {"tape-7"});
    WriteRequests("tapes", {{"v1", 12}, {"v2", 12}});
  }

  // Queries of 7 levels: without groups, and re-encoded for a version in groups.
  void WriteReels() {
    Must(engine_->CreateCollection({.name = "reels", .store_floats = FloatStorage::kFloat32, .shards = 2},
                                   RandomModelFile(12, *ParseCodeSpec("40x3+9x1"), 7, 17)));
    Upsert("reels", "v1", "reel-", 40, 12, 29, UpsertMode::kReplace);
    const std::string second =
        WithFurtherLevels(RandomModelFile(12, WithGroups(*ParseCodeSpec("16x4+24x2"), 6), 7, 18), "16x4t+24x2t", 4);
    Must(engine_->AddVersion("reels", {.name = "v2", .same_embeddings_as = "v1"},
                             WithSpread(WithSharedBases(second, 2))));
    Backfill("reels", "v2");
    Delete("reels", {"reel-7"});
    WriteRequests("reels", {{"v1", 12}, {"v2", 12}});
  }

  // Bases that are told by spans: and re-encoded for a version of trellis codes with errors that are shaped.
  void WriteSpools() {
    const std::string first =
        WithFurtherLevels(RandomModelFile(40, WithGroups(*ParseCodeSpec("8x3+8x1"), 5), 7, 19), "8x7+8x1", 2);
    Must(engine_->CreateCollection({.name = "spools", .store_floats = FloatStorage::kFloat32, .shards = 2},
                                   WithSpans(WithSharedBases(first, 2))));
    Upsert("spools", "v1", "spool-", 40, 40, 30, UpsertMode::kReplace);
    const std::string second =
        WithFurtherLevels(RandomModelFile(40, WithGroups(*ParseCodeSpec("8x4+16x2"), 6), 7, 20), "8x4t+16x2t", 4);
    Must(engine_->AddVersion("spools", {.name = "v2", .same_embeddings_as = "v1"},
                             WithSpans(WithSpread(WithSharedBases(second, 2)))));
    Backfill("spools", "v2");
    Delete("spools", {"spool-7"});
    WriteRequests("spools", {{"v1", 40}, {"v2", 40}});
  }

  // With a schema, and attributes of all types.
  void WriteEvents() {
    Must(engine_->CreateCollection({.name = "events",
                                    .shards = 2,
                                    .attributes = {{"at", {.kind = AttributeKind::kTimestamp}},
                                                   {"body", {.storage = AttributeStorage::kStored}},
                                                   {"note", {.storage = AttributeStorage::kIndexed}},
                                                   {"price", {.kind = AttributeKind::kDouble}}}},
                                   RandomModelFile(10, *ParseCodeSpec("40x1"), 2, 9)));
    const auto vectors = RandomVectors(24, 10, 24);
    UpsertRequest request{.collection = "events"};
    for (size_t i = 0; i < vectors.size(); ++i) {
      const auto number = static_cast<int64_t>(i);
      DocumentInput& document = request.documents.emplace_back();
      document.id = absl::StrCat("event-", i);
      document.attributes = {{"at", Timestamp{1767225600000000 + number * 3'600'250'000}},
                             {"tags", AttributeList{absl::StrCat("tag-", i % 3), number % 5, true}},
                             {"body", absl::StrCat("text ", i, std::string(i * 100, 'x'))}};
      if (i % 2 == 0) document.attributes["note"] = std::string(i * 40, 'n');
      if (i % 3 == 0) document.attributes["price"] = AttributeList{number, 0.5};
      if (i % 4 == 0) document.attributes["tags"] = AttributeList{Timestamp{-1}, "é"};
      document.embeddings.push_back({.values = vectors[i]});
      ids_["events"].push_back(document.id);
    }
    Must(UpsertAndWait(*engine_, std::move(request)).status());
    WriteRequests("events", {{"v1", 10}});
    for (const char* filter :
         {"tags CONTAINS 'tag-1' AND NOT tags CONTAINS ANY (2, 3)",
          "at BETWEEN TIMESTAMP '2026-01-01T02:00:00Z' AND TIMESTAMP '2026-01-01T09:00:00+01:00'",
          "tags CONTAINS ALL (TIMESTAMP '1969-12-31T23:59:59.999999Z', 'é') OR note STARTS WITH 'nnn'"}) {
      requests_["events"].push_back(requests_["events"][0]);
      requests_["events"].back()["filter"] = filter;
    }
  }

  // Requests of every kind for each version.
  void WriteRequests(const std::string& collection, const std::vector<std::pair<std::string, uint32_t>>& versions) {
    const bool floats = engine_->GetCollection(collection)->store_floats != FloatStorage::kNone;
    json& requests = requests_[collection] = json::array();
    for (const auto& [version, dims] : versions) {
      for (auto& query : RandomVectors(2, dims, 100 + requests.size())) {
        for (float& value : query) value = std::round(value * 64) / 64;  // few digits
        const json request = {{"version", version}, {"query", query}};
        const auto add = [&](const json& more) {
          requests.push_back(request);
          requests.back().update(more);
        };
        add({{"k", 100}});
        add({{"k", 5}, {"filter", "topic = \"codes\" OR year >= 2010 AND NOT open = true"}});
        add({{"k", 5}, {"first_levels", 1}, {"candidates", 12}});
        if (floats) add({{"k", 8}, {"rerank", 16}});
      }
    }
  }

  void WriteExpected() {
    json collections = json::array();
    for (const std::string& name : engine_->ListCollections()) {
      collections.push_back(ObserveCollection(*engine_, name, ids_[name], requests_[name]));
    }
    const json expected = {{"collections", collections},
                           {"ids", ids_},
                           {"aliases", ObserveAliases(*engine_)},
                           {"snapshots", ObserveSnapshots(*engine_)},
                           {"at_snapshot", at_snapshot_}};
    std::ofstream out(directory_ + "/expected.json");
    // One line an object, so that people can read what differs.
    out << absl::StrReplaceAll(expected.dump(), {{"},{", "},\n{"}, {"],\"", "],\n\""}}) << "\n";
    if (!out.flush()) throw std::runtime_error("cannot write expected.json");
  }

  // Locks, RocksDB's log for people and the record of its options, which it writes anew. A snapshot lists its files.
  void RemoveWhatIsNotData() const {
    std::vector<fs::path> paths = {directory_ + "/data/LOCK"};
    for (const auto& entry : fs::recursive_directory_iterator(directory_ + "/data/collections")) {
      const std::string name = entry.path().filename().string();
      if (name == "LOCK" || name.starts_with("LOG") || name.starts_with("OPTIONS-")) paths.push_back(entry.path());
    }
    for (const fs::path& path : paths) fs::remove(path);
  }

  const std::string directory_;
  std::unique_ptr<Engine> engine_;
  std::map<std::string, std::vector<std::string>> ids_;
  std::map<std::string, json> requests_;
  json at_snapshot_;
};

}  // namespace
}  // namespace bebr::testing

int main(int argc, char** argv) {
  if (argc != 2 || std::filesystem::exists(argv[1])) {
    std::fprintf(stderr, "usage: write_kept_data DIRECTORY   (which must not exist)\n");
    return 2;
  }
  try {
    bebr::testing::Writer(argv[1]).Write();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "write_kept_data: %s\n", error.what());
    return 1;
  }
  return 0;
}
