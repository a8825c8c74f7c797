#include "tests/fault/scenarios.h"

#include <unistd.h>

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "index/base/stable_hash.h"
#include "index/base/status_macros.h"
#include "tests/support/engine_calls.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

constexpr uint32_t kDims = 6, kOtherDims = 5;
constexpr size_t kDocuments = 24;

const std::string& Model(int number) {
  static const std::vector<std::string> models = {
      RandomModelFile(kDims, *ParseCodeSpec("24x2"), 4, 1), RandomModelFile(kDims, *ParseCodeSpec("32x1"), 1, 2),
      RandomModelFile(kDims, *ParseCodeSpec("24x3"), 4, 3), RandomModelFile(kOtherDims, *ParseCodeSpec("40x1"), 1, 4)};
  return models[number];
}

absl::Status Upsert(Engine& engine, const std::string& collection, size_t begin, size_t end, size_t stamp,
                    size_t text_bytes = 200) {
  const auto vectors = RandomVectors(end - begin, kDims, stamp);
  UpsertRequest request{.collection = collection};
  for (size_t i = begin; i < end; ++i) {
    request.documents.push_back(
        {.id = absl::StrCat("d", i),
         .attributes = {{"n", static_cast<int64_t>(stamp)}, {"text", std::string(text_bytes, 'x')}},
         .embeddings = {{.version = "v1", .values = vectors[i - begin]}}});
  }
  return UpsertAndWait(engine, std::move(request)).status();
}

// Embeddings of the version that takes its own.
absl::Status Merge(Engine& engine, size_t begin, size_t end) {
  const auto vectors = RandomVectors(end - begin, kOtherDims, 77);
  UpsertRequest request{.collection = "a", .mode = UpsertMode::kMerge};
  for (size_t i = begin; i < end; ++i) {
    request.documents.push_back(
        {.id = absl::StrCat("d", i), .embeddings = {{.version = "own", .values = vectors[i - begin]}}});
  }
  return UpsertAndWait(engine, std::move(request)).status();
}

// UNAVAILABLE if it does not get on.
absl::Status AwaitBackfill(Engine& engine, const std::string& version) {
  for (int i = 0; i < 1000; ++i, usleep(1000)) {
    BEBR_ASSIGN_OR_RETURN(const CollectionInfo info, engine.GetCollection("a"));
    for (const VersionInfo& known : info.versions) {
      if (known.name != version || !known.backfill.has_value()) continue;
      if (!known.backfill->error.empty()) return absl::UnavailableError(known.backfill->error);
      if (!known.backfill->running) return absl::OkStatus();
    }
  }
  return absl::UnavailableError("the backfill has not ended");
}

absl::Status CompareWithItself(Engine& engine) {
  const std::vector<std::string> ids = {"d1", "d2", "d20", "none"};
  BEBR_ASSIGN_OR_RETURN(const std::vector<Document> documents, engine.Get("a", ids, true));
  if (documents.size() != 3) return absl::InternalError("Get lacks a document");
  for (const Document& document : documents) {
    if (document.embeddings.empty() || document.attributes.size() != 2) return absl::InternalError("half a document");
    const std::vector<float>& query = document.embeddings[0].values;
    BEBR_ASSIGN_OR_RETURN(const SearchResult found,
                          SearchAndWait(engine, {.collection = "a", .queries = {query}, .k = 1, .rerank = 100}));
    if (found.hits[0].empty() || found.hits[0][0].id != document.id) return absl::InternalError("a wrong answer");
  }
  return absl::OkStatus();
}

std::string DescribeDocuments(Engine& engine, const std::string& name, const std::set<uint32_t>& spaces) {
  const auto page =
      engine.Scroll({.collection = name, .with_attributes = true, .with_embeddings = true, .with_codes = true});
  if (!page.ok()) return absl::StrCat("unreadable: ", page.status().ToString(), "\n");
  std::string text;
  for (const PageDocument& entry : page->documents) {
    absl::StrAppend(&text, "  ", entry.document.id);
    for (const auto& [attribute, value] : entry.document.attributes) {
      if (attribute == "n") absl::StrAppend(&text, " ", std::get<int64_t>(value));
    }
    for (const StoredEmbedding& embedding : entry.document.embeddings) {
      absl::StrAppend(&text, " ", embedding.version, ":", embedding.values[0]);
    }
    for (const DocumentCode& code : entry.codes) {
      if (!spaces.contains(code.space)) continue;
      const std::string bytes(reinterpret_cast<const char*>(code.words.data()), code.words.size() * 4);
      absl::StrAppend(&text, " ", code.version, "=", absl::Hex(StableHash(bytes)));
    }
    text += "\n";
  }
  return text;
}

