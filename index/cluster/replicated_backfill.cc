// Backfills of a ReplicatedEngine.
#include <future>
#include <map>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/cluster/replicated_engine_impl.h"

namespace bebr {
namespace {

constexpr int kMostRounds = 5;  // so often a part is encoded anew, since versions change

const VersionInfo* FindVersion(const CollectionInfo& info, std::string_view name) {
  for (const VersionInfo& version : info.versions) {
    if (version.name == name && version.state != VersionState::kRetired) return &version;
  }
  return nullptr;
}

absl::Status CheckBackfill(const CollectionInfo& info, std::string_view name) {
  const VersionInfo* version = FindVersion(info, name);
  if (version == nullptr)
    return absl::NotFoundError(absl::StrFormat("collection \"%s\" has no version \"%s\"", info.name, name));
  if (info.store_floats == FloatStorage::kNone) {
    return absl::FailedPreconditionError(
        absl::StrFormat("collection \"%s\" stores no floats, so the server has nothing to encode again; write the new "
                        "embeddings with an upsert of mode merge (bebr import --merge)",
                        info.name));
  }
  if (info.documents == 0 || version->embeddings > 0) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrFormat(
      "no document has stored floats that version \"%s\" takes; write the new embeddings with an upsert of mode merge "
      "(bebr import --merge), or add the version with same_embeddings_as if it is another binarizer for embeddings "
      "that "
      "are stored",
      name));
}

}  // namespace

absl::StatusOr<CollectionInfo> ReplicatedEngine::GetCollection(std::string_view name) {
  BEBR_ASSIGN_OR_RETURN(CollectionInfo info, ClusterEngine::GetCollection(name));
  backfills_.AddTo(info);
  return info;
}

absl::Status ReplicatedEngine::StartBackfill(std::string_view collection, std::string_view version,
                                             uint64_t documents_per_s) {
  if (version.empty()) return absl::InvalidArgumentError("version is empty; name the version to backfill");
  BEBR_ASSIGN_OR_RETURN(const CollectionInfo info, GetCollection(collection));
  BEBR_RETURN_IF_ERROR(CheckBackfill(info, version));
  backfills_.Start({info.name, std::string(version)}, documents_per_s);
  return absl::OkStatus();
}

absl::Status ReplicatedEngine::StopBackfill(std::string_view collection, std::string_view version) {
  return backfills_.Stop({Resolve(collection), std::string(version)});
}

absl::StatusOr<LogBackfills::Part> ReplicatedEngine::WritePart(size_t share, const LogBackfills::Subject& subject,
                                                               const std::string& after, uint32_t most_documents) {
  for (int round = 0; round < kMostRounds; ++round) {
    BEBR_ASSIGN_OR_RETURN(PreparedBackfill prepared,
                          sets_[share]->PrepareBackfill(subject.collection, subject.version, after, most_documents));
    LogBackfills::Part part{.documents = prepared.documents, .last_id = std::move(prepared.last_id)};
    if (part.documents == 0) return part;
    auto written = std::make_shared<std::promise<absl::Status>>();  // shared: set_value may outlast get
    Log({{share, std::move(prepared.change)}}, /*alone=*/false,
        [written, share](const absl::StatusOr<LogLane::Placed>& placed, std::map<size_t, ChangeOutcome> outcomes) {
          written->set_value(placed.ok() ? outcomes[share].status : placed.status());
        });
    const absl::Status status = written->get_future().get();
    if (absl::IsAborted(status)) continue;  // versions have changed meanwhile
    BEBR_RETURN_IF_ERROR(status);
    return part;
  }
  return absl::UnavailableError("versions of the collection change all the while");
}

}  // namespace bebr
