// Writes of all kinds, many on their way at a time, against a plain re-telling of them: conditional and partial upserts
// of two versions, changes of attributes and deletions by id and by filter, with restarts in between.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "index/base/clock.h"
#include "tests/support/engine_calls.h"
#include "tests/support/reference_search.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint32_t kDims[] = {6, 9};
const char* const kNames[] = {"v1", "v2"};

struct TestDocument {
  Attributes attributes;
  std::map<int, std::vector<float>> embeddings;  // by version
};

int64_t NumberOf(const TestDocument& document, const std::string& name) {
  const auto it = document.attributes.find(name);
  const auto* number = it == document.attributes.end() ? nullptr : std::get_if<int64_t>(&it->second);
  return number == nullptr ? -1 : *number;
}

struct TestFilter {
  std::string text;
  std::function<bool(const std::string& id, const TestDocument&)> matches;
};

class EngineWritesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Open();
    ASSERT_TRUE(
        engine_->CreateCollection({.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 3}, models_[0]).ok());
    ASSERT_TRUE(engine_->AddVersion("c", {.name = "v2"}, models_[1]).ok());
  }
  void Open() {
    engine_.reset();
    auto engine = Engine::Open({.data_dir = directory_.path(), .threads = 2});
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }

  // Starts a write; what it says is compared in Settle.
  template <typename Result>
  std::function<void(absl::StatusOr<Result>)> Expecting(std::function<void(const absl::StatusOr<Result>&)> compare) {
    auto outcome = std::make_shared<std::promise<absl::StatusOr<Result>>>();
    waiting_.push_back([outcome, compare] { compare(outcome->get_future().get()); });
    return [outcome](absl::StatusOr<Result> result) { outcome->set_value(std::move(result)); };
  }
  void Settle() {
    for (const auto& wait : waiting_) wait();
    waiting_.clear();
  }

  Attributes RandomAttributes() {
    Attributes attributes = {{"n", static_cast<int64_t>(random_() % 6)},
                             {"clock", static_cast<int64_t>(random_() % 9)}};
    if (random_() % 2 == 0) attributes["word"] = absl::StrCat("w", random_() % 3);
    return attributes;
  }
  std::string RandomId() { return absl::StrCat("d", random_() % 60); }

  void Upsert() {
    UpsertRequest request{.collection = "c", .mode = static_cast<UpsertMode>(random_() % 3)};
    const bool merges = request.mode == UpsertMode::kMerge;
    if (!merges && random_() % 3 == 0) request.only_if_absent = true;
    if (!merges && random_() % 3 == 0) request.only_if_newer_by = "clock";
    request.partial = random_() % 3 == 0;
    std::vector<std::string> unknown, skipped;
    std::vector<size_t> wrong;
    uint64_t created = 0;
    for (size_t i = 0, count = 1 + random_() % 12; i < count; ++i) {
      DocumentInput& input = request.documents.emplace_back();
      input.id = RandomId();
      if (!merges) input.attributes = RandomAttributes();
      std::map<int, std::vector<float>> embeddings;
      for (int v = 0; v < 2; ++v) {
        if (random_() % 2 == 0 && !(v == 1 && embeddings.empty())) continue;
        const auto& vector = vectors_[v][random_() % vectors_[v].size()];
        input.embeddings.push_back({.version = kNames[v], .values = vector});
        embeddings[v] = vector;
      }
      if (request.partial && random_() % 4 == 0) {
        input.embeddings.push_back({.version = random_() % 2 == 0 ? "v1" : "v9", .values = vectors_[1][0]});
        wrong.push_back(i);
        continue;
      }
      const auto old = documents_.find(input.id);
      if (merges && old == documents_.end()) {
        unknown.push_back(input.id);
        continue;
      }
      const bool stale = old != documents_.end() && !request.only_if_newer_by.empty() &&
                         NumberOf(old->second, "clock") >= std::get<int64_t>(input.attributes["clock"]);
      if (old != documents_.end() && (request.only_if_absent || stale)) {
        skipped.push_back(input.id);
        continue;
      }
      created += old == documents_.end() ? 1 : 0;
      TestDocument& document = documents_[input.id];
      if (!merges) document.attributes = input.attributes;
      if (request.mode == UpsertMode::kReplaceAll) document.embeddings.clear();
      for (auto& [v, vector] : embeddings) document.embeddings[v] = vector;
    }
    const size_t count = request.documents.size();
    engine_->Upsert(std::move(request), Expecting<UpsertResult>([=](const absl::StatusOr<UpsertResult>& result) {
                      ASSERT_TRUE(result.ok()) << result.status();
                      EXPECT_THAT(result->unknown_ids, ::testing::UnorderedElementsAreArray(unknown));
                      EXPECT_THAT(result->skipped_ids, ::testing::UnorderedElementsAreArray(skipped));
                      EXPECT_EQ(result->created, created);
                      EXPECT_EQ(result->documents + unknown.size() + skipped.size() + wrong.size(), count);
                      ASSERT_THAT(result->problems, SizeIs(wrong.size()));
                      for (size_t i = 0; i < wrong.size(); ++i) {
                        EXPECT_EQ(result->problems[i].index, wrong[i]);
                        EXPECT_FALSE(result->problems[i].status.ok());
                      }
                    }));
  }

  TestFilter RandomFilter() {
    const int64_t n = static_cast<int64_t>(random_() % 6);
    switch (random_() % 4) {
      case 0:
        return {absl::StrCat("n = ", n, " AND id >= \"d3\""),
                [n](const std::string& id, const TestDocument& d) { return NumberOf(d, "n") == n && id >= "d3"; }};
      case 1:
        return {absl::StrCat("clock < ", n, " AND NOT word EXISTS"), [n](const std::string&, const TestDocument& d) {
                  return NumberOf(d, "clock") >= 0 && NumberOf(d, "clock") < n && !d.attributes.contains("word");
                }};
      case 2:
        return {"id = \"d7\"", [](const std::string& id, const TestDocument&) { return id == "d7"; }};
      default:
        return {absl::StrCat("id >= \"\" AND NOT n >= ", n),
                [n](const std::string&, const TestDocument& d) { return NumberOf(d, "n") < n; }};
    }
  }
  AttributeChange RandomChange() {
    AttributeChange change{.clear = random_() % 4 == 0};
    if (random_() % 3 == 0) change.remove.push_back("word");
    if (random_() % 4 == 0) change.remove.push_back("nothing");
    if (random_() % 2 == 0) change.set["n"] = static_cast<int64_t>(random_() % 6);
    if (random_() % 3 == 0) change.set["clock"] = "not a number";
    if (!change.clear && change.remove.empty()) change.set["extra"] = 0.5;
    return change;
  }
  static void Apply(const AttributeChange& change, TestDocument& document) {
    if (change.clear) document.attributes.clear();
    for (const std::string& name : change.remove) document.attributes.erase(name);
    for (const auto& [name, value] : change.set) document.attributes[name] = value;
  }

  void Update() {
    AttributeUpdate update{.collection = "c", .change = RandomChange()};
    std::vector<std::string> unknown;
    uint64_t changed = 0;
    if (random_() % 2 == 0) {
      for (size_t i = 0, count = 1 + random_() % 10; i < count; ++i) {
        const std::string id = update.ids.emplace_back(RandomId());
        if (!documents_.contains(id)) {
          unknown.push_back(id);
          continue;
        }
        Apply(update.change, documents_[id]);
        ++changed;
      }
    } else {
      const TestFilter filter = RandomFilter();
      update.filter = filter.text;
      for (auto& [id, document] : documents_) {
        if (!filter.matches(id, document)) continue;
        Apply(update.change, document);
        ++changed;
      }
    }
    engine_->UpdateAttributes(std::move(update), Expecting<ChangeResult>([=](const auto& result) {
                                ASSERT_TRUE(result.ok()) << result.status();
                                EXPECT_EQ(result->documents, changed);
                                EXPECT_THAT(result->unknown_ids, ::testing::UnorderedElementsAreArray(unknown));
                              }));
  }

  void Delete() {
    const TestFilter filter = RandomFilter();
    const uint64_t deleted =
        std::erase_if(documents_, [&](const auto& entry) { return filter.matches(entry.first, entry.second); });
    engine_->DeleteByFilter({.collection = "c", .filter = filter.text},
                            Expecting<ChangeResult>([=](const auto& result) {
                              ASSERT_TRUE(result.ok()) << filter.text << " " << result.status();
                              EXPECT_EQ(result->documents, deleted) << filter.text;
                            }));
  }

  void Compare() {
    const auto page =
        engine_->Scroll({.collection = "c", .limit = 100, .with_attributes = true, .with_embeddings = true});
    ASSERT_TRUE(page.ok()) << page.status();
    ASSERT_EQ(page->documents.size(), documents_.size());
    auto next = documents_.begin();
    for (const PageDocument& found : page->documents) {
      EXPECT_EQ(found.document.id, next->first);
      EXPECT_EQ(found.document.attributes, next->second.attributes) << found.document.id;
      std::map<int, std::vector<float>> embeddings;
      for (const StoredEmbedding& one : found.document.embeddings) embeddings[one.version == "v1" ? 0 : 1] = one.values;
      EXPECT_EQ(embeddings, next->second.embeddings) << found.document.id;
      ++next;
    }
    for (int v = 0; v < 2; ++v) {
      ReferenceCollection reference(models_[v]);
      for (const auto& [id, document] : documents_) {
        const auto embedding = document.embeddings.find(v);
        if (embedding != document.embeddings.end()) reference.Upsert(id, embedding->second, {});
      }
      const auto& query = vectors_[v][3];
      const auto result =
          SearchAndWait(*engine_, {.collection = "c", .version = kNames[v], .queries = {query}, .k = 100});
      ASSERT_TRUE(result.ok()) << result.status();
      std::vector<ReferenceCollection::Hit> hits;
      for (const SearchHit& hit : result->hits[0]) hits.push_back({hit.id, hit.score});
      EXPECT_EQ(hits, reference.Search(query, 100)) << kNames[v];
    }
  }

  absl::StatusOr<ChangeResult> UpdateNow(AttributeUpdate update) {
    update.collection = "c";
    std::promise<absl::StatusOr<ChangeResult>> outcome;
    engine_->UpdateAttributes(std::move(update),
                              [&](absl::StatusOr<ChangeResult> r) { outcome.set_value(std::move(r)); });
    return outcome.get_future().get();
  }
  absl::StatusOr<ChangeResult> DeleteNow(const std::string& filter) {
    std::promise<absl::StatusOr<ChangeResult>> outcome;
    engine_->DeleteByFilter({.collection = "c", .filter = filter},
                            [&](absl::StatusOr<ChangeResult> r) { outcome.set_value(std::move(r)); });
    return outcome.get_future().get();
  }
  // Documents "a" and "b", with "n" 1 and 2.
  void PutTwo() {
    UpsertRequest request{.collection = "c"};
    for (int64_t i = 0; i < 2; ++i) {
      request.documents.push_back({.id = i == 0 ? "a" : "b",
                                   .attributes = {{"n", i + 1}},
                                   .embeddings = {{.version = "v1", .values = vectors_[0][i]}}});
    }
    ASSERT_TRUE(UpsertAndWait(*engine_, std::move(request)).ok());
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
  const std::vector<std::string> models_ = {RandomModelFile(kDims[0], *ParseCodeSpec("24x2"), 4, 1),
                                            RandomModelFile(kDims[1], *ParseCodeSpec("40x2"), 4, 2)};
  const std::vector<std::vector<std::vector<float>>> vectors_ = {RandomVectors(40, kDims[0], 3),
                                                                 RandomVectors(40, kDims[1], 4)};
  std::map<std::string, TestDocument> documents_;
  std::vector<std::function<void()>> waiting_;
  std::mt19937_64 random_{5};
};

