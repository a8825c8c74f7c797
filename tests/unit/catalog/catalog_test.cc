#include "index/catalog/catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "index/base/file.h"
#include "index/catalog/checked_json.h"
#include "index/storage/collection_store.h"
#include "index/storage/files.h"
#include "index/storage/store_files.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_models.h"

namespace bebr {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using testing::RandomModelFile;
namespace fs = std::filesystem;

// Version 0 of 4 floats into space 0, version 1 of 5 floats into the same, version 2 of 4 floats into space 1.
std::vector<std::string> ModelFiles() {
  return {RandomModelFile(4, *ParseCodeSpec("8x2"), 2, 1), RandomModelFile(5, *ParseCodeSpec("8x2"), 2, 2),
          RandomModelFile(4, *ParseCodeSpec("16x1"), 2, 3)};
}

CollectionManifest FirstVersion(const std::string& name) {
  CollectionManifest manifest;
  manifest.name = name;
  manifest.created_unix_us = 1700000000123456;
  manifest.store_floats = FloatStorage::kFloat16;
  manifest.shards = 2;
  manifest.default_version = "v1";
  manifest.spaces.push_back({0, *ParseCodeSpec("8x2")});
  manifest.next_space = 1;
  manifest.versions.push_back({.number = 0, .name = "v1", .space = 0});
  return manifest;
}

CollectionManifest ThreeVersions(const std::string& name) {
  CollectionManifest manifest = FirstVersion(name);
  manifest.expected_documents = 1000;
  manifest.previous_default = "v2";
  manifest.spaces.push_back({1, *ParseCodeSpec("16x1")});
  manifest.next_space = 2;
  manifest.versions.push_back({.number = 1, .name = "v2", .space = 0, .embedding = 1});
  manifest.versions.push_back(
      {.number = 2, .name = "v3", .space = 1, .embedding = 0, .backfilling = true, .backfill_documents_per_s = 7});
  manifest.versions[1].check = VersionCheck{.checked_unix_us = 5,
                                            .against = "v1",
                                            .queries = 20,
                                            .k = 10,
                                            .recall = 0.75,
                                            .against_recall = 0.5,
                                            .overlap = 0.25,
                                            .documents = 3,
                                            .against_documents = 4};
  return manifest;
}

absl::Status NoStore(const std::string&) { return absl::OkStatus(); }

class CatalogTest : public ::testing::Test {
 protected:
  void SetUp() override { Open(); }
  void Open() {
    auto catalog = Catalog::Open(directory_.path());
    ASSERT_TRUE(catalog.ok()) << catalog.status();
    catalog_ = *std::move(catalog);
  }
  // A store in a collection's directory, as far as a catalog looks at it: without records.
  static void MakeStore(const fs::path& directory) {
    const std::string store = StorePath(directory);
    ASSERT_TRUE(CreateDirectories(store).ok());
    for (const char* name : {"MANIFEST-000001", "000002.log"})
      ASSERT_TRUE(WriteFileAtomically(store + "/" + name, "").ok());
    ASSERT_TRUE(WriteFileAtomically(store + "/CURRENT", "MANIFEST-000001\n").ok());
    ASSERT_TRUE((StoreFileList{.manifest = 1, .logs = {{2, 0}}}).Write(store).ok());
  }
  // The collection "c" of three versions, made as a server would.
  void CreateThreeVersions() {
    ASSERT_TRUE(catalog_->Create(FirstVersion("c"), models_[0], NoStore).ok());
    CollectionManifest manifest = ThreeVersions("c");
    const Version third = manifest.versions[2];
    manifest.versions.pop_back();
    ASSERT_TRUE(catalog_->Update(manifest, manifest, models_[1]).ok());
    manifest.versions.push_back(third);
    ASSERT_TRUE(catalog_->Update(manifest, manifest, models_[2]).ok());
  }
  std::string ManifestPath() const { return catalog_->CollectionPath("c") + "/manifest.json"; }
  json Manifest() const { return json::parse(*ReadFile(ManifestPath())); }
  absl::Status ReadChanged(const std::function<void(json&)>& change) const {
    const std::string before = *ReadFile(ManifestPath());
    json changed = json::parse(before);
    changed.erase("crc32c");
    change(changed);
    const std::string text = changed.is_object() ? WriteCheckedJson(changed) : changed.dump();
    EXPECT_TRUE(WriteFileAtomically(ManifestPath(), text).ok());
    const absl::Status status = ReadManifest(catalog_->CollectionPath("c")).status();
    EXPECT_TRUE(WriteFileAtomically(ManifestPath(), before).ok());
    return status;
  }

