#include "index/catalog/snapshots.h"

#include <nlohmann/json.hpp>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "index/base/file.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"
#include "index/catalog/catalog.h"
#include "index/storage/files.h"

namespace bebr {
namespace {

using nlohmann::json;
constexpr int kSnapshotFormat = 1;
constexpr const char* kInfoFile = "/snapshot.json";

// What snapshot.json says; but the names are those of the directory, since a snapshot may have been copied.
absl::StatusOr<SnapshotInfo> ReadInfo(const std::string& directory, std::string_view collection,
                                      std::string_view name) {
  const std::string path = absl::StrCat(directory, kInfoFile);
  BEBR_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  SnapshotInfo info{.collection = std::string(collection), .name = std::string(name)};
  try {
    const json object = json::parse(text);
    if (object.at("format") != kSnapshotFormat) {
      return absl::FailedPreconditionError(
          absl::StrFormat("%s: its format is another than the one this server reads, %d", path, kSnapshotFormat));
    }
    const json &created = object.at("created_unix_us"), &documents = object.at("documents");
    if (!created.is_number_integer() || !documents.is_number_unsigned()) {
      return absl::DataLossError(path + ": created_unix_us and documents are no whole numbers");
    }
    info.created = absl::FromUnixMicros(created.get<int64_t>());
    info.documents = documents.get<uint64_t>();
  } catch (const json::exception& error) {
    return absl::DataLossError(absl::StrFormat("%s: %s", path, error.what()));
  }
  info.bytes = SizeOf(directory).file_bytes;
  return info;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Snapshots>> Snapshots::Open(std::string root) {
  std::unique_ptr<Snapshots> snapshots(new Snapshots(std::move(root)));
  for (const std::string& collection : snapshots->Collections()) {
    const auto names = ListDirectories(snapshots->Path(collection, ""));
    if (!names.ok()) continue;  // told by Collections
    for (const std::string& name : *names) {
      if (!name.starts_with('.')) continue;
      LogInfo("removing what an interrupted operation left: {}/{}", collection, name);
      const absl::Status removed = RemoveAll(snapshots->Path(collection, name));
      if (!removed.ok()) LogWarning("{}", std::string(removed.message()));
    }
  }
  return snapshots;
}

std::vector<std::string> Snapshots::Collections() const {
  if (!FileExists(root_)) return {};  // made with the first snapshot
  auto names = ListDirectories(root_);
  if (!names.ok()) {
    LogWarning("snapshots are not seen: {}", std::string(names.status().message()));
    return {};
  }
  std::erase_if(*names, [&](const std::string& name) {
    if (!ValidateName("collection", name).ok()) return true;  // not ours: lost+found
    const absl::Status listed = ListDirectories(Path(name, "")).status();
    if (!listed.ok()) LogWarning("snapshots of {} are not seen: {}", name, std::string(listed.message()));
    return !listed.ok();
  });
  return *std::move(names);
}

std::string Snapshots::Path(std::string_view collection, std::string_view name) const {
  return absl::StrFormat("%s/%s/%s", root_, collection, name);
}

absl::Status Snapshots::Claim(const std::string& path) {
  MutexLock lock(&mutex_);
  if (claimed_.insert(path).second) return absl::OkStatus();
  return absl::AbortedError(
      absl::StrFormat("snapshot %s is being made or removed by somebody else at this moment", path));
}

void Snapshots::Release(const std::string& path) {
  MutexLock lock(&mutex_);
  claimed_.erase(path);
}

absl::StatusOr<SnapshotInfo> Snapshots::Create(const SnapshotInfo& info, const std::string& from,
                                               const std::function<absl::Status(const std::string&)>& fill) {
  const std::string path = Path(info.collection, info.name), building = Path(info.collection, ".creating-" + info.name);
  BEBR_RETURN_IF_ERROR(Claim(path));
  const absl::Cleanup release = [&] { Release(path); };
  if (FileExists(path)) {
    return absl::AlreadyExistsError(
        absl::StrFormat("collection \"%s\" has a snapshot \"%s\" already", info.collection, info.name));
  }
  BEBR_RETURN_IF_ERROR(RemoveAll(building));
  BEBR_RETURN_IF_ERROR(CreateDirectories(building));
  absl::Status status = CopyDirectory(from + "/models", building + "/models", "");
  if (status.ok()) status = fill(building);
  const json object = {{"format", kSnapshotFormat},
                       {"collection", info.collection},
                       {"name", info.name},
                       {"created_unix_us", absl::ToUnixMicros(info.created)},
                       {"documents", info.documents}};
  if (status.ok()) status = WriteFileAtomically(building + kInfoFile, object.dump(2) + "\n");
  if (status.ok()) status = RenameDirectory(building, path);
  if (!status.ok()) {
    RemoveAll(building).IgnoreError();  // the first error is the one that counts
    return status;
  }
  return ReadInfo(path, info.collection, info.name);
}

absl::StatusOr<std::vector<SnapshotInfo>> Snapshots::List(std::string_view collection) const {
  std::vector<SnapshotInfo> infos;
  for (const std::string& of : Collections()) {
    if (!collection.empty() && of != collection) continue;
    BEBR_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectories(Path(of, "")));
    for (const std::string& name : names) {
      if (name.starts_with('.')) continue;
      absl::StatusOr<SnapshotInfo> info = ReadInfo(Path(of, name), of, name);
      if (info.ok()) {
        infos.push_back(*std::move(info));
      } else {
        LogWarning("a snapshot is passed over: {}", std::string(info.status().message()));
      }
    }
  }
  return infos;
}

absl::StatusOr<std::string> Snapshots::Find(std::string_view collection, std::string_view name) const {
  BEBR_RETURN_IF_ERROR(ValidateName("collection", collection));
  BEBR_RETURN_IF_ERROR(ValidateName("snapshot", name));
  std::string path = Path(collection, name);
  if (FileExists(path)) return path;
  std::vector<std::string> known;
  BEBR_ASSIGN_OR_RETURN(const auto infos, List(collection));
  for (const SnapshotInfo& info : infos) known.push_back(info.name);
  return absl::NotFoundError(absl::StrFormat("collection \"%s\" has no snapshot \"%s\"; it has: %s", collection, name,
                                             known.empty() ? "none" : absl::StrJoin(known, ", ")));
}

absl::StatusOr<SnapshotInfo> Snapshots::Info(std::string_view collection, std::string_view name) const {
  BEBR_ASSIGN_OR_RETURN(const std::string path, Find(collection, name));
  return ReadInfo(path, collection, name);
}

absl::Status Snapshots::Remove(std::string_view collection, std::string_view name) {
  BEBR_ASSIGN_OR_RETURN(const std::string path, Find(collection, name));
  BEBR_RETURN_IF_ERROR(Claim(path));
  const absl::Cleanup release = [this, path = path] { Release(path); };
  const std::string deleted = Path(collection, absl::StrCat(".deleted-", std::string(name)));
  BEBR_RETURN_IF_ERROR(RemoveAll(deleted));
  BEBR_RETURN_IF_ERROR(RenameDirectory(path, deleted));
  return RemoveAll(deleted);
}

}  // namespace bebr
