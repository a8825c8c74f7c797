// The files of deploy/ that programs read, read as those programs would.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "server/config/config.h"

namespace bebr {
namespace {

using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::SizeIs;

std::filesystem::path Deploy(const std::string& name) { return std::filesystem::path(BEBR_DEPLOY_DIR) / name; }

std::string ReadText(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_TRUE(file) << path;
  return text.str();
}

nlohmann::json ReadJson(const std::filesystem::path& path, bool with_comments = false) {
  return nlohmann::json::parse(ReadText(path), nullptr, /*allow_exceptions=*/false, with_comments);
}

std::set<std::string> Keys(const nlohmann::json& object) {
  std::set<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.insert(key);
  return keys;
}

// Every option there is, from the server itself.
std::set<std::string> Options() { return Keys(nlohmann::json::parse(PrintServerConfig(ServerConfig()))); }

TEST(ExampleConfiguration, IsTheDefaultsAndHasEveryOption) {
  const auto path = Deploy("bebr-server.json");
  const auto command = ParseServerConfig({"--config", path.string()}, {});
  ASSERT_TRUE(command.ok()) << command.status();
  ServerConfig expected;
  expected.data_dir = "/var/lib/bebr";
  EXPECT_EQ(PrintServerConfig(command->config), PrintServerConfig(expected));
  EXPECT_EQ(Keys(ReadJson(path, /*with_comments=*/true)), Options());
}

TEST(Chart, KnowsEveryOptionThatItDoesNotSetItself) {
  const auto schema = ReadJson(Deploy("helm/bebr/values.schema.json"));
  ASSERT_TRUE(schema.is_object());
  std::set<std::string> known = Keys(schema["properties"]["config"]["properties"]);
  for (const char* set_by_chart :
       {"listen", "metrics_listen", "data_dir", "allow_insecure_remote", "allow_remote_metrics", "tls_cert_file",
        "tls_key_file", "tls_client_ca_file", "keys_file"}) {
    EXPECT_TRUE(known.insert(set_by_chart).second) << set_by_chart;
  }
  EXPECT_EQ(known, Options());
}

// A number that the server would refuse is refused before it is in a pod that does not start.
TEST(Chart, HasTheServersLimits) {
  const auto schema = ReadJson(Deploy("helm/bebr/values.schema.json"));
  int numbers = 0;
  for (const auto& [name, type] : schema["properties"]["config"]["properties"].items()) {
    if (type.value("type", "") != "integer") continue;
    ++numbers;
    const auto refused = ParseServerConfig({"--data_dir", "d", "--" + name, "18446744073709551615"}, {});
    const std::string limits = absl::StrCat("the limits are ", type.value("minimum", uint64_t{0}), " and ",
                                            type.value("maximum", uint64_t{0}));
    EXPECT_THAT(std::string(refused.status().message()), HasSubstr(limits)) << name;
  }
  EXPECT_GE(numbers, 20);
}

// What the chart puts into the pod is a configuration that the server takes.
// Of a cluster a node and a gateway; who they are comes from the environment.
TEST(Chart, RendersAClusterThatTheServersAre) {
  const std::string text = ReadText(std::filesystem::path(BEBR_CHART_RENDERS) / "cluster.yaml");
  size_t at = 0;
  for (const std::string role : {"node", "gateway"}) {
    const size_t begin = text.find("bebr-server.json: |\n", at);
    ASSERT_NE(begin, std::string::npos) << role;
    const size_t open = text.find('{', begin), close = text.find("\n    }", open);
    at = close;
    const std::string file = ::testing::TempDir() + "bebr-chart-cluster-" + role + ".json";
    std::ofstream(file) << text.substr(open, close + 6 - open);
    std::map<std::string, std::string> environment = {{"BEBR_CLUSTER_LOG", "host=postgres dbname=bebr"}};
    if (role == "node") environment["BEBR_CLUSTER_SELF"] = "bebr-5";
    const auto command = ParseServerConfig({"--config", file}, environment);
    std::filesystem::remove(file);
    ASSERT_TRUE(command.ok()) << command.status();
    EXPECT_EQ(command->config.is_gateway(), role == "gateway");
    EXPECT_EQ(command->config.cluster_ca_file.empty(), role == "node");
  }
}

TEST(Chart, RendersAConfigurationThatTheServerTakes) {
  for (const std::string name : {"open", "secured", "edge"}) {
    const std::string text = ReadText(std::filesystem::path(BEBR_CHART_RENDERS) / (name + ".yaml"));
    const size_t begin = text.find("bebr-server.json: |\n");
    ASSERT_NE(begin, std::string::npos) << name;
    const size_t open = text.find('{', begin), close = text.find("\n    }", open);
    const std::string file = ::testing::TempDir() + "bebr-chart-" + name + ".json";
    std::ofstream(file) << text.substr(open, close + 6 - open);
    const auto command = ParseServerConfig({"--config", file}, {});
    std::filesystem::remove(file);
    ASSERT_TRUE(command.ok()) << command.status();
    EXPECT_EQ(command->config.listen, name == "edge" ? "127.0.0.1:7700" : "0.0.0.0:7700");
    EXPECT_EQ(command->config.allow_insecure_remote, name == "open");
    EXPECT_EQ(command->config.tls_client_ca_file.empty(), name != "secured");
    // 75% of the container's limit, 8 Gi or 16 Gi; what config says itself goes before it.
    const uint64_t gib = name == "open" ? 6 : name == "edge" ? 12 : 16;
    EXPECT_EQ(command->config.memory_limit_bytes, gib << 30);
  }
}

TEST(JsonFiles, AreValid) {
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(BEBR_DEPLOY_DIR)) {
    if (entry.path().extension() != ".json") continue;
    const bool with_comments = entry.path().filename() == "bebr-server.json";
    EXPECT_TRUE(ReadJson(entry.path(), with_comments).is_object()) << entry.path();
    ++files;
  }
  EXPECT_GE(files, 3);
}

TEST(Dashboard, PanelsAreWhole) {
  const auto dashboard = ReadJson(Deploy("grafana/dashboards/bebr.json"));
  ASSERT_TRUE(dashboard.is_object());
  std::set<int> ids;
  std::set<std::string> rows;
  std::set<std::pair<int, int>> cells;  // of the grid, taken
  for (const auto& panel : dashboard["panels"]) {
    const std::string title = panel.value("title", "");
    EXPECT_FALSE(title.empty()) << panel;
    EXPECT_TRUE(ids.insert(panel.at("id").get<int>()).second) << title;
    const auto& place = panel.at("gridPos");
    for (int y = place.at("y"); y < place.at("y").get<int>() + place.at("h").get<int>(); ++y) {
      for (int x = place.at("x"); x < place.at("x").get<int>() + place.at("w").get<int>(); ++x) {
        EXPECT_LT(x, 24) << title;
        EXPECT_TRUE(cells.emplace(x, y).second) << title << " overlaps another panel at " << x << ", " << y;
      }
    }
    if (panel.at("type") == "row") {
      rows.insert(title);
      continue;
    }
    EXPECT_FALSE(panel.value("targets", nlohmann::json::array()).empty()) << title;
    std::set<std::string> queries;
    for (const auto& target : panel["targets"]) {
      EXPECT_TRUE(queries.insert(target.at("refId").get<std::string>()).second) << title;
      EXPECT_FALSE(target.value("expr", "").empty()) << title;
      EXPECT_EQ(target.at("datasource").at("uid"), "${datasource}") << title;
    }
  }
  EXPECT_THAT(rows, IsSupersetOf({"Overview", "Latency", "Throughput", "Ingestion", "Storage", "Versions"}));
  EXPECT_THAT(dashboard["templating"]["list"], SizeIs(3));
}

}  // namespace
}  // namespace bebr