  testing::TemporaryDirectory directory_;
  std::unique_ptr<Catalog> catalog_;
  const std::vector<std::string> models_ = ModelFiles();
};

TEST_F(CatalogTest, ReadsWhatItWrote) {
  CreateThreeVersions();
  Open();
  EXPECT_THAT(*catalog_->Names(), ElementsAre("c"));
  const auto manifest = catalog_->Load("c");
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  const CollectionManifest& read = *manifest;
  const CollectionManifest written = ThreeVersions("c");
  EXPECT_EQ(read.name, "c");
  EXPECT_EQ(read.created_unix_us, written.created_unix_us);
  EXPECT_EQ(read.store_floats, FloatStorage::kFloat16);
  EXPECT_EQ(read.shards, 2u);
  EXPECT_EQ(read.expected_documents, 1000u);
  EXPECT_EQ(read.default_version, "v1");
  EXPECT_EQ(read.previous_default, "v2");
  EXPECT_EQ(read.next_space, 2u);
  ASSERT_EQ(read.spaces.size(), 2u);
  EXPECT_EQ(read.spaces[1].number, 1u);
  EXPECT_EQ(read.spaces[1].spec, *ParseCodeSpec("16x1"));
  ASSERT_EQ(read.versions.size(), 3u);
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(read.versions[i].number, i);
    EXPECT_EQ(read.versions[i].name, written.versions[i].name);
    EXPECT_EQ(read.versions[i].space, written.versions[i].space);
    EXPECT_EQ(read.versions[i].embedding, written.versions[i].embedding);
    EXPECT_EQ(read.versions[i].binarizer->input_dims(), i == 1 ? 5u : 4u);
  }
  EXPECT_TRUE(read.versions[2].backfilling);
  EXPECT_EQ(read.versions[2].backfill_documents_per_s, 7u);
  ASSERT_TRUE(read.versions[1].check.has_value());
  EXPECT_EQ(read.versions[1].check->against, "v1");
  EXPECT_EQ(read.versions[1].check->recall, 0.75);
  EXPECT_EQ(read.versions[1].check->against_documents, 4u);
}

// The keys of index/catalog/FORMAT.md.
TEST_F(CatalogTest, WritesTheDocumentedFiles) {
  CreateThreeVersions();
  const json manifest = Manifest();
  EXPECT_EQ(manifest.at("format"), 2);
  EXPECT_EQ(manifest.at("store_floats"), "f16");
  EXPECT_EQ(manifest.at("spaces").at(0), json::parse(R"({"number":0,"bands":[{"dims":8,"levels":2,"weight":1.0}]})"));
  EXPECT_EQ(manifest.at("versions").at(0),
            json::parse(R"({"number":0,"name":"v1","space":0,"embedding":0,"retired":false})"));
  EXPECT_EQ(manifest.at("versions").at(2).at("backfill"), json::parse(R"({"documents_per_s":7})"));
  EXPECT_EQ(*ReadFile(catalog_->CollectionPath("c") + "/models/2.safetensors"), models_[2]);
  // The worked example.
  ASSERT_TRUE(catalog_->SaveAliases({{"live", "c"}}).ok());
  EXPECT_EQ(json::parse(*ReadFile(directory_.path() + "/aliases.json")),
            json::parse(R"({"format":1,"aliases":{"live":"c"},"generation":1,"crc32c":"82898ba3"})"));
  EXPECT_EQ(json::parse(*ReadFile(directory_.path() + "/catalog.json")),
            json::parse(R"({"format":1,"aliases_generation":1,"collections":["c"],"crc32c":"628e3295"})"));
}

TEST_F(CatalogTest, ASchemaHasAFormatThatEarlierServersRefuse) {
  CollectionManifest first = FirstVersion("c");
  first.attributes = {{"at", {.kind = AttributeKind::kTimestamp}}, {"body", {.storage = AttributeStorage::kStored}}};
  ASSERT_TRUE(catalog_->Create(first, models_[0], NoStore).ok());
  EXPECT_EQ(Manifest().at("format"), 3);
  EXPECT_EQ(Manifest().at("attributes"), json::parse(R"({"at":{"kind":5,"storage":0},"body":{"kind":0,"storage":2}})"));
  EXPECT_EQ(catalog_->Load("c")->attributes, first.attributes);
  for (const char* wrong : {R"({"a":{"kind":6,"storage":0}})", R"({"a":{"kind":0,"storage":3}})", R"({"a":{}})",
                            R"({"":{"kind":0,"storage":0}})", R"({"a":1})"}) {
    const absl::Status status = ReadChanged([&](json& m) { m["attributes"] = json::parse(wrong); });
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << wrong;
  }
}

TEST_F(CatalogTest, ReadsManifestsOfEarlierServers) {
  CreateThreeVersions();
  json manifest = Manifest();
  manifest["format"] = 1;
  manifest.erase("crc32c");
  manifest.erase("expected_documents");
  manifest.erase("previous_default");
  for (json& version : manifest["versions"]) version.erase("embedding");
  ASSERT_TRUE(WriteFileAtomically(ManifestPath(), manifest.dump()).ok());
  const auto read = ReadManifest(catalog_->CollectionPath("c"));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->expected_documents, 0u);
  EXPECT_EQ(read->previous_default, "");
  EXPECT_EQ(read->versions[2].embedding, 2u);
}

