// Administration by several at once: each call does all of what it says or nothing, and in the end what is there is
// what the calls that succeeded have made, before and after a restart.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/support/engine_calls.h"
#include "tests/support/test_models.h"
#include "tests/support/until.h"

namespace bebr::testing {
namespace {

constexpr uint32_t kDims = 8;
constexpr int kThreads = 4, kCallsEach = 60;
const char* const kNames[] = {"a", "b", "c"};

// How often something of a name was made, less how often it was taken away.
class Balance {
 public:
  Balance() {
    for (const char* name : kNames) counts_[name] = 0;
  }
  void Made(const std::string& name, const absl::Status& status) { counts_.at(name) += status.ok() ? 1 : 0; }
  void Gone(const std::string& name, const absl::Status& status) { counts_.at(name) -= status.ok() ? 1 : 0; }
  std::map<std::string, int> counts() const { return {counts_.begin(), counts_.end()}; }

 private:
  std::map<std::string, std::atomic<int>> counts_;
};

std::map<std::string, int> CountsOf(const std::set<std::string>& there) {
  std::map<std::string, int> counts;
  for (const char* name : kNames) counts[name] = there.contains(name) ? 1 : 0;
  return counts;
}

class EngineAdminTest : public ::testing::Test {
 protected:
  EngineAdminTest() : vectors_(RandomVectors(20, kDims, 2)) { Open(); }

  void Open() {
    engine_.reset();
    engine_ = *Engine::Open({.data_dir = directory_.path(), .threads = 2});
  }

  // One call, of any kind, on any name.
  absl::Status Call(std::mt19937_64& random) {
    const std::string name = kNames[random() % 3], alias = absl::StrCat("x", kNames[random() % 3]);
    const std::string version = absl::StrCat("v", 2 + random() % 2);
    absl::Status status;
    switch (random() % 13) {
      case 0:
      case 1:
        status = engine_->CreateCollection(
            {.name = name, .version = "v1", .store_floats = FloatStorage::kFloat32, .shards = 2}, model_);
        collections_.Made(name, status);
        return status;
      case 2:
        status = engine_->DeleteCollection(name);
        collections_.Gone(name, status);
        return status;
      case 3:
        status = engine_->CreateSnapshot(name, name).status();
        snapshots_.Made(name, status);
        return status;
      case 4:
        status = engine_->RestoreSnapshot(name, name, name);
        collections_.Made(name, status);
        return status;
      case 5:
        status = engine_->DeleteSnapshot(name, name);
        snapshots_.Gone(name, status);
        return status;
      case 6:
        status = engine_->SetAlias(alias, name, "");
        aliases_.Made(alias.substr(1), status);
        return status;
      case 7:
        status = engine_->DeleteAlias(alias);
        aliases_.Gone(alias.substr(1), status);
        return status;
      case 8:
        return engine_->AddVersion(name, {.name = version, .same_embeddings_as = "v1"}, other_model_);
      case 9:
        return engine_->StartBackfill(name, version, 0);
      case 10:
        return engine_->PromoteVersion(name, version, "", /*force=*/true);
      case 11:
        return engine_->RetireVersion(name, version);
      default:
        return Write(name);
    }
  }

  absl::Status Write(const std::string& name) {
    UpsertRequest request{.collection = name};
    for (size_t i = 0; i < vectors_.size(); ++i) {
      DocumentInput& document = request.documents.emplace_back();
      document.id = absl::StrCat(i);
      document.embeddings.push_back({.version = "v1", .values = vectors_[i]});
    }
    return UpsertAndWait(*engine_, std::move(request)).status();
  }

