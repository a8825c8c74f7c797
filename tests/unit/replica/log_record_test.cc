#include "index/replica/log_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "index/base/checksum.h"

namespace bebr {
namespace {

using ::testing::HasSubstr;

// The worked example of FORMAT.md.
class LogRecordTest : public ::testing::Test {
 protected:
  LogRecordTest() {
    Mutation replace{.kind = MutationKind::kReplace, .id = "a", .attributes = &attributes_};
    replace.codes.push_back({3, 2, {0.5f, -1.0f, 1}, words_});
    replace.floats.push_back({2, "\x01\x3c"});
    replace.newer_by = &newer_by_;
    Mutation merge{.kind = MutationKind::kMerge, .id = "bc"};
    merge.codes.push_back({4, 5, {1.0f, 0.0f, 0}, words_});
    merge.expected_floats = {.embedding = 2, .crc32c = 0x01020304};
    Mutation update{.kind = MutationKind::kUpdate, .id = "d", .change = &change_};
    Mutation insert{.kind = MutationKind::kReplaceAll, .id = "e", .attributes = &none_};
    insert.only_if_absent = true;
    mutations_ = {replace, merge, update, insert, {.kind = MutationKind::kDelete, .id = "f"}};
  }
  static std::string Hex(std::string_view text) {
    std::string packed;
    for (const char c : text) {
      if (c != ' ') packed.push_back(c);
    }
    return absl::HexStringToBytes(packed);
  }
  static std::string WithChecksum(std::string body) {
    const uint32_t crc = Crc32c(body);
    return body.append(reinterpret_cast<const char*>(&crc), sizeof(crc));
  }
  // The golden bytes but for the checksum.
  static std::string Golden() {
    return Hex(
        "01 01 0700000000000000 05000000"
        "01 02 0100 61 0100 6e 10000000 01000000 0100 6e 01 0900000000000000"
        "0100 03000000 10000000 0200 0100 0000003f 000080bf ffff0000 0100 02000000 02000000 013c"
        "02 04 0200 6263 02000000 04030201"
        "0100 04000000 10000000 0500 0000 0000803f 00000000 ffff0000 0000"
        "03 00 0100 64 01 0200 0100 78 0200 797a 09000000 01000000 0100 62 03 01"
        "0000 0000"
        "00 01 0100 65 04000000 00000000 0000 0000"
        "04 00 0100 66 0000 0000");
  }

  const Attributes attributes_ = {{"n", int64_t{9}}};
  const Attributes none_;
  const std::string newer_by_ = "n";
  const AttributeChange change_ = {.clear = true, .remove = {"x", "yz"}, .set = {{"b", true}}};
  const std::vector<uint32_t> words_ = {0xffff};
  std::vector<Mutation> mutations_;
};

TEST_F(LogRecordTest, HasTheBytesOfTheFormat) {
  const auto bytes = EncodeLogRecord(7, mutations_);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(absl::BytesToHexString(*bytes), absl::BytesToHexString(WithChecksum(Golden())));
}

TEST_F(LogRecordTest, GivesBackWhatWasWritten) {
  const auto record = DecodeLogRecord(WithChecksum(Golden()));
  ASSERT_TRUE(record.ok()) << record.status();
  EXPECT_EQ((*record)->revision, 7u);
  const std::vector<Mutation>& read = (*record)->mutations;
  ASSERT_EQ(read.size(), 5u);
  EXPECT_EQ(read[0].kind, MutationKind::kReplace);
  EXPECT_EQ(read[0].id, "a");
  EXPECT_EQ(*read[0].attributes, attributes_);
  EXPECT_EQ(*read[0].newer_by, "n");
  ASSERT_EQ(read[0].codes.size(), 1u);
  EXPECT_EQ(read[0].codes[0].space, 3u);
  EXPECT_EQ(read[0].codes[0].version, 2u);
  EXPECT_EQ(read[0].codes[0].factors.scale, 0.5f);
  EXPECT_EQ(read[0].codes[0].factors.offset, -1.0f);
  EXPECT_EQ(read[0].codes[0].factors.group, 1u);
  EXPECT_EQ(read[0].codes[0].words, absl::MakeConstSpan(words_));
  ASSERT_EQ(read[0].floats.size(), 1u);
  EXPECT_EQ(read[0].floats[0].embedding, 2u);
  EXPECT_EQ(read[0].floats[0].bytes, "\x01\x3c");
  EXPECT_EQ(read[1].kind, MutationKind::kMerge);
  EXPECT_EQ(read[1].expected_floats, (Mutation::FloatsCheck{2, 0x01020304}));
  EXPECT_EQ(read[2].kind, MutationKind::kUpdate);
  EXPECT_TRUE(read[2].change->clear);
  EXPECT_EQ(read[2].change->remove, change_.remove);
  EXPECT_EQ(read[2].change->set, change_.set);
  EXPECT_EQ(read[3].kind, MutationKind::kReplaceAll);
  EXPECT_TRUE(read[3].only_if_absent);
  EXPECT_TRUE(read[3].attributes->empty());
  EXPECT_EQ(read[4].kind, MutationKind::kDelete);
  EXPECT_EQ(*EncodeLogRecord(7, read), WithChecksum(Golden()));
}

TEST_F(LogRecordTest, EveryChangedByteAndEveryShorterRecordIsNoticed) {
  const std::string bytes = WithChecksum(Golden());
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ 0x10);
    EXPECT_EQ(DecodeLogRecord(changed).status().code(), absl::StatusCode::kDataLoss) << i;
    EXPECT_EQ(DecodeLogRecord(bytes.substr(0, i)).status().code(), absl::StatusCode::kDataLoss) << i;
  }
  // Also where the checksum is right.
  const std::string golden = Golden();
  for (size_t i = 2; i < golden.size(); ++i) {
    EXPECT_EQ(DecodeLogRecord(WithChecksum(golden.substr(0, i))).status().code(), absl::StatusCode::kDataLoss) << i;
  }
  EXPECT_THAT(DecodeLogRecord(WithChecksum(golden + "x")).status().message(), HasSubstr("it goes on too long"));
}

TEST_F(LogRecordTest, RecordsOfALaterReleaseAreRefused) {
  for (const size_t at : {0, 1}) {
    std::string later = Golden();
    later[at] = 9;
    const absl::Status status = DecodeLogRecord(WithChecksum(later)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(status.message(), HasSubstr("upgrade it"));
  }
}

TEST_F(LogRecordTest, AMutationThatExpectsARowIsRefused) {
  mutations_[1].expected_segment = reinterpret_cast<const Segment*>(this);
  EXPECT_THAT(EncodeLogRecord(7, mutations_).status().message(), HasSubstr("document \"bc\" expects a row"));
}

TEST_F(LogRecordTest, PlacesComeBack) {
  const LogPlace place{.position = 0x0102, .append = {3, 4}};
  EXPECT_EQ(absl::BytesToHexString(EncodePlace(place)), "020100000000000003000000000000000400000000000000");
  EXPECT_EQ(*DecodePlace(EncodePlace(place)), place);
  EXPECT_EQ(*DecodePlace(""), LogPlace());
  EXPECT_EQ(DecodePlace("short").status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace bebr