TEST_F(CatalogTest, KeepsWhatItIsToldOfBinarizersOfItsOwn) {
  CollectionManifest manifest = FirstVersion("c");
  manifest.default_rerank = 75;
  manifest.auto_record = AutoRecord{.config = {.dims = 4, .recall = 0.9, .metric = Metric::kInnerProduct},
                                    .keeps_floats = false,
                                    .measures_rerank = false,
                                    .version = "v1",
                                    .candidate = "auto-2",
                                    .outgoing = "auto-1",
                                    .final = true,
                                    .dropping_floats = true,
                                    .fitted_documents = 2000,
                                    .fitted_rows = 1600,
                                    .measured_documents = 2100,
                                    .recall = 0.75,
                                    .recall_goal = 0.5,
                                    .fits = 3,
                                    .promotions = 2,
                                    .events = {{5, "because"}, {-6, "so"}}};
  ASSERT_TRUE(catalog_->Create(manifest, models_[0], NoStore).ok());
  const auto read = ReadManifest(catalog_->CollectionPath("c"));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->default_rerank, 75u);
  EXPECT_FALSE(read->KeepsFloats());
  const AutoRecord& record = *read->auto_record;
  EXPECT_EQ(record.config.dims, 4u);
  EXPECT_EQ(record.config.recall, 0.9);
  EXPECT_EQ(record.config.metric, Metric::kInnerProduct);
  EXPECT_FALSE(record.measures_rerank);
  EXPECT_EQ(record.version + record.candidate + record.outgoing, "v1auto-2auto-1");
  EXPECT_TRUE(record.final && record.dropping_floats);
  EXPECT_EQ(record.fitted_documents + record.fitted_rows + record.measured_documents, 5700u);
  EXPECT_EQ(record.recall + record.recall_goal, 1.25);
  EXPECT_EQ(record.fits + record.promotions, 5u);
  ASSERT_EQ(record.events.size(), 2u);
  EXPECT_EQ(record.events[1].unix_us, -6);
  EXPECT_EQ(record.events[0].text, "because");
  for (const auto& change : std::vector<std::function<void(json&)>>{
           [](json& m) { m["default_rerank"] = 10001; }, [](json& m) { m["auto_binarizer"]["dims"] = 1; },
           [](json& m) { m["auto_binarizer"]["bits"] = 33; }, [](json& m) { m["auto_binarizer"]["recall"] = 1; },
           [](json& m) { m["auto_binarizer"]["fits"] = -1; }, [](json& m) { m["auto_binarizer"].erase("events"); }}) {
    EXPECT_EQ(ReadChanged(change).code(), absl::StatusCode::kDataLoss);
  }
}

TEST_F(CatalogTest, RefusesManifestsThatDoNotHoldTogether) {
  CreateThreeVersions();
  ASSERT_TRUE(ReadChanged([](json&) {}).ok());
  const std::vector<std::pair<const char*, std::function<void(json&)>>> changes = {
      {"name", [](json& m) { m["name"] = "../c"; }},
      {"shards", [](json& m) { m["shards"] = 0; }},
      {"shards", [](json& m) { m["shards"] = 257; }},
      {"shards", [](json& m) { m["shards"] = -1; }},
      {"shards", [](json& m) { m["shards"] = 2.5; }},
      {"shards", [](json& m) { m["shards"] = uint64_t{1} << 32; }},
      {"shards", [](json& m) { m.erase("shards"); }},
      {"expected_documents", [](json& m) { m["expected_documents"] = ~uint64_t{0}; }},
      {"store_floats", [](json& m) { m["store_floats"] = "f64"; }},
      {"default_version", [](json& m) { m["default_version"] = "v9"; }},
      {"next_space", [](json& m) { m["next_space"] = 1; }},
      {"next_space", [](json& m) { m["next_space"] = 4; }},
      {"space", [](json& m) { m["spaces"].erase(1); }},
      {"space", [](json& m) { m["spaces"][1]["number"] = 0; }},
      {"space", [](json& m) { m["versions"][2]["space"] = 0; }},  // its code is of another shape
      {"weight", [](json& m) { m["spaces"][0]["bands"][0]["weight"] = -1; }},
      {"number", [](json& m) { m["versions"][1]["number"] = 2; }},
      {"name", [](json& m) { m["versions"][1]["name"] = ""; }},
      {"v1", [](json& m) { m["versions"][1]["name"] = "v1"; }},
      {"embedding", [](json& m) { m["versions"][1]["embedding"] = 2; }},
      {"embedding", [](json& m) { m["versions"][1]["embedding"] = 0; }},  // of another length
      {"versions", [](json& m) { m["versions"] = json::array(); }},
      {"versions", [](json& m) { m["versions"] = 3; }},
      {"retired", [](json& m) { m["versions"][0]["retired"] = true; }},  // the default
  };
  for (const auto& [word, change] : changes) {
    const absl::Status status = ReadChanged(change);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << word << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(catalog_->CollectionPath("c"))) << word;
  }
  EXPECT_EQ(ReadChanged([](json& m) { m["format"] = 4; }).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(ReadChanged([](json& m) { m["format"] = json::parse("[[[[1]]]]"); }).ok());
  EXPECT_EQ(ReadChanged([](json& m) { m = json::array(); }).code(), absl::StatusCode::kDataLoss);
}

// Of a model that has gone, and of the binarizers to come: there is no model file that says it too.
TEST_F(CatalogTest, AMetricOfAnUnknownNameIsDataLoss) {
  CollectionManifest manifest = FirstVersion("c");
  manifest.auto_record = AutoRecord{.config = {.dims = 4, .recall = 0.9}, .version = "v1"};
  ASSERT_TRUE(catalog_->Create(manifest, models_[0], NoStore).ok());
  manifest.versions.push_back(
      {.number = 1, .name = "v2", .embedding = 1, .retired = true, .was = ModelDescription{.input_dims = 4}});
  ASSERT_TRUE(WriteManifest(catalog_->CollectionPath("c"), manifest, /*synced=*/false).ok());
  for (const char* place : {"/versions/1/was/metric", "/auto_binarizer/metric"}) {
    const json::json_pointer metric(place);
    const auto read = [&](const json& name) { return ReadChanged([&](json& m) { m.at(metric) = name; }); };
    EXPECT_TRUE(read("inner_product").ok()) << read("inner_product");
    EXPECT_EQ(read("euclidean").code(), absl::StatusCode::kDataLoss) << place;
    EXPECT_THAT(std::string(read("euclidean").message()), HasSubstr(ManifestPath()));
    EXPECT_THAT(std::string(read("euclidean").message()), HasSubstr("metric is 'euclidean'"));
    EXPECT_EQ(read(1).code(), absl::StatusCode::kDataLoss) << place;
  }
}

