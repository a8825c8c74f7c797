// What attributes may cost: names are bounded, and what no document says any more takes no memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/engine.h"
#include "index/segment/attribute_columns.h"
#include "index/shard/shard_set.h"
#include "tests/model/attributes_engine.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;

class EngineAttributesTest : public AttributesEngineTest {
 protected:
  EngineAttributesTest() : AttributesEngineTest({}) {}

  // Documents "0", "1" and so on that have the names `begin` to `end` between them.
  absl::Status PutNames(size_t begin, size_t end) {
    std::vector<std::pair<std::string, Attributes>> documents;
    for (size_t i = begin; i < end; ++i) {
      const std::string id = absl::StrCat(i / kMaxAttributes);
      if (documents.empty() || documents.back().first != id) documents.emplace_back(id, Attributes());
      documents.back().second[absl::StrCat("name", i)] = static_cast<int64_t>(i);
    }
    return Put(std::move(documents));
  }
  uint64_t attribute_bytes() const { return engine_->GetCollection("c")->memory.attributes; }
};

// A text with a length around that from which on texts are stored only.
std::string RandomText(std::mt19937_64& random) {
  static constexpr size_t kLengths[] = {0, 1, 2, 255, 256, 257, 2000};
  return std::string(kLengths[random() % std::size(kLengths)], static_cast<char>('a' + random() % 3));
}

// What a filter makes of the text of a document: nothing, where it is stored only.
size_t CountOf(const std::map<std::string, Attributes>& documents,
               const std::function<bool(const std::string& text)>& condition) {
  size_t count = 0;
  for (const auto& [id, attributes] : documents) {
    const auto it = attributes.find("t");
    const auto* text = it == attributes.end() ? nullptr : std::get_if<std::string>(&it->second);
    count += text != nullptr && text->size() <= kMaxIndexedTextBytes && condition(*text) ? 1 : 0;
  }
  return count;
}

TEST_F(EngineAttributesTest, TextsOfAnyLengthAgreeWithAPlainEvaluation) {
  std::mt19937_64 random(5);
  std::map<std::string, Attributes> documents;
  for (int step = 0; step < 30; ++step) {
    std::vector<std::pair<std::string, Attributes>> put;
    for (int i = 0; i < 40; ++i) {
      Attributes attributes;
      if (random() % 4 != 0) attributes["t"] = random() % 8 == 0 ? AttributeValue(int64_t{1}) : RandomText(random);
      put.emplace_back(absl::StrCat("d", random() % 150), std::move(attributes));
    }
    for (const auto& [id, attributes] : put) documents[id] = attributes;
    ASSERT_TRUE(Put(std::move(put)).ok());
    std::vector<std::string> gone;
    for (int i = 0; i < 10; ++i) gone.push_back(absl::StrCat("d", random() % 150));
    for (const std::string& id : gone) documents.erase(id);
    ASSERT_TRUE(DeleteAndWait(*engine_, "c", gone).ok());
    const std::string changed = RandomText(random);
    if (!documents.empty()) {
      documents.begin()->second["t"] = changed;
      ASSERT_TRUE(
          Update({.collection = "c", .ids = {documents.begin()->first}, .change = {.set = {{"t", changed}}}}).ok());
    }
    if (step % 7 == 6) Open();

    std::vector<std::string> ids;
    size_t with_text = 0;
    for (const auto& [id, attributes] : documents) {
      ids.push_back(id);
      with_text += attributes.contains("t") ? 1 : 0;
    }
    const auto got = engine_->Get("c", ids, false);
    ASSERT_TRUE(got.ok() && got->size() == ids.size()) << got.status();
    for (const Document& document : *got) EXPECT_EQ(document.attributes, documents[document.id]) << document.id;
    const std::string literal = RandomText(random);
    const auto quoted = [](const std::string& text) { return absl::StrCat("\"", text, "\""); };
    EXPECT_EQ(*engine_->Count("c", "t EXISTS"), with_text);
    EXPECT_EQ(*engine_->Count("c", "t = " + quoted(literal)),
              CountOf(documents, [&](const std::string& text) { return text == literal; }));
    const size_t others = CountOf(documents, [&](const std::string& text) { return text != literal; });
    EXPECT_EQ(*engine_->Count("c", "t != " + quoted(literal)), others);
    EXPECT_EQ(*engine_->Count("c", "NOT t != " + quoted(literal)), documents.size() - others);
    EXPECT_EQ(*engine_->Count("c", "t STARTS WITH \"b\""),
              CountOf(documents, [](const std::string& text) { return text.starts_with("b"); }));
    EXPECT_EQ(*engine_->Count("c", "t BETWEEN \"b\" AND " + quoted("c" + literal)),
              CountOf(documents, [&](const std::string& text) { return text >= "b" && text <= "c" + literal; }));
    EXPECT_EQ(engine_->Facets({.collection = "c", .attribute = "t"})->with_attribute, with_text);
  }
}

