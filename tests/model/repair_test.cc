// Table files of a collection, each damaged in several ways, and what a repair makes of it: the codes are what they
// were, or nothing is changed and the loss is named.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/engine.h"
#include "index/storage/collection_store.h"
#include "tests/support/disk_faults.h"
#include "tests/support/engine_calls.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr uint32_t kDims = 6;
constexpr size_t kDocuments = 400;

std::string Read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

class RepairTest : public ::testing::Test {
 protected:
  std::string whole() const { return directory_.path() + "/whole"; }
  std::string trial() const { return directory_.path() + "/trial"; }
  static fs::path StoreOf(const std::string& data_dir) { return fs::path(data_dir) / "collections/c/shard-000"; }

  void Open(const std::string& path) {
    engine_.reset();
    auto engine = Engine::Open({.data_dir = path, .threads = 2});
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }
  UpsertRequest Documents(size_t begin, size_t end) const {
    UpsertRequest request{.collection = "c"};
    for (size_t i = begin; i < end; ++i) {
      request.documents.push_back({.id = absl::StrCat("d", i),
                                   .attributes = {{"n", static_cast<int64_t>(i)}},
                                   .embeddings = {{.values = vectors_[i]}}});
    }
    return request;
  }
  // A collection of two spaces, one of them with groups: documents in tables, some replaced or deleted since, and in
  // the log.
  void Make(FloatStorage store_floats) {
    Open(whole());
    ASSERT_TRUE(engine_->CreateCollection({.name = "c", .store_floats = store_floats, .shards = 2}, model_).ok());
    ASSERT_TRUE(engine_->AddVersion("c", {.name = "v2", .same_embeddings_as = "v1"}, grouped_model_).ok());
    ASSERT_TRUE(UpsertAndWait(*engine_, Documents(0, kDocuments - 50)).ok());
    ASSERT_TRUE(engine_->CreateSnapshot("c", "flushes").ok());
    ASSERT_TRUE(UpsertAndWait(*engine_, Documents(kDocuments - 100, kDocuments)).ok());
    ASSERT_TRUE(DeleteAndWait(*engine_, "c", {"d1", "d2"}).ok());
    expected_ = Answers();
    engine_.reset();
  }
  // What searches of both versions find, and what is stored.
  std::vector<std::string> Answers() {
    std::vector<std::string> answers;
    std::vector<std::string> ids;
    for (size_t i = 0; i < kDocuments; ++i) ids.push_back(absl::StrCat("d", i));
    const auto documents = engine_->Get("c", ids, true);
    EXPECT_TRUE(documents.ok()) << documents.status();
    for (const Document& document : *documents) {
      answers.push_back(absl::StrCat(document.id, " ", std::get<int64_t>(document.attributes.at("n"))));
      for (const StoredEmbedding& embedding : document.embeddings) {
        absl::StrAppend(&answers.back(), " ", embedding.values[0]);
      }
    }
    for (const char* version : {"v1", "v2"}) {
      const auto found =
          SearchAndWait(*engine_, {.collection = "c", .version = version, .queries = {vectors_[3]}, .k = kDocuments});
      EXPECT_TRUE(found.ok()) << found.status();
      for (const SearchHit& hit : found->hits[0]) answers.push_back(absl::StrCat(hit.id, " ", hit.score));
    }
    const auto info = engine_->GetCollection("c");
    EXPECT_TRUE(info.ok()) << info.status();
    for (const VersionInfo& version : info->versions) {
      answers.push_back(absl::StrCat(version.name, " ", version.documents, " ", version.embeddings));
    }
    return answers;
  }
  static std::vector<std::string> TablesOf(const std::string& data_dir) {
    std::vector<std::string> tables;
    for (const auto& entry : fs::directory_iterator(StoreOf(data_dir))) {
      if (entry.path().extension() == ".sst") tables.push_back(entry.path().filename());
    }
    return tables;
  }
  void Damage(const std::string& table, const std::function<void(const fs::path&, std::string)>& damage) {
    fs::remove_all(trial());
    fs::copy(whole(), trial(), fs::copy_options::recursive);
    const fs::path path = StoreOf(trial()) / table;
    const std::string bytes = Read(path);
    fs::remove(path);  // it may be a hard link
    damage(path, bytes);
  }
  static std::map<std::string, std::string> FilesOf(const fs::path& directory) {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(directory)) {
      if (entry.is_regular_file()) files[fs::relative(entry.path(), directory)] = Read(entry.path());
    }
    return files;
  }
  static void Write(const fs::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

  // What a repair writes whose damaged store is put aside under that number.
  std::string ReportOf(int n) const {
    return absl::StrCat("/damaged-7/000012.sst is cut\n", whole(), "/collections/c/damaged-", n,
                        " has the damaged files; remove it when the collection is as you want it\n");
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
  const std::string model_ = RandomModelFile(kDims, *ParseCodeSpec("24x2"), 4, 1);
  const std::string grouped_model_ = RandomModelFile(kDims, WithGroups(*ParseCodeSpec("40x1"), 3), 5, 2);
  const std::vector<std::vector<float>> vectors_ = RandomVectors(kDocuments, kDims, 7);
  std::vector<std::string> expected_;
};

TEST_F(RepairTest, CodesAreMadeAgainOfFloats) {
  Make(FloatStorage::kFloat16);
  const std::map<std::string, std::function<void(const fs::path&, std::string)>> damages = {
      {"missing", [](const fs::path&, const std::string&) {}},
      {"cut", [](const fs::path& path, const std::string& bytes) { Write(path, bytes.substr(0, bytes.size() / 2)); }},
      {"a changed bit",
       [](const fs::path& path, std::string bytes) {
         bytes[bytes.size() / 3] ^= 16;
         Write(path, bytes);
       }},
      {"a changed end",
       [](const fs::path& path, std::string bytes) {
         for (size_t i = bytes.size() - 60; i < bytes.size(); ++i) bytes[i] ^= 0x55;
         Write(path, bytes);
       }},
  };
  size_t repaired = 0, refused = 0;
  for (const std::string& table : TablesOf(whole())) {
    for (const auto& [what, damage] : damages) {
      SCOPED_TRACE(absl::StrCat(table, ": ", what));
      Damage(table, damage);
      const auto damaged = FilesOf(StoreOf(trial()));
      const auto report = RepairCollection(trial(), "c", false);
      if (!report.ok()) {
        ++refused;
        EXPECT_EQ(report.status().code(), absl::StatusCode::kDataLoss) << report.status();
        EXPECT_EQ(FilesOf(StoreOf(trial())), damaged);
        EXPECT_FALSE(fs::exists(fs::path(trial()) / "collections/c/repairing"));
        continue;
      }
      repaired += report->rebuilt_codes > 0 ? 1 : 0;
      ASSERT_EQ(report->damages.size(), 1u);
      EXPECT_THAT(report->damages[0], HasSubstr(table));
      EXPECT_EQ(report->documents, kDocuments - 2);
      EXPECT_EQ(FilesOf(report->kept), damaged);
      EXPECT_EQ(Read(report->kept + ".txt"), report->text);
      Open(trial());
      EXPECT_EQ(Answers(), expected_);
      ASSERT_TRUE(UpsertAndWait(*engine_, Documents(0, 5)).ok());
      engine_.reset();
      const auto again = RepairCollection(trial(), "c", false);
      ASSERT_TRUE(again.ok()) << again.status();
      EXPECT_TRUE(again->damages.empty());
    }
  }
  EXPECT_GE(repaired, 3u);
  EXPECT_GE(refused, 3u);
}

TEST_F(RepairTest, WhatTheDiskCannotReadIsAsDamaged) {
  Make(FloatStorage::kFloat32);
  size_t repaired = 0;
  for (const std::string& table : TablesOf(whole())) {
    SCOPED_TRACE(table);
    Damage(table, Write);
    SetDiskFault({.calls = kReadCall, .path_part = (StoreOf(trial()) / table).string()});
    const auto report = RepairCollection(trial(), "c", false);
    ClearDiskFault();
    if (!report.ok()) {
      EXPECT_EQ(report.status().code(), absl::StatusCode::kDataLoss) << report.status();
      continue;
    }
    repaired += report->rebuilt_codes > 0 ? 1 : 0;
    EXPECT_THAT(report->text, HasSubstr(table));
    Open(trial());
    EXPECT_EQ(Answers(), expected_);
    engine_.reset();
  }
  EXPECT_GE(repaired, 1u);
}

TEST_F(RepairTest, WhatIsLostIsNamed) {
  Make(FloatStorage::kNone);
  size_t lossy = 0;
  for (const std::string& table : TablesOf(whole())) {
    SCOPED_TRACE(table);
    Damage(table, [](const fs::path&, const std::string&) {});
    const absl::Status status = RepairCollection(trial(), "c", false).status();
    if (status.ok()) {  // a table that holds deletions alone
      Open(trial());
      EXPECT_EQ(Answers(), expected_);
      engine_.reset();
      continue;
    }
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    if (!std::string(status.message()).ends_with("index these documents again")) continue;
    ++lossy;
    const auto report = RepairCollection(trial(), "c", true);
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat(report->lost_codes, " codes cannot be made")));
    EXPECT_GT(report->lost_codes, 0u);
    EXPECT_THAT(report->lost.front(), HasSubstr("code of document"));
    Open(trial());
    EXPECT_EQ(engine_->GetCollection("c")->documents, kDocuments - 2);
    EXPECT_FALSE(Answers().empty());
    engine_.reset();
  }
  EXPECT_GE(lossy, 1u);
}

