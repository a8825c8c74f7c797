#include "index/storage/store_files.h"

#include <sys/stat.h>

#include <set>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "index/base/checksum.h"
#include "index/base/file.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"
#include "index/storage/files.h"
#include "index/storage/log_scan.h"

namespace bebr {
namespace {

constexpr const char* kTitle = "bebr files 1";

std::string LogName(uint64_t number) { return absl::StrFormat("%06d.log", number); }
std::string ManifestName(uint64_t number) { return absl::StrFormat("MANIFEST-%06d", number); }

absl::Status Lost(const std::string& directory, std::string_view file, std::string_view what) {
  return absl::DataLossError(absl::StrFormat("%s/%s %s", directory, file, what));
}

// Parses the lines before the checksum.
absl::StatusOr<StoreFileList> ParseLines(std::string_view text) {
  absl::Status unknown = absl::DataLossError("it is not what a server writes");
  std::vector<std::string> lines = absl::StrSplit(absl::string_view(text.data(), text.size()), '\n', absl::SkipEmpty());
  if (lines.empty()) return unknown;
  if (lines[0] != kTitle) {
    return absl::FailedPreconditionError(
        absl::StrFormat("it begins with \"%s\"; this server reads \"%s\"", lines[0].substr(0, 40), kTitle));
  }
  StoreFileList list;
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::vector<std::string> words = absl::StrSplit(lines[i], ' ');
    uint64_t number = 0, bytes = 0;
    if (words.size() != 3 || !absl::SimpleAtoi(words[1], &number) || !absl::SimpleAtoi(words[2], &bytes))
      return unknown;
    if (words[0] == "manifest") {
      list.manifest = number;
      list.manifest_bytes = bytes;
    } else if (words[0] == "log") {
      list.logs[number] = bytes;
    } else {
      return unknown;
    }
  }
  return list;
}

// Checks one file in RocksDB's log format, of which `synced` bytes were acknowledged; returns its bytes.
absl::StatusOr<uint64_t> CheckLog(const std::string& directory, const std::string& name, uint64_t synced, bool repair) {
  const std::string path = absl::StrFormat("%s/%s", directory, name);
  BEBR_ASSIGN_OR_RETURN(const LogScan scan, ScanLog(path));
  if (scan.record_follows || scan.whole_bytes < synced) {
    return Lost(directory, name,
                scan.record_follows || scan.size >= synced
                    ? absl::StrFormat("is damaged behind byte %d", scan.whole_bytes)
                    : absl::StrFormat("has %d bytes; %d were written", scan.size, synced));
  }
  if (scan.whole()) return scan.size;
  LogWarning("{} ends in {} bytes that a crash has torn: a write that was not acknowledged; {}", path,
             scan.size - scan.whole_bytes, repair ? "they are cut off" : "the next start cuts them off");
  if (repair) BEBR_RETURN_IF_ERROR(CutFile(path, scan.whole_bytes));
  return scan.whole_bytes;
}

// Numbers of the logs that are there.
absl::StatusOr<std::set<uint64_t>> LogsOf(const std::string& directory) {
  BEBR_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListFiles(directory));
  std::set<uint64_t> numbers;
  for (const std::string& name : names) {
    absl::string_view digits = name;
    uint64_t number = 0;
    if (absl::ConsumeSuffix(&digits, ".log") && absl::SimpleAtoi(digits, &number)) numbers.insert(number);
  }
  return numbers;
}

// Whether RocksDB reads a file of this name, and so would wait for a pipe.
bool IsOfAStore(const std::string& name) {
  return name == "CURRENT" || name == "IDENTITY" || name.starts_with("MANIFEST-") || name.starts_with("OPTIONS-") ||
         name.ends_with(".sst") || name.ends_with(".log");
}

// That what has the name of a store's file is one.
absl::Status CheckKinds(const std::string& directory) {
  for (const auto list : {ListFiles, ListDirectories}) {
    BEBR_ASSIGN_OR_RETURN(const std::vector<std::string> names, list(directory));
    for (const std::string& name : names) {
      struct stat info;  // what cannot be looked at is told of by who reads it
      if (!IsOfAStore(name) || stat(absl::StrFormat("%s/%s", directory, name).c_str(), &info) != 0) continue;
      if (!S_ISREG(info.st_mode)) return Lost(directory, name, "is no file, but a directory, a pipe or a device");
    }
  }
  return absl::OkStatus();
}

