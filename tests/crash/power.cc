#include "tests/crash/power.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/support/disk_faults.h"

namespace bebr::testing {
namespace {

namespace fs = std::filesystem;

constexpr size_t kSectorBytes = 512;

// Leaked: syncs come until the very end of the process.
std::string* recorded_root = nullptr;
std::string* record_directory = nullptr;

std::string Read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}
void Write(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

// What tells a file from all others, one that has its number later included. Empty: there is none.
std::string KeyOf(const fs::path& path) {
  struct statx info;
  if (statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_TYPE | STATX_BTIME, &info) != 0) return "";
  return absl::StrCat(S_ISDIR(info.stx_mode) ? "d" : "f", info.stx_ino, "-", info.stx_btime.tv_sec, "-",
                      info.stx_btime.tv_nsec);
}

using Names = std::map<std::string, std::string>;  // keys by name

Names NamesIn(const fs::path& directory) {
  Names names;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    std::string key = KeyOf(entry->path());
    if (!key.empty()) names[entry->path().filename()] = std::move(key);
  }
  return names;
}

// Notes what is at `path`, by a rename, so that a kill leaves the note of before or this one.
void Note(const std::string& path, const std::string& key) {
  static std::atomic<int> number{0};
  std::string bytes;
  if (key[0] == 'd') {
    for (const auto& [name, of] : NamesIn(path)) absl::StrAppend(&bytes, name, "\n", of, "\n");
  } else {
    bytes = Read(path);
  }
  const std::string temporary = absl::StrCat(*record_directory, "/.", getpid(), "-", number.fetch_add(1));
  Write(temporary, bytes);
  std::error_code error;
  fs::rename(temporary, absl::StrCat(*record_directory, "/", key), error);
}

void NoteTree(const std::string& path) {
  const std::string key = KeyOf(path);
  Note(path, key);
  if (key[0] != 'd') return;
  for (const auto& [name, of] : NamesIn(path)) NoteTree(absl::StrCat(path, "/", name));
}

void NoteSynced(int fd) {
  char link[64], path[4096];
  std::snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(link, path, sizeof(path) - 1);
  if (size <= 0) return;
  path[size] = 0;
  const std::string name = path;
  if (!name.starts_with(*recorded_root)) return;
  // Of a file that has no name any more nothing can be found after a cut.
  if (const std::string key = KeyOf(name); !key.empty()) Note(name, key);
}

class Cut {
 public:
  Cut(std::string record, uint64_t seed) : record_(std::move(record)), random_(seed), mode_(random_() % 3) {}

  void FindLive(const fs::path& path) {
    live_[KeyOf(path)] = path;
    for (const auto& [name, key] : NamesIn(path)) {
      live_[key] = path / name;
      if (key[0] == 'd') FindLive(path / name);
    }
  }

  // Makes at `result` what is left of the file or directory `key`.
  void Make(const std::string& key, const fs::path& result) {
    if (key[0] == 'f') return Write(result, Bytes(key));
    fs::create_directories(result);
    const Names synced = Synced(key), live = live_.contains(key) ? NamesIn(live_.at(key)) : Names();
    Names all = synced;
    all.insert(live.begin(), live.end());
    std::map<std::string, bool> kept;  // by key, or by name
    for (const auto& [name, key_of_one] : all) {
      const auto before = synced.find(name), now = live.find(name);
      const std::string was = before == synced.end() ? "" : before->second, is = now == live.end() ? "" : now->second;
      // What was renamed in here has its old name or its new one, and not neither.
      const std::string& moved = Has(synced, is) ? is : Has(live, was) ? was : name;
      if (was != is && !kept.contains(moved)) kept[moved] = Keeps();
      const std::string left = was != is && kept[moved] ? is : was;
      if (!left.empty()) Make(left, result / name);
    }
  }

 private:
  static bool Has(const Names& names, const std::string& key) {
    return !key.empty() &&
           std::any_of(names.begin(), names.end(), [&](const auto& entry) { return entry.second == key; });
  }
  // Whether something that was not synced is there all the same.
  bool Keeps() { return mode_ == 0 ? false : mode_ == 1 ? true : random_() % 2 == 0; }

  Names Synced(const std::string& key) const {
    Names names;
    std::ifstream in(record_ + "/" + key);
    for (std::string name, of; std::getline(in, name) && std::getline(in, of);) names[name] = of;
    return names;
  }

  std::string Bytes(const std::string& key) {
    const std::string before = Read(record_ + "/" + key);
    if (!live_.contains(key)) return before;
    std::string now = Read(live_.at(key));
    if (mode_ != 2) return Keeps() ? now : before;
    // Torn: any length between the two, any sector the old or the new one, or never written.
    const size_t least = std::min(before.size(), now.size()), most = std::max(before.size(), now.size());
    const size_t size = least + (most > least ? random_() % (most - least + 1) : 0);
    now.resize(size);
    for (size_t at = 0; at < size; at += kSectorBytes) {
      if (random_() % 2 == 0) continue;
      for (size_t i = at; i < std::min(at + kSectorBytes, size); ++i) now[i] = i < before.size() ? before[i] : '\0';
    }
    return now;
  }

  const std::string record_;
  std::mt19937_64 random_;
  const uint64_t mode_;
  std::map<std::string, fs::path> live_;
};

}  // namespace

void RecordSyncs(const std::string& root, const std::string& record) {
  if (recorded_root == nullptr) {
    recorded_root = new std::string;
    record_directory = new std::string;
  }
  *recorded_root = root;
  *record_directory = record;
  fs::remove_all(record);
  fs::create_directories(record);
  NoteTree(root);
  ObserveSyncs(NoteSynced);
}

void CutPower(const std::string& root, const std::string& record, const std::string& result, uint64_t seed) {
  fs::remove_all(result);
  Cut cut(record, seed);
  cut.FindLive(root);
  cut.Make(KeyOf(root), result);
}

}  // namespace bebr::testing