TEST_F(CatalogTest, ADamagedModelIsNamed) {
  CreateThreeVersions();
  const std::string path = catalog_->CollectionPath("c") + "/models/1.safetensors";
  ASSERT_TRUE(WriteFileAtomically(path, models_[1].substr(0, models_[1].size() / 2)).ok());
  const absl::Status damaged = catalog_->Load("c").status();
  EXPECT_EQ(damaged.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(damaged.message()), HasSubstr(path));
  ASSERT_TRUE(RemoveAll(path).ok());
  const absl::Status missing = catalog_->Load("c").status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(missing.message()), HasSubstr(path));
}

TEST_F(CatalogTest, AnotherModelOfTheSameShapeIsNamed) {
  CreateThreeVersions();
  ASSERT_TRUE(catalog_->Update(*catalog_->Load("c"), *catalog_->Load("c"), "").ok());  // with the models' checksums
  ASSERT_TRUE(catalog_->Load("c").ok());
  const std::string path = catalog_->CollectionPath("c") + "/models/0.safetensors";
  ASSERT_TRUE(WriteFileAtomically(path, RandomModelFile(4, *ParseCodeSpec("8x2"), 2, 9)).ok());
  const absl::Status swapped = catalog_->Load("c").status();
  EXPECT_EQ(swapped.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(swapped.message()), HasSubstr(path));
}

TEST_F(CatalogTest, ARetiredVersionGivesItsModelBack) {
  CreateThreeVersions();
  CollectionManifest manifest = ThreeVersions("c");
  manifest.versions[2].retired = true;
  manifest.spaces.pop_back();
  ASSERT_TRUE(catalog_->Update(manifest, manifest, "").ok());
  EXPECT_FALSE(*FileExists(catalog_->CollectionPath("c") + "/models/2.safetensors"));
  const auto read = ReadManifest(catalog_->CollectionPath("c"));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->versions[2].binarizer, nullptr);
  EXPECT_EQ(read->FindVersion("v3").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(CatalogTest, FindsVersionsAndSpaces) {
  CreateThreeVersions();
  const CollectionManifest manifest = *ReadManifest(catalog_->CollectionPath("c"));
  EXPECT_EQ((*manifest.FindVersion(""))->name, "v1");
  EXPECT_EQ((*manifest.FindVersion("v3"))->number, 2u);
  EXPECT_THAT(std::string(manifest.FindVersion("v4").status().message()), HasSubstr("it has: v1, v2, v3"));
  EXPECT_EQ(manifest.VersionByNumber(1)->name, "v2");
  EXPECT_EQ(manifest.VersionByNumber(3), nullptr);
  ASSERT_EQ(manifest.VersionsOfEmbedding(0).size(), 2u);
  EXPECT_EQ(manifest.VersionsOfEmbedding(0)[1]->name, "v3");
  EXPECT_EQ(manifest.FindSpace(1)->spec, *ParseCodeSpec("16x1"));
  EXPECT_EQ(manifest.FindSpace(2), nullptr);
}

TEST_F(CatalogTest, RemovesWhatACrashLeft) {
  CreateThreeVersions();
  for (const char* name : {".creating-d", ".deleted-e"}) {
    fs::create_directories(directory_.path() + "/collections/" + name + "/models");
  }
  Open();
  EXPECT_THAT(*ListDirectories(directory_.path() + "/collections"), ElementsAre("c"));
  EXPECT_TRUE(catalog_->Load("c").ok());
}

TEST_F(CatalogTest, AManifestThatSaysSomethingElseThanWasWrittenIsDataLoss) {
  CreateThreeVersions();
  const std::string written = *ReadFile(ManifestPath());
  const json before = json::parse(written);
  for (const auto& [key, value] : before.items()) {
    json changed = before;
    changed.erase(key);
    ASSERT_TRUE(WriteFileAtomically(ManifestPath(), changed.dump()).ok());
    EXPECT_EQ(catalog_->Load("c").status().code(), absl::StatusCode::kDataLoss) << key;
  }
  for (size_t at = 0; at < written.size(); at += 7) {
    std::string changed = written;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    ASSERT_TRUE(WriteFileAtomically(ManifestPath(), changed).ok());
    const absl::Status status = catalog_->Load("c").status();
    if (status.ok()) continue;  // space between words
    EXPECT_THAT(std::string(status.message()), HasSubstr(ManifestPath()));
  }
  json laid_out_anew = before;
  ASSERT_TRUE(WriteFileAtomically(ManifestPath(), laid_out_anew.dump()).ok());
  EXPECT_TRUE(catalog_->Load("c").ok());
}

TEST_F(CatalogTest, ADirectoryIsNotUsedTwice) {
  CreateThreeVersions();
  const std::string first = catalog_->CollectionPath("c");
  ASSERT_TRUE(catalog_->Remove("c").ok());
  ASSERT_TRUE(catalog_->Create(FirstVersion("c"), models_[0], NoStore).ok());
  const std::string second = catalog_->CollectionPath("c");
  EXPECT_NE(second, first);
  Open();  // another process: it finds what there is
  EXPECT_THAT(*catalog_->Names(), ElementsAre("c"));
  EXPECT_EQ(catalog_->CollectionPath("c"), second);
  EXPECT_TRUE(catalog_->Load("c").ok());
}

TEST_F(CatalogTest, ARemovedCollectionIsGone) {
  CreateThreeVersions();
  EXPECT_FALSE(catalog_->Create(FirstVersion("c"), models_[0], NoStore).ok());  // there is one
  ASSERT_TRUE(catalog_->Remove("c").ok());
  EXPECT_THAT(*catalog_->Names(), IsEmpty());
  EXPECT_THAT(*ListDirectories(directory_.path() + "/collections"), IsEmpty());
  EXPECT_TRUE(catalog_->Create(FirstVersion("c"), models_[0], NoStore).ok());
}

TEST_F(CatalogTest, ADirectoryUnderAnotherNameIsNoCollection) {
  CreateThreeVersions();
  fs::rename(catalog_->CollectionPath("c"), catalog_->CollectionPath("d"));
  const absl::Status status = catalog_->Load("d").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr(catalog_->CollectionPath("d")));
}