// The number of the MANIFEST that CURRENT names.
absl::StatusOr<uint64_t> ManifestInUse(const std::string& directory, const StoreFileList& list) {
  BEBR_ASSIGN_OR_RETURN(const bool there, FileExists(directory + "/CURRENT"));
  if (!there) return Lost(directory, "CURRENT", "is missing");
  BEBR_ASSIGN_OR_RETURN(const std::string current, ReadDataFile(directory + "/CURRENT"));
  absl::string_view digits = current;
  uint64_t number = 0;
  if (!absl::ConsumeSuffix(&digits, "\n") || !absl::ConsumePrefix(&digits, "MANIFEST-") ||
      !absl::SimpleAtoi(digits, &number)) {
    return Lost(directory, "CURRENT", "does not name a MANIFEST");
  }
  const std::string name = ManifestName(number);
  BEBR_ASSIGN_OR_RETURN(const bool manifest_there, FileExists(absl::StrFormat("%s/%s", directory, name)));
  if (!manifest_there) {
    return Lost(directory, "CURRENT", absl::StrFormat("names %s, which is missing", name));
  }
  if (number < list.manifest) {
    return Lost(directory, "CURRENT", absl::StrFormat("names %s; %s was in use", name, ManifestName(list.manifest)));
  }
  return number;
}

}  // namespace

std::string StoreFileList::Path(std::string_view directory) { return absl::StrFormat("%s/FILES", directory); }

absl::StatusOr<StoreFileList> StoreFileList::Read(const std::string& directory) {
  const std::string path = Path(directory);
  BEBR_ASSIGN_OR_RETURN(const bool there, FileExists(path));
  if (!there) return StoreFileList();
  BEBR_ASSIGN_OR_RETURN(const std::string text, ReadDataFile(path));
  constexpr absl::string_view kChecksum = "crc32c ";
  const size_t end = text.rfind(kChecksum.data());
  uint32_t stated = 0;
  absl::StatusOr<StoreFileList> list = absl::DataLossError("its checksum is wrong");
  if (end != std::string::npos &&
      absl::SimpleHexAtoi(absl::StripAsciiWhitespace(absl::string_view(text).substr(end + kChecksum.size())),
                          &stated) &&
      stated == Crc32c(std::string_view(text).substr(0, end))) {
    list = ParseLines(std::string_view(text).substr(0, end));
  }
  if (list.ok()) return list;
  return absl::Status(
      list.status().code(),
      absl::StrFormat("%s cannot be used: %s. Restore a snapshot; or remove this file, if you know that "
                      "the store's other files are those that belong to it",
                      path, list.status().message()));
}

absl::Status StoreFileList::Write(const std::string& directory, bool synced) const {
  std::string text = absl::StrCat(kTitle, "\n");
  if (manifest != 0) absl::StrAppendFormat(&text, "manifest %d %d\n", manifest, manifest_bytes);
  for (const auto& [number, bytes] : logs) absl::StrAppendFormat(&text, "log %d %d\n", number, bytes);
  absl::StrAppendFormat(&text, "crc32c %08x\n", Crc32c(text));
  return synced ? WriteFileAtomically(Path(directory), text) : WriteFileUnsynced(Path(directory), text);
}

absl::StatusOr<StoreFileList> CheckStoreFiles(const std::string& directory, bool repair) {
  BEBR_ASSIGN_OR_RETURN(const bool there, FileExists(directory));
  if (!there) return absl::DataLossError(absl::StrFormat("%s is missing", directory));
  BEBR_RETURN_IF_ERROR(CheckKinds(directory));
  BEBR_ASSIGN_OR_RETURN(const StoreFileList list, StoreFileList::Read(directory));
  StoreFileList found;
  BEBR_ASSIGN_OR_RETURN(found.manifest, ManifestInUse(directory, list));
  BEBR_ASSIGN_OR_RETURN(found.manifest_bytes,
                        CheckLog(directory, ManifestName(found.manifest),
                                 found.manifest == list.manifest ? list.manifest_bytes : 0, repair));
  BEBR_ASSIGN_OR_RETURN(const std::set<uint64_t> logs, LogsOf(directory));
  for (const auto& [number, bytes] : list.logs) {
    if (!logs.contains(number)) return Lost(directory, LogName(number), "is missing, which FILES lists");
  }
  for (const uint64_t number : logs) {
    const auto listed = list.logs.find(number);
    BEBR_ASSIGN_OR_RETURN(found.logs[number],
                          CheckLog(directory, LogName(number), listed == list.logs.end() ? 0 : listed->second, repair));
  }
  return found;
}

}  // namespace bebr
