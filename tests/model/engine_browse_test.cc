// Pages, counts and facets against a map that had the same writes, with restarts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <random>

#include "absl/strings/str_cat.h"
#include "index/base/clock.h"
#include "index/base/float16.h"
#include "tests/support/engine_calls.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;

struct Entry {
  Attributes attributes;
  std::vector<float> values;
};
using Entries = std::map<std::string, Entry>;
using Accept = bool (*)(const Attributes&);

bool IsRed(const Attributes& attributes) {
  const auto color = attributes.find("color");
  return color != attributes.end() && color->second == AttributeValue("red");
}
bool IsAny(const Attributes&) { return true; }

class EngineBrowseTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kDims = 12;

  void SetUp() override {
    Open();
    const std::string model = RandomModelFile(kDims, *ParseCodeSpec("40x2+8x1"), 2, 1);
    ASSERT_TRUE(
        engine_->CreateCollection({.name = "c", .store_floats = FloatStorage::kFloat16, .shards = 3}, model).ok());
  }
  void Open() {
    engine_.reset();
    engine_ = *Engine::Open({.data_dir = directory_.path(), .threads = 2});
  }
  void Write(size_t count) {
    const auto vectors = RandomVectors(count, kDims, random_());
    UpsertRequest request{.collection = "c"};
    for (size_t i = 0; i < count; ++i) {
      DocumentInput& document = request.documents.emplace_back();
      document.id = absl::StrCat(random_() % 2 == 0 ? "d" : "é\t", random_() % 3000);
      if (random_() % 4 != 0) document.attributes["color"] = std::string(random_() % 3 == 0 ? "red" : "blue");
      if (random_() % 4 != 0) document.attributes["n"] = static_cast<int64_t>(random_() % 9);
      if (random_() % 8 == 0) document.attributes["n"] = 2.0;
      if (random_() % 8 == 0) document.attributes["n"] = random_() % 2 == 0;
      document.embeddings.push_back({.values = vectors[i]});
      Entry entry{document.attributes, vectors[i]};
      for (float& value : entry.values) value = HalfToFloat(FloatToHalf(value));
      entries_[document.id] = std::move(entry);
    }
    ASSERT_TRUE(UpsertAndWait(*engine_, std::move(request)).ok());
    std::vector<std::string> gone;
    for (const auto& [id, entry] : entries_) {
      if (random_() % 20 == 0) gone.push_back(id);
    }
    for (const std::string& id : gone) entries_.erase(id);
    if (gone.empty()) return;
    ASSERT_TRUE(DeleteAndWait(*engine_, "c", gone).ok());
  }
  Entries Accepted(Accept accept) const {
    Entries accepted;
    for (const auto& [id, entry] : entries_) {
      if (accept(entry.attributes)) accepted.emplace(id, entry);
    }
    return accepted;
  }

  void ExpectPages(const std::string& filter, Accept accept, size_t limit) {
    const Entries expected = Accepted(accept);
    auto next = expected.begin();
    PageRequest request{.collection = "c",
                        .filter = filter,
                        .limit = limit,
                        .with_attributes = true,
                        .with_embeddings = true,
                        .with_codes = true,
                        .max_bytes = 20000};
    do {
      const auto page = engine_->Scroll(request);
      ASSERT_TRUE(page.ok()) << page.status();
      ASSERT_LE(page->documents.size(), limit);
      for (const PageDocument& entry : page->documents) {
        ASSERT_NE(next, expected.end());
        ASSERT_EQ(entry.document.id, next->first);
        ASSERT_EQ(entry.document.attributes, next->second.attributes);
        ASSERT_EQ(entry.document.embeddings.at(0).values, next->second.values);
        ASSERT_EQ(entry.codes.size(), 1u);
        ASSERT_EQ(entry.codes[0].version, "v1");
        ASSERT_EQ(entry.codes[0].words.size(), 5u);
        ++next;
      }
      request.after = page->next;
    } while (!request.after.empty());
    EXPECT_EQ(next, expected.end());
    const auto count = engine_->Count({.collection = "c", .filter = filter});
    ASSERT_TRUE(count.ok()) << count.status();
    EXPECT_EQ(count->documents, expected.size());
    EXPECT_TRUE(count->warnings.empty());
  }

  void ExpectFacets(const std::string& filter, Accept accept, const std::string& attribute, size_t limit) {
    const Entries expected = Accepted(accept);
    std::map<AttributeValue, uint64_t> counts;
    uint64_t with = 0;
    for (const auto& [id, entry] : expected) {
      const auto value = entry.attributes.find(attribute);
      if (value == entry.attributes.end()) continue;
      ++counts[value->second];
      ++with;
    }
    std::vector<std::pair<AttributeValue, uint64_t>> sorted(counts.begin(), counts.end());
    std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
    const auto found = engine_->Facets({.collection = "c", .filter = filter, .attribute = attribute, .limit = limit});
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(found->documents, expected.size());
    EXPECT_EQ(found->with_attribute, with);
    EXPECT_EQ(found->values, counts.size());
    ASSERT_EQ(found->facets.size(), std::min(limit, sorted.size()));
    for (size_t i = 0; i < found->facets.size(); ++i) {
      EXPECT_EQ(found->facets[i].value, sorted[i].first) << i;
      EXPECT_EQ(found->facets[i].documents, sorted[i].second) << i;
    }
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
  std::mt19937_64 random_{5};
  Entries entries_;
};

