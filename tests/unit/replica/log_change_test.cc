#include "index/replica/log_change.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "index/base/checksum.h"
#include "index/replica/log_record.h"

namespace bebr {
namespace {

using ::testing::HasSubstr;

std::string Hex(std::string_view text) {
  std::string packed;
  for (const char c : text) {
    if (c != ' ') packed.push_back(c);
  }
  return absl::HexStringToBytes(packed);
}

std::string WithChecksum(std::string body) {
  const uint32_t crc = Crc32c(body);
  return body.append(reinterpret_cast<const char*>(&crc), sizeof(crc));
}

// The worked example of FORMAT.md: of each kind one.
std::vector<LogChange> Changes() {
  std::vector<LogChange> changes(13);
  for (size_t kind = 0; kind < changes.size(); ++kind) {
    changes[kind].kind = static_cast<LogChangeKind>(kind);
    changes[kind].name = "c";
  }
  changes[0].record = "r";
  changes[1].ids = {"a", "bc"};
  changes[1].filter = "n";
  changes[1].attributes = {.clear = true, .remove = {"x"}, .set = {{"b", true}}};
  changes[2].collection = {.name = "c",
                           .version = "v1",
                           .store_floats = FloatStorage::kFloat16,
                           .shards = 3,
                           .expected_documents = 5,
                           .default_rerank = 6,
                           .attributes = {{"k", {AttributeKind::kInt, AttributeStorage::kIndexed}}}};
  changes[2].model = "m";
  changes[4].version = {.name = "v2", .compatible_with = "v1", .same_embeddings_as = "v0"};
  changes[4].model = "m";
  changes[5].version.name = "v2";
  changes[5].expected = "v1";
  changes[5].force = true;
  changes[6].version.name = "v1";
  changes[7].target = "d";
  changes[7].expected = "";
  changes[10].snapshot = "s";
  changes[10].created_unix_us = 5;
  changes[11].target = "d";
  changes[11].snapshot = "s";
  changes[11].snapshot_position = 6;
  changes[12].snapshot = "s";
  changes[12].snapshot_position = 6;
  return changes;
}

constexpr std::string_view kGolden =
    "01 02 0d000000"
    "00 0100 63 01000000 72"
    "01 0100 63 02000000 0100 61 0200 6263 01000000 6e 01 01 0100 0100 78 09000000 01000000 0100 62 03 01"
    "02 0100 63 0200 7631 01 03000000 0500000000000000 06000000 01000000 0100 6b 02 01 01000000 6d"
    "03 0100 63"
    "04 0100 63 0200 7632 0200 7631 0200 7630 00 0000 00 01000000 6d"
    "05 0100 63 0200 7632 0000 0000 01 0200 7631 01"
    "06 0100 63 0200 7631 0000 0000 00 0000 00"
    "07 0100 63 0100 64 01 0000"
    "08 0100 63"
    "09 0100 63"
    "0a 0100 63 0100 73 0500000000000000"
    "0b 0100 63 0100 64 0100 73 0600000000000000"
    "0c 0100 63 0100 73 0600000000000000";

std::string Join(const std::vector<LogChange>& changes) {
  std::vector<std::string> encoded;
  for (const LogChange& change : changes) encoded.push_back(*EncodeLogChange(change));
  return JoinLogChanges(encoded);
}

TEST(LogChangeTest, HasTheBytesOfTheFormat) {
  EXPECT_EQ(absl::BytesToHexString(Join(Changes())), absl::BytesToHexString(WithChecksum(Hex(kGolden))));
}

TEST(LogChangeTest, GivesBackWhatWasWritten) {
  const auto read = DecodeLogChanges(WithChecksum(Hex(kGolden)));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(Join(*read), WithChecksum(Hex(kGolden)));
  ASSERT_EQ(read->size(), 13u);
  EXPECT_EQ((*read)[0].record, "r");
  EXPECT_EQ((*read)[1].ids, (std::vector<std::string>{"a", "bc"}));
  EXPECT_EQ((*read)[1].attributes->remove, (std::vector<std::string>{"x"}));
  EXPECT_EQ((*read)[2].collection.name, "c");
  EXPECT_EQ((*read)[2].collection.store_floats, FloatStorage::kFloat16);
  EXPECT_EQ((*read)[2].collection.attributes, Changes()[2].collection.attributes);
  EXPECT_EQ((*read)[2].model, "m");
  EXPECT_EQ((*read)[4].version.same_embeddings_as, "v0");
  EXPECT_EQ((*read)[4].expected, std::nullopt);
  EXPECT_EQ((*read)[5].expected, "v1");
  EXPECT_TRUE((*read)[5].force);
  EXPECT_EQ((*read)[7].target, "d");
  EXPECT_EQ((*read)[7].expected, "");
  EXPECT_EQ((*read)[10].created_unix_us, 5);
  EXPECT_EQ((*read)[11].target, "d");
  EXPECT_EQ((*read)[12].snapshot, "s");
  EXPECT_EQ((*read)[12].snapshot_position, 6u);
}

TEST(LogChangeTest, TellsByWhichRevisionMutationsWereEncoded) {
  LogChange change{.kind = LogChangeKind::kMutations, .name = "c", .record = *EncodeLogRecord(7, {})};
  EXPECT_EQ(*RevisionOf(*EncodeLogChange(change)), 7u);
  change.record = "short";
  EXPECT_EQ(RevisionOf(*EncodeLogChange(change)).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(RevisionOf(*EncodeLogChange(Changes()[1])).status().code(), absl::StatusCode::kDataLoss);
}

// A length that is cut would make a record that no replica can read.
TEST(LogChangeTest, RefusesWhatTheFormatCannotSay) {
  const std::string longer(65536, 'x'), longest(65535, 'x');
  for (LogChange change : Changes()) {
    change.record = *EncodeLogRecord(7, {});
    EXPECT_TRUE(CheckEncodedChange(*EncodeLogChange(change)).ok());
    change.name = longest;
    EXPECT_TRUE(CheckEncodedChange(*EncodeLogChange(change)).ok());
    change.name = longer;
    EXPECT_EQ(EncodeLogChange(change).status().code(), absl::StatusCode::kInvalidArgument);
  }
  const auto refused = [](LogChange change) { return absl::IsInvalidArgument(EncodeLogChange(change).status()); };
  std::vector<LogChange> changes = Changes();
  changes[1].attributes->set[longer] = true;
  EXPECT_TRUE(refused(changes[1]));
  changes[1].attributes->set.clear();
  changes[1].attributes->remove = {longer};
  EXPECT_TRUE(refused(changes[1]));
  changes[1].attributes->remove.assign(65536, "a");
  EXPECT_TRUE(refused(changes[1]));
  changes[1].attributes.reset();
  EXPECT_FALSE(refused(changes[1]));
  changes[1].ids.push_back(longer);
  EXPECT_TRUE(refused(changes[1]));
  changes[2].collection.version = longer;
  EXPECT_TRUE(refused(changes[2]));
  changes[5].expected = longer;
  EXPECT_TRUE(refused(changes[5]));
  changes[7].target = longer;
  EXPECT_TRUE(refused(changes[7]));
  changes[10].snapshot = longer;
  EXPECT_TRUE(refused(changes[10]));
}

TEST(LogChangeTest, FindsAChangeThatNobodyCanRead) {
  LogChange change{.kind = LogChangeKind::kMutations, .name = "c", .record = "r"};
  EXPECT_EQ(CheckEncodedChange(*EncodeLogChange(change)).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(CheckEncodedChange(std::string("\1\1\0cxx", 6)).code(), absl::StatusCode::kDataLoss);
  const std::string bytes = Join(Changes());
  EXPECT_TRUE(HasItsChecksum(bytes));
  EXPECT_FALSE(HasItsChecksum(bytes.substr(1)));
}

TEST(LogChangeTest, EveryChangedByteAndEveryShorterRecordIsNoticed) {
  const std::string golden = Hex(kGolden), bytes = WithChecksum(golden);
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ 0x10);
    EXPECT_EQ(DecodeLogChanges(changed).status().code(), absl::StatusCode::kDataLoss) << i;
    EXPECT_EQ(DecodeLogChanges(bytes.substr(0, i)).status().code(), absl::StatusCode::kDataLoss) << i;
  }
  // Also where the checksum is right.
  for (size_t i = 2; i < golden.size(); ++i) {
    EXPECT_EQ(DecodeLogChanges(WithChecksum(golden.substr(0, i))).status().code(), absl::StatusCode::kDataLoss) << i;
  }
  EXPECT_THAT(std::string(DecodeLogChanges(WithChecksum(golden + "x")).status().message()),
              HasSubstr("it goes on too long"));
}

TEST(LogChangeTest, ChangesOfALaterReleaseAreRefused) {
  for (const size_t at : {0, 1, 6}) {
    std::string later = Hex(kGolden);
    later[at] = 13;
    const absl::Status status = DecodeLogChanges(WithChecksum(later)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << at;
    EXPECT_THAT(std::string(status.message()), HasSubstr("upgrade it"));
  }
}

}  // namespace
}  // namespace bebr
