// A server one of whose collections does not serve: it stays ready, and says everywhere which one and why.
#include <sys/resource.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <thread>

#include "nlohmann/json.hpp"
#include "tests/integration/tls_fixture.h"
#include "tests/support/until.h"

namespace bebr::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class DegradedTest : public TlsTest {
 protected:
  void Create(const std::string& name) {
    v1::CollectionConfig config;
    config.set_name(name);
    ASSERT_TRUE(client_->CreateCollection(config, ModelFile()).ok());
    ASSERT_TRUE(client_->Upsert(MakeUpsert(name, 0, 10)).ok());
  }
  void Await(const std::string& path, const std::string& part) {
    std::string answer;
    Until([&] { return (answer = server_->HttpGet(path)).find(part) != std::string::npos; });
    EXPECT_THAT(answer, HasSubstr(part)) << server_->Log();
  }
};

TEST_F(DegradedTest, AnUnavailableCollectionIsNamed) {
  Start();
  Create("good");
  Create("bad");
  server_.reset();
  std::filesystem::remove(Path("data/collections/bad/manifest.json"));
  WriteKeys("admin-key", ",{\"name\": \"of-good\", \"role\": \"read\", \"collections\": [\"good\"], \"sha256\": \"" +
                             Sha256Of("good-key") + "\"}");
  Start({"--keys_file", Path("keys.json")});
  const auto with = [&](const std::string& key) {
    return Client({.server = server_->address(), .deadline = absl::Seconds(60), .api_key = key});
  };
  EXPECT_TRUE(with("good-key").Search(MakeSearch("good", VectorOf(1), 3)).ok());
  const auto all = with("admin-key").ListCollections();
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->unavailable_size(), 1);
  EXPECT_EQ(all->collections_size(), 1);
  EXPECT_EQ(all->unavailable(0).name(), "bad");
  EXPECT_THAT(all->unavailable(0).reason(), HasSubstr("manifest.json"));
  EXPECT_EQ(with("good-key").ListCollections()->unavailable_size(), 0);  // no business of this key

  EXPECT_THAT(server_->HttpGet("/readyz"),
              AllOf(HasSubstr(" 200 "), HasSubstr("ready, degraded\ncollection bad is unavailable: "),
                    HasSubstr("manifest.json"), Not(HasSubstr("good"))));
  EXPECT_THAT(server_->HttpGet("/metrics"), AllOf(HasSubstr("bebr_collection_state{collection=\"good\"} 0\n"),
                                                  HasSubstr("bebr_collection_state{collection=\"bad\"} 2\n")));
  const Variables key = {{"BEBR_API_KEY", "admin-key"}};
  EXPECT_THAT(RunProgram("bebr", {"collections", "--server", server_->address()}, key).out,
              ::testing::ContainsRegex("bad +unavailable: .*manifest.json"));
  const auto list =
      nlohmann::json::parse(RunProgram("bebr", {"collections", "--json", "--server", server_->address()}, key).out);
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[1].value("name", ""), "bad");
  EXPECT_THAT(list[1].value("unavailable", ""), HasSubstr("manifest.json"));
  EXPECT_THAT(RunProgram("bebr", {"doctor", "--server", server_->address()}, key).out,
              ::testing::ContainsRegex("fault +collection +bad is unavailable: .*manifest.json"));

  ASSERT_TRUE(with("admin-key").DeleteCollection("bad").ok());
  EXPECT_THAT(server_->HttpGet("/readyz"), HasSubstr("\nready\n"));
}

TEST_F(DegradedTest, ACollectionThatTakesNoWritesIsNamedUntilItDoes) {
  Start({"--write_buffer_bytes", "117440512"});
  Create("c");
  const auto limit_files = [&](rlim_t bytes) {
    const rlimit limit{.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};
    ASSERT_EQ(prlimit(server_->pid(), RLIMIT_FSIZE, &limit, nullptr), 0);
  };
  // No file may grow beyond this size, which a write to the log does, and the table file that would follow a failed
  // one.
  limit_files(512);
  EXPECT_EQ(client_->Upsert(MakeUpsert("c", 0, 10000)).status().code(), absl::StatusCode::kUnavailable);
  Await("/readyz", "ready, degraded\ncollection c takes no writes: ");
  EXPECT_THAT(server_->HttpGet("/readyz"), HasSubstr(" 200 "));
  Await("/metrics", "bebr_collection_state{collection=\"c\"} 1\n");
  EXPECT_NE(client_->GetCollection("c")->problem(), "");
  EXPECT_THAT(Bebr({"doctor"}).out, HasSubstr("c takes no writes: "));
  EXPECT_THAT(Bebr({"collections"}).out, HasSubstr("takes no writes: "));
  EXPECT_TRUE(client_->Search(MakeSearch("c", VectorOf(1), 3)).ok());
  limit_files(RLIM_INFINITY);
  Await("/readyz", "\nready\n");
  Await("/metrics", "bebr_collection_state{collection=\"c\"} 0\n");
  EXPECT_EQ(client_->GetCollection("c")->problem(), "");
  EXPECT_TRUE(client_->Upsert(MakeUpsert("c", 0, 10)).ok());
}

}  // namespace
}  // namespace bebr::testing