TEST_F(EngineBrowseTest, AgreesWithAMap) {
  ASSERT_NO_FATAL_FAILURE(ExpectPages("", IsAny, 10));
  for (int round = 0; round < 4; ++round) {
    ASSERT_NO_FATAL_FAILURE(Write(1500));
    if (round % 2 == 1) Open();
    for (const size_t limit : {7, 300, 10000}) {
      ASSERT_NO_FATAL_FAILURE(ExpectPages("", IsAny, limit));
      ASSERT_NO_FATAL_FAILURE(ExpectPages("color = \"red\"", IsRed, limit));
      ASSERT_NO_FATAL_FAILURE(ExpectFacets("", IsAny, "n", limit));
      ASSERT_NO_FATAL_FAILURE(ExpectFacets("color = \"red\"", IsRed, "n", limit));
      ASSERT_NO_FATAL_FAILURE(ExpectFacets("", IsAny, "color", limit));
      ASSERT_NO_FATAL_FAILURE(ExpectFacets("", IsAny, "unknown", limit));
    }
  }
}

TEST_F(EngineBrowseTest, WhatNoDocumentHasIsTold) {
  ASSERT_NO_FATAL_FAILURE(Write(100));
  const std::vector<std::string> colour = {"no document has an attribute \"colour\""};
  const std::string filter = "NOT colour = \"red\"";
  EXPECT_EQ(engine_->Count({.collection = "c", .filter = filter})->warnings, colour);
  EXPECT_EQ(engine_->Scroll({.collection = "c", .filter = filter})->warnings, colour);
  EXPECT_EQ(engine_->Facets({.collection = "c", .filter = filter, .attribute = "n"})->warnings, colour);
  EXPECT_EQ(engine_->Facets({.collection = "c", .filter = filter, .attribute = "colour"})->warnings, colour);
  EXPECT_EQ(engine_->Facets({.collection = "c", .attribute = "colour"})->warnings, colour);
  EXPECT_TRUE(engine_->Facets({.collection = "c", .attribute = "n"})->warnings.empty());
  EXPECT_EQ(engine_->Facets({.collection = "c", .attribute = "a`b\\"})->warnings,
            std::vector<std::string>{"no document has an attribute \"a`b\\\""});
  const auto refused = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(engine_->Count({.collection = "c", .filter = filter, .strict = true}).status().code(), refused);
  EXPECT_EQ(engine_->Scroll({.collection = "c", .filter = filter, .strict = true}).status().code(), refused);
  EXPECT_EQ(engine_->Facets({.collection = "c", .attribute = "colour", .strict = true}).status().code(), refused);
  EXPECT_TRUE(engine_->Facets({.collection = "c", .attribute = "n", .strict = true}).ok());
}