std::string DescribeCollection(Engine& engine, const std::string& name) {
  const auto info = engine.GetCollection(name);
  if (!info.ok()) return absl::StrCat(name, ": ", info.status().ToString(), "\n");
  std::string text = absl::StrCat(name, ": ", info->documents, " documents, ", info->shards, " shards, default ",
                                  info->default_version, ", before ", info->previous_default, "\n");
  std::set<uint32_t> spaces;
  for (const VersionInfo& version : info->versions) {
    const bool whole = version.state == VersionState::kReady || version.state == VersionState::kDefault;
    if (whole) spaces.insert(version.space);
    absl::StrAppend(&text, "  version ", version.name, version.state == VersionState::kRetired ? " retired" : "",
                    whole ? " whole" : "", "\n");
  }
  const auto found = SearchAndWait(engine, {.collection = name, .queries = {RandomVectors(1, kDims, 8)[0]}, .k = 1000});
  if (!found.ok()) return absl::StrCat(text, found.status().ToString());
  for (const SearchHit& hit : found->hits[0]) absl::StrAppend(&text, hit.id, ":", hit.score, " ");
  return absl::StrCat(text, "\n", DescribeDocuments(engine, name, spaces));
}

void AwaitBackfills(Engine& engine) {
  const auto runs = [&] {
    for (const std::string& name : engine.ListCollections()) {
      const auto info = engine.GetCollection(name);
      for (size_t v = 0; info.ok() && v < info->versions.size(); ++v) {
        const auto& backfill = info->versions[v].backfill;
        if (backfill.has_value() && backfill->running) return true;
      }
    }
    return false;
  };
  for (int i = 0; i < 60000 && runs(); ++i) usleep(1000);
}

