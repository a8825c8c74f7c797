#include "server/config/cluster_nodes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "server/config/config.h"

namespace bebr {
namespace {

using ::testing::HasSubstr;

std::string ErrorOf(std::string_view text) { return std::string(ParseClusterNodes(text).status().message()); }

TEST(ClusterNodes, ShareTheSlotsEvenlyInTheirOrder) {
  const auto nodes = ParseClusterNodes("a=10.0.0.1:7700, b=[::1]:1,c-3=host.example:65535");
  ASSERT_TRUE(nodes.ok()) << nodes.status();
  ASSERT_EQ(nodes->size(), 3u);
  EXPECT_EQ((*nodes)[1].name, "b");
  EXPECT_EQ((*nodes)[1].address, "[::1]:1");
  EXPECT_EQ((*nodes)[0].first_slot, 0u);
  EXPECT_EQ((*nodes)[0].last_slot, 340u);
  EXPECT_EQ((*nodes)[1].first_slot, 341u);
  EXPECT_EQ((*nodes)[2].last_slot, 1023u);
  EXPECT_EQ(FindNode(*nodes, "c-3")->address, "host.example:65535");
  EXPECT_FALSE(FindNode(*nodes, "d").has_value());
}

TEST(ClusterNodes, OrSayWhichTheyHold) {
  const auto nodes = ParseClusterNodes("a=h:1/768-1023,b=h:2/0-767");
  ASSERT_TRUE(nodes.ok()) << nodes.status();
  EXPECT_EQ((*nodes)[0].first_slot, 768u);
  EXPECT_EQ((*nodes)[1].last_slot, 767u);
}

TEST(ClusterNodes, OfALogHoldTheSameSlotsOrNoneInCommon) {
  const std::string same = "a=h:1/0-511,b=h:2/0-511,c=h:3/512-1023";
  EXPECT_THAT(ErrorOf(same), HasSubstr("slot 0 on node \"a\" and on node \"b\""));
  EXPECT_TRUE(ParseClusterNodes(same, /*replicas=*/true).ok());
  const auto overlapping = ParseClusterNodes("a=h:1/0-511,b=h:2/0-600,c=h:3/512-1023", /*replicas=*/true);
  EXPECT_THAT(std::string(overlapping.status().message()),
              HasSubstr("slot 0 on node \"a\" and on node \"b\", whose other slots are not the same"));
}

TEST(ClusterNodes, MistakesAreNamed) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("name is not 1 to 64 bytes"));
  EXPECT_THAT(ErrorOf("a"), HasSubstr("name is not 1 to 64 bytes"));
  EXPECT_THAT(ErrorOf("-a=h:1"), HasSubstr("name is not 1 to 64 bytes"));
  EXPECT_THAT(ErrorOf("a b=h:1"), HasSubstr("name is not 1 to 64 bytes"));
  EXPECT_THAT(ErrorOf("a=h"), HasSubstr("no port from 1 to 65535"));
  EXPECT_THAT(ErrorOf("a=h:0"), HasSubstr("no port from 1 to 65535"));
  EXPECT_THAT(ErrorOf("a=h:1,a=h:2"), HasSubstr("name is another node's too"));
  EXPECT_THAT(ErrorOf("a=h:1,b=h:1"), HasSubstr("address is another node's too"));
  EXPECT_THAT(ErrorOf("a=h:1/0-1024"), HasSubstr("two numbers from 0 to 1023"));
  EXPECT_THAT(ErrorOf("a=h:1/9-3"), HasSubstr("two numbers from 0 to 1023"));
  EXPECT_THAT(ErrorOf("a=h:1/0-511,b=h:2"), HasSubstr("for some nodes only"));
  EXPECT_THAT(ErrorOf("a=h:1/0-511,b=h:2/511-1023"), HasSubstr("slot 511 on node \"a\" and on node \"b\""));
  EXPECT_THAT(ErrorOf("a=h:1/0-510,b=h:2/512-1023"), HasSubstr("slot 511 on no node"));
  std::string many = "n0=h:1";
  for (int i = 1; i <= 64; ++i) many += ",n" + std::to_string(i) + "=h:1";
  EXPECT_THAT(ErrorOf(many), HasSubstr("has 65 nodes; the limit is 64"));
}

TEST(ClusterNodes, OptionsThatDoNotGoTogetherAreRefused) {
  const auto error = [](std::vector<std::string> arguments) {
    return std::string(ParseServerConfig(arguments, {}).status().message());
  };
  EXPECT_EQ(error({"--cluster_nodes", "a=127.0.0.1:1"}), "");  // a gateway needs no data_dir
  EXPECT_THAT(error({"--cluster_nodes", "a=127.0.0.1:1", "--cluster_self", "a"}), HasSubstr("data_dir is not set"));
  EXPECT_THAT(error({"--cluster_nodes", "a=127.0.0.1:1", "--cluster_self", "b", "--data_dir", "d"}),
              HasSubstr("cluster_self is \"b\", which is no node"));
  EXPECT_THAT(error({"--data_dir", "d", "--cluster_self", "b"}), HasSubstr("cluster_self needs cluster_nodes"));
  EXPECT_THAT(error({"--data_dir", "d", "--cluster_log", "host=h"}), HasSubstr("cluster_log needs cluster_nodes"));
  EXPECT_THAT(error({"--cluster_nodes", "a=127.0.0.1:1", "--cluster_log_single"}),
              HasSubstr("cluster_log_single needs cluster_log"));
  EXPECT_EQ(error({"--cluster_nodes", "a=127.0.0.1:1/0-1023,b=127.0.0.1:2/0-1023", "--cluster_log", "host=h"}), "");
  EXPECT_THAT(error({"--cluster_nodes", "a=10.0.0.1:1"}), HasSubstr("give cluster_ca_file"));
  EXPECT_EQ(error({"--cluster_nodes", "a=10.0.0.1:1", "--allow_insecure_remote"}), "");
  EXPECT_EQ(error({"--cluster_nodes", "a=10.0.0.1:1", "--cluster_ca_file", "ca.pem"}), "");
}

}  // namespace
}  // namespace bebr