TEST_F(CatalogTest, ARestoredCollectionHasItsNewName) {
  CreateThreeVersions();
  CollectionManifest manifest = ThreeVersions("restored");
  ASSERT_TRUE(catalog_->Restore(manifest, catalog_->CollectionPath("c"), NoStore).ok());
  EXPECT_THAT(*catalog_->Names(), ElementsAre("c", "restored"));
  const auto restored = catalog_->Load("restored");
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(restored->name, "restored");
}

TEST_F(CatalogTest, AMissingCollectionIsNotForgotten) {
  const std::string aside = directory_.path() + "/aside";
  for (const char* name : {"c", "d", "e"}) {
    ASSERT_TRUE(catalog_->Create(FirstVersion(name), models_[0], NoStore).ok());
  }
  fs::rename(catalog_->CollectionPath("d"), aside);
  Open();
  EXPECT_THAT(*catalog_->Names(), ElementsAre("c", "e"));
  EXPECT_THAT(catalog_->Missing(), ElementsAre("d"));
  const absl::Status missing = catalog_->Load("d").status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kDataLoss) << missing;
  EXPECT_THAT(std::string(missing.message()), HasSubstr(catalog_->CollectionPath("d") + " is missing"));
  // An empty directory, as a disk leaves that is not mounted, is no collection; one that is back is, under any number.
  fs::create_directory(catalog_->CollectionPath("d"));
  EXPECT_EQ(catalog_->Load("d").status().code(), absl::StatusCode::kDataLoss);
  MakeStore(aside);
  fs::rename(aside, catalog_->CollectionPath("d") + "+2");
  EXPECT_THAT(std::string(catalog_->Load("d").status().message()), HasSubstr("d+2 is back"));
  EXPECT_EQ(catalog_->Load("d")->name, "d");  // as it was seen before
  EXPECT_THAT(catalog_->Missing(), ElementsAre("d"));
  catalog_->NoteOpened("d", absl::OkStatus());
  EXPECT_THAT(catalog_->Missing(), IsEmpty());
  EXPECT_EQ(catalog_->CollectionPath("d"), directory_.path() + "/collections/d+2");
  fs::remove_all(catalog_->CollectionPath("c"));
  fs::remove_all(catalog_->CollectionPath("d"));
  Open();
  EXPECT_THAT(*catalog_->Names(), ElementsAre("e"));
  EXPECT_THAT(catalog_->Missing(), ElementsAre("c", "d"));
  EXPECT_TRUE(catalog_->Remove("c").ok());  // as an operator drops it
  Open();
  EXPECT_THAT(*catalog_->Names(), ElementsAre("e"));
  EXPECT_THAT(catalog_->Missing(), ElementsAre("d"));
}

// Another one of the name, in its place, is told and not taken, until the own one is back.
TEST_F(CatalogTest, AnotherCollectionOfTheNameIsNotTaken) {
  CollectionManifest own = FirstVersion("c"), other = own;
  own.mark = StoreMark{.identity = "c/1"};
  other.mark = StoreMark{.identity = "c/2"};
  ASSERT_TRUE(catalog_->Create(own, models_[0], NoStore).ok());
  const json list = json::parse(*ReadFile(directory_.path() + "/catalog.json"));
  EXPECT_EQ(list.at("identities"), json::parse(R"({"c":"c/1"})"));
  const fs::path path = catalog_->CollectionPath("c"), aside = directory_.path() + "/aside";
  MakeStore(path);
  fs::copy(path, aside, fs::copy_options::recursive);
  ASSERT_TRUE(WriteManifest(path, other).ok());
  Open();
  EXPECT_THAT(*catalog_->Names(), ElementsAre("c"));
  for (int look = 0; look < 2; ++look) {
    const absl::Status status = catalog_->Load("c").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("\"c/2\"; catalog.json lists \"c/1\""));
    EXPECT_THAT(std::string(status.message()), HasSubstr(path.string()));
  }
  fs::rename(path, directory_.path() + "/other");
  EXPECT_THAT(std::string(catalog_->Load("c").status().message()), HasSubstr("is missing"));
  fs::rename(aside, path);
  EXPECT_THAT(std::string(catalog_->Load("c").status().message()), HasSubstr("is back"));
  EXPECT_TRUE(catalog_->Load("c").ok()) << catalog_->Load("c").status();
  catalog_->NoteOpened("c", absl::OkStatus());
  // What the message says of one that is to be served instead.
  fs::remove_all(path);
  ASSERT_TRUE(catalog_->Remove("c").ok());
  fs::rename(directory_.path() + "/other", path);
  Open();
  EXPECT_THAT(*catalog_->Names(), ElementsAre("c"));
  EXPECT_TRUE(catalog_->Load("c").ok());
}