// As a repair by an earlier release leaves it, which knew of none.
TEST_F(RepairTest, AStoreWithoutIdentityGetsThatOfItsManifest) {
  Make(FloatStorage::kFloat32);
  fs::copy(whole(), trial(), fs::copy_options::recursive);
  const auto forget = [&](const std::string& data_dir) {
    const auto store = CollectionStore::Open(StoreOf(data_dir), 2, MakeStoreCache(1 << 20));
    ASSERT_TRUE(store.ok()) << store.status();
    ASSERT_TRUE((*store)->SetIdentity("").ok());
  };
  forget(trial());
  Open(trial());
  const absl::Status refused = engine_->GetCollection("c").status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kDataLoss) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("--repair"));
  engine_.reset();
  const auto report = RepairCollection(trial(), "c", false);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(report->text, HasSubstr("had no identity"));
  Open(trial());
  EXPECT_EQ(Answers(), expected_);
  engine_.reset();
  const auto again = RepairCollection(trial(), "c", false);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->text, "");
  // Not one that lacks what its manifest knows of.
  Open(trial());
  ASSERT_TRUE(UpsertAndWait(*engine_, Documents(0, 5)).ok());
  ASSERT_TRUE(engine_->PromoteVersion("c", "v2", "", true).ok());
  ASSERT_TRUE(engine_->PromoteVersion("c", "v1", "", true).ok());
  engine_.reset();
  fs::remove_all(StoreOf(trial()));
  fs::copy(StoreOf(whole()), StoreOf(trial()), fs::copy_options::recursive);
  forget(trial());
  const absl::Status older = RepairCollection(trial(), "c", false).status();
  EXPECT_EQ(older.code(), absl::StatusCode::kDataLoss) << older;
  EXPECT_THAT(std::string(older.message()), HasSubstr("is older than its manifest.json"));
}

