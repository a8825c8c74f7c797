// A disk that hangs: a commit waits for it, and nothing else does.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <regex>
#include <thread>

#include "tests/integration/fixture.h"
#include "tests/integration/programs.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;

TEST_F(ServerTest, AHangingCommitHoldsUpNobodyElse) {
  const std::string hangs = Path("the-disk-hangs");
  Start({}, {{"LD_PRELOAD", std::string(BEBR_PROGRAMS) + "/tests/libslow_sync.so"},
             {"SLOW_SYNC_MS", "600000"},
             {"SLOW_SYNC_WHILE", hangs},
             {"ASAN_OPTIONS", "verify_asan_link_order=0"}});
  CreateCollection();
  v1::CollectionConfig other;
  other.set_name("other");
  ASSERT_TRUE(client_->CreateCollection(other, ModelFile()).ok());
  for (const char* name : {"c", "other"}) ASSERT_TRUE(client_->Upsert(MakeUpsert(name, 0, 100)).ok());
  WriteFile("the-disk-hangs", "");
  std::atomic<bool> written{false};
  std::thread writer([&] {
    EXPECT_TRUE(client_->Upsert(MakeUpsert("c", 100, 10)).ok());
    written = true;
  });
  const std::regex queued("\nbebr_queued_upsert_bytes [1-9]");
  for (int i = 0; i < 6000 && !std::regex_search(server_->HttpGet("/metrics"), queued); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  Client client({.server = server_->address(), .deadline = absl::Seconds(60)});
  for (int round = 0; round < 10; ++round) {
    EXPECT_THAT(server_->HttpGet("/healthz"), HasSubstr("200 OK"));
    EXPECT_THAT(server_->HttpGet("/readyz"), HasSubstr("200 OK"));
    EXPECT_THAT(server_->HttpGet("/metrics"), HasSubstr("bebr_collection_documents{collection=\"c\"} 100\n"));
    for (const char* name : {"c", "other"}) {
      EXPECT_TRUE(client.Search(MakeSearch(name, VectorOf(1), 3)).ok());
      EXPECT_EQ(client.GetCollection(name)->documents(), 100u);
    }
    EXPECT_TRUE(client.GetStats().ok());
    EXPECT_TRUE(client.ListCollections().ok());
  }
  EXPECT_FALSE(written);
  EXPECT_EQ(std::remove(hangs.c_str()), 0);
  writer.join();
  EXPECT_EQ(client.GetCollection("c")->documents(), 110u);
}

}  // namespace
}  // namespace bebr::testing