TEST_F(EngineBrowseTest, PagesGoOnFromAnyIdWhateverIsWritten) {
  ASSERT_NO_FATAL_FAILURE(Write(1000));
  std::vector<std::string> seen;
  std::vector<std::string> kept;
  for (const auto& [id, entry] : entries_) kept.push_back(id);
  PageRequest request{.collection = "c", .limit = 50};
  do {
    const auto page = engine_->Scroll(request);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const PageDocument& entry : page->documents) seen.push_back(entry.document.id);
    // Replaced, so that it moves in memory; and another one, that comes and goes.
    const std::vector<float> values(kDims, 1.0f);
    UpsertRequest write{.collection = "c"};
    for (const std::string& id : {kept[seen.size() / 2], std::string("passing")}) {
      write.documents.push_back({.id = id, .attributes = {}, .embeddings = {{.values = values}}});
    }
    ASSERT_TRUE(UpsertAndWait(*engine_, std::move(write)).ok());
    ASSERT_TRUE(DeleteAndWait(*engine_, "c", {"passing"}).ok());
    request.after = page->next;
  } while (!request.after.empty());
  EXPECT_EQ(seen, kept);
}

TEST_F(EngineBrowseTest, EndsWhenNobodyWaitsAnyMore) {
  Write(500);
  const auto gone = std::make_shared<std::atomic<bool>>(true);
  const std::string filter = "n >= 0";
  EXPECT_EQ(engine_->Count({.collection = "c", .filter = filter, .cancelled = gone}).status().code(),
            absl::StatusCode::kCancelled);
  EXPECT_EQ(engine_->Count({.collection = "c", .deadline = SteadyNow()}).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(engine_->Scroll({.collection = "c", .filter = filter, .cancelled = gone}).status().code(),
            absl::StatusCode::kCancelled);
  EXPECT_EQ(engine_->Scroll({.collection = "c", .deadline = SteadyNow()}).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(engine_->Facets({.collection = "c", .filter = filter, .attribute = "n", .cancelled = gone}).status().code(),
            absl::StatusCode::kCancelled);
  EXPECT_EQ(engine_->Facets({.collection = "c", .attribute = "n", .deadline = SteadyNow()}).status().code(),
            absl::StatusCode::kDeadlineExceeded);
}

TEST_F(EngineBrowseTest, AsksForMemory) {
  Write(500);
  uint64_t taken = 0, most = uint64_t{1} << 40;
  const auto take = [&](uint64_t bytes) {
    taken += bytes;
    return taken <= most ? absl::OkStatus() : absl::ResourceExhaustedError("too much");
  };
  PageRequest page{.collection = "c", .with_attributes = true, .with_embeddings = true, .take_memory = take};
  const auto all = engine_->Scroll(page);
  ASSERT_TRUE(all.ok());
  EXPECT_GE(taken, all->documents.size() * (sizeof(PageDocument) + kDims * sizeof(float)));
  const FacetRequest facets{.collection = "c", .attribute = "color", .take_memory = take};
  taken = 0;
  ASSERT_TRUE(engine_->Facets(facets).ok());
  EXPECT_GE(taken, 2 * sizeof(AttributeValue));
  taken = 0;
  most = 100;
  EXPECT_EQ(engine_->Scroll(page).status().message(), "too much");
  taken = 0;
  EXPECT_EQ(engine_->Facets(facets).status().message(), "too much");
  // A page that takes too much ends early, and another one begins there.
  page.take_memory = nullptr;
  page.max_bytes = 5000;
  const auto part = engine_->Scroll(page);
  ASSERT_TRUE(part.ok());
  EXPECT_LT(part->documents.size(), all->documents.size());
  EXPECT_EQ(part->next, part->documents.back().document.id);
}

TEST_F(EngineBrowseTest, RefusesWhatIsBeyondTheLimits) {
  EXPECT_THAT(std::string(engine_->Scroll({.collection = "c", .limit = 0}).status().message()),
              HasSubstr("limit is 0"));
  EXPECT_THAT(std::string(engine_->Scroll({.collection = "c", .limit = 10001}).status().message()),
              HasSubstr("limit is 10001"));
  EXPECT_THAT(std::string(engine_->Scroll({.collection = "c", .after = std::string(513, 'x')}).status().message()),
              HasSubstr("page_token has 513 bytes"));
  EXPECT_THAT(std::string(engine_->Count({.collection = "c", .filter = "color ="}).status().message()),
              HasSubstr("filter, position"));
  EXPECT_EQ(engine_->Count({.collection = "nowhere"}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(engine_->Facets({.collection = "c"}).status().message()), HasSubstr("attribute is empty"));
  EXPECT_THAT(std::string(engine_->Facets({.collection = "c", .attribute = "n", .limit = 10001}).status().message()),
              HasSubstr("limit is 10001"));
}

}  // namespace
}  // namespace bebr::testing
