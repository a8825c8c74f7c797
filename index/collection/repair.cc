#include "index/collection/repair.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "index/base/file.h"
#include "index/base/status_macros.h"
#include "index/catalog/catalog.h"
#include "index/storage/collection_store.h"
#include "index/storage/damaged_store.h"
#include "index/storage/files.h"
#include "index/storage/format.h"
#include "index/storage/table_check.h"
#include "index/types/shown_text.h"

namespace bebr {
namespace {

constexpr size_t kBatchBytes = 4 << 20;
constexpr size_t kEncodedAtATime = 256;
constexpr size_t kMostNamed = 10;
constexpr const char* kReportEnding = ".txt";
constexpr std::string_view kDamaged = "/damaged-";
constexpr std::string_view kHasTheFiles = " has the damaged files";
constexpr uint64_t kCacheBytes = 8 << 20;

// Fills a new store with what is left of a damaged one.
class Copy {
 public:
  Copy(const CollectionManifest& manifest, const DamagedStore& from, CollectionStore& to)
      : manifest_(manifest), from_(from), to_(to) {
    for (const Version& version : manifest.versions) {
      if (!version.retired) by_embedding_[version.embedding].push_back(&version);
    }
    batch_.NeedFormat(from.format());
  }

  absl::Status Run() {
    for (shard_ = 0; shard_ < manifest_.shards; ++shard_) {
      BEBR_RETURN_IF_ERROR(from_.VisitDocuments(
          shard_, [&](std::string_view id, std::string_view attributes) { return Add(id, attributes); }));
      for (auto& [version, waiting] : waiting_) Encode(*version, waiting);
    }
    BEBR_RETURN_IF_ERROR(Commit());
    BEBR_RETURN_IF_ERROR(to_.SetGeneration(from_.mark().generation));
    return to_.Flush();
  }
  const RepairReport& report() const { return report_; }

 private:
  using Floats = std::map<uint32_t, std::string>;  // by embedding
  // Documents whose codes a version is to make.
  struct Waiting {
    std::vector<std::string> ids;
    std::vector<float> floats;
  };

  absl::Status Add(std::string_view id, std::string_view attributes) {
    ++report_.documents;
    batch_.PutDocument(shard_, id, attributes);
    BEBR_ASSIGN_OR_RETURN(const Floats floats, AddFloats(id));
    std::vector<uint32_t> told;  // embeddings that a code tells of
    for (const Space& space : manifest_.spaces) {
      BEBR_ASSIGN_OR_RETURN(const std::optional<uint32_t> version, AddCode(space.number, id, floats));
      if (version.has_value()) told.push_back(manifest_.versions[*version].embedding);
    }
    for (const auto& [embedding, bytes] : floats) {
      if (std::find(told.begin(), told.end(), embedding) == told.end()) batch_.PutMark(embedding, shard_, id);
    }
    return batch_.bytes() < kBatchBytes ? absl::OkStatus() : Commit();
  }

  // What can be read of its floats.
  absl::StatusOr<Floats> AddFloats(std::string_view id) {
    Floats floats;
    if (manifest_.store_floats == FloatStorage::kNone) return floats;
    for (const auto& [embedding, versions] : by_embedding_) {
      auto bytes = from_.GetFloats(embedding, shard_, id);
      if (absl::IsDataLoss(bytes.status())) {
        ++report_.lost_floats;
        Lost("floats", id);
        continue;
      }
      BEBR_RETURN_IF_ERROR(bytes.status());
      if (!bytes->has_value()) continue;
      batch_.PutFloats(embedding, shard_, id, **bytes);
      floats[embedding] = **std::move(bytes);
    }
    return floats;
  }

