// Damaged files of a stopped server, and bebr-server --repair, as an operator does it: the server names what is
// damaged, and answers as before once it is repaired, also where the repair was killed.
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/integration/fixture.h"
#include "tests/integration/programs.h"

namespace bebr::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr size_t kDocuments = 500;

class RepairCommandTest : public ServerTest {
 protected:
  // Documents in table files, each kind of data in its own, and some in the log; the server is stopped.
  void Make(v1::FloatStorage store_floats) {
    Start();
    CreateCollection(store_floats);
    ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, kDocuments - 20)).ok());
    v1::CreateSnapshotRequest flushes;
    flushes.set_collection("c");
    ASSERT_TRUE(client_->CreateSnapshot(flushes).ok());
    ASSERT_TRUE(client_->Upsert(MakeUpsert("c", kDocuments - 30, 30)).ok());
    expected_ = Answers();
    Stop();
    fs::rename(Path("data"), Path("whole"));
    for (const auto& entry : fs::directory_iterator(Path("whole/collections/c/shard-000"))) {
      if (entry.path().extension() == ".sst") tables_.push_back(entry.path().filename());
    }
    ASSERT_GE(tables_.size(), 3u);
  }
  void Stop() {
    server_->Signal(SIGTERM);
    EXPECT_EQ(server_->Wait(), 0);
    server_.reset();
  }
  // All documents by their scores, of some queries.
  std::vector<std::string> Answers() {
    std::vector<std::string> answers;
    for (size_t i = 0; i < 5; ++i) {
      const auto found = client_->Search(MakeSearch("c", VectorOf(i), kDocuments));
      EXPECT_TRUE(found.ok()) << found.status();
      if (!found.ok()) return {};
      for (const v1::SearchHit& hit : found->hits()) answers.push_back(hit.SerializeAsString());
    }
    return answers;
  }
  // The data directory as it was, but for a bit in the middle of a table file.
  void Damage(const std::string& table) {
    fs::remove_all(Path("data"));
    fs::copy(Path("whole"), Path("data"), fs::copy_options::recursive);
    std::fstream file(Path("data/collections/c/shard-000/" + table), std::ios::in | std::ios::out | std::ios::binary);
    const auto middle = static_cast<std::streamoff>(fs::file_size(Path("whole/collections/c/shard-000/" + table)) / 2);
    file.seekg(middle);
    const char byte = static_cast<char>(file.get() ^ 4);
    file.seekp(middle);
    file.put(byte);
  }
  Outcome Repair(const std::vector<std::string>& flags = {}, const Variables& variables = {}) const {
    std::vector<std::string> arguments = {"--data_dir", Path("data"), "--repair", "c"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    return RunProgram("bebr-server", arguments, variables);
  }
  std::string Read(const std::string& name) const {
    std::ifstream in(Path(name));
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }
  // The table of codes: the one that is repaired without a loss.
  std::string TableOfCodes() {
    for (const std::string& table : tables_) {
      Damage(table);
      const Outcome outcome = Repair();
      if (outcome.out.find("\n0 codes were made again") == std::string::npos && outcome.exit_code == 0) return table;
    }
    ADD_FAILURE() << "no table has codes";
    return "";
  }

  std::vector<std::string> expected_, tables_;
};

