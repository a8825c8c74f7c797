#include "index/storage/log_scan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/base/checksum.h"

namespace bebr {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBlock = 32768;
constexpr size_t kHeader = 7;

// Writes records as RocksDB does.
class LogBuilder {
 public:
  // Returns where the record begins.
  size_t Add(std::string_view record) {
    size_t begin = std::string::npos;
    for (bool first = true;; first = false) {
      if (const size_t left = kBlock - bytes_.size() % kBlock; left < kHeader) bytes_.append(left, '\0');
      if (first) begin = bytes_.size();
      const size_t room = kBlock - bytes_.size() % kBlock - kHeader;
      const bool last = record.size() <= room;
      Piece(first ? (last ? 1 : 2) : (last ? 4 : 3), record.substr(0, room));
      if (last) return begin;
      record.remove_prefix(room);
    }
  }
  std::string& bytes() { return bytes_; }

 private:
  void Piece(char type, std::string_view payload) {
    const uint32_t checksum = Crc32c(payload, Crc32c(std::string_view(&type, 1)));
    const uint32_t masked = (checksum >> 15 | checksum << 17) + 0xA282EAD8u;
    for (int i = 0; i < 4; ++i) bytes_.push_back(static_cast<char>(masked >> 8 * i));
    bytes_.push_back(static_cast<char>(payload.size() & 0xFF));
    bytes_.push_back(static_cast<char>(payload.size() >> 8));
    bytes_.push_back(type);
    bytes_.append(payload);
  }
  std::string bytes_;
};

LogScan Scan(std::string_view bytes) {
  const std::string path = fs::temp_directory_path() / absl::StrCat("bebr-log-scan-", getpid());
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  const auto scan = ScanLog(path);
  fs::remove(path);
  EXPECT_TRUE(scan.ok()) << scan.status();
  return scan.value_or(LogScan());
}

// Records whose pieces end in the middle of blocks, at their ends and just before.
const std::vector<size_t> kSizes = {0, 1, 100, kBlock - kHeader, 3 * kBlock, kBlock - 5 * kHeader, 20000, 70000, 12};

TEST(LogScanTest, AWholeLog) {
  LogBuilder log;
  EXPECT_TRUE(Scan("").whole());
  for (const size_t size : kSizes) {
    log.Add(std::string(size, 'a'));
    const LogScan scan = Scan(log.bytes());
    EXPECT_TRUE(scan.whole()) << size;
    EXPECT_EQ(scan.size, log.bytes().size());
    EXPECT_FALSE(scan.record_follows);
  }
}

TEST(LogScanTest, WhateverIsCutOffTheLastRecordIsTheTail) {
  LogBuilder log;
  for (const size_t size : kSizes) log.Add(std::string(size, 'a'));
  const size_t before = log.bytes().size();
  const size_t begin = log.Add(std::string(2 * kBlock, 'b'));
  for (size_t cut = before; cut < log.bytes().size(); cut += 997) {
    const LogScan scan = Scan(std::string_view(log.bytes()).substr(0, cut));
    EXPECT_LE(scan.whole_bytes, begin) << cut;
    EXPECT_GE(scan.whole_bytes, before) << cut;
    EXPECT_FALSE(scan.record_follows) << cut;
  }
}

TEST(LogScanTest, ATornTailOfZerosOrGarbageIsNoDamage) {
  LogBuilder log;
  for (const size_t size : kSizes) log.Add(std::string(size, 'a'));
  const size_t before = log.bytes().size();
  log.Add(std::string(3 * kBlock, 'b'));
  uint32_t random = 1;
  for (size_t from = before; from < log.bytes().size() - 10; from += 4999) {
    for (const bool zeros : {true, false}) {
      std::string torn = log.bytes();
      for (size_t i = from; i < torn.size(); ++i) {
        random = random * 1664525 + 1013904223;
        torn[i] = zeros ? 0 : static_cast<char>(random >> 24);
      }
      const LogScan scan = Scan(torn);
      EXPECT_FALSE(scan.whole());
      EXPECT_EQ(scan.whole_bytes, before) << from;
      EXPECT_FALSE(scan.record_follows) << from;
    }
  }
}

// Pages may come to the disk in any order: later pieces of the torn record are there, earlier ones are not.
TEST(LogScanTest, PiecesOfTheTornRecordItselfAreNoRecordThatFollows) {
  LogBuilder log;
  log.Add("first");
  const size_t before = log.bytes().size();
  log.Add(std::string(4 * kBlock, 'b'));
  for (size_t page = before / 4096; page < 20; ++page) {
    std::string torn = log.bytes();
    const size_t from = std::max(page * 4096, before);
    std::fill_n(torn.begin() + static_cast<ptrdiff_t>(from), 4096, '\0');
    const LogScan scan = Scan(torn);
    EXPECT_EQ(scan.whole_bytes, before) << page;
    EXPECT_FALSE(scan.record_follows) << page;
  }
}

TEST(LogScanTest, DamageBeforeARecordIsSeen) {
  LogBuilder log;
  for (const size_t size : kSizes) log.Add(std::string(size, 'a'));
  const size_t last = log.Add("the last record");
  for (size_t at = 0; at < last; at += 313) {
    std::string damaged = log.bytes();
    damaged[at] ^= 0x10;
    const LogScan scan = Scan(damaged);
    if (scan.whole()) continue;  // padding between blocks
    EXPECT_LE(scan.whole_bytes, at);
    EXPECT_TRUE(scan.record_follows) << at;
  }
}

}  // namespace
}  // namespace bebr