  // What is there, in words.
  std::string State() {
    std::string state;
    for (const std::string& name : engine_->ListCollections()) {
      const auto info = engine_->GetCollection(name);
      EXPECT_TRUE(info.ok()) << info.status();
      if (!info.ok()) continue;
      absl::StrAppend(&state, name, " ", info->documents, " ", info->default_version, ":");
      for (const VersionInfo& version : info->versions)
        absl::StrAppend(&state, " ", version.name, version.state == VersionState::kRetired ? " retired" : "");
      absl::StrAppend(&state, "\n");
    }
    for (const Alias& alias : engine_->ListAliases()) absl::StrAppend(&state, alias.name, "=", alias.collection, "\n");
    const auto snapshots = engine_->ListSnapshots("");
    EXPECT_TRUE(snapshots.ok()) << snapshots.status();
    for (const SnapshotInfo& snapshot : *snapshots) absl::StrAppend(&state, "of ", snapshot.collection, "\n");
    return state;
  }

  // That it is what the calls have made of it.
  void Check() {
    std::set<std::string> collections, aliases, snapshots;
    for (const std::string& name : engine_->ListCollections()) collections.insert(name);
    for (const Alias& alias : engine_->ListAliases()) aliases.insert(alias.name.substr(1));
    const auto kept = *engine_->ListSnapshots("");
    for (const SnapshotInfo& snapshot : kept) snapshots.insert(snapshot.collection);
    EXPECT_EQ(collections_.counts(), CountsOf(collections));
    EXPECT_EQ(aliases_.counts(), CountsOf(aliases));
    EXPECT_EQ(snapshots_.counts(), CountsOf(snapshots));
    for (const std::string& name : collections) {
      const auto result = SearchAndWait(*engine_, {.collection = name, .version = "v1", .queries = {vectors_[0]}});
      EXPECT_TRUE(result.ok()) << result.status();
    }
    EXPECT_TRUE(engine_->UnavailableCollections().empty());
    EXPECT_TRUE(engine_->DamagedCollections().empty());
    EXPECT_TRUE(engine_->ReadOnlyCollections().empty());
  }

  const TemporaryDirectory directory_;
  const std::vector<std::vector<float>> vectors_;
  const std::string model_ = RandomModelFile(kDims, *ParseCodeSpec("32x2"), 4, 1);
  const std::string other_model_ = RandomModelFile(kDims, *ParseCodeSpec("16x1"), 4, 3);
  Balance collections_, snapshots_, aliases_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineAdminTest, CallsOfSeveralAtOnceAddUp) {
  for (const uint64_t seed : {1, 2}) {
    std::vector<std::thread> callers;
    std::atomic<int> done{0};
    for (uint64_t t = 0; t < kThreads; ++t) {
      callers.emplace_back([&, t] {
        std::mt19937_64 random(seed * 100 + t);
        for (int i = 0; i < kCallsEach; ++i) {
          const absl::Status status = Call(random);
          // Of what another one has just made, or taken away, or is at.
          EXPECT_TRUE(status.ok() || absl::IsNotFound(status) || absl::IsAlreadyExists(status) ||
                      absl::IsFailedPrecondition(status) || absl::IsAborted(status))
              << status;
          done += status.ok() ? 1 : 0;
        }
      });
    }
    for (std::thread& caller : callers) caller.join();
    EXPECT_GT(done, kThreads * kCallsEach / 20);
    const auto backfilled = [&] {
      for (const std::string& name : engine_->ListCollections()) {
        const auto info = engine_->GetCollection(name);
        if (!info.ok()) return false;
        for (const VersionInfo& version : info->versions)
          if (version.backfill.has_value() && version.backfill->running) return false;
      }
      return true;
    };
    ASSERT_TRUE(Until(backfilled));
    Check();
    const std::string before = State();
    Open();
    EXPECT_EQ(State(), before);
    Check();
    // Nothing of what was dropped or refused is left.
    const std::filesystem::path collections = directory_.path() + "/collections";
    const auto left = std::distance(std::filesystem::directory_iterator(collections), {});
    EXPECT_EQ(static_cast<size_t>(left), engine_->ListCollections().size());
  }
}

}  // namespace
}  // namespace bebr::testing
