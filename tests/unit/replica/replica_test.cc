#include "index/replica/replica.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/base/checksum.h"
#include "index/log/memory_log.h"
#include "index/replica/digest.h"
#include "index/replica/log_record.h"
#include "tests/support/temporary_directory.h"

namespace bebr {
namespace {

using ::testing::HasSubstr;

constexpr uint32_t kShards = 4;

// Version 0 writes space 0 and takes embedding 0; versions 1 and 2 take embedding 1 and write spaces 0 and 1. Version
// 3, of space 2 and embedding 1, was retired, which not all writers know.
ShardContents Contents() {
  return {.spaces = {{0, *ParseCodeSpec("32x1")}, {1, *ParseCodeSpec("40x2")}},
          .versions = {{0, 0}, {1, 1}, {2, 1}},
          .stores_floats = true,
          .from_log = true};
}

// Shards on disk and what applies the log to them.
class Node {
 public:
  Node(Log* log, std::vector<uint32_t> held) : log_(log), held_(std::move(held)) {
    EXPECT_TRUE(CollectionStore::Create(path(), kShards, MakeStoreCache(1 << 20)).ok());
    Restart();
  }
  void Restart() {
    replica_.reset();
    shards_.reset();
    shards_ = *ShardSet::Open(path(), kShards, Contents(), MakeStoreCache(1 << 20, 64 << 20), &pool_, &counters_);
    replica_ = *Replica::Open(log_, shards_.get(), held_);
    replica_->SetRevision(1);
  }
  Replica& replica() { return *replica_; }
  ShardSet& shards() { return *shards_; }
  // Applies all there is, in pages of `max_bytes`.
  void CatchUp(size_t max_bytes) {
    absl::StatusOr<bool> more = true;
    while (more.ok() && *more) more = replica_->ApplyNext(max_bytes);
    ASSERT_TRUE(more.ok()) << more.status();
  }
  ShardDigest Digest(uint32_t shard) {
    const auto view = shards_->view();
    return *DigestShard(shards_->store(), *view->store, shard, std::vector<uint32_t>{0, 1},
                        std::vector<uint32_t>{0, 1});
  }

 private:
  std::string path() const { return directory_.path() + "/store"; }

  testing::TemporaryDirectory directory_;
  ThreadPool pool_{1};
  CommitCounters counters_;
  Log* log_;
  std::vector<uint32_t> held_;
  std::shared_ptr<ShardSet> shards_;
  std::unique_ptr<Replica> replica_;
};

// Makes random appends of all kinds of mutations, on few documents so that they meet.
class Writer {
 public:
  Writer(Log* log, ShardSet* shards, uint32_t seed)
      : log_(*log), shards_(*shards), random_(seed), writer_(*log->BeginWriter("w")) {}

  // A request of up to ten mutations, as one append.
  void Append() {
    kept_.clear();
    std::map<uint32_t, std::vector<Mutation>> by_shard;
    for (int count = 1 + Below(10); count > 0; --count) {
      const Mutation mutation = Next();
      by_shard[shards_.ShardOf(mutation.id)].push_back(mutation);
    }
    std::vector<std::string> bytes;
    std::vector<LogRecord> records;
    for (const auto& [shard, mutations] : by_shard) bytes.push_back(*EncodeLogRecord(1, mutations));
    auto next = bytes.begin();
    for (const auto& [shard, mutations] : by_shard) records.push_back({shard, *next++});
    ASSERT_TRUE(log_.Append(writer_, ++writer_.number, records).ok());
  }

 private:
  // What a mutation borrows, until it is encoded.
  struct Kept {
    std::string id;
    Attributes attributes;
    AttributeChange change;
    std::vector<uint32_t> words;
    std::string floats[2];
  };

  int Below(int limit) { return std::uniform_int_distribution<int>(0, limit - 1)(random_); }
  std::string Floats() { return absl::StrCat("floats ", Below(3)); }

  void AddVersion(uint32_t version, Mutation& mutation, Kept& kept) {
    const uint32_t space = version == 3 ? 2 : version / 2;
    kept.words.assign(4, static_cast<uint32_t>(random_()));
    const size_t words = space == 1 ? 4 : 1;
    mutation.codes.push_back(
        {space, static_cast<uint8_t>(version), {0.5f, 1.0f}, absl::MakeConstSpan(kept.words).first(words)});
  }

