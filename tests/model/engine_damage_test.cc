// One collection of two is damaged on disk: the engine opens, serves the other one, and says what is wrong with this.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "index/catalog/aliases.h"
#include "tests/support/engine_calls.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class EngineDamageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(Open().ok());
    for (const char* name : {"good", "bad"}) {
      ASSERT_TRUE(engine_->CreateCollection({.name = name, .shards = 2}, model_).ok());
      UpsertRequest request{.collection = name};
      const std::vector<float> values(6, 0.5f);
      request.documents.push_back({.id = "d", .embeddings = {{.values = values}}});
      ASSERT_TRUE(UpsertAndWait(*engine_, std::move(request)).ok());
    }
    ASSERT_TRUE(engine_->SetAlias("alias", "bad", std::nullopt).ok());
  }

  absl::Status Open() {
    engine_.reset();
    auto engine = Engine::Open({.data_dir = directory_.path(), .threads = 2});
    if (engine.ok()) engine_ = *std::move(engine);
    return engine.status();
  }
  fs::path bad() const { return directory_.path() + "/collections/bad"; }

  // Damages the collection, opens the engine again and expects that `file` is named.
  void Expect(absl::StatusCode code, const std::string& file, const std::function<void()>& damage) {
    engine_.reset();
    damage();
    ASSERT_TRUE(Open().ok());
    EXPECT_THAT(engine_->ListCollections(), ElementsAre("good"));
    EXPECT_EQ(engine_->GetCollection("good")->documents, 1u);
    for (const char* name : {"bad", "alias"}) {
      const absl::Status status = engine_->GetCollection(name).status();
      EXPECT_EQ(status.code(), code) << status;
      EXPECT_THAT(std::string(status.message()), HasSubstr(file));
    }
    const auto unavailable = engine_->UnavailableCollections();
    ASSERT_EQ(unavailable.size(), 1u);
    EXPECT_EQ(unavailable[0].name, "bad");
    EXPECT_THAT(unavailable[0].reason, HasSubstr(file));
    EXPECT_EQ(engine_->CreateCollection({.name = "bad"}, model_).code(), absl::StatusCode::kAlreadyExists);
  }

  void Replace(const std::string& from, const std::string& to) {
    std::ifstream in(bad() / "manifest.json");
    std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    const size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    std::ofstream(bad() / "manifest.json") << text.replace(at, from.size(), to);
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
  const std::string model_ = RandomModelFile(6, *ParseCodeSpec("24x2"), 4, 1);
};

TEST_F(EngineDamageTest, NoManifest) {
  Expect(absl::StatusCode::kDataLoss, "manifest.json", [&] { fs::remove(bad() / "manifest.json"); });
}

TEST_F(EngineDamageTest, ManifestCut) {
  Expect(absl::StatusCode::kDataLoss, "manifest.json", [&] { fs::resize_file(bad() / "manifest.json", 20); });
}

TEST_F(EngineDamageTest, ManifestThatContradictsItself) {
  for (const auto& [from, to] :
       {std::pair("\"shards\": 2", "\"shards\": 0"), std::pair("\"shards\": 0", "\"shards\": 300"),
        std::pair("\"name\": \"bad\"", "\"name\": \"other\"")}) {
    Expect(absl::StatusCode::kDataLoss, "manifest.json", [&, from = from, to = to] { Replace(from, to); });
  }
}

TEST_F(EngineDamageTest, ManifestOfANewerServer) {
  Expect(absl::StatusCode::kFailedPrecondition, "manifest.json", [&] { Replace("\"format\": 2", "\"format\": 9"); });
}

TEST_F(EngineDamageTest, NoModel) {
  Expect(absl::StatusCode::kDataLoss, "0.safetensors", [&] { fs::remove_all(bad() / "models"); });
}

TEST_F(EngineDamageTest, ModelOfAnotherShape) {
  Expect(absl::StatusCode::kDataLoss, "0.safetensors", [&] {
    std::ofstream(bad() / "models/0.safetensors", std::ios::binary) << RandomModelFile(6, *ParseCodeSpec("40x2"), 4, 1);
  });
}

