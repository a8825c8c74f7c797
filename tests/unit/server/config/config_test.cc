#include "server/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>

namespace bebr {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

Environment Variables(std::map<std::string, std::string> values) {
  auto held = std::make_shared<std::map<std::string, std::string>>(std::move(values));
  return [held](const std::string& name) {
    const auto found = held->find(name);
    return found == held->end() ? nullptr : found->second.c_str();
  };
}

std::string ErrorOf(const std::vector<std::string>& arguments, std::map<std::string, std::string> environment = {}) {
  const auto command = ParseServerConfig(arguments, Variables(std::move(environment)));
  EXPECT_FALSE(command.ok());
  return std::string(command.status().message());
}

class ConfigFile {
 public:
  explicit ConfigFile(const std::string& text) : path_(::testing::TempDir() + "bebr_config_test.json") {
    std::ofstream(path_) << text;
  }
  ~ConfigFile() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

TEST(ServerConfig, DefaultsListenOnLoopbackOnly) {
  const auto command = ParseServerConfig({"--data_dir", "d"}, Variables({}));
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_EQ(command->config.listen, "127.0.0.1:7700");
  EXPECT_EQ(command->config.metrics_listen, "127.0.0.1:7701");
  EXPECT_EQ(command->config.data_dir, "d");
}

TEST(ServerConfig, FlagBeatsEnvironmentBeatsFile) {
  const ConfigFile file(R"({"data_dir": "file", "threads": 1, "log_level": "error", "read_threads": "7"})");
  const auto command = ParseServerConfig({"--config", file.path(), "--threads=3"},
                                         Variables({{"BEBR_THREADS", "2"}, {"BEBR_LOG_LEVEL", "debug"}}));
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_EQ(command->config.threads, 3u);
  EXPECT_EQ(command->config.log_level, "debug");
  EXPECT_EQ(command->config.data_dir, "file");
  EXPECT_EQ(command->config.read_threads, 7u);
}

TEST(ServerConfig, ConfigFileMayBeNamedByTheEnvironment) {
  const ConfigFile file(R"({"data_dir": "file"})");
  const auto command = ParseServerConfig({}, Variables({{"BEBR_CONFIG", file.path()}}));
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_EQ(command->config.data_dir, "file");
}

TEST(ServerConfig, ReportsEveryErrorAtOnce) {
  const std::string error =
      ErrorOf({"--threads", "many", "--bogus", "--upsert_window_messages=0", "stray"}, {{"BEBR_LOG_LEVEL", "loud"}});
  EXPECT_THAT(error, HasSubstr("--threads is \"many\"; it is a whole number"));
  EXPECT_THAT(error, HasSubstr("--bogus is not an option"));
  EXPECT_THAT(error, HasSubstr("--upsert_window_messages is 0; the limits are 1 and 256"));
  EXPECT_THAT(error, HasSubstr("argument \"stray\" is not an option"));
  EXPECT_THAT(error, HasSubstr("log_level is \"loud\""));
  EXPECT_THAT(error, HasSubstr("data_dir is not set"));
}

TEST(ServerConfig, RefusesPlaintextBeyondLoopbackUnlessTold) {
  EXPECT_THAT(ErrorOf({"--data_dir", "d", "--listen", "0.0.0.0:7700"}), HasSubstr("allow_insecure_remote"));
  EXPECT_TRUE(
      ParseServerConfig({"--data_dir", "d", "--listen", "0.0.0.0:7700", "--allow_insecure_remote"}, Variables({}))
          .ok());
  EXPECT_FALSE(
      ParseServerConfig({"--data_dir", "d", "--listen", "0.0.0.0:1", "--allow_insecure_remote", "false"}, Variables({}))
          .ok());
  // TLS without any way to tell callers apart is no better.
  const std::vector<std::string> tls = {"--data_dir",      "d", "--listen",       "0.0.0.0:1",
                                        "--tls_cert_file", "c", "--tls_key_file", "k"};
  EXPECT_FALSE(ParseServerConfig(tls, Variables({})).ok());
  EXPECT_TRUE(ParseServerConfig(tls, Variables({{"BEBR_KEYS_FILE", "keys.json"}})).ok());
}

TEST(ServerConfig, RefusesMetricsBeyondLoopbackUnlessTold) {
  const std::vector<std::string> remote = {"--data_dir", "d", "--metrics_listen", "0.0.0.0:7701"};
  EXPECT_THAT(ErrorOf(remote), AllOf(HasSubstr("metrics_listen"), HasSubstr("allow_remote_metrics")));
  auto accepted = remote;
  accepted.push_back("--allow_remote_metrics");
  EXPECT_TRUE(ParseServerConfig(accepted, Variables({})).ok());
}

TEST(ServerConfig, KnowsItsNumbers) {
  const auto numbers = NumericOptions({.max_connections = 7});
  EXPECT_EQ(numbers.at("max_connections"), 7u);
  EXPECT_EQ(numbers.count("listen"), 0u);
}

TEST(ServerConfig, KnowsWhatIsLoopback) {
  for (const char* address : {"127.0.0.1:1", "127.9.9.9:1", "localhost:1", "[::1]:1"})
    EXPECT_TRUE(IsLoopback(address)) << address;
  for (const char* address : {"0.0.0.0:1", "10.0.0.1:1", "[::]:1", "127.0.0.1.example.com:1", "example:1"}) {
    EXPECT_FALSE(IsLoopback(address)) << address;
  }
}

TEST(ServerConfig, ChecksAddressesAndPairs) {
  EXPECT_THAT(ErrorOf({"--data_dir", "d", "--listen", "127.0.0.1"}),
              HasSubstr("listen is \"127.0.0.1\"; it is HOST:PORT"));
  EXPECT_THAT(ErrorOf({"--data_dir", "d", "--metrics_listen", "127.0.0.1:99999"}), HasSubstr("metrics_listen"));
  EXPECT_THAT(ErrorOf({"--data_dir", "d", "--tls_cert_file", "c"}), HasSubstr("go together"));
  EXPECT_THAT(ErrorOf({"--data_dir", "d", "--tls_client_ca_file", "c"}), HasSubstr("needs tls_cert_file"));
}

TEST(ServerConfig, RefusesWhatIsNotAConfigFile) {
  EXPECT_THAT(ErrorOf({"--config", "/nonexistent/file"}), HasSubstr("cannot be read"));
  const ConfigFile list("[1]");
  EXPECT_THAT(ErrorOf({"--config", list.path()}), HasSubstr("is not a JSON object"));
  const ConfigFile wrong(R"({"data_dir": "d", "thread": 1, "threads": 1.5})");
  EXPECT_THAT(ErrorOf({"--config", wrong.path()}), AllOf(HasSubstr("thread in"), HasSubstr("threads in")));
}

TEST(ServerConfig, PrintedConfigurationReadsBack) {
  const auto first =
      ParseServerConfig({"--data_dir", "a \"quoted\" dir", "--threads", "5", "--allow_insecure_remote"}, Variables({}));
  ASSERT_TRUE(first.ok());
  const ConfigFile file(PrintServerConfig(first->config));
  const auto second = ParseServerConfig({"--config", file.path()}, Variables({}));
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(PrintServerConfig(second->config), PrintServerConfig(first->config));
  EXPECT_EQ(second->config.data_dir, "a \"quoted\" dir");
}

TEST(ServerConfig, HelpNeedsNothingElse) {
  const auto command = ParseServerConfig({"--help"}, Variables({}));
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_TRUE(command->help);
  EXPECT_THAT(ServerHelp(),
              AllOf(HasSubstr("--data_dir"), HasSubstr("--keepalive_min_interval_s"), HasSubstr("BEBR_THREADS")));
}

}  // namespace
}  // namespace bebr