absl::Status Await(const std::function<absl::Status()>& body) {
  absl::Status status;
  const absl::Time end = absl::Now() + absl::Minutes(1);
  do {
    status = body();
    if (status.ok() || absl::IsAlreadyExists(status)) return absl::OkStatus();
    usleep(50000);
  } while (absl::Now() < end);
  return status;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> OpenEngine(const std::string& data_dir) {
  return Engine::Open(
      {.data_dir = data_dir, .threads = 1, .write_buffer_bytes = 7 << 16, .block_cache_bytes = 1 << 20});
}

absl::Status Prepare(const std::string& data_dir) {
  BEBR_ASSIGN_OR_RETURN(const auto engine, OpenEngine(data_dir));
  for (const char* name : {"a", "b"}) {
    BEBR_RETURN_IF_ERROR(
        engine->CreateCollection({.name = name, .store_floats = FloatStorage::kFloat32, .shards = 2}, Model(0)));
    BEBR_RETURN_IF_ERROR(Upsert(*engine, name, 0, kDocuments / 2, 1));
  }
  BEBR_RETURN_IF_ERROR(engine->CreateSnapshot("a", "s").status());
  BEBR_RETURN_IF_ERROR(engine->AddVersion("a", {.name = "done", .same_embeddings_as = "v1"}, Model(1)));
  BEBR_RETURN_IF_ERROR(engine->StartBackfill("a", "done", 0));
  BEBR_RETURN_IF_ERROR(AwaitBackfill(*engine, "done"));
  BEBR_RETURN_IF_ERROR(engine->AddVersion("a", {.name = "own"}, Model(3)));
  BEBR_RETURN_IF_ERROR(Merge(*engine, 0, 6));
  BEBR_RETURN_IF_ERROR(Upsert(*engine, "a", kDocuments / 2, kDocuments, 2));
  BEBR_RETURN_IF_ERROR(engine->AddVersion("a", {.name = "open", .same_embeddings_as = "v1"}, Model(2)));
  return engine->SetAlias("alias", "b", std::nullopt);
}

const std::vector<Scenario>& Scenarios() {
  using Owner = std::unique_ptr<Engine>&;
  static const std::vector<Scenario> scenarios = {
      {"create",
       [](Owner e) {
         return e->CreateCollection({.name = "c", .store_floats = FloatStorage::kFloat16, .shards = 2}, Model(1));
       }},
      {"upsert", [](Owner e) { return Upsert(*e, "a", 4, 30, 3); }},
      {"upsert_flush",
       [](Owner e) {
         absl::Status status = Upsert(*e, "a", 0, 120, 4, 2000);
         if (status.ok()) status = Upsert(*e, "a", 0, 120, 4, 2000);  // fills no more: it makes the store flush
         usleep(30000);  // what it began in the background may meet the fault
         return status;
       }},
      {"delete",
       [](Owner e) {
         return DeleteAndWait(*e, "a", {"d1", "d2", "d20", "d21", "none"}).status();
       }},
      {"snapshot", [](Owner e) { return e->CreateSnapshot("a", "t").status(); }},
      {"snapshot_delete", [](Owner e) { return e->DeleteSnapshot("a", "s"); }},
      {"restore", [](Owner e) { return e->RestoreSnapshot("a", "s", "r"); }},
      {"version_add", [](Owner e) { return e->AddVersion("a", {.name = "new"}, Model(2)); }},
      {"backfill",
       [](Owner e) -> absl::Status {
         BEBR_RETURN_IF_ERROR(e->StartBackfill("a", "open", 0));
         return AwaitBackfill(*e, "open");
       }},
      {"promote", [](Owner e) { return e->PromoteVersion("a", "done", "v1", false); }},
      {"retire", [](Owner e) { return e->RetireVersion("a", "done"); }},
      {"retire_embedding", [](Owner e) { return e->RetireVersion("a", "own"); }},
      {"alias", [](Owner e) { return e->SetAlias("alias", "a", "b"); }},
      {"alias_delete", [](Owner e) { return e->DeleteAlias("alias"); }},
      {"drop", [](Owner e) { return e->DeleteCollection("a"); }},
      {"read", [](Owner e) { return CompareWithItself(*e); }},
      {"close",
       [](Owner e) {
         e.reset();
         return absl::OkStatus();
       }},
      {"open", nullptr},
  };
  return scenarios;
}

std::string Describe(Engine& engine) {
  AwaitBackfills(engine);
  std::string text;
  for (const std::string& name : engine.ListCollections()) text += DescribeCollection(engine, name);
  for (const UnavailableCollection& one : engine.UnavailableCollections()) {
    absl::StrAppend(&text, "unavailable ", one.name, ": ", one.reason, "\n");
  }
  for (const Alias& alias : engine.ListAliases()) absl::StrAppend(&text, alias.name, " -> ", alias.collection, "\n");
  const auto snapshots = engine.ListSnapshots("");
  if (!snapshots.ok()) return absl::StrCat(text, snapshots.status().ToString());
  for (const SnapshotInfo& info : *snapshots) {
    absl::StrAppend(&text, "snapshot ", info.collection, "/", info.name, " ", info.documents, "\n");
  }
  return text;
}

bool ServesBeside(Engine& engine) {
  const auto found = SearchAndWait(engine, {.collection = "b", .queries = {RandomVectors(1, kDims, 8)[0]}, .k = 1000});
  return found.ok() && found->hits[0].size() == kDocuments / 2;
}

absl::Status GoOn(Engine& engine) {
  BEBR_RETURN_IF_ERROR(Await([&] { return Upsert(engine, "b", 100, 104, 9); }));
  BEBR_RETURN_IF_ERROR(Await([&] { return engine.SetAlias("after", "b", std::nullopt); }));
  if (absl::IsNotFound(engine.GetCollection("a").status())) return absl::OkStatus();
  BEBR_RETURN_IF_ERROR(Await([&] { return Upsert(engine, "a", 100, 104, 9); }));
  return Await([&] { return engine.AddVersion("a", {.name = "after", .same_embeddings_as = "v1"}, Model(1)); });
}

}  // namespace bebr::testing