TEST_F(EngineDamageTest, WhatIsUnavailableCanBeDropped) {
  Expect(absl::StatusCode::kDataLoss, "manifest.json", [&] { fs::remove(bad() / "manifest.json"); });
  EXPECT_EQ(engine_->DeleteCollection("bad").code(), absl::StatusCode::kFailedPrecondition);  // the alias
  ASSERT_TRUE(engine_->DeleteAlias("alias").ok());
  ASSERT_TRUE(engine_->DeleteCollection("bad").ok());
  EXPECT_FALSE(fs::exists(bad()));
  EXPECT_TRUE(engine_->UnavailableCollections().empty());
  EXPECT_TRUE(engine_->CreateCollection({.name = "bad"}, model_).ok());
}

TEST_F(EngineDamageTest, ADirectoryThatIsGoneIsNotForgotten) {
  const fs::path aside = directory_.path() + "/aside";
  Expect(absl::StatusCode::kDataLoss, bad().string() + " is missing", [&] { fs::rename(bad(), aside); });
  EXPECT_EQ(engine_->ListAliases().size(), 1u);
  fs::rename(aside, bad());
  while (!engine_->GetCollection("bad").ok()) absl::SleepFor(absl::Milliseconds(10));  // the caretaker looks again
  EXPECT_EQ(engine_->GetCollection("alias")->documents, 1u);
  EXPECT_TRUE(engine_->UnavailableCollections().empty());
  // Under a name that no collection has it is not taken.
  Expect(absl::StatusCode::kDataLoss, bad().string() + " is missing",
         [&] { fs::rename(bad(), bad().string() + "+old"); });
  // Copied back in parts: it is opened when all of them are there.
  const fs::path old = bad().string() + "+old";
  fs::copy(old, bad(), fs::copy_options::recursive);
  fs::remove(bad() / "shard-000/FILES");
  const auto reason = [&] { return std::string(engine_->GetCollection("bad").status().message()); };
  while (reason().find("without " + (bad() / "shard-000/FILES").string()) == std::string::npos) {
    ASSERT_FALSE(engine_->GetCollection("bad").ok());
    absl::SleepFor(absl::Milliseconds(10));
  }
  fs::copy(old / "shard-000/FILES", bad() / "shard-000/FILES");
  while (!engine_->GetCollection("bad").ok()) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_EQ(engine_->GetCollection("bad")->documents, 1u);
  fs::remove_all(old);
  // Gone for good: it is dropped by its name, and then forgotten.
  Expect(absl::StatusCode::kDataLoss, bad().string() + " is missing", [&] { fs::remove_all(bad()); });
  ASSERT_TRUE(engine_->DeleteAlias("alias").ok());
  ASSERT_TRUE(engine_->DeleteCollection("bad").ok());
  ASSERT_TRUE(Open().ok());
  EXPECT_TRUE(engine_->UnavailableCollections().empty());
  EXPECT_EQ(engine_->GetCollection("bad").status().code(), absl::StatusCode::kNotFound);
}

// Another server's, whole, under the same name: nobody is answered from it.
TEST_F(EngineDamageTest, AnotherCollectionOfTheName) {
  TemporaryDirectory elsewhere;
  const fs::path own = directory_.path() + "/own", its = elsewhere.path() + "/collections/bad";
  {
    auto other = Engine::Open({.data_dir = elsewhere.path(), .threads = 2});
    ASSERT_TRUE(other.ok() && (*other)->CreateCollection({.name = "bad", .shards = 2}, model_).ok());
  }
  Expect(absl::StatusCode::kDataLoss, bad().string() + " is another collection of that name", [&] {
    fs::rename(bad(), own);
    fs::copy(its, bad(), fs::copy_options::recursive);
  });
  engine_.reset();
  std::map<std::string, absl::Status> seen;
  ASSERT_TRUE(VerifyDataDirectory(directory_.path(), "", [&](const std::string& directory, const absl::Status& status) {
                seen[fs::path(directory).filename()] = status;
              }).ok());
  EXPECT_TRUE(absl::IsDataLoss(seen["bad"])) << seen["bad"];
  EXPECT_TRUE(seen["good"].ok()) << seen["good"];
  // Its own is served when it is back.
  ASSERT_TRUE(Open().ok());
  fs::remove_all(bad());
  fs::rename(own, bad());
  while (!engine_->GetCollection("bad").ok()) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_EQ(engine_->GetCollection("alias")->documents, 1u);
  // A snapshot of it, restored under its name, is another one and is served.
  ASSERT_TRUE(engine_->DeleteAlias("alias").ok());
  ASSERT_TRUE(engine_->CreateSnapshot("bad", "s").ok());
  ASSERT_TRUE(engine_->DeleteCollection("bad").ok());
  ASSERT_TRUE(engine_->RestoreSnapshot("bad", "s", "bad").ok());
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(engine_->GetCollection("bad")->documents, 1u);
}