// Lists and manifests of earlier servers have none, and a name that was dropped is free for another one.
TEST_F(CatalogTest, IdentitiesThatAreNotKnownAreNotCompared) {
  const auto listed = [&] {
    const json list = json::parse(*ReadFile(directory_.path() + "/catalog.json"));
    return list.contains("identities") ? list.at("identities").dump() : "none";
  };
  CollectionManifest manifest = FirstVersion("c");
  ASSERT_TRUE(catalog_->Create(manifest, models_[0], NoStore).ok());
  EXPECT_EQ(listed(), "none");
  manifest.mark = StoreMark{.identity = "c/1"};
  ASSERT_TRUE(WriteManifest(catalog_->CollectionPath("c"), manifest).ok());  // as when it is opened
  Open();
  EXPECT_THAT(*catalog_->Names(), ElementsAre("c"));
  EXPECT_TRUE(catalog_->Load("c").ok());
  const auto opened = [&](const std::string& name, const std::string& identity) {
    CollectionManifest told = FirstVersion(name);
    told.mark = StoreMark{.identity = identity};
    catalog_->NoteIdentity(told);
    catalog_->SaveIdentities();
  };
  opened("c", "c/1");
  opened("unlisted", "unlisted/1");
  EXPECT_EQ(listed(), R"({"c":"c/1"})");
  manifest.mark.reset();
  ASSERT_TRUE(WriteManifest(catalog_->CollectionPath("c"), manifest).ok());
  EXPECT_TRUE(catalog_->Load("c").ok());
  opened("c", "c/2");
  EXPECT_EQ(listed(), R"({"c":"c/2"})");
  ASSERT_TRUE(catalog_->Remove("c").ok());
  EXPECT_EQ(listed(), "none");
  manifest.mark = StoreMark{.identity = "c/3"};
  ASSERT_TRUE(catalog_->Create(manifest, models_[0], NoStore).ok());
  EXPECT_EQ(listed(), R"({"c":"c/3"})");
  EXPECT_TRUE(catalog_->Load("c").ok());
}

// A directory that is copied back is not taken before all of it is there, and then it is.
TEST_F(CatalogTest, AHalfCopiedDirectoryIsNotTaken) {
  ASSERT_TRUE(catalog_->Create(FirstVersion("c"), models_[0], NoStore).ok());
  const fs::path path = catalog_->CollectionPath("c"), aside = directory_.path() + "/aside";
  MakeStore(path);
  fs::rename(path, aside);
  Open();
  EXPECT_THAT(*catalog_->Names(), IsEmpty());
  const auto refused = [&](const std::string& why) {
    const absl::Status status = catalog_->Load("c").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(why));
    EXPECT_THAT(catalog_->Missing(), ElementsAre("c"));
  };
  refused("is missing");
  // A copy that stops for long looks finished: what is not there is told, again and again.
  fs::create_directories(path);
  for (const auto& [file, why] : {std::pair("manifest.json", "0.safetensors"), std::pair("models", "c/shard-000/FILES"),
                                  std::pair("shard-000", "")}) {
    fs::copy(aside / file, path / file, fs::copy_options::recursive);
    if (file == std::string("shard-000")) {
      fs::remove(path / "shard-000/FILES");
      refused("is back");
      refused("without " + (path / "shard-000/FILES").string());
      fs::copy(aside / "shard-000/FILES", path / "shard-000/FILES");
      fs::remove(path / "shard-000/000002.log");
      refused("is back");
      refused("000002.log is missing");
      fs::copy(aside / "shard-000/000002.log", path / "shard-000/000002.log");
    }
    refused("is back");
    if (*why == 0) break;
    refused(why);
    refused(why);
  }
  EXPECT_TRUE(catalog_->Load("c").ok());
  // While it cannot be opened it is missing, and is not tried again as it is; a reason that may pass is.
  catalog_->NoteOpened("c", absl::UnavailableError("the disk"));
  EXPECT_TRUE(catalog_->Load("c").ok());
  catalog_->NoteOpened("c", absl::DataLossError("a table file is missing"));
  refused("a table file is missing");
  std::ofstream(path / "shard-000/000007.sst") << "x";
  refused("is back");
  EXPECT_TRUE(catalog_->Load("c").ok());
  catalog_->NoteOpened("c", absl::OkStatus());
  EXPECT_THAT(catalog_->Missing(), IsEmpty());
}