  // The version that wrote its code, or writes it now; nullopt if it has none.
  absl::StatusOr<std::optional<uint32_t>> AddCode(uint32_t space, std::string_view id, const Floats& floats) {
    const auto bytes = from_.GetCode(space, shard_, id);
    if (bytes.ok() && !bytes->has_value()) return std::nullopt;
    if (bytes.ok()) {
      BEBR_ASSIGN_OR_RETURN(const StoredCode code, DecodeCode(**bytes, &scratch_));
      if (code.version >= manifest_.versions.size()) {
        return absl::DataLossError(absl::StrFormat("a stored code is of version %d", code.version));
      }
      batch_.PutCode(space, shard_, id, code);
      return code.version;
    }
    if (!absl::IsDataLoss(bytes.status())) return bytes.status();
    for (auto version = manifest_.versions.rbegin(); version != manifest_.versions.rend(); ++version) {
      if (version->retired || version->space != space || !floats.contains(version->embedding)) continue;
      Waiting& waiting = waiting_[&*version];
      const size_t dims = version->binarizer->input_dims();
      waiting.floats.resize(waiting.floats.size() + dims);
      BEBR_RETURN_IF_ERROR(ReadStoredFloats(manifest_.store_floats, floats.at(version->embedding),
                                            absl::MakeSpan(waiting.floats).last(dims)));
      waiting.ids.emplace_back(id);
      if (waiting.ids.size() >= kEncodedAtATime) Encode(*version, waiting);
      return version->number;
    }
    ++report_.lost_codes;
    Lost("code", id);
    return std::nullopt;
  }

  void Encode(const Version& version, Waiting& waiting) {
    const size_t rows = waiting.ids.size(), words = version.binarizer->spec().code_words();
    std::vector<uint32_t> codes(rows * words);
    std::vector<CodeFactors> factors(rows);
    version.binarizer->EncodeDocuments(waiting.floats.data(), rows, codes.data(), factors.data());
    for (size_t i = 0; i < rows; ++i) {
      batch_.PutCode(version.space, shard_, waiting.ids[i],
                     {version.number, factors[i].scale, factors[i].offset,
                      absl::MakeConstSpan(codes).subspan(i * words, words), factors[i].group});
    }
    report_.rebuilt_codes += rows;
    waiting = {};
  }

  void Lost(std::string_view what, std::string_view id) {
    if (report_.lost.size() >= kMostNamed) return;
    report_.lost.push_back(absl::StrFormat("%s of document %s", what, ShownInMessage({id.data(), id.size()})));
  }

  absl::Status Commit() { return to_.Commit(std::exchange(batch_, {}), from_.mark().sequence).status(); }

