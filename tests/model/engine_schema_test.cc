// What a collection's schema says of its attributes: what they become, what is refused, what filters see, what fits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/engine.h"
#include "tests/model/attributes_engine.h"

namespace bebr::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// What the collection under test says: names that are not here may be anything.
const AttributeSchema kSchema = {{"at", {.kind = AttributeKind::kTimestamp}},
                                 {"price", {.kind = AttributeKind::kDouble}},
                                 {"body", {.kind = AttributeKind::kString, .storage = AttributeStorage::kStored}},
                                 {"note", {.kind = AttributeKind::kString, .storage = AttributeStorage::kIndexed}}};

class EngineSchemaTest : public AttributesEngineTest {
 protected:
  EngineSchemaTest() : AttributesEngineTest(kSchema) {}

  Attributes Get(const std::string& id) {
    const auto got = engine_->Get("c", std::vector<std::string>{id}, false);
    return got.ok() && got->size() == 1 ? (*got)[0].attributes : Attributes{{"missing", true}};
  }
};

TEST_F(EngineSchemaTest, StaysWithTheCollection) {
  EXPECT_EQ(engine_->GetCollection("c")->attributes, kSchema);
  Open();
  EXPECT_EQ(engine_->GetCollection("c")->attributes, kSchema);
  ASSERT_TRUE(engine_->CreateSnapshot("c", "s").ok());
  ASSERT_TRUE(engine_->RestoreSnapshot("c", "s", "d").ok());
  EXPECT_EQ(engine_->GetCollection("d")->attributes, kSchema);
}

TEST_F(EngineSchemaTest, MakesValuesWhatItSaysAndRefusesOthers) {
  ASSERT_TRUE(Put({{"a", {{"at", std::string("2026-01-31T13:00:00+01:00")}, {"price", int64_t{2}}}}}).ok());
  const Attributes held = {{"at", *ParseTimestamp("2026-01-31T12:00:00Z")}, {"price", 2.0}};
  EXPECT_EQ(Get("a"), held);
  ASSERT_TRUE(Update({.ids = {"a"}, .change = {.set = {{"price", int64_t{3}}}}}).ok());
  EXPECT_EQ(Get("a").at("price"), AttributeValue(3.0));
  const absl::Status refused = Put({{"b", {{"price", std::string("cheap")}}}});
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("documents[0].attributes[\"price\"] is text"));
  EXPECT_EQ(Update({.ids = {"a"}, .change = {.set = {{"at", std::string("noon")}}}}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Get("a").at("at"), held.at("at"));
}

TEST_F(EngineSchemaTest, SaysWhatFiltersSee) {
  const std::string text(5000, 'x');
  ASSERT_TRUE(Put({{"a", {{"body", std::string("short")}, {"note", text}, {"any", text}}}}).ok());
  for (int opened = 0; opened < 2; ++opened) {
    EXPECT_EQ(Count("note STARTS WITH 'xxx'"), 1u);
    EXPECT_EQ(Count("note = '" + text + "'"), 1u);
    EXPECT_EQ(Count("any STARTS WITH 'xxx'"), 0u);
    EXPECT_EQ(Count("body = 'short'"), 0u);
    EXPECT_EQ(Count("body EXISTS AND any EXISTS"), 1u);
    const auto found = SearchAndWait(*engine_, {.collection = "c", .queries = {query_}, .filter = "body = 'short'"});
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_THAT(found->warnings, ElementsAre(HasSubstr("attribute \"body\" is stored only")));
    const auto facets = engine_->Facets({.collection = "c", .attribute = "body"});
    ASSERT_TRUE(facets.ok()) << facets.status();
    EXPECT_THAT(facets->warnings, ElementsAre(HasSubstr("is stored only; nothing is grouped or counted by it")));
    EXPECT_TRUE(facets->facets.empty());
    EXPECT_THAT(engine_->Facets({.collection = "c", .attribute = "any"})->warnings,
                ElementsAre(HasSubstr("attribute \"any\" is stored only")));
    Open();
  }
}