// While catalog.json cannot be read nothing is told of what it lists; then all of it is.
TEST_F(EngineDamageTest, AListThatCannotBeReadIsReadLater) {
  const fs::path list = directory_.path() + "/catalog.json", aside = directory_.path() + "/aside";
  engine_.reset();
  fs::remove_all(bad());
  fs::rename(list, aside);
  fs::create_symlink(list, list);
  ASSERT_TRUE(Open().ok());
  EXPECT_TRUE(engine_->UnavailableCollections().empty());
  EXPECT_EQ(engine_->GetCollection("alias").status().code(), absl::StatusCode::kUnavailable);
  fs::rename(aside, list);
  while (engine_->UnavailableCollections().empty()) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_EQ(engine_->GetCollection("bad").status().code(), absl::StatusCode::kDataLoss);
  while (engine_->ListAliases().empty()) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_EQ(engine_->GetCollection("alias").status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(EngineDamageTest, BrokenAliasesStopNoCollection) {
  engine_.reset();
  std::ofstream(directory_.path() + "/aliases.json") << "{";
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(engine_->GetCollection("good")->documents, 1u);
  const absl::Status status = engine_->GetCollection("alias").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("aliases.json"));
  EXPECT_FALSE(engine_->SetAlias("other", "good", std::nullopt).ok());
}

TEST_F(EngineDamageTest, AliasesAreBounded) {
  AliasList list{.generation = 9};
  for (size_t i = 0; i < kMaxAliases; ++i) list.aliases[absl::StrCat("a", i)] = "good";
  engine_.reset();
  ASSERT_TRUE(WriteAliases(directory_.path(), list).ok());
  ASSERT_TRUE(Open().ok());
  const absl::Status status = engine_->SetAlias("more", "good", std::nullopt);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("there are 10000 aliases and the limit is 10000"));
  EXPECT_TRUE(engine_->SetAlias("a1", "bad", std::nullopt).ok());  // one that is there
  ASSERT_TRUE(engine_->DeleteAlias("a2").ok());
  EXPECT_TRUE(engine_->SetAlias("more", "good", std::nullopt).ok());
}

TEST_F(EngineDamageTest, WhatIsNoCollectionIsPassedOver) {
  engine_.reset();
  fs::create_directories(directory_.path() + "/collections/lost+found/inner");
  fs::create_directories(directory_.path() + "/collections/old");
  fs::create_directories(directory_.path() + "/snapshots/lost+found/inner");
  std::ofstream(directory_.path() + "/collections/file") << "x";
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(engine_->ListCollections(), ElementsAre("bad", "good"));
  EXPECT_TRUE(engine_->UnavailableCollections().empty());
  EXPECT_TRUE(engine_->CreateSnapshot("good", "s").ok());
  EXPECT_EQ(engine_->ListSnapshots("")->size(), 1u);
}

TEST_F(EngineDamageTest, AFailedRestoreLeavesNothing) {
  ASSERT_TRUE(engine_->CreateSnapshot("good", "s").ok());
  const fs::path snapshot = directory_.path() + "/snapshots/good/s";
  for (const auto& entry : fs::recursive_directory_iterator(snapshot)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with("MANIFEST")) continue;
    fs::remove(entry.path());
    std::ofstream(entry.path()) << "";
  }
  EXPECT_FALSE(engine_->RestoreSnapshot("good", "s", "new").ok());
  EXPECT_FALSE(fs::exists(directory_.path() + "/collections/new"));
  EXPECT_TRUE(engine_->CreateCollection({.name = "new"}, model_).ok());
  EXPECT_TRUE(Open().ok());
  EXPECT_THAT(engine_->ListCollections(), ElementsAre("bad", "good", "new"));
}

}  // namespace
}  // namespace bebr::testing