TEST_F(RepairTest, GoesOnAfterAnInterruption) {
  Make(FloatStorage::kFloat32);
  const fs::path collection = fs::path(whole()) / "collections/c";
  fs::copy(collection / "shard-000", collection / "repaired", fs::copy_options::recursive);
  fs::rename(collection / "shard-000", collection / "damaged-1");
  Write(collection / "repaired.txt", ReportOf(1));
  const auto report = RepairCollection(whole(), "c", false);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->resumed);
  EXPECT_EQ(report->text, ReportOf(1));
  EXPECT_FALSE(fs::exists(collection / "repaired.txt"));
  EXPECT_EQ(Read(collection / "damaged-1.txt"), ReportOf(1));
  Open(whole());
  EXPECT_EQ(Answers(), expected_);
  EXPECT_EQ(RepairCollection(whole(), "c", false).status().code(), absl::StatusCode::kFailedPrecondition);
  engine_.reset();
  const absl::Status unknown = RepairCollection(whole(), "other", false).status();
  EXPECT_EQ(unknown.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(unknown.message()), HasSubstr("it has: c"));
}

// Of an interruption after the last step but the report, by whoever comes next; beside older ones with and without.
TEST_F(RepairTest, TheReportIsKept) {
  Make(FloatStorage::kFloat32);
  const fs::path collection = fs::path(whole()) / "collections/c";
  for (const int n : {1, 2, 3, 4}) fs::create_directories(collection / absl::StrCat("damaged-", n));
  Write(collection / "damaged-1.txt", "of another time\n");
  Write(collection / "repaired.txt", ReportOf(3));
  fs::remove_all(trial());
  fs::copy(whole(), trial(), fs::copy_options::recursive);
  const auto report = RepairCollection(whole(), "c", false);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->resumed);
  EXPECT_EQ(report->text, ReportOf(3));
  Open(trial());
  engine_.reset();
  for (const std::string& data_dir : {whole(), trial()}) {
    const fs::path of = fs::path(data_dir) / "collections/c";
    EXPECT_FALSE(fs::exists(of / "repaired.txt"));
    EXPECT_EQ(Read(of / "damaged-1.txt"), "of another time\n");
    EXPECT_EQ(Read(of / "damaged-3.txt"), ReportOf(3));
    for (const char* name : {"damaged-2.txt", "damaged-4.txt"}) EXPECT_FALSE(fs::exists(of / name));
  }
}

TEST_F(RepairTest, WhatIsOldIsNeverPutIntoPlace) {
  Make(FloatStorage::kFloat32);
  const fs::path collection = fs::path(whole()) / "collections/c";
  for (const char* name : {"repairing", "repaired"}) {
    fs::copy(collection / "shard-000", collection / name, fs::copy_options::recursive);
  }
  Write(collection / "repaired.txt", "what was lost\n");
  Open(whole());
  engine_.reset();
  for (const char* name : {"repairing", "repaired", "repaired.txt"}) EXPECT_FALSE(fs::exists(collection / name));
}

}  // namespace
}  // namespace bebr::testing
