// What a data directory, or a copy of a snapshot, brings: a manifest, aliases.json and a snapshot's snapshot.json, with
// whole model files beside them. The input is these texts in that order, divided by a line "%%". A manifest that is
// read holds together, and is the same when it is written and read again.
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/base/file.h"
#include "index/catalog/catalog.h"
#include "index/catalog/snapshots.h"
#include "tests/fuzz/fuzzer.h"
#include "tests/support/test_models.h"

namespace bebr::fuzz {
namespace {

namespace fs = std::filesystem;

// A data directory with a collection "c", which has three model files, and a snapshot "s" of it.
class DataDirectory {
 public:
  DataDirectory() {
    for (const std::string& directory : {collection_, snapshot_}) {
      fs::create_directories(scratch_.path() + directory + "models");
      for (uint32_t version = 0; version < 3; ++version) {
        scratch_.Write(
            absl::StrCat(directory, "models/", version, ".safetensors"),
            testing::RandomModelFile(4 + version % 2, *ParseCodeSpec(version < 2 ? "8x2" : "16x1"), 2, version));
      }
    }
  }
  const std::string& path() const { return scratch_.path(); }
  void Fill(const std::vector<std::string_view>& parts) const {
    scratch_.Write(collection_ + "manifest.json", parts[0]);
    scratch_.Write("aliases.json", parts[1]);
    scratch_.Write(snapshot_ + "manifest.json", parts[0]);
    scratch_.Write(snapshot_ + "snapshot.json", parts[2]);
  }

 private:
  const std::string collection_ = "/collections/c/", snapshot_ = "/snapshots/c/s/";
  Scratch scratch_;
};

// What everything above the catalogue takes for granted.
void CheckManifest(const CollectionManifest& manifest) {
  FUZZ_REQUIRE(ValidateName("name", manifest.name).ok());
  FUZZ_REQUIRE(manifest.shards >= 1 && manifest.shards <= 256);
  FUZZ_REQUIRE(manifest.FindVersion("").ok());
  for (size_t i = 0; i < manifest.versions.size(); ++i) {
    const Version& version = manifest.versions[i];
    FUZZ_REQUIRE(version.number == i && version.embedding <= i && ValidateName("version", version.name).ok());
    if (version.retired) continue;
    FUZZ_REQUIRE(version.binarizer != nullptr);
    const Space* space = manifest.FindSpace(version.space);
    FUZZ_REQUIRE(space != nullptr && space->spec == version.binarizer->spec() && space->number < manifest.next_space);
    for (const Version* other : manifest.VersionsOfEmbedding(version.embedding)) {
      FUZZ_REQUIRE(other->binarizer->input_dims() == version.binarizer->input_dims());
    }
  }
}

std::string Contents(const std::string& path) {
  const auto contents = ReadFile(path);
  FUZZ_REQUIRE(contents.ok());
  return *contents;
}

void RunManifest(const std::string& directory) {
  const absl::StatusOr<CollectionManifest> manifest = ReadManifest(directory);
  if (!manifest.ok()) return;
  CheckManifest(*manifest);
  FUZZ_REQUIRE(WriteManifest(directory, *manifest).ok());
  const std::string written = Contents(directory + "/manifest.json");
  const absl::StatusOr<CollectionManifest> again = ReadManifest(directory);
  FUZZ_REQUIRE(again.ok());
  FUZZ_REQUIRE(WriteManifest(directory, *again).ok());
  FUZZ_REQUIRE(Contents(directory + "/manifest.json") == written);
}

}  // namespace
}  // namespace bebr::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bebr;
  static const fuzz::DataDirectory directory;
  directory.Fill(fuzz::Divide(fuzz::ToView(data, size), 3));
  const auto catalog = Catalog::Open(directory.path());
  FUZZ_REQUIRE(catalog.ok());
  FUZZ_REQUIRE((*catalog)->Names().value() == std::vector<std::string>{"c"});
  if (const auto manifest = (*catalog)->Load("c"); manifest.ok()) FUZZ_REQUIRE(manifest->name == "c");
  if (const auto aliases = (*catalog)->LoadAliases(); aliases.ok()) {
    for (const auto& [alias, collection] : *aliases) FUZZ_REQUIRE(ValidateName("alias", alias).ok());
  }
  const auto snapshots = Snapshots::Open(directory.path() + "/snapshots");
  FUZZ_REQUIRE(snapshots.ok());
  if (const auto info = (*snapshots)->Info("c", "s"); info.ok()) {
    FUZZ_REQUIRE(info->collection == "c" && info->name == "s");
  }
  FUZZ_REQUIRE((*snapshots)->Find("c", "s").ok());
  fuzz::RunManifest(directory.path() + "/collections/c");
  return 0;
}
