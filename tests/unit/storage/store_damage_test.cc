// Every file of a store, damaged in every way: the store opens and has what was acknowledged, or it does not open and
// the error names the file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/storage/collection_store.h"
#include "index/storage/store_files.h"

namespace bebr {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::string Read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}
void Write(const fs::path& path, std::string_view bytes) {
  fs::remove(path);  // it may be a hard link
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

using Contents = std::map<std::string, std::string>;  // documents and their floats

absl::StatusOr<Contents> ContentsOf(CollectionStore& store) {
  Contents contents;
  absl::Status status =
      store.VisitDocuments(nullptr, 0, {}, {}, [&](std::string_view id, std::string_view attributes, auto, auto) {
        contents.emplace(id, attributes);
        return absl::OkStatus();
      });
  if (status.ok()) {
    status = store.VisitFloats(store.MakeView().get(), 0, 0, [&](std::string_view id, std::string_view bytes) {
      contents[absl::StrCat("floats of ", std::string(id))] = bytes;
      return absl::OkStatus();
    });
  }
  if (!status.ok()) return status;
  return contents;
}

absl::StatusOr<Contents> OpenAndRead(const std::string& path) {
  auto store = CollectionStore::Open(path, 1, MakeStoreCache(1 << 20));
  if (!store.ok()) return store.status();
  return ContentsOf(**store);
}

class StoreDamageTest : public ::testing::Test {
 protected:
  StoreDamageTest() : root_(fs::temp_directory_path() / absl::StrCat("bebr-damage-", getpid())) {
    fs::remove_all(root_);
    auto store = CollectionStore::Create(store_path(), 1, MakeStoreCache(1 << 20));
    EXPECT_TRUE(store.ok()) << store.status();
    Fill(**store, 0);
    EXPECT_TRUE((*store)->Flush().ok());
    Fill(**store, 1);
    fs::copy(store_path(), root_ / "older", fs::copy_options::recursive);
    EXPECT_TRUE((*store)->Flush().ok());
    Fill(**store, 2);
    fs::copy(store_path(), root_ / "crashed", fs::copy_options::recursive);
    auto contents = ContentsOf(**store);
    EXPECT_TRUE(contents.ok());
    contents_ = *std::move(contents);
  }
  ~StoreDamageTest() override { fs::remove_all(root_); }

  fs::path store_path() const { return root_ / "store"; }

  static void Fill(CollectionStore& store, int round) {
    for (int i = 0; i < 20; ++i) {
      CollectionStore::Batch batch;
      const std::string id = absl::StrCat("document ", round, " ", i);
      batch.PutDocument(0, id, std::string(500, static_cast<char>('a' + i)));
      batch.PutFloats(0, 0, id, std::string(3000, static_cast<char>('A' + i)));
      ASSERT_TRUE(store.Commit(std::move(batch), store.sequence() + 1).ok());
    }
  }

  // Damages one file of a copy of `from`, opens that and judges.
  void Try(const fs::path& from, const std::string& file, const std::string& what,
           const std::function<void(const fs::path&)>& damage) {
    SCOPED_TRACE(absl::StrCat(file, " ", what));
    fs::remove_all(root_ / "trial");
    fs::copy(from, root_ / "trial", fs::copy_options::recursive);
    damage(root_ / "trial" / file);
    const auto contents = OpenAndRead(root_ / "trial");
    if (contents.ok()) {
      EXPECT_TRUE(*contents == contents_) << contents->size() << " instead of " << contents_.size();
      ++unchanged_;
      return;
    }
    ++refused_;
    EXPECT_EQ(contents.status().code(), absl::StatusCode::kDataLoss) << contents.status();
    EXPECT_THAT(std::string(contents.status().message()), HasSubstr(file));
  }

  void TryAll(const fs::path& from) {
    std::vector<std::string> files;
    for (const auto& entry : fs::directory_iterator(from)) files.push_back(entry.path().filename());
    for (const std::string& file : files) {
      const std::string whole = Read(from / file);
      const auto change = [&](const std::string& what, const std::function<void(std::string&)>& edit) {
        std::string bytes = whole;
        edit(bytes);
        if (bytes != whole) Try(from, file, what, [&](const fs::path& path) { Write(path, bytes); });
      };
      Try(from, file, "deleted", [](const fs::path& path) { fs::remove(path); });
      change("emptied", [](std::string& bytes) { bytes.clear(); });
      change("cut by half", [](std::string& bytes) { bytes.resize(bytes.size() / 2); });
      change("cut by a byte",
             [](std::string& bytes) { bytes.resize(bytes.size() - std::min<size_t>(1, bytes.size())); });
      change("with zeros for half of it",
             [](std::string& bytes) { std::fill(bytes.begin() + bytes.size() / 2, bytes.end(), 0); });
      change("with garbage for half of it", [](std::string& bytes) {
        for (size_t i = bytes.size() / 2; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 2654435761u >> 13);
      });
      change("with garbage behind it", [](std::string& bytes) { bytes += "garbage that nobody wrote"; });
      for (size_t part = 0; part < 16; ++part) {
        change(absl::StrCat("with a bit changed, ", part), [&](std::string& bytes) {
          if (!bytes.empty()) bytes[bytes.size() * part / 16 + bytes.size() / 40] ^= 4;
        });
      }
      if (fs::exists(root_ / "older" / file)) {
        change("an older copy", [&](std::string& bytes) { bytes = Read(root_ / "older" / file); });
      }
    }
    EXPECT_GT(unchanged_, 0);
    EXPECT_GT(refused_, 0);
  }

  const fs::path root_;
  Contents contents_;
  int unchanged_ = 0, refused_ = 0;
};

TEST_F(StoreDamageTest, OfAClosedStoreNoDamagePasses) { TryAll(store_path()); }

// After a crash the log's last record may be torn, which cannot be told from damage to it: what is acknowledged before
// must be there, and that is all but the last record.
TEST_F(StoreDamageTest, AfterACrashTheLogsTornEndIsCutOff) {
  std::string log;
  for (const auto& entry : fs::directory_iterator(root_ / "crashed")) {
    if (entry.path().extension() == ".log" && fs::file_size(entry.path()) > 0) log = entry.path().filename();
  }
  ASSERT_FALSE(log.empty());
  const std::string whole = Read(root_ / "crashed" / log);
  for (const std::string& tail :
       {std::string(), std::string(200, '\0'), std::string(200, 'g'), std::string(70000, '\0')}) {
    fs::remove_all(root_ / "trial");
    fs::copy(root_ / "crashed", root_ / "trial", fs::copy_options::recursive);
    Write(root_ / "trial" / log, whole.substr(0, whole.size() - 200) + tail);
    for (int start = 0; start < 2; ++start) {  // the second start finds nothing torn
      const auto contents = OpenAndRead(root_ / "trial");
      ASSERT_TRUE(contents.ok()) << contents.status();
      EXPECT_EQ(contents->size(), contents_.size() - 2);
      for (const auto& [key, value] : *contents) EXPECT_EQ(value, contents_[key]);
    }
  }
}

TEST_F(StoreDamageTest, AfterACrashDamageBeforeTheLogsEndIsRefused) {
  fs::remove_all(store_path());
  fs::rename(root_ / "crashed", store_path());
  for (const auto& entry : fs::directory_iterator(store_path())) {
    const std::string log = entry.path().filename();
    if (entry.path().extension() != ".log" || fs::file_size(entry.path()) == 0) continue;
    const size_t size = fs::file_size(entry.path());
    for (size_t at = 3; at < size * 9 / 10; at += size / 13) {
      Try(store_path(), log, absl::StrCat("changed at ", at), [&](const fs::path& path) {
        std::string bytes = Read(path);
        bytes[at] ^= 1;
        Write(path, bytes);
      });
    }
  }
  EXPECT_EQ(unchanged_, 0);
}

// The worked example of index/storage/FORMAT.md.
TEST(StoreFileListTest, IsTheDocumentedText) {
  const std::string text = "bebr files 1\nmanifest 19 308\nlog 4 39\nlog 14 1631\nlog 18 79\ncrc32c 2150db8a\n";
  const fs::path directory = fs::temp_directory_path() / absl::StrCat("bebr-files-", getpid());
  fs::create_directories(directory);
  Write(directory / "FILES", text);
  const absl::StatusOr<StoreFileList> list = StoreFileList::Read(directory);
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_EQ(list->manifest, 19u);
  EXPECT_EQ(list->manifest_bytes, 308u);
  EXPECT_EQ(list->logs, (std::map<uint64_t, uint64_t>{{4, 39}, {14, 1631}, {18, 79}}));
  ASSERT_TRUE(list->Write(directory).ok());
  EXPECT_EQ(Read(directory / "FILES"), text);
  fs::remove_all(directory);
}

}  // namespace
}  // namespace bebr