TEST_F(EngineWritesTest, WhatNobodyWaitsForIsNotSelected) {
  PutTwo();
  const auto gone = std::make_shared<std::atomic<bool>>(true);
  std::promise<absl::StatusOr<ChangeResult>> late, cancelled;
  engine_->DeleteByFilter({.collection = "c", .filter = "n > 0", .deadline = SteadyNow()},
                          [&](absl::StatusOr<ChangeResult> r) { late.set_value(std::move(r)); });
  EXPECT_EQ(late.get_future().get().status().code(), absl::StatusCode::kDeadlineExceeded);
  AttributeUpdate update{.collection = "c", .filter = "n > 0", .change = {.clear = true}, .cancelled = gone};
  engine_->UpdateAttributes(update, [&](absl::StatusOr<ChangeResult> r) { cancelled.set_value(std::move(r)); });
  EXPECT_EQ(cancelled.get_future().get().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(*engine_->Count("c", "n > 0"), 2u);
}

TEST_F(EngineWritesTest, AgreesWithTheModel) {
  // One that no write touches and that has every name the filters know.
  const TestDocument keeper{{{"n", int64_t{100}}, {"clock", int64_t{100}}, {"word", "kept"}}, {{0, vectors_[0][0]}}};
  documents_["keeper"] = keeper;
  ASSERT_TRUE(UpsertAndWait(*engine_, {.collection = "c",
                                       .documents = {{.id = "keeper",
                                                      .attributes = keeper.attributes,
                                                      .embeddings = {{.version = "v1", .values = vectors_[0][0]}}}}})
                  .ok());
  for (int round = 0; round < 60; ++round) {
    // Several on their way: they take effect in the order of the calls.
    for (size_t i = 0, count = 1 + random_() % 8; i < count; ++i) {
      switch (random_() % 8) {
        case 0:
          Delete();
          break;
        case 1:
        case 2:
        case 3:
          Update();
          break;
        default:
          Upsert();
      }
    }
    ASSERT_NO_FATAL_FAILURE(Settle());
    ASSERT_NO_FATAL_FAILURE(Compare()) << "round " << round;
    if (round % 12 == 11) {
      ASSERT_NO_FATAL_FAILURE(Open());
      ASSERT_NO_FATAL_FAILURE(Compare()) << "after the restart of round " << round;
    }
    if (::testing::Test::HasNonfatalFailure()) FAIL() << "in round " << round;
  }
}

TEST_F(EngineWritesTest, AnUpdateThatIsTooMuchForOneDocumentChangesNone) {
  ASSERT_NO_FATAL_FAILURE(PutTwo());
  AttributeChange much;
  for (size_t i = 0; i < kMaxAttributes; ++i) much.set[absl::StrCat("name", i)] = true;
  // "b" has room for all of them, and "a" has not.
  ASSERT_TRUE(UpdateNow({.ids = {"b"}, .change = {.clear = true}}).ok());
  const auto refused = UpdateNow({.ids = {"b", "a"}, .change = much});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument) << refused.status();
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("document \"a\" with the change has 65 attributes"));
  // And what is on its way beside it is written all the same.
  std::promise<absl::StatusOr<ChangeResult>> first, second;
  engine_->UpdateAttributes({.collection = "c", .ids = {"b", "a"}, .change = much},
                            [&](absl::StatusOr<ChangeResult> r) { first.set_value(std::move(r)); });
  engine_->UpdateAttributes({.collection = "c", .ids = {"a", "x"}, .change = {.set = {{"n", int64_t{7}}}}},
                            [&](absl::StatusOr<ChangeResult> r) { second.set_value(std::move(r)); });
  EXPECT_FALSE(first.get_future().get().ok());
  const auto written = second.get_future().get();
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(written->documents, 1u);
  EXPECT_THAT(written->unknown_ids, ElementsAre("x"));
  for (int opened = 0; opened < 2; ++opened) {
    const auto got = engine_->Get("c", {"a", "b"}, false);
    ASSERT_TRUE(got.ok() && got->size() == 2) << got.status();
    EXPECT_EQ((*got)[0].attributes, (Attributes{{"n", int64_t{7}}}));
    EXPECT_THAT((*got)[1].attributes, IsEmpty());
    ASSERT_NO_FATAL_FAILURE(Open());
  }
}

