// Every file of a collection, damaged in every way: the collection answers as before, or the errors are DATA_LOSS and
// name the file; the collection beside it is served. The same for what a snapshot restores.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

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
#include "index/shard/shard_set.h"
#include "tests/support/engine_calls.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr uint32_t kDims = 6;
constexpr size_t kDocuments = 60;

std::string Read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}
void Write(const fs::path& path, const std::string& bytes) {
  fs::remove(path);  // it may be a hard link
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

struct Damage {
  std::string what;
  std::function<void(const fs::path& file, const fs::path& older)> apply;
};

Damage Change(const std::string& what, const std::function<void(std::string&)>& change) {
  return {what, [change](const fs::path& file, const fs::path&) {
            std::string bytes = Read(file);
            change(bytes);
            Write(file, bytes);
          }};
}

Damage InItsPlace(const std::string& what, const std::function<void(const fs::path&)>& make) {
  return {what, [make](const fs::path& file, const fs::path&) {
            fs::remove(file);
            make(file);
          }};
}

std::vector<Damage> Damages() {
  std::vector<Damage> damages = {
      {"deleted", [](const fs::path& file, const fs::path&) { fs::remove(file); }},
      {"an older copy",
       [](const fs::path& file, const fs::path& older) {
         if (fs::exists(older)) Write(file, Read(older));
       }},
      Change("empty", [](std::string& bytes) { bytes.clear(); }),
      Change("cut", [](std::string& bytes) { bytes.resize(bytes.size() / 2); }),
      Change("without its last byte", [](std::string& bytes) { bytes.resize(std::max<size_t>(bytes.size(), 1) - 1); }),
      Change("half zeros", [](std::string& bytes) { std::fill(bytes.begin() + bytes.size() / 2, bytes.end(), '\0'); }),
      Change("half garbage",
             [](std::string& bytes) {
               for (size_t i = bytes.size() / 2; i < bytes.size(); ++i) {
                 bytes[i] = static_cast<char>(static_cast<uint32_t>(i) * 2654435761u >> 13);
               }
             }),
  };
  damages.push_back(Change("grown by garbage", [](std::string& bytes) { bytes += std::string(1000, '\x5a'); }));
  damages.push_back(Change("grown by zeros", [](std::string& bytes) { bytes.resize(bytes.size() + 5000); }));
  // What an operator's mistake puts there. Of some of these no read ever ends.
  damages.push_back(InItsPlace("a directory", [](const fs::path& file) { fs::create_directory(file); }));
  damages.push_back(InItsPlace("a pipe", [](const fs::path& file) { EXPECT_EQ(mkfifo(file.c_str(), 0600), 0); }));
  damages.push_back(InItsPlace("a device", [](const fs::path& file) { fs::create_symlink("/dev/zero", file); }));
  damages.push_back(InItsPlace("a link to nothing", [](const fs::path& file) { fs::create_symlink("gone", file); }));
  for (size_t part = 0; part < 5; ++part) {
    damages.push_back(Change(absl::StrCat("a bit changed, ", part), [part](std::string& bytes) {
      if (!bytes.empty()) bytes[bytes.size() * part / 5 + bytes.size() / 50] ^= 4;
    }));
  }
  return damages;
}

class DamageMatrixTest : public ::testing::Test {
 protected:
  UpsertRequest Documents(const std::string& collection, size_t begin, size_t end) const {
    UpsertRequest request{.collection = collection};
    for (size_t i = begin; i < end; ++i) {
      request.documents.push_back({.id = absl::StrCat("d", i),
                                   .attributes = {{"n", static_cast<int64_t>(i)}, {"text", std::string(200, 'x')}},
                                   .embeddings = {{.values = vectors_[i]}}});
    }
    return request;
  }

  // Collections with documents in table files and in the log, a snapshot, and a copy of all from some time before.
  void SetUp() override {
    ShardSet::LeastLayoutDocuments() = 0;
    Open(whole());
    for (const char* name : {"good", "bad"}) {
      ASSERT_TRUE(
          engine_->CreateCollection({.name = name, .store_floats = FloatStorage::kFloat32, .shards = 2}, model_).ok());
      ASSERT_TRUE(UpsertAndWait(*engine_, Documents(name, 0, kDocuments / 3)).ok());
    }
    ASSERT_TRUE(engine_->CreateSnapshot("bad", "first").ok());  // writes table files
    ASSERT_TRUE(UpsertAndWait(*engine_, Documents("bad", kDocuments / 3, kDocuments / 2)).ok());
    ASSERT_TRUE(engine_->SetAlias("alias", "good", std::nullopt).ok());
    engine_.reset();
    fs::copy(whole(), older(), fs::copy_options::recursive);
    Open(whole());
    ASSERT_TRUE(engine_->CreateSnapshot("bad", "second").ok());
    ASSERT_TRUE(UpsertAndWait(*engine_, Documents("bad", kDocuments / 2, kDocuments)).ok());
    for (const char* name : {"v2", "v3"}) {
      ASSERT_TRUE(engine_->AddVersion("bad", {.name = name, .same_embeddings_as = "v1"}, other_model_).ok());
    }
    expected_ = *Answers("bad");
    ASSERT_TRUE(engine_->SetAlias("alias", "bad", std::nullopt).ok());
    engine_.reset();
  }

  void Open(const std::string& path) {
    engine_.reset();
    auto engine = Engine::Open({.data_dir = path, .threads = 2});
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }
  std::string whole() const { return directory_.path() + "/whole"; }
  std::string older() const { return directory_.path() + "/older"; }
  std::string trial() const { return directory_.path() + "/trial"; }

  void Copy(const std::string& from, const std::string& to) {
    engine_.reset();
    fs::remove_all(to);
    fs::copy(from, to, fs::copy_options::recursive);
  }
  // Puts a file or directory of the collection "bad" in the place of another one's.
  static void Replace(const fs::path& in, const fs::path& from, const std::string& name) {
    fs::remove_all(in / "collections/bad" / name);
    fs::copy(from / "collections/bad" / name, in / "collections/bad" / name, fs::copy_options::recursive);
  }

  // Documents with their floats, and what a reranked search finds.
  absl::StatusOr<std::vector<std::string>> Answers(const std::string& collection) {
    std::vector<std::string> ids, answers;
    for (size_t i = 0; i < kDocuments; ++i) ids.push_back(absl::StrCat("d", i));
    const auto documents = engine_->Get(collection, ids, true);
    if (!documents.ok()) return documents.status();
    for (const Document& document : *documents) {
      answers.push_back(absl::StrCat(document.id, " ", std::get<int64_t>(document.attributes.at("n")), " ",
                                     document.embeddings.at(0).values[0]));
    }
    const std::vector<float> query = RandomVectors(1, kDims, 8)[0];
    const auto found =
        SearchAndWait(*engine_, {.collection = collection, .queries = {query}, .k = kDocuments, .rerank = 100});
    if (!found.ok()) return found.status();
    for (const SearchHit& hit : found->hits[0]) answers.push_back(absl::StrCat(hit.id, " ", hit.score));
    return answers;
  }

  // Files under a directory, by their paths below it.
  static std::vector<std::string> FilesOf(const fs::path& directory) {
    std::vector<std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(directory)) {
      if (entry.is_regular_file()) files.push_back(fs::relative(entry.path(), directory));
    }
    return files;
  }

  // Damages `file` of a copy, and judges what `answers` says of it.
  void Try(const std::string& file, const Damage& damage,
           const std::function<absl::StatusOr<std::vector<std::string>>()>& answers,
           const std::vector<std::string>& expected) {
    SCOPED_TRACE(absl::StrCat(file, ": ", damage.what));
    Copy(whole(), trial());
    damage.apply(fs::path(trial()) / file, fs::path(older()) / file);
    ASSERT_NO_FATAL_FAILURE(Open(trial()));
    EXPECT_EQ(engine_->GetCollection("good")->documents, kDocuments / 3);
    const auto got = answers();
    if (got.ok()) {
      EXPECT_EQ(*got, expected);
      ++unchanged_;
      return;
    }
    ++refused_;
    EXPECT_EQ(got.status().code(), absl::StatusCode::kDataLoss) << got.status();
    EXPECT_THAT(std::string(got.status().message()), HasSubstr(fs::path(file).filename().string()));
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
  const std::string model_ = RandomModelFile(kDims, *ParseCodeSpec("24x2"), 4, 1);
  const std::string other_model_ = RandomModelFile(kDims, *ParseCodeSpec("40x1"), 1, 2);
  const std::vector<std::vector<float>> vectors_ = RandomVectors(kDocuments, kDims, 7);
  std::vector<std::string> expected_;
  int unchanged_ = 0, refused_ = 0;
};

TEST_F(DamageMatrixTest, OfACollection) {
  int of_layout_files = 0;
  for (const std::string& file : FilesOf(whole() + "/collections/bad")) {
    for (const Damage& damage : Damages()) {
      const int refused = refused_;
      Try(
          "collections/bad/" + file, damage, [&] { return Answers("bad"); }, expected_);
      if (!fs::path(file).filename().string().starts_with("layout-")) continue;
      EXPECT_EQ(refused_, refused) << file << ": " << damage.what;  // a copy of what the store has
      ++of_layout_files;
    }
  }
  EXPECT_GT(of_layout_files, 10);
  EXPECT_GT(unchanged_, 0);
  EXPECT_GT(refused_, 50);
}

// What belongs together is told apart from what does not: an older store or manifest alone, and both of them.
TEST_F(DamageMatrixTest, OlderCopies) {
  const auto put_back = [&](const std::vector<std::string>& names) {
    Copy(whole(), trial());
    for (const std::string& name : names) Replace(trial(), older(), name);
    Open(trial());
    EXPECT_EQ(engine_->GetCollection("good")->documents, kDocuments / 3);
    return engine_->GetCollection("bad").status();
  };
  const absl::Status manifest = put_back({"manifest.json"}), store = put_back({"shard-000"});
  EXPECT_EQ(manifest.code(), absl::StatusCode::kDataLoss) << manifest;
  EXPECT_THAT(std::string(manifest.message()), HasSubstr("manifest.json is older than its store"));
  EXPECT_EQ(store.code(), absl::StatusCode::kDataLoss) << store;
  EXPECT_THAT(std::string(store.message()), HasSubstr("shard-000 is older than its manifest.json"));
  const absl::Status both = put_back({"manifest.json", "shard-000", "models"});
  EXPECT_TRUE(both.ok()) << both;
}

// Collections that are alike in everything but their identity, with each other's files.
TEST_F(DamageMatrixTest, FilesOfAnEqualCollection) {
  Open(whole());
  for (const char* name : {"twin", "restored"}) ASSERT_TRUE(engine_->RestoreSnapshot("bad", "second", name).ok());
  Copy(whole(), older());
  const auto swap = [&](const std::string& file) {
    Copy(older(), trial());
    const fs::path collections = fs::path(trial()) / "collections", aside = fs::path(trial()) / "aside";
    fs::rename(collections / "twin" / file, aside);
    fs::rename(collections / "restored" / file, collections / "twin" / file);
    fs::rename(aside, collections / "restored" / file);
    std::map<std::string, absl::Status> found;
    EXPECT_TRUE(VerifyDataDirectory(trial(), "", [&](const std::string& path, const absl::Status& status) {
                  found[fs::path(path).filename()].Update(status);
                }).ok());
    EXPECT_TRUE(found.at("bad").ok()) << found.at("bad");
    Open(trial());
    EXPECT_EQ(*Answers("bad"), expected_);
    for (const std::string name : {"twin", "restored"}) {
      const std::string other = name == "twin" ? "restored" : "twin";
      const absl::Status status = engine_->GetCollection(name).status();
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << name << " with " << file << ": " << status;
      EXPECT_THAT(std::string(status.message()), HasSubstr("/" + name + "/"));
      EXPECT_THAT(std::string(status.message()), HasSubstr("\"" + other));
      EXPECT_EQ(found.at(name).message(), status.message().substr(status.message().find(": ") + 2));
    }
    EXPECT_EQ(engine_->UnavailableCollections().size(), 2u);
  };
  swap("shard-000");
  swap("manifest.json");
  swap("");  // the directories themselves
}

// An alias names what it did, or nothing; never what it did before.
TEST_F(DamageMatrixTest, OfTheAliases) {
  const auto answers = [&]() -> absl::StatusOr<std::vector<std::string>> {
    EXPECT_EQ(*Answers("bad"), expected_);
    auto found = Answers("alias");
    // Whether a name is that of an alias is not known.
    if (absl::IsUnavailable(found.status())) return absl::DataLossError(found.status().message());
    return found;
  };
  for (const Damage& damage : Damages()) {
    Try("aliases.json", damage, answers, expected_);
    // What only says how new they are is never missed.
    const int unchanged = unchanged_;
    Try("catalog.json", damage, answers, expected_);
    EXPECT_EQ(unchanged_, unchanged + 1);
  }
  EXPECT_GE(refused_, 8);
}

// As after a crash between the two writes. A store that lacks documents which were there is older all the same.
TEST_F(DamageMatrixTest, AManifestIsAheadOfItsStore) {
  const std::string changed = directory_.path() + "/changed";
  const auto change = [&](bool write) {
    Copy(older(), changed);
    Open(changed);
    if (write) {
      EXPECT_TRUE(UpsertAndWait(*engine_, Documents("bad", kDocuments / 2, kDocuments)).ok());
    }
    EXPECT_TRUE(engine_->AddVersion("bad", {.name = "v2", .same_embeddings_as = "v1"}, other_model_).ok());
    engine_.reset();
    Copy(changed, trial());
    Replace(trial(), older(), "shard-000");
  };
  change(false);
  Open(trial());
  EXPECT_EQ(engine_->GetCollection("bad")->documents, kDocuments / 2);
  ASSERT_TRUE(engine_->PromoteVersion("bad", "v2", "", true).ok());
  Open(trial());
  EXPECT_EQ(engine_->GetCollection("bad")->default_version, "v2");
  change(true);
  Open(trial());
  const absl::Status older = engine_->GetCollection("bad").status();
  EXPECT_EQ(older.code(), absl::StatusCode::kDataLoss) << older;
  EXPECT_THAT(std::string(older.message()), HasSubstr("shard-000 is older than its manifest.json"));
}

TEST_F(DamageMatrixTest, OfASnapshot) {
  Open(whole());
  ASSERT_TRUE(engine_->RestoreSnapshot("bad", "second", "restored").ok());
  const std::vector<std::string> expected = *Answers("restored");
  ASSERT_TRUE(engine_->DeleteCollection("restored").ok());
  const auto restore = [&]() -> absl::StatusOr<std::vector<std::string>> {
    const absl::Status status = engine_->RestoreSnapshot("bad", "second", "restored");
    EXPECT_EQ(status.ok(), fs::exists(trial() + "/collections/restored"));
    if (!status.ok()) return status;
    return Answers("restored");
  };
  for (const std::string& file : FilesOf(whole() + "/snapshots/bad/second")) {
    for (const Damage& damage : Damages()) Try("snapshots/bad/second/" + file, damage, restore, expected);
  }
  EXPECT_GT(refused_, 50);
}

TEST_F(DamageMatrixTest, IsSeenByVerify) {
  const auto verify = [&] {
    std::map<std::string, absl::Status> found;
    const absl::Status status =
        VerifyDataDirectory(trial(), "", [&](const std::string& path, const absl::Status& status) {
          found[fs::relative(path, trial())].Update(status);
        });
    EXPECT_TRUE(status.ok()) << status;
    return found;
  };
  const auto copy = [&] {
    fs::remove_all(trial());
    fs::copy(whole(), trial(), fs::copy_options::recursive);
  };
  copy();
  for (const auto& [path, status] : verify()) EXPECT_TRUE(status.ok()) << path << ": " << status;
  EXPECT_EQ(verify().size(), 4u);  // two collections, two snapshots
  for (const std::string directory : {"collections/bad", "snapshots/bad/second"}) {
    for (const std::string& file : FilesOf(whole() + "/" + directory)) {
      const std::string name = fs::path(file).filename();
      if (name == "IDENTITY" || name.starts_with("OPTIONS") || name == "LOCK" ||
          name.starts_with("layout-") ||  // a copy of what the store has, of no use once it is damaged
          fs::file_size(whole() + "/" + directory + "/" + file) == 0)
        continue;
      copy();
      const fs::path path = fs::path(trial()) / directory / file;
      std::string bytes = Read(path);
      bytes[bytes.size() / 2] ^= 1;
      Write(path, bytes);
      const auto found = verify();
      EXPECT_FALSE(found.at(directory).ok()) << path;
      EXPECT_THAT(std::string(found.at(directory).message()), HasSubstr(name));
      EXPECT_TRUE(found.at("collections/good").ok());
    }
  }
  // Older copies: what the next start would say.
  const auto put_back = [&](const std::string& path) {
    copy();
    fs::remove_all(fs::path(trial()) / path);
    fs::copy(fs::path(older()) / path, fs::path(trial()) / path, fs::copy_options::recursive);
    return verify();
  };
  for (const std::string name : {"manifest.json", "shard-000"}) {
    const auto found = put_back("collections/bad/" + name);
    EXPECT_EQ(found.at("collections/bad").code(), absl::StatusCode::kDataLoss) << found.at("collections/bad");
    EXPECT_THAT(std::string(found.at("collections/bad").message()), HasSubstr(name + " is older than its "));
  }
  copy();
  fs::remove_all(fs::path(trial()) / "collections/bad");
  const auto missing = verify();
  EXPECT_EQ(missing.at("collections/bad").code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(missing.at("collections/bad").message()), HasSubstr("collections/bad is missing"));
  EXPECT_TRUE(missing.at("collections/good").ok());
  // One that somebody put aside is not there; one whose drop a crash interrupted is not to be there.
  copy();
  fs::rename(trial() + "/collections/bad", trial() + "/collections/bad+old");
  EXPECT_THAT(std::string(verify().at("collections/bad").message()), HasSubstr("collections/bad is missing"));
  fs::rename(trial() + "/collections/bad+old", trial() + "/collections/.deleted-bad");
  EXPECT_FALSE(verify().contains("collections/bad"));
  copy();
  Write(trial() + "/catalog.json", "{");
  EXPECT_THAT(std::string(verify().at(".").message()), HasSubstr("catalog.json"));
  const auto aliases = put_back("aliases.json");
  EXPECT_THAT(std::string(aliases.at(".").message()), HasSubstr("aliases.json is an older copy"));
  EXPECT_TRUE(aliases.at("collections/bad").ok());
  Open(whole());
  EXPECT_EQ(VerifyDataDirectory(whole(), "", [](const auto&, const auto&) {}).code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace bebr::testing