TEST_F(EngineSchemaTest, ADocumentHasAMegabyte) {
  const std::string text(kMaxAttributesBytes - 4, 'x');
  const uint64_t before = engine_->GetCollection("c")->memory.attributes;
  ASSERT_TRUE(Put({{"a", {{"body", text}}}}).ok());
  Open();
  EXPECT_EQ(Get("a").at("body"), AttributeValue(text));
  EXPECT_LT(engine_->GetCollection("c")->memory.attributes, before + 1000);
  EXPECT_EQ(Put({{"b", {{"body", text + "x"}}}}).code(), absl::StatusCode::kInvalidArgument);
  const absl::Status indexed = Put({{"b", {{"note", std::string(kMaxIndexedAttributesBytes, 'x')}}}});
  EXPECT_EQ(indexed.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(indexed.message()), HasSubstr("bytes that filters compare; the limit is 16384"));
  // An update counts what is there already.
  EXPECT_EQ(Update({.ids = {"a"}, .change = {.set = {{"more", int64_t{1}}}}}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Get("a").at("body"), AttributeValue(text));
}

TEST_F(EngineSchemaTest, UpdatesOfManyLargeDocumentsAreRefusedBeforeTheyTakeMemory) {
  ASSERT_TRUE(engine_->DeleteCollection("c").ok());
  ASSERT_TRUE(
      engine_->CreateCollection({.name = "c", .shards = 1}, RandomModelFile(4, *ParseCodeSpec("32x1"), 1, 1)).ok());
  const std::string text(1'000'000, 'x');
  std::vector<std::string> ids;
  for (int batch = 0; batch < 6; ++batch) {
    std::vector<std::pair<std::string, Attributes>> documents;
    for (int i = 0; i < 12; ++i) {
      ids.push_back(absl::StrCat(batch, "-", i));
      documents.emplace_back(ids.back(), Attributes{{"body", text}});
    }
    ASSERT_TRUE(Put(std::move(documents)).ok());
  }
  const auto all = Update({.ids = ids, .change = {.set = {{"n", int64_t{1}}}}});
  EXPECT_EQ(all.status().code(), absl::StatusCode::kResourceExhausted) << all.status();
  EXPECT_THAT(std::string(all.status().message()), HasSubstr("Update fewer at a time"));
  ids.resize(20);
  EXPECT_TRUE(Update({.ids = ids, .change = {.set = {{"n", int64_t{1}}}}}).ok());
  EXPECT_EQ(Count("n = 1"), 20u);
}

TEST_F(EngineSchemaTest, TypesThatNoDocumentHasAreTold) {
  ASSERT_TRUE(Put({{"a", {{"any", int64_t{1}}, {"tags", AttributeList{"x"}}}}}).ok());
  const auto warnings = [&](const std::string& filter, bool strict) {
    return SearchAndWait(*engine_, {.collection = "c", .queries = {query_}, .filter = filter, .strict = strict});
  };
  EXPECT_THAT(warnings("any < TIMESTAMP '2026-01-01T00:00:00Z'", false)->warnings,
              ElementsAre("no document has an attribute \"any\" of the type of a timestamp; it has numbers: they stand "
                          "without quotes"));
  EXPECT_THAT(
      warnings("any CONTAINS 1", false)->warnings,
      ElementsAre("no document has an attribute \"any\" of the type of a list; it has no lists: compare it by = "
                  "or IN"));
  EXPECT_THAT(
      warnings("tags = 'x'", false)->warnings,
      ElementsAre("no document has an attribute \"tags\" of the type of a text; it has lists: ask what they hold by "
                  "CONTAINS"));
  ASSERT_TRUE(Put({{"b", {{"at", Timestamp{1}}}}}).ok());
  EXPECT_THAT(warnings("at > '2026'", false)->warnings,
              ElementsAre(HasSubstr("it has timestamps: write TIMESTAMP \"2026-01-31T12:00:00Z\"")));
  EXPECT_TRUE(warnings("tags CONTAINS 'y' OR any = 1.5", true).ok());
  EXPECT_EQ(warnings("tags = 'x'", true).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(EngineSchemaTest, OnlyIfNewerByComparesWhatIsInMemory) {
  const auto put = [&](const std::string& by) {
    UpsertRequest request{.collection = "c", .only_if_newer_by = by};
    request.documents.push_back({.id = "a", .attributes = {{by, int64_t{1}}}, .embeddings = {{.values = query_}}});
    return UpsertAndWait(*engine_, std::move(request)).status();
  };
  EXPECT_TRUE(put("any").ok());
  EXPECT_THAT(std::string(put("body").message()), HasSubstr("stored only by the collection's schema"));
}

TEST_F(EngineSchemaTest, WrongSchemasAreRefused) {
  const std::string model = RandomModelFile(4, *ParseCodeSpec("32x1"), 1, 1);
  AttributeSchema schema;
  for (size_t i = 0; i <= kMaxAttributeRules; ++i) schema[absl::StrCat("a", i)] = {.kind = AttributeKind::kInt};
  for (const AttributeSchema& wrong : {schema, AttributeSchema{{"", {}}}, {{std::string(129, 'x'), {}}}}) {
    const absl::Status refused = engine_->CreateCollection({.name = "d", .attributes = wrong}, model);
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << refused;
  }
  EXPECT_THAT(engine_->ListCollections(), ElementsAre("c"));
}

}  // namespace
}  // namespace bebr::testing
