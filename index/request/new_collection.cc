#include "index/request/new_collection.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "index/base/status_macros.h"
#include "index/learn/first_model.h"
#include "index/types/search.h"

namespace bebr {
namespace {

constexpr size_t kMaxDefaultShards = 8;

absl::Status CheckConfig(const CollectionConfig& config) {
  BEBR_RETURN_IF_ERROR(ValidateName("name", config.name));
  BEBR_RETURN_IF_ERROR(ValidateName("version", config.version));
  if (config.shards > kMaxShards) {
    return absl::InvalidArgumentError(absl::StrFormat("shards is %d; the limit is %d", config.shards, kMaxShards));
  }
  if (config.expected_documents > kMaxExpectedDocuments) {
    return absl::InvalidArgumentError(absl::StrFormat("expected_documents is %d; the limit is %d (2^40)",
                                                      config.expected_documents, kMaxExpectedDocuments));
  }
  BEBR_RETURN_IF_ERROR(ValidateSchema(config.attributes));
  if (config.default_rerank > kMaxRerank) {
    return absl::InvalidArgumentError(
        absl::StrFormat("default_rerank is %d; the limit is %d", config.default_rerank, kMaxRerank));
  }
  if (config.default_rerank > 0 && config.store_floats == FloatStorage::kNone) {
    return absl::FailedPreconditionError(
        absl::StrFormat("default_rerank is %d, but no floats are stored to rerank with; set store_floats to f16 or f32",
                        config.default_rerank));
  }
  return config.auto_binarizer.has_value() ? CheckAutoBinarizer(*config.auto_binarizer) : absl::OkStatus();
}

}  // namespace

absl::StatusOr<NewCollection> DescribeNew(const CollectionConfig& config, std::string_view model_file, size_t threads) {
  BEBR_RETURN_IF_ERROR(CheckConfig(config));
  const bool makes_its_own = config.auto_binarizer.has_value();
  NewCollection made;
  if (makes_its_own) {
    BEBR_ASSIGN_OR_RETURN(made.own_model_file, FirstModelFile(*config.auto_binarizer));
  }
  auto binarizer = Binarizer::Parse(makes_its_own ? made.own_model_file : model_file);
  if (!binarizer.ok()) {
    return absl::InvalidArgumentError(absl::StrFormat("model: %s", binarizer.status().message()));
  }
  CollectionManifest& manifest = made.manifest;
  manifest.name = config.name;
  manifest.created_unix_us = absl::ToUnixMicros(absl::Now());
  manifest.store_floats = config.store_floats;
  manifest.default_rerank = config.default_rerank;
  manifest.attributes = config.attributes;
  manifest.shards = config.shards != 0 ? config.shards : static_cast<uint32_t>(std::min(kMaxDefaultShards, threads));
  manifest.expected_documents = config.expected_documents;
  manifest.default_version = makes_its_own ? kFirstVersion : config.version;
  manifest.spaces.push_back({0, (*binarizer)->spec()});
  manifest.next_space = 1;
  manifest.versions.push_back({.name = manifest.default_version, .binarizer = *std::move(binarizer)});
  if (makes_its_own) BeginLearning(config, manifest);
  return made;
}

}  // namespace bebr