// One that somebody put aside under a name that a start passes over.
TEST_F(CatalogTest, OneThatAStartPassesOverIsNotTakenLater) {
  ASSERT_TRUE(catalog_->Create(FirstVersion("c"), models_[0], NoStore).ok());
  const std::string path = catalog_->CollectionPath("c");
  MakeStore(path);
  fs::rename(path, path + "+old");
  Open();
  EXPECT_THAT(*catalog_->Names(), IsEmpty());
  for (int look = 0; look < 3; ++look) {
    EXPECT_THAT(std::string(catalog_->Load("c").status().message()), HasSubstr(path + " is missing"));
  }
}

// An error of the disk says nothing of what stands in catalog.json, so it stays as it is, and is read later.
TEST_F(CatalogTest, AListThatCannotBeReadIsKept) {
  const std::string list = directory_.path() + "/catalog.json", aside = directory_.path() + "/aside";
  for (const char* name : {"c", "d", "e"}) {
    ASSERT_TRUE(catalog_->Create(FirstVersion(name), models_[0], NoStore).ok());
  }
  ASSERT_TRUE(catalog_->SaveAliases({{"a", "d"}}).ok());
  fs::remove_all(catalog_->CollectionPath("d"));
  fs::rename(list, aside);
  fs::create_symlink(list, list);  // nobody can look at it, root included
  Open();
  EXPECT_THAT(*catalog_->Names(), ElementsAre("c", "e"));
  EXPECT_THAT(catalog_->Missing(), IsEmpty());
  EXPECT_FALSE(catalog_->LoadAliases().ok());
  ASSERT_TRUE(catalog_->Create(FirstVersion("f"), models_[0], NoStore).ok());
  ASSERT_TRUE(catalog_->Remove("e").ok());
  catalog_->ReadRecordAgain();
  EXPECT_FALSE(catalog_->LoadAliases().ok());
  ASSERT_TRUE(fs::is_symlink(list));
  fs::rename(aside, list);
  catalog_->ReadRecordAgain();
  EXPECT_THAT(catalog_->Missing(), ElementsAre("d"));  // and not "e", which was dropped meanwhile
  EXPECT_THAT(*catalog_->LoadAliases(), ElementsAre(Pair("a", "d")));
  EXPECT_EQ(json::parse(*ReadFile(list)).at("collections"), json({"c", "d", "f"}));
}

// Whose drop failed is there as before, whatever else is written later.
TEST_F(CatalogTest, AFailedDropOfAMissingCollectionIsNone) {
  const std::string list = directory_.path() + "/catalog.json";
  ASSERT_TRUE(catalog_->Create(FirstVersion("c"), models_[0], NoStore).ok());
  fs::remove_all(catalog_->CollectionPath("c"));
  Open();
  EXPECT_THAT(*catalog_->Names(), IsEmpty());
  fs::create_directory(list + ".tmp");  // where it is written first
  EXPECT_FALSE(catalog_->Remove("c").ok());
  fs::remove(list + ".tmp");
  ASSERT_TRUE(catalog_->Create(FirstVersion("d"), models_[0], NoStore).ok());
  EXPECT_EQ(json::parse(*ReadFile(list)).at("collections"), json({"c", "d"}));
  EXPECT_THAT(catalog_->Missing(), ElementsAre("c"));
}

// What a crash may leave of a creation or a drop is no missing collection, and no forgotten one.
TEST_F(CatalogTest, NoCrashMakesAMissingCollection) {
  const std::string root = directory_.path() + "/collections/", list = directory_.path() + "/catalog.json";
  ASSERT_TRUE(catalog_->Create(FirstVersion("c"), models_[0], NoStore).ok());
  const std::string with_c = *ReadFile(list);
  ASSERT_TRUE(catalog_->Create(FirstVersion("d"), models_[0], NoStore).ok());
  const std::string with_both = *ReadFile(list);
  // Created, and not listed yet.
  ASSERT_TRUE(WriteFileAtomically(list, with_c).ok());
  Open();
  EXPECT_THAT(*catalog_->Names(), ElementsAre("c", "d"));
  EXPECT_EQ(*ReadFile(list), with_both);
  // Dropped, and listed still.
  fs::rename(root + "d", root + ".deleted-d");
  Open();
  EXPECT_THAT(*catalog_->Names(), ElementsAre("c"));
  EXPECT_THAT(catalog_->Missing(), IsEmpty());
  EXPECT_EQ(*ReadFile(list), with_c);
  EXPECT_FALSE(fs::exists(root + ".deleted-d"));
  // Dropped while the list could not be written, and made anew.
  fs::create_directory(root + ".deleted-c");
  fs::rename(root + "c", root + "c+2");
  Open();
  EXPECT_THAT(*catalog_->Names(), ElementsAre("c"));
  EXPECT_EQ(*ReadFile(list), with_c);
}

