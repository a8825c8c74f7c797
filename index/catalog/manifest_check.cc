#include "index/catalog/manifest_check.h"

#include <set>
#include <string>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/types/collection.h"
#include "index/types/search.h"

namespace bebr {
namespace {

absl::Status Invalid(std::string_view what) { return absl::DataLossError(std::string(what)); }

absl::Status CheckNumbers(const CollectionManifest& manifest) {
  if (!ValidateName("name", manifest.name).ok()) return Invalid("name is no collection's");
  if (manifest.shards == 0 || manifest.shards > kMaxShards) {
    return Invalid(absl::StrFormat("shards is %d; it is 1 to %d", manifest.shards, kMaxShards));
  }
  if (manifest.expected_documents > kMaxExpectedDocuments) {
    return Invalid(absl::StrFormat("expected_documents is %d; the limit is %d", manifest.expected_documents,
                                   kMaxExpectedDocuments));
  }
  if (manifest.default_rerank > kMaxRerank) {
    return Invalid(absl::StrFormat("default_rerank is %d; the limit is %d", manifest.default_rerank, kMaxRerank));
  }
  if (manifest.versions.empty() || manifest.versions.size() > kMaxVersions) {
    return Invalid(absl::StrFormat("versions has %d entries; it has 1 to %d", manifest.versions.size(), kMaxVersions));
  }
  return absl::OkStatus();
}

// A version brings at most one space, and a space's number is used once.
absl::Status CheckSpaces(const CollectionManifest& manifest) {
  if (manifest.next_space > manifest.versions.size()) {
    return Invalid(absl::StrFormat("next_space is %d with %d versions", manifest.next_space, manifest.versions.size()));
  }
  std::set<uint32_t> numbers;
  for (const Space& space : manifest.spaces) {
    if (space.number >= manifest.next_space || !numbers.insert(space.number).second) {
      return Invalid(absl::StrFormat("a space has number %d, which is another's or not below next_space, %d",
                                     space.number, manifest.next_space));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckVersions(const CollectionManifest& manifest) {
  std::set<std::string_view> names;
  for (size_t i = 0; i < manifest.versions.size(); ++i) {
    const Version& version = manifest.versions[i];
    if (!ValidateName("name", version.name).ok() || !names.insert(version.name).second) {
      return Invalid(absl::StrFormat("the name \"%s\" of versions[%d] is no version's or another's", version.name, i));
    }
    if (version.number != i) return Invalid(absl::StrFormat("the number of versions[%d] is %d", i, version.number));
    if (version.embedding > i || manifest.versions[version.embedding].embedding != version.embedding) {
      return Invalid(absl::StrFormat("the embedding of versions[%d] is %d, which is not the first that takes it", i,
                                     version.embedding));
    }
    if (!version.retired && manifest.FindSpace(version.space) == nullptr) {
      return Invalid(absl::StrFormat("version \"%s\" is of space %d, which is not there", version.name, version.space));
    }
  }
  if (manifest.FindVersion("").ok()) return absl::OkStatus();
  return Invalid(absl::StrFormat("default_version is \"%s\", which is missing or retired", manifest.default_version));
}

}  // namespace

absl::Status CheckManifest(const CollectionManifest& manifest) {
  BEBR_RETURN_IF_ERROR(CheckNumbers(manifest));
  BEBR_RETURN_IF_ERROR(CheckSpaces(manifest));
  return CheckVersions(manifest);
}

absl::Status CheckModel(const CollectionManifest& manifest, const Version& version, const Binarizer& binarizer) {
  if (version.model_checksum.has_value() && *version.model_checksum != binarizer.checksum()) {
    return Invalid(absl::StrFormat("it is not the model of its version: its checksum is %08x, that of the version %08x",
                                   binarizer.checksum(), *version.model_checksum));
  }
  const CodeSpec& spec = manifest.FindSpace(version.space)->spec;
  if (!(binarizer.spec() == spec)) {
    return Invalid(absl::StrFormat("it is not the model of its version: its code is %s, that of the space %s",
                                   binarizer.spec().ToString(), spec.ToString()));
  }
  for (const Version* other : manifest.VersionsOfEmbedding(version.embedding)) {
    if (other->binarizer == nullptr || other->binarizer->input_dims() == binarizer.input_dims()) continue;
    return Invalid(absl::StrFormat("it is not the model of its version: it takes %d floats, that of \"%s\" takes %d",
                                   binarizer.input_dims(), other->name, other->binarizer->input_dims()));
  }
  return absl::OkStatus();
}

}  // namespace bebr