  Mutation Next() {
    Kept& kept = *kept_.emplace_back(std::make_unique<Kept>());
    kept.id = absl::StrCat("document ", Below(60));
    kept.attributes = {{"n", int64_t{Below(10)}}, {absl::StrCat("a", Below(4)), absl::StrCat("value ", Below(9))}};
    Mutation mutation{.kind = static_cast<MutationKind>(Below(5)), .id = kept.id};
    if (mutation.kind == MutationKind::kDelete) return mutation;
    if (mutation.kind == MutationKind::kUpdate) {
      kept.change = {
          .clear = Below(4) == 0, .remove = {absl::StrCat("a", Below(4))}, .set = {{"u", int64_t{Below(100)}}}};
      mutation.change = &kept.change;
      return mutation;
    }
    if (mutation.kind == MutationKind::kMerge && Below(2) == 0) {  // of a backfill
      AddVersion(Below(2) == 0 ? 2 : 3, mutation, kept);
      mutation.expected_floats = {.embedding = 1, .crc32c = Crc32c(Floats())};
      return mutation;
    }
    if (mutation.kind != MutationKind::kMerge) {
      mutation.attributes = &kept.attributes;
      mutation.only_if_absent = Below(5) == 0;
      if (Below(5) == 0) mutation.newer_by = &kNewerBy;
    }
    AddCodes(mutation, kept);
    return mutation;
  }

  // Of one embedding or both, by writers that know of all versions or not.
  void AddCodes(Mutation& mutation, Kept& kept) {
    const int embeddings = 1 + Below(3);
    if ((embeddings & 1) != 0) AddVersion(0, mutation, kept);
    if ((embeddings & 2) != 0) {
      if ((embeddings & 1) == 0 && Below(3) != 0) AddVersion(1, mutation, kept);
      if (Below(3) != 0) AddVersion(Below(2) == 0 ? 2 : 3, mutation, kept);
    }
    for (uint32_t e = 0; e < 2; ++e) {
      if ((embeddings >> e & 1) == 0) continue;
      kept.floats[e] = Floats();
      mutation.floats.push_back({e, kept.floats[e]});
    }
  }

  static inline const std::string kNewerBy = "n";
  Log& log_;
  ShardSet& shards_;
  std::mt19937 random_;
  LogWriter writer_;
  std::vector<std::unique_ptr<Kept>> kept_;
};

class ReplicaTest : public ::testing::TestWithParam<uint32_t> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(logs_.Create("log").ok());
    log_ = *logs_.Open("log");
  }
  MemoryLogs logs_;
  std::unique_ptr<Log> log_;
};

INSTANTIATE_TEST_SUITE_P(Seeds, ReplicaTest, ::testing::Range(2u, 5u));

// One that applies each append by itself, one that takes pages of any size and starts anew between, one that takes all
// at once, and two that hold half of the shards each.
TEST_P(ReplicaTest, ReplicasAtOnePositionAreEqual) {
  Node steady(log_.get(), {0, 1, 2, 3}), restless(log_.get(), {0, 1, 2, 3}), late(log_.get(), {0, 1, 2, 3});
  Node left(log_.get(), {0, 2}), right(log_.get(), {1, 3});
  Writer writer(log_.get(), &steady.shards(), GetParam());
  std::mt19937 random(GetParam());
  const auto expect_equal = [&](Node& node, const std::vector<uint32_t>& shards) {
    EXPECT_EQ(node.replica().place(), steady.replica().place());
    for (const uint32_t shard : shards) EXPECT_EQ(ToText(node.Digest(shard)), ToText(steady.Digest(shard))) << shard;
  };
  for (int round = 0; round < 16; ++round) {
    for (int appends = 0; appends < 12; ++appends) writer.Append();
    steady.CatchUp(0);
    restless.CatchUp(1 + random() % 5000);
    expect_equal(restless, {0, 1, 2, 3});
    if (random() % 2 == 0) restless.Restart();
    if (random() % 4 == 0) left.CatchUp(1 << 20);
    if (random() % 4 == 0) right.Restart();
  }
  steady.Restart();
  for (Node* node : {&late, &left, &right}) node->CatchUp(1 << 20);
  expect_equal(late, {0, 1, 2, 3});
  expect_equal(restless, {0, 1, 2, 3});
  expect_equal(left, {0, 2});
  expect_equal(right, {1, 3});
  EXPECT_GT(steady.Digest(0).documents, 0u);
  EXPECT_EQ(left.Digest(1), ShardDigest());
}

