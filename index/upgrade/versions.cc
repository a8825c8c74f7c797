#include "index/upgrade/versions.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

absl::Status CheckMetric(const CollectionManifest& manifest, const Binarizer& binarizer) {
  BEBR_ASSIGN_OR_RETURN(const Version* default_version, manifest.FindVersion(""));
  const Metric metric = default_version->binarizer->metric();
  if (binarizer.metric() == metric) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrFormat("model: its metric is %s; the collection's is %s",
                                                    ToString(binarizer.metric()), ToString(metric)));
}

// The number of the space the new version maps into, which may be a new one.
absl::StatusOr<uint32_t> SpaceFor(CollectionManifest& manifest, const VersionConfig& config,
                                  const Binarizer& binarizer) {
  if (config.compatible_with.empty()) {
    manifest.spaces.push_back({manifest.next_space, binarizer.spec()});
    return manifest.next_space++;
  }
  BEBR_ASSIGN_OR_RETURN(const Version* other, manifest.FindVersion(config.compatible_with));
  const CodeSpec& spec = manifest.FindSpace(other->space)->spec;
  if (spec.groups() != binarizer.spec().groups() ||
      other->binarizer->groups_checksum() != binarizer.groups_checksum()) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "model: the code of version \"%s\" has %d groups, that of the model %d%s, so it is not compatible; make it "
        "with bebr-train --compatible-with that version's model, or give it a space of its own",
        config.compatible_with, spec.groups(), binarizer.spec().groups(),
        spec.groups() == binarizer.spec().groups() ? ", which are other ones" : ""));
  }
  if (spec == binarizer.spec()) return other->space;
  return absl::InvalidArgumentError(absl::StrFormat(
      "model: its code is %s; the space of version \"%s\" has %s (weights count too), so it is not compatible",
      binarizer.spec().ToString(), config.compatible_with, spec.ToString()));
}

}  // namespace

absl::StatusOr<CollectionManifest> WithVersion(CollectionManifest manifest, const VersionConfig& config,
                                               std::shared_ptr<const Binarizer> binarizer) {
  for (const Version& other : manifest.versions) {
    if (other.name == config.name) {
      return absl::AlreadyExistsError(
          absl::StrFormat("collection \"%s\" has had a version \"%s\" already", manifest.name, config.name));
    }
  }
  if (manifest.versions.size() >= kMaxVersions) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("collection \"%s\" has had %d versions, which is the limit", manifest.name, kMaxVersions));
  }
  BEBR_RETURN_IF_ERROR(CheckMetric(manifest, *binarizer));
  Version version;
  version.number = static_cast<uint32_t>(manifest.versions.size());
  version.name = config.name;
  version.embedding = version.number;
  if (!config.same_embeddings_as.empty()) {
    BEBR_ASSIGN_OR_RETURN(const Version* other, manifest.FindVersion(config.same_embeddings_as));
    if (other->binarizer->input_dims() != binarizer->input_dims()) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "model: it takes embeddings of %d floats; those of version \"%s\" have %d, so they are not the same",
          binarizer->input_dims(), other->name, other->binarizer->input_dims()));
    }
    version.embedding = other->embedding;
  }
  BEBR_ASSIGN_OR_RETURN(version.space, SpaceFor(manifest, config, *binarizer));
  version.binarizer = std::move(binarizer);
  manifest.versions.push_back(std::move(version));
  return manifest;
}

absl::StatusOr<CollectionManifest> WithoutVersion(const Collection& collection, std::string_view version) {
  CollectionManifest manifest = *collection.manifest();
  BEBR_ASSIGN_OR_RETURN(const Version* found, manifest.FindVersion(version));
  if (found->name == manifest.default_version) {
    return absl::FailedPreconditionError(
        absl::StrFormat("version \"%s\" is the default; promote another version first", version));
  }
  Version& retired = manifest.versions[found->number];
  retired.retired = true;
  retired.was = DescribeModel(*retired.binarizer);
  retired.binarizer = nullptr;
  retired.backfilling = false;
  if (manifest.previous_default == retired.name) manifest.previous_default.clear();
  const bool shared = std::any_of(manifest.versions.begin(), manifest.versions.end(),
                                  [&](const Version& other) { return !other.retired && other.space == retired.space; });
  if (shared) return manifest;
  BEBR_ASSIGN_OR_RETURN(const Version* default_version, manifest.FindVersion(""));
  const uint64_t documents = collection.documents(), kept = collection.DocumentsInSpace(default_version->space);
  // A log says it to shares of which one may have such documents and another not: that was looked at before.
  if (kept < documents && !collection.shared().from_log) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "%d of %d documents have no code in the space of the default version \"%s\" and would be lost to searches; "
        "backfill or delete them first",
        documents - kept, documents, manifest.default_version));
  }
  std::erase_if(manifest.spaces, [&](const Space& space) { return space.number == retired.space; });
  return manifest;
}

}  // namespace bebr