TEST_F(RepairCommandTest, WhatTheServerNamesIsRepaired) {
  Make(v1::FLOAT_STORAGE_F32);
  size_t repaired = 0, lost = 0;
  for (const std::string& table : tables_) {
    SCOPED_TRACE(table);
    Damage(table);
    Start();
    const bool serves = client_->GetCollection("c").ok();  // floats are not read before they are asked for
    if (!serves) {
      EXPECT_THAT(server_->HttpGet("/readyz"), HasSubstr("collection c is unavailable: "));
      EXPECT_THAT(server_->HttpGet("/readyz"), HasSubstr(table));
    }
    const Outcome running = Repair();
    EXPECT_EQ(running.exit_code, 1);
    EXPECT_THAT(running.err, HasSubstr("c is not repaired: "));
    Stop();
    const Outcome verified = RunProgram("bebr-server", {"--data_dir", Path("data"), "--verify"});
    EXPECT_EQ(verified.exit_code, 1);
    EXPECT_THAT(verified.out, HasSubstr(table + " is damaged"));
    const Outcome by_client = RunProgram("bebr", {"verify", Path("data")});
    EXPECT_EQ(by_client.exit_code, 1);
    EXPECT_EQ(by_client.out, verified.out);
    Outcome outcome = Repair();
    if (outcome.exit_code != 0 && outcome.err.find("--accept_loss") != std::string::npos) {
      ++lost;
      EXPECT_THAT(outcome.err, HasSubstr("Nothing was changed"));
      outcome = Repair({"--accept_loss"});
      EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    }
    if (outcome.exit_code != 0) {  // documents, which nothing makes again
      EXPECT_FALSE(serves);
      continue;
    }
    ++repaired;
    EXPECT_THAT(outcome.out, HasSubstr(table));
    EXPECT_EQ(Read("data/collections/c/damaged-1.txt"), outcome.out);
    Start();
    EXPECT_THAT(server_->HttpGet("/readyz"), HasSubstr("\nready\n"));
    EXPECT_EQ(Answers(), expected_);
    EXPECT_TRUE(client_->Upsert(MakeUpsert("c", 0, 10)).ok());
    Stop();
    EXPECT_EQ(RunProgram("bebr-server", {"--data_dir", Path("data"), "--verify"}).exit_code, 0);
    EXPECT_THAT(Repair().out, HasSubstr("c is whole; nothing was changed"));
  }
  EXPECT_EQ(lost, 1u);  // the floats
  EXPECT_GE(repaired, 2u);
}

TEST_F(RepairCommandTest, CodesWithoutFloatsAreLostOnlyWhenAsked) {
  Make(v1::FLOAT_STORAGE_NONE);
  size_t lost = 0;
  for (const std::string& table : tables_) {
    SCOPED_TRACE(table);
    Damage(table);
    const Outcome refused = Repair();
    EXPECT_EQ(refused.exit_code, 1) << refused.out;
    if (refused.err.find("--accept_loss") == std::string::npos) continue;
    ++lost;
    const Outcome accepted = Repair({"--accept_loss"});
    EXPECT_EQ(accepted.exit_code, 0) << accepted.err;
    EXPECT_THAT(accepted.out, HasSubstr("codes are lost"));
    Start();
    EXPECT_EQ(client_->GetCollection("c")->documents(), kDocuments);
    EXPECT_LT(client_->Search(MakeSearch("c", VectorOf(1), kDocuments))->hits_size(), static_cast<int>(kDocuments));
    Stop();
  }
  EXPECT_EQ(lost, 1u);
}

// Killed at its syncs, above all at the last ones: the next call makes up for it, and what the first found is kept.
TEST_F(RepairCommandTest, AKilledRepairGoesOn) {
  Make(v1::FLOAT_STORAGE_F32);
  const std::string table = TableOfCodes();
  int resumed = 0;
  // Whether a repair has that many syncs.
  const auto killed_at = [&](int sync) {
    SCOPED_TRACE(sync);
    Damage(table);
    const Outcome killed = Repair({}, {{"LD_PRELOAD", std::string(BEBR_PROGRAMS) + "/tests/libslow_sync.so"},
                                       {"KILL_AT_SYNC", std::to_string(sync)},
                                       {"ASAN_OPTIONS", "verify_asan_link_order=0"}});
    if (killed.exit_code == 0) return false;
    EXPECT_EQ(killed.exit_code, 128 + SIGKILL) << killed.err;
    const Outcome outcome = Repair();
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    resumed += outcome.out.find("that was interrupted is finished") != std::string::npos ? 1 : 0;
    EXPECT_THAT(Read("data/collections/c/damaged-1.txt"), HasSubstr(table));
    EXPECT_FALSE(fs::exists(Path("data/collections/c/damaged-2")));
    EXPECT_FALSE(fs::exists(Path("data/collections/c/repaired.txt")));
    return true;
  };
  constexpr int kStep = 9;
  int last = 1;
  while (killed_at(last)) last += kStep;
  EXPECT_GT(last, kStep);
  for (int sync = std::max(1, last - 2 * kStep); sync < last && killed_at(sync); ++sync) {
    if (sync % kStep != 0) continue;
    Start();
    EXPECT_EQ(Answers(), expected_);
    Stop();
  }
  EXPECT_GE(resumed, 1);
}

}  // namespace
}  // namespace bebr::testing
