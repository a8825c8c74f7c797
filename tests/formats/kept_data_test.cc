// Every data directory under tests/testdata, written by a release of the past, opens with this build and holds what it
// held then: collections, versions, documents, attributes, embeddings, answers, aliases, and what its snapshot
// restores.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/formats/observe.h"
#include "tests/support/engine_calls.h"

namespace bebr::testing {
namespace {

using nlohmann::json;
using ::testing::StartsWith;
namespace fs = std::filesystem;

std::vector<std::string> KeptFormats() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(BEBR_TESTDATA_DIR)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("format-")) names.push_back(name.substr(7));
  }
  std::sort(names.begin(), names.end());
  return names;
}

// Everything in `expected` is in `actual`, which may say more: later builds do. Floats agree to 1e-5.
void ExpectHolds(const json& expected, const json& actual, const std::string& where) {
  if (expected.is_number_float() && actual.is_number()) {
    const double value = expected.get<double>();
    EXPECT_NEAR(actual.get<double>(), value, 1e-5 * std::max(1.0, std::fabs(value))) << where;
  } else if (expected.is_object() && actual.is_object()) {
    for (const auto& [key, value] : expected.items()) {
      if (actual.contains(key)) {
        ExpectHolds(value, actual[key], absl::StrCat(where, ".", key));
      } else {
        ADD_FAILURE() << where << " has no " << key;
      }
    }
  } else if (expected.is_array() && actual.is_array()) {
    ASSERT_EQ(actual.size(), expected.size()) << where;
    for (size_t i = 0; i < expected.size(); ++i) ExpectHolds(expected[i], actual[i], absl::StrCat(where, "[", i, "]"));
  } else {
    EXPECT_EQ(actual, expected) << where;
  }
}

json ReadJson(const fs::path& path) {
  std::ifstream file(path);
  return json::parse(file);
}

json RequestsOf(const json& collection) {
  json requests = json::array();
  for (const json& search : collection.at("searches")) requests.push_back(search.at("request"));
  return requests;
}

class KeptDataTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const std::string kept = absl::StrCat(BEBR_TESTDATA_DIR, "/format-", GetParam());
    fs::copy(kept + "/data", data_dir_, fs::copy_options::recursive);
    std::ifstream file(kept + "/expected.json");
    expected_ = json::parse(file);
    ASSERT_NO_FATAL_FAILURE(Open());
  }

  void Open() {
    engine_.reset();
    auto engine = Engine::Open({.data_dir = data_dir_, .threads = 2});
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }

  void ExpectCollection(const std::string& name, json expected) {
    const auto ids = expected_.at("ids").at(expected.at("name").get<std::string>()).get<std::vector<std::string>>();
    expected["name"] = name;
    ASSERT_FALSE(expected.at("documents").empty());
    ASSERT_FALSE(expected.at("searches").empty());
    ExpectHolds(expected, ObserveCollection(*engine_, name, ids, RequestsOf(expected)), name);
  }

  void ExpectEverything() {
    EXPECT_EQ(engine_->ListCollections().size(), expected_.at("collections").size());
    for (const json& collection : expected_.at("collections")) ExpectCollection(collection.at("name"), collection);
    EXPECT_EQ(ObserveAliases(*engine_), expected_.at("aliases"));
    ExpectHolds(expected_.at("snapshots"), ObserveSnapshots(*engine_), "snapshots");
  }

  TemporaryDirectory directory_;
  const std::string data_dir_ = directory_.path() + "/data";
  json expected_;
  std::unique_ptr<Engine> engine_;
};

TEST_P(KeptDataTest, HoldsWhatItHeld) {
  ExpectEverything();
  ASSERT_NO_FATAL_FAILURE(Open());  // and again after this build has had it
  ExpectEverything();
}

// What earlier releases wrote has no identity (index/catalog/FORMAT.md) and gets one, which it keeps; also where a
// crash came between store and manifest.
TEST_P(KeptDataTest, GetsAnIdentity) {
  const fs::path collections = data_dir_ + "/collections";
  std::map<fs::path, json> before;
  for (const auto& entry : fs::directory_iterator(collections)) {
    const fs::path path = entry.path() / "manifest.json";
    before[path] = ReadJson(path);
    EXPECT_THAT(before[path].at("identity").get<std::string>(), StartsWith(entry.path().filename().string() + "/"));
  }
  EXPECT_EQ(before.size(), expected_.at("collections").size());
  engine_.reset();
  for (auto& [path, manifest] : before) {
    const fs::path kept = fs::path(BEBR_TESTDATA_DIR) / ("format-" + GetParam()) / "data/collections" /
                          path.parent_path().filename() / "manifest.json";
    if (ReadJson(kept).at("format") != 1) fs::copy_file(kept, path, fs::copy_options::overwrite_existing);
  }
  ASSERT_NO_FATAL_FAILURE(Open());
  ExpectEverything();
  for (const auto& [path, manifest] : before) EXPECT_EQ(ReadJson(path).at("identity"), manifest.at("identity"));
}

TEST_P(KeptDataTest, ItsSnapshotIsRestored) {
  const json& snapshot = expected_.at("snapshots").at(0);
  const absl::Status status = engine_->RestoreSnapshot(snapshot.at("collection").get<std::string>(),
                                                       snapshot.at("name").get<std::string>(), "restored");
  ASSERT_TRUE(status.ok()) << status;
  json expected = expected_.at("at_snapshot");
  expected.at("info").erase("created_unix_us");  // the restored collection's own
  ExpectCollection("restored", expected);
}

TEST_P(KeptDataTest, TakesWrites) {
  const json& collection = expected_.at("collections").at(0);
  const std::string name = collection.at("name");
  const json request = RequestsOf(collection).at(0);
  const auto query = request.at("query").get<std::vector<float>>();
  const std::string version = request.at("version");
  UpsertRequest write{.collection = name};
  write.documents.push_back({.id = "fresh", .embeddings = {{.version = version, .values = query}}});
  ASSERT_TRUE(UpsertAndWait(*engine_, std::move(write)).ok());
  ASSERT_NO_FATAL_FAILURE(Open());
  const auto result = SearchAndWait(*engine_, {.collection = name, .version = version, .queries = {query}, .k = 1});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->hits[0].at(0).id, "fresh");
}

INSTANTIATE_TEST_SUITE_P(Formats, KeptDataTest, ::testing::ValuesIn(KeptFormats()),
                         [](const auto& test) { return "Format" + test.param; });

}  // namespace
}  // namespace bebr::testing
