#include "server/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

namespace bebr {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string ErrorOf(const std::vector<std::string>& arguments, const Environment& environment = {}) {
  const auto command = ParseServerConfig(arguments, environment);
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
  const auto command = ParseServerConfig({"--data_dir", "d"}, {});
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_EQ(command->config.listen, "127.0.0.1:7700");
  EXPECT_EQ(command->config.metrics_listen, "127.0.0.1:7701");
  EXPECT_EQ(command->config.data_dir, "d");
}

TEST(ServerConfig, FlagBeatsEnvironmentBeatsFile) {
  const ConfigFile file(R"({"data_dir": "file", "threads": 1, "log_level": "error", "read_threads": "7"})");
  const auto command =
      ParseServerConfig({"--config", file.path(), "--threads=3"}, {{"BEBR_THREADS", "2"}, {"BEBR_LOG_LEVEL", "debug"}});
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_EQ(command->config.threads, 3u);
  EXPECT_EQ(command->config.log_level, "debug");
  EXPECT_EQ(command->config.data_dir, "file");
  EXPECT_EQ(command->config.read_threads, 7u);
}

TEST(ServerConfig, ConfigFileMayBeNamedByTheEnvironment) {
  const ConfigFile file(R"({"data_dir": "file"})");
  const auto command = ParseServerConfig({}, {{"BEBR_CONFIG", file.path()}});
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
  EXPECT_TRUE(ParseServerConfig({"--data_dir", "d", "--listen", "0.0.0.0:7700", "--allow_insecure_remote"}, {}).ok());
  EXPECT_FALSE(
      ParseServerConfig({"--data_dir", "d", "--listen", "0.0.0.0:1", "--allow_insecure_remote", "false"}, {}).ok());
  // TLS without any way to tell callers apart is no better.
  const std::vector<std::string> tls = {"--data_dir",      "d", "--listen",       "0.0.0.0:1",
                                        "--tls_cert_file", "c", "--tls_key_file", "k"};
  EXPECT_FALSE(ParseServerConfig(tls, {}).ok());
  EXPECT_TRUE(ParseServerConfig(tls, {{"BEBR_KEYS_FILE", "keys.json"}}).ok());
}

TEST(ServerConfig, RefusesMetricsBeyondLoopbackUnlessTold) {
  const std::vector<std::string> remote = {"--data_dir", "d", "--metrics_listen", "0.0.0.0:7701"};
  EXPECT_THAT(ErrorOf(remote), AllOf(HasSubstr("metrics_listen"), HasSubstr("allow_remote_metrics")));
  auto accepted = remote;
  accepted.push_back("--allow_remote_metrics");
  EXPECT_TRUE(ParseServerConfig(accepted, {}).ok());
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
  EXPECT_THAT(ErrorOf({"--data_dir", "d", "--otlp_endpoint", "collector"}),
              HasSubstr("otlp_endpoint is \"collector\""));
  EXPECT_THAT(ErrorOf({"--data_dir", "d", "--tls_cert_file", "c"}), HasSubstr("go together"));
  EXPECT_THAT(ErrorOf({"--data_dir", "d", "--tls_client_ca_file", "c"}), HasSubstr("needs tls_cert_file"));
}

TEST(ServerConfig, RefusesWhatIsNotAConfigFile) {
  EXPECT_THAT(ErrorOf({"--config", "/nonexistent/file"}), HasSubstr("cannot be read"));
  const ConfigFile list("[1]");
  EXPECT_THAT(ErrorOf({"--config", list.path()}), HasSubstr("is not a JSON object"));
  const ConfigFile broken("{\n  \"threads\": 2,\n  \"data_dir\" \"d\"\n}");
  EXPECT_THAT(ErrorOf({"--config", broken.path()}),
              AllOf(HasSubstr("is no JSON: line 3, column "), Not(HasSubstr("data_dir is not set"))));
  const ConfigFile beyond(R"({"data_dir": "d", "threads": 1e999})");
  EXPECT_THAT(ErrorOf({"--config", beyond.path()}), HasSubstr("number overflow"));
  const ConfigFile wrong(R"({"data_dir": "d", "thread": 1, "threads": 1.5})");
  EXPECT_THAT(ErrorOf({"--config", wrong.path()}), AllOf(HasSubstr("thread in"), HasSubstr("threads in")));
}

TEST(ServerConfig, PrintedConfigurationReadsBack) {
  const auto first =
      ParseServerConfig({"--data_dir", "a \"quoted\" dir", "--threads", "5", "--allow_insecure_remote"}, {});
  ASSERT_TRUE(first.ok());
  const ConfigFile file(PrintServerConfig(first->config));
  const auto second = ParseServerConfig({"--config", file.path()}, {});
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(PrintServerConfig(second->config), PrintServerConfig(first->config));
  EXPECT_EQ(second->config.data_dir, "a \"quoted\" dir");
}

TEST(ServerConfig, OptionsAreUtf8) {
  for (const auto& [arguments, variables] : std::vector<std::pair<std::vector<std::string>, Environment>>{
           {{"--data_dir=/tmp/\xFF"}, {}}, {{}, {{"BEBR_DATA_DIR", "/tmp/\xC3"}}}}) {
    const auto command = ParseServerConfig(arguments, variables);
    EXPECT_THAT(std::string(command.status().message()), HasSubstr("is not UTF-8")) << command.status();
  }
  EXPECT_TRUE(ParseServerConfig({"--data_dir=/tmp/caf\xC3\xA9"}, {}).ok());
}

TEST(ServerConfig, HelpNeedsNothingElse) {
  const auto command = ParseServerConfig({"--help"}, {});
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_TRUE(command->help);
  EXPECT_THAT(ServerHelp(),
              AllOf(HasSubstr("--data_dir"), HasSubstr("--keepalive_min_interval_s"), HasSubstr("BEBR_THREADS")));
}

TEST(ServerConfig, UnknownVariablesAreRefused) {
  const auto parse = [](const Environment& environment) {
    return std::string(ParseServerConfig({"--data_dir", "d"}, environment).status().message());
  };
  EXPECT_EQ(parse({{"PATH", "/bin"},
                   {"BEBR_CONFIG", ""},
                   {"BEBR_API_KEY", "k"},
                   {"BEBR_BACKUP_KEEP", "3"},
                   {"BEBR_PROGRAMS", "/b"}}),
            "");
  // Kubernetes's, for a service called bebr.
  EXPECT_EQ(parse({{"BEBR_SERVICE_HOST", "10.0.0.1"},
                   {"BEBR_SERVICE_PORT_GRPC", "7700"},
                   {"BEBR_PORT", "tcp://10.0.0.1:7700"},
                   {"BEBR_PORT_7700_TCP_ADDR", "10.0.0.1"}}),
            "");
  EXPECT_THAT(parse({{"BEBR_THREAD", "8"}}),
              AllOf(HasSubstr("BEBR_THREAD belongs to no option"), HasSubstr("did you mean BEBR_THREADS?")));
  EXPECT_THAT(parse({{"BEBR_PORT", "7700"}}), HasSubstr("BEBR_PORT belongs to no option"));
  EXPECT_THAT(parse({{"BEBR_METRICS_PORT_X", "1"}}), HasSubstr("BEBR_METRICS_PORT_X belongs to no option"));
  EXPECT_THAT(parse({{"BEBR_SOMETHING_ELSE_ALTOGETHER", "1"}}), ::testing::Not(HasSubstr("did you mean")));
}

TEST(ServerConfig, NamesTheNearestOption) {
  EXPECT_THAT(ErrorOf({"--data_dir", "d", "--slow_query", "1"}), HasSubstr("did you mean slow_query_ms?"));
  const ConfigFile file(R"({"data_dir": "d", "treads": 1})");
  EXPECT_THAT(ErrorOf({"--config", file.path()}), HasSubstr("did you mean threads?"));
}

TEST(ChangedOptions, SaysWhatTakesARestart) {
  ServerConfig before, after;
  EXPECT_TRUE(ChangedOptions(before, after).live.empty());
  after.log_level = "debug";
  after.max_parsed_bytes = 1 << 30 | 1;
  after.threads = 3;
  const OptionChanges changes = ChangedOptions(before, after);
  EXPECT_THAT(changes.live, ::testing::UnorderedElementsAre("log_level", "max_parsed_bytes"));
  EXPECT_THAT(changes.at_restart, ::testing::ElementsAre("threads"));
  const ServerConfig in_use = WithLiveOptions(before, after);
  EXPECT_EQ(in_use.log_level, "debug");
  EXPECT_EQ(in_use.threads, before.threads);
}

}  // namespace
}  // namespace bebr
