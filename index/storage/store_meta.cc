#include "index/storage/store_meta.h"

#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/storage/format.h"

namespace bebr {

absl::StatusOr<StoreMeta> ReadStoreMeta(rocksdb::DB* db, const std::string& path, ErrorOf error_of) {
  const auto get = [&](std::string_view key, std::string* value) {  // empty if there is none
    const rocksdb::Status status = db->Get({}, ToSlice(key), value);
    return status.IsNotFound() ? absl::OkStatus() : error_of(status, path);
  };
  StoreMeta meta;
  std::string format, sequence, generation;
  BEBR_RETURN_IF_ERROR(get(kFormatKey, &format));
  BEBR_RETURN_IF_ERROR(get(kShardsKey, &meta.shards));
  BEBR_RETURN_IF_ERROR(get(kSequenceKey, &sequence));
  BEBR_RETURN_IF_ERROR(get(kGenerationKey, &generation));
  BEBR_RETURN_IF_ERROR(get(kIdentityKey, &meta.mark.identity));
  BEBR_RETURN_IF_ERROR(get(kLayoutKey, &meta.layout));
  if (!absl::SimpleAtoi(format, &meta.format) || meta.format < kStoreFormatVersion ||
      meta.format > kNewestStoreFormat) {
    return absl::FailedPreconditionError(absl::StrFormat("storage at %s has format %s; this server reads %d to %d",
                                                         path, format, kStoreFormatVersion, kNewestStoreFormat));
  }
  if (!generation.empty() && !absl::SimpleAtoi(generation, &meta.mark.generation)) {
    return absl::DataLossError(absl::StrFormat("storage at %s: bad generation", path));
  }
  if (!sequence.empty() && sequence.size() != sizeof(meta.mark.sequence)) {
    return absl::DataLossError(absl::StrFormat("storage at %s: bad sequence", path));
  }
  std::memcpy(&meta.mark.sequence, sequence.data(), sequence.size());
  return meta;
}

// A manifest is written before its store is told of it, so it may be one ahead.
absl::Status CheckMark(const std::string& path, const StoreMark& manifest, const StoreMark& store) {
  if (!manifest.identity.empty() && manifest.identity != store.identity) {
    return absl::DataLossError(absl::StrFormat(
        "%s is not the store of its manifest.json: its identity is \"%s\", that of the manifest \"%s\"; put back what "
        "belongs together, or restore a snapshot%s",
        path, store.identity, manifest.identity,
        store.identity.empty() ? ". After a repair by an earlier release: bebr-server --repair gives it that one"
                               : ""));
  }
  constexpr const char* kAdvice = "put back what belongs together, or restore a snapshot";
  if (manifest.generation < store.generation) {
    return absl::DataLossError(absl::StrFormat("manifest.json is older than its store, %s: generation %d, not %d; %s",
                                               path, manifest.generation, store.generation, kAdvice));
  }
  if (manifest.generation > store.generation + 1 || manifest.sequence > store.sequence) {
    return absl::DataLossError(
        absl::StrFormat("%s is older than its manifest.json: generation %d and sequence %d, not %d and at least %d; %s",
                        path, store.generation, store.sequence, manifest.generation, manifest.sequence, kAdvice));
  }
  return absl::OkStatus();
}

std::string StorePath(const std::string& directory) { return directory + "/shard-000"; }

std::string LayoutPath(const std::string& store, uint32_t shard) {
  return absl::StrFormat("%s/layout-%03d", store, shard);
}

}  // namespace bebr