// Files of earlier servers, or none that can be read, say nothing of collections.
TEST_F(CatalogTest, WithoutAListNothingIsMissing) {
  const std::string list = directory_.path() + "/catalog.json";
  for (const std::string text : {R"({"format":1,"aliases_generation":1,"crc32c":"b84bb582"})", "{", ""}) {
    ASSERT_TRUE(catalog_->Create(FirstVersion("c"), models_[0], NoStore).ok());
    ASSERT_TRUE(catalog_->Create(FirstVersion("d"), models_[0], NoStore).ok());
    fs::remove_all(catalog_->CollectionPath("d"));
    ASSERT_TRUE(text.empty() ? RemoveAll(list).ok() : WriteFileAtomically(list, text).ok());
    Open();
    EXPECT_THAT(*catalog_->Names(), ElementsAre("c"));
    EXPECT_THAT(catalog_->Missing(), IsEmpty());
    EXPECT_THAT(*ReadFile(list), HasSubstr(R"("c")"));  // from now on
    ASSERT_TRUE(catalog_->Remove("c").ok());
  }
  // Nor does one of a later release, which is left as it is.
  const std::string newer = R"({"format":2,"collections":["x"]})";
  ASSERT_TRUE(WriteFileAtomically(list, newer).ok());
  Open();
  ASSERT_TRUE(catalog_->Create(FirstVersion("c"), models_[0], NoStore).ok());
  EXPECT_THAT(*catalog_->Names(), ElementsAre("c"));
  EXPECT_THAT(catalog_->Missing(), IsEmpty());
  EXPECT_TRUE(catalog_->Remove("c").ok());
  EXPECT_EQ(*ReadFile(list), newer);
}

TEST_F(CatalogTest, KeepsAliases) {
  EXPECT_THAT(*catalog_->LoadAliases(), IsEmpty());
  ASSERT_TRUE(catalog_->SaveAliases({{"a", "c"}, {"b", "c"}}).ok());
  Open();
  EXPECT_THAT(*catalog_->LoadAliases(), ElementsAre(Pair("a", "c"), Pair("b", "c")));
  for (const char* text : {"", "[]", R"({"format":1})", R"({"format":1,"aliases":[]})",
                           R"({"format":1,"aliases":{"a":1}})", R"({"format":1,"aliases":{"":"c"}})"}) {
    ASSERT_TRUE(WriteFileAtomically(directory_.path() + "/aliases.json", text).ok());
    EXPECT_EQ(catalog_->LoadAliases().status().code(), absl::StatusCode::kDataLoss) << text;
  }
  ASSERT_TRUE(WriteFileAtomically(directory_.path() + "/aliases.json", R"({"format":7,"aliases":{}})").ok());
  EXPECT_EQ(catalog_->LoadAliases().status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(CatalogTest, AnOlderCopyOfTheAliasesIsNoticed) {
  const std::string path = directory_.path() + "/aliases.json", catalog = directory_.path() + "/catalog.json";
  std::vector<std::string> files, catalogs;  // after each change
  for (const char* alias : {"a", "b"}) {
    ASSERT_TRUE(catalog_->SaveAliases({{alias, "c"}}).ok());
    files.push_back(*ReadFile(path));
    catalogs.push_back(*ReadFile(catalog));
  }
  const auto read = [&](const std::string& aliases, const std::string& noted) {
    EXPECT_TRUE(WriteFileAtomically(path, aliases).ok());
    EXPECT_TRUE(WriteFileAtomically(catalog, noted).ok());
    Open();
    return catalog_->LoadAliases();
  };
  EXPECT_TRUE(read(files[1], catalogs[1]).ok());
  EXPECT_TRUE(read(files[1], catalogs[0]).ok());  // as after a crash between the two
  const absl::Status older = read(files[0], catalogs[1]).status();
  EXPECT_EQ(older.code(), absl::StatusCode::kDataLoss) << older;
  EXPECT_THAT(std::string(older.message()), HasSubstr(path + " is an older copy, of generation 1"));
  ASSERT_TRUE(RemoveAll(path).ok());
  const absl::Status missing = catalog_->LoadAliases().status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kDataLoss) << missing;
  EXPECT_THAT(std::string(missing.message()), HasSubstr(path + " is missing"));
  // Both of them; one of an earlier server; one beside which there is nothing, or nothing that can be read.
  EXPECT_TRUE(read(files[0], catalogs[0]).ok());
  EXPECT_TRUE(read(R"({"format":1,"aliases":{"live":"c"},"crc32c":"148b9e66"})", catalogs[1]).ok());
  EXPECT_TRUE(read(files[0], catalogs[1].substr(0, 20)).ok());
  ASSERT_TRUE(RemoveAll(catalog).ok());
  Open();
  EXPECT_THAT(*catalog_->LoadAliases(), ElementsAre(Pair("a", "c")));
  // What is changed next is newer than all before.
  EXPECT_TRUE(read(R"({"format":1,"aliases":{}})", catalogs[1]).ok());
  ASSERT_TRUE(catalog_->SaveAliases({{"d", "c"}}).ok());
  EXPECT_THAT(*ReadFile(path), HasSubstr(R"("generation": 3)"));
  EXPECT_EQ(read(files[0], R"({"format":2})").status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(ValidateNameTest, TakesWhatAFileNameMayBe) {
  for (const char* name : {"a", "0", "A-b_c.d", "v1.2-x"}) EXPECT_TRUE(ValidateName("name", name).ok()) << name;
  EXPECT_TRUE(ValidateName("name", std::string(128, 'a')).ok());
  for (const std::string name : {"", ".", "..", ".a", "-a", "_a", "a/b", "a b", "ä", "a\n", "a\\b"}) {
    EXPECT_EQ(ValidateName("name", name).code(), absl::StatusCode::kInvalidArgument) << name;
  }
  EXPECT_FALSE(ValidateName("name", std::string(129, 'a')).ok());
  EXPECT_FALSE(ValidateName("name", std::string_view("a\0b", 3)).ok());
}

}  // namespace
}  // namespace bebr
