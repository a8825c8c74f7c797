#include "index/catalog/snapshots.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "index/base/file.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"
#include "index/catalog/checked_json.h"
#include "index/catalog/manifest.h"
#include "index/storage/files.h"

namespace bebr {
namespace {

using nlohmann::json;
constexpr uint32_t kSnapshotFormat = 2;
constexpr const char* kInfoFile = "/snapshot.json";

// Files under a directory, at any depth, by their paths below it; but for snapshot.json, sorted.
absl::Status ListTree(const std::string& root, const std::string& below, std::vector<std::string>& paths) {
  const std::string directory = below.empty() ? root : absl::StrCat(root, "/", below);
  const std::string prefix = below.empty() ? "" : below + "/";
  BEBR_ASSIGN_OR_RETURN(const std::vector<std::string> files, ListFiles(directory));
  for (const std::string& name : files) {
    if (prefix + name != kInfoFile + 1) paths.push_back(prefix + name);
  }
  BEBR_ASSIGN_OR_RETURN(const std::vector<std::string> directories, ListDirectories(directory));
  for (const std::string& name : directories) BEBR_RETURN_IF_ERROR(ListTree(root, prefix + name, paths));
  return absl::OkStatus();
}

// Sizes and checksums of those files, by path.
absl::Status SumTree(const std::string& root, json& files) {
  std::vector<std::string> paths;
  BEBR_RETURN_IF_ERROR(ListTree(root, "", paths));
  files = json::object();
  for (const std::string& path : paths) {
    BEBR_ASSIGN_OR_RETURN(const FileSum sum, SumFile(absl::StrCat(root, "/", path)));
    files[path] = {{"bytes", sum.bytes}, {"crc32c", absl::StrFormat("%08x", sum.crc32c)}};
  }
  return absl::OkStatus();
}

// The object in snapshot.json, its checksum compared. Throws json::exception.
absl::Status ReadObject(const std::string& path, json& object) {
  BEBR_ASSIGN_OR_RETURN(const bool there, FileExists(path));
  if (!there) return absl::DataLossError(absl::StrFormat("%s is missing", path));
  BEBR_ASSIGN_OR_RETURN(const std::string text, ReadDataFile(path));
  object = json::parse(text);
  const json& format = object.at("format");
  if (format != 1 && format != kSnapshotFormat) {
    return absl::FailedPreconditionError(
        absl::StrFormat("%s: its format is %s; this server reads 1 and %d", path, format.dump(), kSnapshotFormat));
  }
  if (const absl::Status status = CheckJson(object, format == kSnapshotFormat); !status.ok()) {
    return absl::Status(status.code(), absl::StrFormat("%s: %s", path, status.message()));
  }
  return absl::OkStatus();
}

// What snapshot.json says, without bytes; but the names are those of the directory, since a snapshot may have been
// copied.
absl::StatusOr<SnapshotInfo> ReadInfoFile(const std::string& directory, std::string_view collection,
                                          std::string_view name) {
  const std::string path = absl::StrCat(directory, kInfoFile);
  SnapshotInfo info{.collection = std::string(collection), .name = std::string(name)};
  try {
    json object;
    BEBR_RETURN_IF_ERROR(ReadObject(path, object));
    const json &created = object.at("created_unix_us"), &documents = object.at("documents");
    if (!created.is_number_integer() || !documents.is_number_unsigned()) {
      return absl::DataLossError(path + ": created_unix_us and documents are no whole numbers");
    }
    info.created = absl::FromUnixMicros(created.get<int64_t>());
    info.documents = documents.get<uint64_t>();
    info.position = object.value("position", uint64_t{0});
    if (info.position != 0) {
      info.first_slot = object.at("slots").at(0).get<uint32_t>();
      info.last_slot = object.at("slots").at(1).get<uint32_t>();
    }
  } catch (const json::exception& error) {
    return absl::DataLossError(absl::StrFormat("%s: %s", path, error.what()));
  }
  return info;
}

absl::StatusOr<SnapshotInfo> ReadInfo(const std::string& directory, std::string_view collection,
                                      std::string_view name) {
  BEBR_ASSIGN_OR_RETURN(SnapshotInfo info, ReadInfoFile(directory, collection, name));
  info.bytes = SizeOf(directory).file_bytes;
  return info;
}

absl::Status RemoveUnfinished(const std::string& directory) {
  BEBR_ASSIGN_OR_RETURN(const std::vector<std::string> files, ListFiles(directory));
  for (const std::string& file : files) {
    if (file.ends_with(".tmp")) BEBR_RETURN_IF_ERROR(RemoveAll(absl::StrCat(directory, "/", file)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Snapshots>> Snapshots::Open(std::string root) {
  std::unique_ptr<Snapshots> snapshots(new Snapshots(std::move(root)));
  for (const std::string& collection : snapshots->Collections().value_or(std::vector<std::string>())) {
    const auto names = ListDirectories(snapshots->Path(collection, ""));
    if (!names.ok()) continue;
    for (const std::string& name : *names) {
      if (!name.starts_with('.')) continue;
      LogInfo("removing what an interrupted operation left: {}/{}", collection, name);
      const absl::Status removed = RemoveAll(snapshots->Path(collection, name));
      if (!removed.ok()) LogWarning("{}", std::string(removed.message()));
    }
  }
  return snapshots;
}

absl::StatusOr<std::vector<std::string>> Snapshots::Collections() const {
  BEBR_ASSIGN_OR_RETURN(const bool there, FileExists(root_));
  if (!there) return std::vector<std::string>();  // made with the first snapshot
  BEBR_ASSIGN_OR_RETURN(std::vector<std::string> names, ListDirectories(root_));
  std::erase_if(names, [&](const std::string& name) {
    if (!ValidateName("collection", name).ok()) return true;  // not ours: lost+found
    const absl::Status listed = ListDirectories(Path(name, "")).status();
    if (!absl::IsPermissionDenied(listed)) return false;
    LogWarning("snapshots of {} are not seen: {}", name, std::string(listed.message()));
    return true;
  });
  return names;
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
  BEBR_ASSIGN_OR_RETURN(const bool there, FileExists(path));
  if (there) {
    return absl::AlreadyExistsError(
        absl::StrFormat("collection \"%s\" has a snapshot \"%s\" already", info.collection, info.name));
  }
  BEBR_RETURN_IF_ERROR(RemoveAll(building));
  BEBR_RETURN_IF_ERROR(CreateDirectories(building));
  absl::Status status = from.empty() ? absl::OkStatus() : CopyModels(from, building);
  if (status.ok()) status = fill(building);
  json files;
  if (status.ok()) status = SumTree(building, files);
  if (status.ok()) {
    json object = {{"format", kSnapshotFormat},   {"collection", info.collection},
                   {"name", info.name},           {"created_unix_us", absl::ToUnixMicros(info.created)},
                   {"documents", info.documents}, {"files", files}};
    if (info.position != 0) {
      object["position"] = info.position;
      object["slots"] = {info.first_slot, info.last_slot};
    }
    status = WriteFileAtomically(building + kInfoFile, WriteCheckedJson(object));
  }
  if (status.ok()) status = RenameDirectory(building, path);
  if (!status.ok()) {
    RemoveAll(building).IgnoreError();  // the first error is the one that counts
    return status;
  }
  return ReadInfo(path, info.collection, info.name);
}

absl::Status Snapshots::CopyModels(const std::string& from, const std::string& to) {
  BEBR_RETURN_IF_ERROR(CopyDirectory(from + "/models", to + "/models", ""));
  // What a kill left of a model that was to be added is none of it, and the next attempt writes to that file.
  return RemoveUnfinished(to + "/models");
}

absl::StatusOr<std::vector<SnapshotInfo>> Snapshots::List(std::string_view collection) const {
  std::vector<SnapshotInfo> infos;
  BEBR_ASSIGN_OR_RETURN(const std::vector<std::string> collections, Collections());
  for (const std::string& of : collections) {
    if (!collection.empty() && of != collection) continue;
    BEBR_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectories(Path(of, "")));
    for (const std::string& name : names) {
      if (name.starts_with('.')) continue;
      absl::StatusOr<SnapshotInfo> info = ReadInfo(Path(of, name), of, name);
      if (info.ok()) {
        infos.push_back(*std::move(info));
      } else if (absl::IsUnavailable(info.status())) {
        return info.status();
      } else {
        LogWarning("a snapshot is passed over: {}", std::string(info.status().message()));
      }
    }
  }
  return infos;
}

std::map<std::string, absl::Time> Snapshots::Newest() const {
  std::map<std::string, absl::Time> newest;
  const auto collections = Collections();
  if (!collections.ok()) LogWarning("snapshots are not seen: {}", std::string(collections.status().message()));
  for (const std::string& collection : collections.value_or(std::vector<std::string>())) {
    const absl::Time time = NewestOf(collection);
    if (time != absl::InfinitePast()) newest[collection] = time;
  }
  return newest;
}

absl::Time Snapshots::NewestOf(const std::string& collection) const {
  absl::Time newest = absl::InfinitePast();
  const auto names = ListDirectories(Path(collection, ""));
  if (!names.ok()) return newest;
  for (const std::string& name : *names) {
    if (name.starts_with('.')) continue;
    const auto info = ReadInfoFile(Path(collection, name), collection, name);
    if (info.ok()) newest = std::max(newest, info->created);  // else told by List
  }
  return newest;
}

absl::StatusOr<std::string> Snapshots::Find(std::string_view collection, std::string_view name) const {
  BEBR_RETURN_IF_ERROR(ValidateName("collection", collection));
  BEBR_RETURN_IF_ERROR(ValidateName("snapshot", name));
  std::string path = Path(collection, name);
  BEBR_ASSIGN_OR_RETURN(const bool there, FileExists(path));
  if (there) return path;
  std::vector<std::string> known;
  BEBR_ASSIGN_OR_RETURN(const auto infos, List(collection));
  for (const SnapshotInfo& info : infos) known.push_back(info.name);
  return absl::NotFoundError(absl::StrFormat("collection \"%s\" has no snapshot \"%s\"; it has: %s", collection, name,
                                             known.empty() ? "none" : absl::StrJoin(known, ", ")));
}

absl::StatusOr<SnapshotInfo> Snapshots::Read(const std::string& directory, std::string_view collection,
                                             std::string_view name) {
  return ReadInfo(directory, collection, name);
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

absl::Status Snapshots::Verify(const std::string& directory) {
  const std::string path = absl::StrCat(directory, kInfoFile);
  try {
    json object, found;
    BEBR_RETURN_IF_ERROR(ReadObject(path, object));
    if (object.at("format") == 1) return absl::OkStatus();
    const json& listed = object.at("files");
    BEBR_RETURN_IF_ERROR(SumTree(directory, found));
    for (const auto& [file, sum] : listed.items()) {
      const auto it = found.find(file);
      if (it != found.end() && *it == sum) continue;
      return absl::DataLossError(absl::StrFormat("%s/%s %s; snapshot.json says %s", directory, file,
                                                 it == found.end() ? "is missing" : "is " + it->dump(), sum.dump()));
    }
    for (const auto& [file, sum] : found.items()) {
      if (!listed.contains(file)) {
        return absl::DataLossError(
            absl::StrFormat("%s/%s is not of the snapshot: snapshot.json does not list it", directory, file));
      }
    }
    return absl::OkStatus();
  } catch (const json::exception& error) {
    return absl::DataLossError(absl::StrFormat("%s: %s", path, error.what()));
  }
}

}  // namespace bebr
