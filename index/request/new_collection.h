// What a collection is made of, out of what its maker asks for.
#ifndef BEBR_INDEX_REQUEST_NEW_COLLECTION_H_
#define BEBR_INDEX_REQUEST_NEW_COLLECTION_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "index/catalog/manifest.h"
#include "index/types/collection.h"

namespace bebr {

// The manifest of a collection to be created, its binarizer loaded, and that binarizer's file where it was made here.
struct NewCollection {
  CollectionManifest manifest;
  std::string own_model_file;
};

// As Engine::CreateCollection asks for it; one shard a thread, 8 at most, where `config` leaves it open. Parses
// `model_file`, or makes the first model where the collection makes its own. INVALID_ARGUMENT, and FAILED_PRECONDITION
// for what contradicts itself, name the field.
absl::StatusOr<NewCollection> DescribeNew(const CollectionConfig& config, std::string_view model_file, size_t threads);

}  // namespace bebr

#endif  // BEBR_INDEX_REQUEST_NEW_COLLECTION_H_