TEST_F(ReplicaTest, GoesOnWhereItWas) {
  auto node = std::make_unique<Node>(log_.get(), std::vector<uint32_t>{0, 1, 2, 3});
  Writer writer(log_.get(), &node->shards(), 1);
  for (int i = 0; i < 5; ++i) writer.Append();
  ASSERT_TRUE(*node->replica().ApplyNext(0));
  EXPECT_EQ(node->replica().place().position, 1u);
  node->Restart();
  EXPECT_EQ(node->replica().place().position, 1u);
  node->CatchUp(1 << 20);
  EXPECT_EQ(node->replica().place(), log_->State()->head);
  EXPECT_FALSE(*node->replica().ApplyNext(1 << 20));
}

TEST_F(ReplicaTest, StopsWhereTheLogLostWhatItHasApplied) {
  Node node(log_.get(), {0, 1, 2, 3});
  Writer writer(log_.get(), &node.shards(), 1);
  for (int i = 0; i < 5; ++i) writer.Append();
  node.CatchUp(1 << 20);
  const ShardDigest before = node.Digest(0);
  logs_.LoseBeyond("log", 4);
  EXPECT_EQ(node.replica().ApplyNext(1 << 20).status().code(), absl::StatusCode::kDataLoss);
  Writer again(log_.get(), &node.shards(), 2);
  again.Append();
  again.Append();
  node.Restart();
  EXPECT_EQ(node.replica().ApplyNext(1 << 20).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(node.Digest(0), before);
}

TEST_F(ReplicaTest, RefusesWhatItCannotApply) {
  Node node(log_.get(), {0, 1, 2, 3});
  LogWriter writer = *log_->BeginWriter("w");
  const Mutation deletion{.kind = MutationKind::kDelete, .id = "a"};
  const uint32_t shard = node.shards().ShardOf("a");
  const auto append = [&](uint32_t shard, const std::string& bytes) {
    ASSERT_TRUE(log_->Append(writer, ++writer.number, std::vector<LogRecord>{{shard, bytes}}).ok());
  };
  append(shard, *EncodeLogRecord(2, {deletion}));
  EXPECT_THAT(node.replica().ApplyNext(1 << 20).status().message(),
              HasSubstr("position 1 of the log: it was encoded by revision 2 of the manifest, and revision 1 is here"));
  node.replica().SetRevision(2);
  EXPECT_TRUE(*node.replica().ApplyNext(1 << 20));
  append((shard + 1) % kShards, *EncodeLogRecord(2, {deletion}));
  EXPECT_THAT(node.replica().ApplyNext(1 << 20).status().message(), HasSubstr("document \"a\" is of shard"));
  EXPECT_EQ(node.replica().place().position, 1u);
  EXPECT_EQ(Replica::Open(log_.get(), &node.shards(), {4}).status().code(), absl::StatusCode::kInvalidArgument);
}

// Stored, it would be found at the next start, or by nobody.
TEST_F(ReplicaTest, StoresNoCodeThatIsNoneOfItsSpace) {
  Node node(log_.get(), {0, 1, 2, 3});
  const Attributes attributes;
  const std::vector<uint32_t> words(4, 1);
  const auto code = [&](uint32_t space, uint8_t version, uint32_t group, size_t count) {
    return RowCode{space, version, {0.5f, 1.0f, group}, absl::MakeConstSpan(words).first(count)};
  };
  const std::vector<std::pair<std::vector<RowCode>, std::string>> wrong = {
      {{code(1, 1, 0, 1)}, "has 1 words; its space has 4"},
      {{code(0, 1, 0, 4)}, "has 4 words; its space has 1"},
      {{code(0, 1, 2, 1)}, "is of group 2; its space has 1"},
      {{code(0, 254, 0, 1)}, "is of version 254"},
      {{code(0, 0, 0, 1), code(0, 1, 0, 1)}, "has two codes in space 0"}};
  int number = 0;
  for (const auto& [codes, message] : wrong) {
    const std::string name = absl::StrCat("log-", number++);
    ASSERT_TRUE(logs_.Create(name).ok());
    const std::unique_ptr<Log> log = *logs_.Open(name);
    const LogWriter writer = *log->BeginWriter("w");
    Mutation mutation{.kind = MutationKind::kReplaceAll, .id = "a", .attributes = &attributes};
    mutation.codes.assign(codes.begin(), codes.end());
    const std::string bytes = *EncodeLogRecord(1, {mutation});
    ASSERT_TRUE(log->Append(writer, 1, std::vector<LogRecord>{{node.shards().ShardOf("a"), bytes}}).ok());
    const auto replica = *Replica::Open(log.get(), &node.shards(), {0, 1, 2, 3});
    replica->SetRevision(1);
    const absl::Status status = replica->ApplyNext(1 << 20).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
    EXPECT_EQ(node.shards().view()->sequence, 0u);
  }
}

}  // namespace
}  // namespace bebr
