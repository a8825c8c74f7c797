#include "client/cli/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace bebr {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(SetVector, SendsHalfFloatsOnlyWhereNothingIsLost) {
  const float exact[] = {0.5f, -1024.0f, 0.0f};
  v1::Vector vector;
  SetVector(exact, 3, &vector);
  EXPECT_EQ(vector.float16(), std::string("\x00\x38\x00\xe4\x00\x00", 6));
  EXPECT_TRUE(vector.values().empty());

  const float inexact[] = {0.5f, 0.1f, 0.0f};
  v1::Vector floats;
  SetVector(inexact, 3, &floats);
  EXPECT_TRUE(floats.float16().empty());
  EXPECT_THAT(floats.values(), ElementsAre(0.5f, 0.1f, 0.0f));

  const float large[] = {1e10f};  // beyond float16
  v1::Vector beyond;
  SetVector(large, 1, &beyond);
  EXPECT_THAT(beyond.values(), ElementsAre(1e10f));
}

TEST(ToJson, GivesNumbersShortEnumsAndPlainAttributes) {
  v1::Collection collection;
  collection.set_name("c");
  collection.set_store_floats(v1::FLOAT_STORAGE_F16);
  collection.set_documents(uint64_t{1} << 60);
  collection.add_versions()->set_metric(v1::METRIC_INNER_PRODUCT);
  const auto json = ToJson(collection);
  EXPECT_EQ(json["name"], "c");
  EXPECT_EQ(json["store_floats"], "f16");
  EXPECT_EQ(json["documents"], uint64_t{1} << 60);
  EXPECT_EQ(json["versions"][0]["metric"], "inner_product");
  EXPECT_EQ(json["disk_bytes"], 0);
  EXPECT_FALSE(json.contains("memory"));

  v1::Document document;
  (*document.mutable_attributes())["b"].set_bool_value(false);
  (*document.mutable_attributes())["a"].set_string_value("text");
  (*document.mutable_attributes())["n"].set_int_value(-3);
  EXPECT_EQ(ToJson(document)["attributes"].dump(), R"({"a":"text","b":false,"n":-3})");
}

TEST(ToJson, LeavesOutOptionalFieldsThatAreNotSet) {
  v1::SearchOptions options;
  EXPECT_FALSE(ToJson(options).contains("min_score"));
  options.set_min_score(0);
  EXPECT_EQ(ToJson(options)["min_score"], 0);
}

TEST(IdText, IsOneLineThatReadsBack) {
  for (const std::string& id : {std::string("plain"), std::string("caf\xC3\xA9"), std::string("a\nb"),
                                std::string("\x1b[31m"), std::string("\"quoted\""), std::string("a\x7f"),
                                std::string("\xC2\x9B"
                                            "1m")}) {
    const std::string text = IdText(id);
    EXPECT_EQ(text.find_first_of("\n\x1b\x7f"), std::string::npos) << text;
    EXPECT_EQ(text.find("\xC2\x9B"), std::string::npos) << text;
    EXPECT_EQ(*IdFromText(text), id);
  }
  EXPECT_EQ(IdText("plain"), "plain");
  EXPECT_EQ(IdText("a\nb"), "\"a\\nb\"");
  EXPECT_THAT(std::string(IdFromText("\"open").status().message()), HasSubstr("no JSON string"));
  const std::string path = ::testing::TempDir() + "bebr_id_texts.txt";
  std::ofstream(path) << "x\n\"a\\nb\"\n\"open\n";
  EXPECT_THAT(std::string(ReadIdTexts(path).status().message()), HasSubstr("id 3 of"));
  std::filesystem::remove(path);
}

TEST(SameEmbeddings, AreNamedByAnyVersionThatTakesThem) {
  v1::Collection collection;
  collection.add_versions()->set_name("auto-0");
  v1::Version& second = *collection.add_versions();
  second.set_name("auto-1");
  second.set_same_embeddings_as("auto-0");
  collection.add_versions()->set_name("v2");
  EXPECT_EQ(SameEmbeddings(collection, second).size(), 2u);
  EXPECT_TRUE(SameEmbeddings(collection, collection.versions(0)).contains("auto-1"));
  EXPECT_FALSE(SameEmbeddings(collection, collection.versions(2)).contains("auto-0"));
}

TEST(FindVersion, TakesTheDefaultForNoName) {
  v1::Collection collection;
  collection.set_name("c");
  collection.set_default_version("v2");
  collection.add_versions()->set_name("v1");
  collection.add_versions()->set_name("v2");
  EXPECT_EQ(FindVersion(collection, "")->name(), "v2");
  EXPECT_EQ(FindVersion(collection, "v1")->name(), "v1");
  EXPECT_THAT(std::string(FindVersion(collection, "v3").status().message()), HasSubstr("no version \"v3\""));
}

TEST(Command, TakesTheServerFromTheEnvironment) {
  unsetenv("BEBR_SERVER");
  EXPECT_EQ(Command().server, "127.0.0.1:7700");
  setenv("BEBR_SERVER", "localhost:1", 1);
  EXPECT_EQ(Command().server, "localhost:1");
  unsetenv("BEBR_SERVER");
}

TEST(Format, IsForPeople) {
  EXPECT_EQ(WithCommas(0), "0");
  EXPECT_EQ(WithCommas(999), "999");
  EXPECT_EQ(WithCommas(1000), "1,000");
  EXPECT_EQ(WithCommas(1234567), "1,234,567");
  EXPECT_EQ(HumanBytes(12), "12 B");
  EXPECT_EQ(HumanBytes(1500), "1.5 kB");
  EXPECT_EQ(HumanBytes(2500000000), "2.5 GB");
}

}  // namespace
}  // namespace bebr
