#include <memory>

#include "absl/time/time.h"
#include "client/cli/command.h"
#include "client/cli/verify.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

struct Options {
  std::string directory;
  std::string collection;
  std::string snapshot;
  std::string new_collection;
};

void Print(const v1::Snapshot& snapshot) {
  const absl::Time created = absl::FromUnixMicros(snapshot.created_unix_us());
  std::printf("%-24s %-24s %s  %s documents, %s\n", snapshot.collection().c_str(), snapshot.name().c_str(),
              absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", created, absl::UTCTimeZone()).c_str(),
              WithCommas(snapshot.documents()).c_str(), HumanBytes(snapshot.bytes()).c_str());
  if (!snapshot.problem().empty()) std::printf("%24s %s\n", "", snapshot.problem().c_str());
}

absl::Status Create(const Command& command, const Options& options) {
  v1::CreateSnapshotRequest request;
  request.set_collection(options.collection);
  request.set_name(options.snapshot);
  BEBR_ASSIGN_OR_RETURN(const v1::Snapshot snapshot, command.Connect().CreateSnapshot(request));
  if (command.json) {
    PrintJson(ToJson(snapshot));
  } else {
    Print(snapshot);
  }
  return absl::OkStatus();
}

absl::Status List(const Command& command, const Options& options) {
  v1::ListSnapshotsRequest request;
  request.set_collection(options.collection);
  BEBR_ASSIGN_OR_RETURN(const auto response, command.Connect().ListSnapshots(request));
  if (command.json) {
    PrintJson(ToJson(response)["snapshots"]);
    return absl::OkStatus();
  }
  if (response.snapshots().empty()) std::printf("no snapshots; `bebr snapshot create` makes one\n");
  for (const v1::Snapshot& snapshot : response.snapshots()) Print(snapshot);
  return absl::OkStatus();
}

absl::Status Restore(const Command& command, const Options& options) {
  v1::RestoreSnapshotRequest request;
  request.set_collection(options.collection);
  request.set_name(options.snapshot);
  request.set_new_collection(options.new_collection);
  BEBR_ASSIGN_OR_RETURN(const v1::Collection collection, command.Connect().RestoreSnapshot(request));
  if (command.json) {
    PrintJson(ToJson(collection));
  } else {
    std::printf("collection \"%s\" has the %s documents of the snapshot\n", collection.name().c_str(),
                WithCommas(collection.documents()).c_str());
  }
  return absl::OkStatus();
}

absl::Status Delete(const Command& command, const Options& options) {
  v1::DeleteSnapshotRequest request;
  request.set_collection(options.collection);
  request.set_name(options.snapshot);
  return command.Connect().DeleteSnapshot(request);
}

}  // namespace

void AddSnapshot(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* group = AddGroup(app, command, "snapshot", "keep collections as they are, and bring them back");
  const auto add = [&](const char* name, const char* description, const char* example,
                       absl::Status (*run)(const Command&, const Options&)) {
    return AddVerb(*group, command, name, description, example,
                   [&command, options, run] { return run(command, *options); });
  };
  CLI::App* create = add("create", "keep a collection as it is now, on the server",
                         "bebr snapshot create papers --name monday", Create);
  create->add_option("name", options->collection, "name of the collection")->required();
  create->add_option("--name", options->snapshot, "of the snapshot; the time without it");
  add("list", "list the snapshots", "bebr snapshot list papers", List)
      ->add_option("name", options->collection, "name of a collection; all without it");
  CLI::App* restore = add("restore", "make a new collection of a snapshot",
                          "bebr snapshot restore papers monday --as papers_monday", Restore);
  CLI::App* remove = add("delete", "delete a snapshot", "bebr snapshot delete papers monday", Delete);
  for (CLI::App* verb : {restore, remove}) {
    verb->add_option("name", options->collection, "the collection that the snapshot was taken of")->required();
    verb->add_option("snapshot", options->snapshot, "name of the snapshot")->required();
  }
  AddVerb(*group, command, "verify",
          "read snapshots where they lie, or were copied to, without a server; exit code 1 if one is damaged",
          "bebr snapshot verify /mnt/backups", [options] { return VerifySnapshots(options->directory); })
      ->add_option("directory", options->directory, "holds COLLECTION/SNAPSHOT, as the server's snapshot_dir does")
      ->required();
  restore->add_option("--as", options->new_collection, "name of the new collection")->required();
}

}  // namespace bebr