  const CollectionManifest& manifest_;
  const DamagedStore& from_;
  CollectionStore& to_;
  std::map<uint32_t, std::vector<const Version*>> by_embedding_;  // those in use
  std::map<const Version*, Waiting> waiting_;
  uint32_t shard_ = 0;
  CollectionStore::Batch batch_;
  std::string scratch_;
  RepairReport report_;
};

std::string BuildingPath(const std::string& directory) { return directory + "/repairing"; }
// A store that is complete, and not yet in its place.
std::string RepairedPath(const std::string& directory) { return directory + "/repaired"; }
// What its repair reports.
std::string ReportPath(const std::string& directory) { return directory + "/repaired.txt"; }

absl::Status CheckDisk(const std::string& directory) {
  const uint64_t needed = SizeOf(StorePath(directory)).file_bytes;
  const DiskSpace space = DiskSpaceOf(directory);
  if (space.total_bytes == 0 || space.free_bytes >= needed) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrFormat("a repair of %s copies it; that takes %d bytes of disk and %d are left. Make room", directory,
                      needed, space.free_bytes));
}

absl::StatusOr<RepairReport> Build(const CollectionManifest& manifest, const std::string& directory) {
  BEBR_RETURN_IF_ERROR(RemoveAll(BuildingPath(directory)));
  BEBR_RETURN_IF_ERROR(CheckDisk(directory));
  BEBR_ASSIGN_OR_RETURN(const auto from, DamagedStore::Open(StorePath(directory)));
  BEBR_ASSIGN_OR_RETURN(const auto to, CollectionStore::Create(BuildingPath(directory), manifest.shards,
                                                               MakeStoreCache(kCacheBytes), from->mark().identity));
  Copy copy(manifest, *from, *to);
  BEBR_RETURN_IF_ERROR(copy.Run());
  return copy.report();
}

absl::Status CheckLoss(const RepairReport& report) {
  if (report.lost_codes + report.lost_floats == 0) return absl::OkStatus();
  return absl::DataLossError(absl::StrFormat(
      "%d codes cannot be made again, for want of floats, and %d embeddings are lost: %s, of %d documents. Nothing was "
      "changed. Restore a snapshot, or repeat the repair with --accept_loss and index these documents again",
      report.lost_codes, report.lost_floats, absl::StrJoin(report.lost, ", "), report.documents));
}

// The first free name of those that damaged stores get.
absl::StatusOr<std::string> FreePath(const std::string& directory) {
  for (int n = 1;; ++n) {
    std::string path = absl::StrFormat("%s%s%d", directory, kDamaged, n);
    BEBR_ASSIGN_OR_RETURN(const bool there, FileExists(path));
    BEBR_ASSIGN_OR_RETURN(const bool reported, FileExists(path + kReportEnding));
    if (!there && !reported) return path;
  }
}

// The damaged store that a report tells of, in its last line. The directory may lie elsewhere now.
absl::StatusOr<std::string> ToldPath(const std::string& directory, std::string_view report) {
  const size_t end = report.rfind(kHasTheFiles), begin = report.rfind(kDamaged, end);
  std::string path = directory;
  if (end != std::string_view::npos && begin != std::string_view::npos) path += report.substr(begin, end - begin);
  BEBR_ASSIGN_OR_RETURN(const bool there, FileExists(path));
  BEBR_ASSIGN_OR_RETURN(const bool reported, FileExists(path + kReportEnding));
  if (path != directory && there && !reported) return path;
  return absl::NotFoundError("the damaged store was not kept");
}

// The exchange is done: the report goes where it stays, beside the damaged store.
absl::Status KeepReport(const std::string& directory) {
  BEBR_ASSIGN_OR_RETURN(const std::string report, ReadDataFile(ReportPath(directory)));
  BEBR_ASSIGN_OR_RETURN(const std::string kept, ToldPath(directory, report));
  return RenameDirectory(ReportPath(directory), kept + kReportEnding);
}

std::string TextOf(const RepairReport& report) {
  std::string text = absl::StrJoin(report.damages, "\n");
  absl::StrAppend(&text, "\n", report.documents, " documents\n");
  absl::StrAppend(&text, report.rebuilt_codes, " codes were made again of stored floats\n");
  absl::StrAppend(&text, report.lost_codes, " codes are lost: searches do not find these documents\n");
  absl::StrAppend(&text, report.lost_floats, " embeddings are lost\n");
  for (const std::string& lost : report.lost) absl::StrAppend(&text, "    ", lost, "\n");
  absl::StrAppendFormat(&text, "%s%s; remove it when the collection is as you want it\n", report.kept, kHasTheFiles);
  return text;
}

// Puts the complete store into its place, and the damaged one aside. Its report is on disk until that is done.
absl::Status Exchange(const std::string& directory, const RepairReport& report) {
  BEBR_RETURN_IF_ERROR(WriteFileAtomically(ReportPath(directory), report.text));
  BEBR_RETURN_IF_ERROR(RenameDirectory(BuildingPath(directory), RepairedPath(directory)));
  BEBR_RETURN_IF_ERROR(RenameDirectory(StorePath(directory), report.kept));
  BEBR_RETURN_IF_ERROR(RenameDirectory(RepairedPath(directory), StorePath(directory)));
  return KeepReport(directory);
}

// Whether all of an exchange is done but that its report was kept.
absl::StatusOr<bool> LacksReportAlone(const std::string& directory) {
  BEBR_ASSIGN_OR_RETURN(const bool there, FileExists(StorePath(directory)));
  BEBR_ASSIGN_OR_RETURN(const bool complete, FileExists(RepairedPath(directory)));
  BEBR_ASSIGN_OR_RETURN(const bool building, FileExists(BuildingPath(directory)));
  BEBR_ASSIGN_OR_RETURN(const bool reported, FileExists(ReportPath(directory)));
  return there && !complete && !building && reported;
}

// An exchange that was interrupted is made up for, if the damaged store has gone; else the repair begins anew.
absl::StatusOr<RepairReport> FinishExchange(const std::string& directory) {
  RepairReport report;
  BEBR_ASSIGN_OR_RETURN(const bool there, FileExists(StorePath(directory)));
  BEBR_ASSIGN_OR_RETURN(const bool complete, FileExists(RepairedPath(directory)));
  BEBR_ASSIGN_OR_RETURN(const bool done, LacksReportAlone(directory));
  if (done || (complete && !there)) {
    BEBR_ASSIGN_OR_RETURN(report.text, ReadDataFile(ReportPath(directory)));
    report.resumed = true;
  }
  if (complete && !there) BEBR_RETURN_IF_ERROR(RenameDirectory(RepairedPath(directory), StorePath(directory)));
  BEBR_RETURN_IF_ERROR(RemoveUnfinishedRepair(directory));
  return report;
}

// A store that is whole, but which a repair by an earlier release left without the identity that its manifest has, gets
// that, if nothing else says that they do not belong together.
absl::StatusOr<RepairReport> GiveIdentity(const CollectionManifest& manifest, const std::string& directory) {
  RepairReport report;
  if (!manifest.mark.has_value() || manifest.mark->identity.empty()) return report;
  const std::string path = StorePath(directory);
  StoreMark expected = *manifest.mark;
  {
    BEBR_ASSIGN_OR_RETURN(const auto store, DamagedStore::Open(path));
    if (!store->mark().identity.empty()) return report;
    expected.identity.clear();
    BEBR_RETURN_IF_ERROR(CheckMark(path, expected, store->mark()));
  }
  BEBR_ASSIGN_OR_RETURN(const auto store, CollectionStore::Open(path, manifest.shards, MakeStoreCache(kCacheBytes)));
  BEBR_RETURN_IF_ERROR(store->SetIdentity(manifest.mark->identity));
  report.text = absl::StrFormat(
      "%s had no identity, as after a repair by an earlier release; it has that of its manifest.json now\n", path);
  return report;
}

}  // namespace

