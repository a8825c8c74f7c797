// The directories under collections/: which are a collection's, and whether one that came back is whole.
#ifndef BEBR_INDEX_CATALOG_COLLECTION_DIRECTORY_H_
#define BEBR_INDEX_CATALOG_COLLECTION_DIRECTORY_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/catalog/catalog_record.h"
#include "index/catalog/manifest.h"

namespace bebr {

// In a collection's directory, between its name and what tells it from others of the name; in no name.
inline constexpr std::string_view kNumberMark = "+";
// Before the directory of a collection that was dropped.
inline constexpr std::string_view kDeleted = ".deleted-";

// The collection that a directory is named for.
std::string_view CollectionOfDirectory(std::string_view directory);
// That of the directory `entry` in `root`, as a start takes it. Empty: it is none, for its name, or is empty.
std::string CollectionAt(const std::string& root, const std::string& entry);

// Names, sizes and times of all files in a directory, at any depth, as one text: equal texts, equal files. Without
// those of which an attempt to open makes new ones.
absl::StatusOr<std::string> LooksOf(const std::string& directory);
// DATA_LOSS if the store is not there, or lacks what its list of files names. Without that list nothing can be told of
// a copy that is being made, so it must be there. Changes nothing.
absl::Status CheckReturned(const std::string& directory, const CollectionManifest& manifest);

// StoreMark::identity; empty of an earlier server's.
std::string IdentityOf(const CollectionManifest& manifest);

// The error of a collection that catalog.json lists and that has no directory; `path` is where it would be.
absl::Status MissingCollection(const std::string& path);
// That of one whose directory is back, and perhaps being copied.
absl::Status ReturningCollection(const std::string& path);
// That of one whose manifest is another collection's.
absl::Status WrongManifest(const std::string& path, std::string_view name);
// DATA_LOSS if the collection at `path` is another one than that of its name which catalog.json lists. One of an
// earlier server, which has no identity, may be any.
absl::Status CheckIdentity(const std::string& path, const CollectionManifest& manifest, const CatalogRecord& record);

}  // namespace bebr

#endif  // BEBR_INDEX_CATALOG_COLLECTION_DIRECTORY_H_