TEST_F(EngineWritesTest, ASlipInAFilterWritesNothing) {
  ASSERT_NO_FATAL_FAILURE(PutTwo());
  const auto slipped = DeleteNow("NOT m = 1");
  EXPECT_EQ(slipped.status().code(), absl::StatusCode::kInvalidArgument) << slipped.status();
  EXPECT_THAT(std::string(slipped.status().message()), HasSubstr("it matches 2 documents all the same"));
  EXPECT_EQ(engine_->GetCollection("c")->documents, 2u);
  const auto none = DeleteNow("m = 1");
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_EQ(none->documents, 0u);
  EXPECT_THAT(none->warnings, SizeIs(1));
  for (const std::string filter : {"", "n ="}) {
    EXPECT_EQ(DeleteNow(filter).status().code(), absl::StatusCode::kInvalidArgument) << filter;
    EXPECT_EQ(UpdateNow({.filter = filter, .change = {.clear = true}}).status().code(),
              absl::StatusCode::kInvalidArgument)
        << filter;
  }
  EXPECT_EQ(UpdateNow({.ids = {"a"}}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(UpdateNow({.ids = {"a"}, .filter = "n = 1", .change = {.clear = true}}).status().code(),
            absl::StatusCode::kInvalidArgument);
  const AttributeChange twice{.remove = {"n"}, .set = {{"n", true}}};
  EXPECT_EQ(UpdateNow({.ids = {"a"}, .change = twice}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(EngineWritesTest, WhatWasMadeForAnotherModelIsRefused) {
  ASSERT_NO_FATAL_FAILURE(PutTwo());
  // v3 takes the embeddings of v1: what is made for one of them is for both, also when v1 is retired.
  const std::string model = RandomModelFile(kDims[0], *ParseCodeSpec("24x2"), 4, 9);
  ASSERT_TRUE(engine_->AddVersion("c", {.name = "v3", .same_embeddings_as = "v1"}, model).ok());
  const auto info = engine_->GetCollection("c");
  const uint32_t v1 = info->versions[0].model_checksum, v2 = info->versions[1].model_checksum,
                 v3 = info->versions[2].model_checksum;
  const auto search = [&](uint32_t checksum) {
    return SearchAndWait(*engine_, {.collection = "c", .model_checksum = checksum, .queries = {vectors_[0][0]}})
        .status();
  };
  const auto write = [&](uint32_t checksum) {
    UpsertRequest request{.collection = "c", .model_checksum = checksum};
    request.documents.push_back({.id = "a", .embeddings = {{.values = vectors_[0][5]}}});
    return UpsertAndWait(*engine_, std::move(request)).status();
  };
  const auto promote = [&](const std::string& version) {
    return engine_->PromoteVersion("c", version, "", /*force=*/true);
  };
  for (const std::string version : {"v1", "v3"}) {
    ASSERT_TRUE(promote(version).ok());
    for (const uint32_t checksum : {uint32_t{0}, v1, v3}) {
      EXPECT_TRUE(search(checksum).ok()) << search(checksum);
      EXPECT_TRUE(write(checksum).ok()) << write(checksum);
    }
    EXPECT_EQ(search(v2).code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(write(v2).code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(search(v2).message()), HasSubstr(absl::StrCat("model_checksum is ", v2)));
  }
  ASSERT_TRUE(UpsertAndWait(*engine_,
                            {.collection = "c", .documents = {{.id = "b", .embeddings = {{.values = vectors_[0][5]}}}}})
                  .ok());
  ASSERT_TRUE(engine_->RetireVersion("c", "v1").ok());
  EXPECT_TRUE(search(v1).ok()) << search(v1);
}

}  // namespace
}  // namespace bebr::testing