TEST_F(EngineAttributesTest, WritesByFilterPassOverLongTexts) {
  const std::string text(300, 'x');
  ASSERT_TRUE(Put({{"a", {{"t", text}}}, {"b", {{"t", std::string("short")}}}}).ok());
  EXPECT_TRUE(Update({.collection = "c", .filter = "t = \"short\"", .change = {.set = {{"n", int64_t{1}}}}}).ok());
  EXPECT_EQ(*engine_->Count("c", "n = 1"), 1u);
  // Where there are only long texts the condition cannot be meant.
  ASSERT_TRUE(Put({{"c", {{"u", text}}}}).ok());
  EXPECT_FALSE(Update({.collection = "c", .filter = "NOT u = \"x\"", .change = {.clear = true}}).ok());
  EXPECT_EQ(*engine_->Count("c", "u EXISTS"), 1u);
}

TEST_F(EngineAttributesTest, LongTextsTakeNoMemory) {
  std::vector<std::pair<std::string, Attributes>> documents;
  for (size_t i = 0; i < 3000; ++i) {
    const std::string text = absl::StrCat("text ", i, std::string(i % 2 == 0 ? 2048 : 240, 'x'));
    documents.emplace_back(absl::StrCat("d", i), Attributes{{"text", text}, {"n", static_cast<int64_t>(i)}});
  }
  ASSERT_TRUE(Put(documents).ok());
  for (int opened = 0; opened < 2; ++opened) {
    const auto estimate = engine_->EstimateMemory("c", 30'000, 16);
    ASSERT_TRUE(estimate.ok()) << estimate.status();
    EXPECT_NEAR(static_cast<double>(estimate->attributes), 10.0 * static_cast<double>(attribute_bytes()), 30'000);
    EXPECT_GT(estimate->total, estimate->attributes + estimate->codes);
    EXPECT_LT(attribute_bytes(), 1500 * 330 + 3000 * 18 + 200'000);  // the short half of them; all would be 3.4 MB
    const auto got = engine_->Get("c", std::vector<std::string>{"d0", "d1"}, false);
    ASSERT_TRUE(got.ok() && got->size() == 2) << got.status();
    EXPECT_EQ((*got)[0].attributes, documents[0].second);
    EXPECT_EQ((*got)[1].attributes, documents[1].second);
    EXPECT_EQ(*engine_->Count("c", "text EXISTS"), 3000u);
    EXPECT_EQ(*engine_->Count("c", "text STARTS WITH \"text\""), 1500u);
    EXPECT_EQ(*engine_->Count("c", "text != \"a\" AND n < 10"), 5u);
    const std::string first =
        absl::StrCat("text 1", std::string(240, 'x'));  // looked up in a list of 1,000 rows and more
    EXPECT_EQ(*engine_->Count("c", absl::StrCat("text = \"", first, "\"")), 1u);
    const auto facets = engine_->Facets({.collection = "c", .attribute = "text"});
    ASSERT_TRUE(facets.ok()) << facets.status();
    EXPECT_EQ(facets->with_attribute, 3000u);
    EXPECT_EQ(facets->values, 1500u);
    const auto found = SearchAndWait(
        *engine_, {.collection = "c", .queries = {query_}, .filter = "text >= \"\"", .with_attributes = true});
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_THAT(found->warnings, ::testing::ElementsAre(HasSubstr("more than 256 bytes")));
    Open();
  }
}

TEST_F(EngineAttributesTest, NamesAreBounded) {
  ASSERT_TRUE(PutNames(0, 960).ok());
  ASSERT_TRUE(Put({{"more", {{"name5", true}, {"other", 1.5}}}}).ok());
  const absl::Status refused = PutNames(960, 1024);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("documents[0].attributes[\"name"));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("the limit is 1000"));
  EXPECT_EQ(engine_->GetCollection("c")->documents, 16u);
  EXPECT_TRUE(Put({{"more", {{"name7", true}}}}).ok());  // a known one
  Open();
  EXPECT_EQ(PutNames(960, 1024).code(), absl::StatusCode::kResourceExhausted);
  std::vector<std::string> ids;
  for (int i = 0; i < 15; ++i) ids.push_back(absl::StrCat(i));
  ASSERT_TRUE(DeleteAndWait(*engine_, "c", ids).ok());
  ASSERT_TRUE(DeleteAndWait(*engine_, "c", {"more"}).ok());
  EXPECT_TRUE(PutNames(960, 1024).ok());
}

// They are few among documents that stay, so that no segment is rewritten for what they say.
TEST_F(EngineAttributesTest, NamesOfDeletedDocumentsMakeRoom) {
  const uint64_t least = ShardSet::LeastLayoutDocuments().exchange(0);
  std::vector<std::pair<std::string, Attributes>> stay;
  for (int i = 0; i < 5000; ++i) stay.emplace_back(absl::StrCat("d", i), Attributes{{"stays", absl::StrCat("t", i)}});
  ASSERT_TRUE(Put(std::move(stay)).ok());
  const uint64_t bytes = attribute_bytes();
  for (size_t round = 0; round < 6; ++round) {
    const size_t begin = round * 960;
    if (round == 4) Open();  // by layout files, with deleted rows in them
    ASSERT_TRUE(PutNames(begin, begin + 960).ok()) << round;
    EXPECT_GT(attribute_bytes(), bytes * 2);
    EXPECT_EQ(PutNames(10'000, 10'064).code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(Count(absl::StrCat("name", begin + 7, " = ", begin + 7)), 1u);
    std::vector<std::string> ids;
    for (size_t i = begin / kMaxAttributes; i < (begin + 960) / kMaxAttributes; ++i) ids.push_back(absl::StrCat(i));
    if (round % 3 == 0) {
      ASSERT_TRUE(DeleteAndWait(*engine_, "c", ids).ok());
    } else if (round % 3 == 1) {
      ASSERT_TRUE(Update({.ids = ids, .change = {.clear = true}}).ok());
    } else {
      for (const std::string& id : ids) ASSERT_TRUE(Put({{id, {}}}).ok());
    }
    EXPECT_LT(attribute_bytes(), bytes * 2);
    EXPECT_EQ(Count("stays EXISTS"), 5000u);
  }
  ShardSet::LeastLayoutDocuments() = least;
}

TEST_F(EngineAttributesTest, ManyNamesInOneRequestCostNoMoreThanThatManyColumns) {
  ASSERT_TRUE(PutNames(0, 1000).ok());
  const auto found =
      SearchAndWait(*engine_, {.collection = "c", .queries = {query_}, .k = 5, .filter = "name999 = 999 OR name3 = 3"});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->hits[0].size(), 2u);
}

TEST_F(EngineAttributesTest, TextsOfReplacedAndDeletedDocumentsAreFreed) {
  constexpr size_t kTextBytes = 200, kDocuments = 4000;
  const auto put = [&](char fill) {
    std::vector<std::pair<std::string, Attributes>> documents;
    for (size_t i = 0; i < kDocuments; ++i) {
      documents.emplace_back(absl::StrCat(i), Attributes{{"text", absl::StrCat(i, std::string(kTextBytes, fill))}});
    }
    ASSERT_TRUE(Put(std::move(documents)).ok());
  };
  put('a');
  EXPECT_GE(attribute_bytes(), kDocuments * kTextBytes);
  for (char fill = 'b'; fill <= 'z'; ++fill) put(fill);
  // At most a fifth more, and the megabyte of each shard that is not worth the work.
  EXPECT_LT(attribute_bytes(), kDocuments * kTextBytes * 6 / 5 + (2 << 20) + (200 << 10));
  const auto found =
      SearchAndWait(*engine_, {.collection = "c",
                               .queries = {query_},
                               .k = 5,
                               .filter = absl::StrCat("text >= \"17", std::string(100, 'z'), "\" AND text < \"18\"")});
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_EQ(found->hits[0].size(), 1u);
  EXPECT_EQ(found->hits[0][0].id, "17");
  std::vector<std::string> ids;
  for (size_t i = 0; i < kDocuments; ++i) ids.push_back(absl::StrCat(i));
  ASSERT_TRUE(DeleteAndWait(*engine_, "c", ids).ok());
  EXPECT_LT(attribute_bytes(), 100u << 10);
}

// Each tenant's search finds the tenant's documents and no other, whatever was written, deleted, moved by reclaiming or
// loaded again; the indexes that it looks in are counted.
TEST_F(EngineAttributesTest, TenantsFindTheirOwnDocuments) {
  constexpr size_t kTenants = 150, kDocuments = 9000;
  std::mt19937_64 random(5);
  std::map<std::string, Attributes> model;
  const auto put = [&](size_t count) {
    std::vector<std::pair<std::string, Attributes>> documents;
    for (const size_t first = random() % kDocuments; count > 0; --count) {
      Attributes attributes = {{"tenant", absl::StrCat("t", random() % kTenants)},
                               {"time", static_cast<int64_t>(random() % 1000)}};
      if (random() % 3 == 0) attributes.erase("time");
      documents.emplace_back(absl::StrCat((first + count) % kDocuments), std::move(attributes));
      model[documents.back().first] = documents.back().second;
    }
    ASSERT_TRUE(Put(std::move(documents)).ok());
  };
  const auto check = [&](const std::string& filter, const std::function<bool(const std::string&, int64_t)>& accept) {
    std::vector<std::string> expected, found;
    for (const auto& [id, attributes] : model) {
      const auto time = attributes.find("time");
      const int64_t at = time == attributes.end() ? -1 : std::get<int64_t>(time->second);
      if (accept(std::get<std::string>(attributes.at("tenant")), at)) expected.push_back(id);
    }
    const auto result = SearchAndWait(*engine_, {.collection = "c", .queries = {query_}, .k = 10000, .filter = filter});
    ASSERT_TRUE(result.ok()) << result.status();
    for (const SearchHit& hit : result->hits[0]) found.push_back(hit.id);  // of equal scores: by id
    EXPECT_EQ(found, expected) << filter;
    EXPECT_LT(result->documents_scanned, model.size() / 2);
  };
  for (int step = 0; step < 40; ++step) {
    put(step == 0 ? kDocuments - 1 : 1 + random() % 900);
    if (step % 3 == 1) {
      std::vector<std::string> ids;
      for (const size_t first = random() % kDocuments; ids.size() < 500;)
        ids.push_back(absl::StrCat((first + ids.size()) % kDocuments));
      ASSERT_TRUE(DeleteAndWait(*engine_, "c", ids).ok());
      for (const std::string& id : ids) model.erase(id);
    }
    if (step % 8 == 7) Open();
    const std::string t = absl::StrCat("t", random() % kTenants), u = absl::StrCat("t", random() % kTenants);
    const auto from = static_cast<int64_t>(random() % 1000);
    check(absl::StrCat("tenant = '", t, "'"), [&](const std::string& tenant, int64_t) { return tenant == t; });
    check(absl::StrCat("tenant IN ('", t, "', 'nobody', '", u, "') AND NOT time < ", from),
          [&](const std::string& tenant, int64_t time) {
            return (tenant == t || tenant == u) && !(time >= 0 && time < from);
          });
    check(absl::StrCat("time >= ", from, " AND time < ", from + 5),
          [&](const std::string&, int64_t time) { return time >= from && time < from + 5; });
  }
  const uint64_t before = attribute_bytes();
  check("tenant = 't1'", [](const std::string& tenant, int64_t) { return tenant == "t1"; });
  Open();
  EXPECT_LT(attribute_bytes(), before);
}

}  // namespace
}  // namespace bebr::testing