absl::StatusOr<RepairReport> Repair(const std::string& data_dir, const std::string& name, bool accept_loss) {
  BEBR_ASSIGN_OR_RETURN(const auto lock, DirectoryLock::Acquire(data_dir));
  BEBR_ASSIGN_OR_RETURN(const auto catalog, Catalog::Open(data_dir));
  BEBR_ASSIGN_OR_RETURN(const std::vector<std::string> names, catalog->Names());
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    return absl::NotFoundError(
        absl::StrFormat("%s has no collection \"%s\"; it has: %s", data_dir, name, absl::StrJoin(names, ", ")));
  }
  BEBR_ASSIGN_OR_RETURN(const CollectionManifest manifest, catalog->Load(name));
  const std::string directory = catalog->CollectionPath(name);
  if (manifest.format == 1) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "%s is of format 1, which is not repaired; the first start of this server makes it a newer one", directory));
  }
  BEBR_ASSIGN_OR_RETURN(RepairReport finished, FinishExchange(directory));
  if (finished.resumed) return finished;
  std::vector<std::string> damages;
  for (const absl::Status& damage : VerifyStore(StorePath(directory))) damages.emplace_back(damage.message());
  if (damages.empty()) return GiveIdentity(manifest, directory);
  absl::StatusOr<RepairReport> report = Build(manifest, directory);
  absl::Status status = report.status();
  if (status.ok() && !accept_loss) status = CheckLoss(*report);
  if (!status.ok()) {
    RemoveAll(BuildingPath(directory)).IgnoreError();  // the first error is the one that counts
    return status;
  }
  BEBR_ASSIGN_OR_RETURN(report->kept, FreePath(directory));
  report->damages = std::move(damages);
  report->text = TextOf(*report);
  BEBR_RETURN_IF_ERROR(Exchange(directory, *report));
  return report;
}

absl::Status RemoveUnfinishedRepair(const std::string& directory) {
  BEBR_ASSIGN_OR_RETURN(const bool done, LacksReportAlone(directory));
  if (done) {
    const absl::Status kept = KeepReport(directory);
    if (!absl::IsNotFound(kept)) return kept;  // somebody has removed what it tells of
  }
  // The report first: it is never left alone.
  for (const std::string& path : {ReportPath(directory), BuildingPath(directory), RepairedPath(directory)}) {
    BEBR_RETURN_IF_ERROR(RemoveAll(path));
  }
  return absl::OkStatus();
}

}  // namespace bebr
