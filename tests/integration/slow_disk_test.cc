// A disk that hangs, or is full, for one collection: its commits wait for it or fail, and nothing else does.
#include <signal.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <map>
#include <regex>
#include <thread>

#include "tests/integration/fixture.h"
#include "tests/integration/programs.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;

// Makes collections of 100 documents.
void MakeCollections(Client& client, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    v1::CollectionConfig config;
    config.set_name(name);
    ASSERT_TRUE(client.CreateCollection(config, ModelFile()).ok());
    ASSERT_TRUE(client.Upsert(MakeUpsert(name, 0, 100)).ok());
  }
}

// One collection's disk hangs, one's is full, one's files are damaged, and the metrics are scraped all the while: each
// has its own fault, and the fourth one notices nothing.
TEST_F(ServerTest, CollectionsWithFaultsHoldUpNobodyElse) {
  const std::string faults = Path("the-disks-fail");
  Start();
  MakeCollections(*client_, {"good", "hangs", "full", "damaged"});
  server_->Signal(SIGTERM);
  EXPECT_EQ(server_->Wait(), 0);
  ASSERT_EQ(std::remove(Path("data/collections/damaged/manifest.json").c_str()), 0);
  Start({}, {{"LD_PRELOAD", std::string(BEBR_PROGRAMS) + "/tests/libslow_sync.so"},
             {"SLOW_SYNC_MS", "600000"},
             {"SLOW_SYNC_WHILE", faults},
             {"SLOW_SYNC_IN", "/collections/hangs/"},
             {"FULL_DISK_IN", "/collections/full/"},
             {"ASAN_OPTIONS", "verify_asan_link_order=0"}});
  WriteFile("the-disks-fail", "");
  std::atomic<bool> written{false}, stop{false};
  std::thread hanging([&] {
    Client patient({.server = server_->address()});
    EXPECT_TRUE(patient.Upsert(MakeUpsert("hangs", 100, 10)).ok());
    written = true;
  });
  std::thread scraping([&] {
    while (!stop)
      EXPECT_THAT(server_->HttpGet("/metrics"), HasSubstr("bebr_collection_documents{collection=\"good\"}"));
  });
  const auto await = [&](const std::string& pattern) {
    const std::regex state(pattern);
    for (int i = 0; i < 6000 && !std::regex_search(server_->HttpGet("/metrics"), state); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_TRUE(std::regex_search(server_->HttpGet("/metrics"), state)) << pattern << server_->Log();
  };
  Client client({.server = server_->address(), .deadline = absl::Seconds(60)});
  EXPECT_EQ(client.Upsert(MakeUpsert("full", 100, 10)).status().code(), absl::StatusCode::kResourceExhausted);
  await("\nbebr_queued_upsert_bytes [1-9]");
  await("\nbebr_collection_state.collection=\"full\". 1\n");
  await("\nbebr_collection_state.collection=\"damaged\". 2\n");
  for (size_t round = 0; round < 50; ++round) {
    for (const char* searched : {"good", "hangs", "full"})
      EXPECT_TRUE(client.Search(MakeSearch(searched, VectorOf(round), 3)).ok()) << searched;
    EXPECT_TRUE(client.Upsert(MakeUpsert("good", 100 + round, 1)).ok());
    EXPECT_EQ(client.Search(MakeSearch("damaged", VectorOf(round), 3)).status().code(), absl::StatusCode::kDataLoss);
  }
  EXPECT_FALSE(written);
  EXPECT_EQ(std::remove(faults.c_str()), 0);
  hanging.join();
  await("\nbebr_collection_state.collection=\"full\". 0\n");
  EXPECT_TRUE(client.Upsert(MakeUpsert("full", 100, 10)).ok());
  stop = true;
  scraping.join();
  for (const auto& [name, documents] : std::map<std::string, uint64_t>{{"good", 150}, {"hangs", 110}, {"full", 110}})
    EXPECT_EQ(client.GetCollection(name)->documents(), documents);
}

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
