#include <gmock/gmock.h>

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "index/log/postgres/postgres_logs.h"
#include "tests/unit/log/log_test.h"
#include "tests/unit/log/postgres_server.h"

namespace bebr {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::PostgresServer;

PostgresOptions OptionsOf(const PostgresServer& server) {
  return {.address = absl::StrCat("host=", server.socket_directory(), " user=bebr dbname=postgres"),
          .single = true,
          .poll = absl::Milliseconds(5),
          .generation_bytes = 1000};
}

class PostgresEngine : public LogEngine {
 public:
  PostgresEngine() { server_.Start(); }
  std::unique_ptr<Logs> Connect() override {
    auto logs = PostgresLogs::Open(OptionsOf(server_));
    EXPECT_TRUE(logs.ok()) << logs.status();
    return *std::move(logs);
  }
  PostgresServer& server() { return server_; }
  // The number of a log, and its newest generation: as they stand in its tables' names.
  std::string Suffix(const std::string& log) const {
    return std::string(absl::StripSuffix(
        server_.Sql(absl::StrCat("SELECT id || '_' || generation FROM bebr_log.log WHERE name = '", log, "'")), "\n"));
  }
  // As a restore of an older state leaves it; of one writer, "w".
  void LoseBeyond(const std::string& log, uint64_t position) override {
    server_.Sql(absl::StrReplaceAll(R"sql(
      DELETE FROM bebr_log.appends_{suffix} WHERE position > {at};
      DELETE FROM bebr_log.records_{suffix} WHERE position > {at};
      UPDATE bebr_log.log SET head = {at}, head_append = (SELECT append FROM bebr_log.appends_{suffix} WHERE position = {at})
        WHERE name = '{log}';
      UPDATE bebr_log.writer SET number = {at}, position = {at}, append = (SELECT head_append FROM bebr_log.log WHERE name = '{log}')
        WHERE log = (SELECT id FROM bebr_log.log WHERE name = '{log}'))sql",
                                    {{"{suffix}", Suffix(log)}, {"{at}", absl::StrCat(position)}, {"{log}", log}}));
  }

 private:
  PostgresServer server_;
};

// Of all tests; it goes when they are done.
std::unique_ptr<PostgresEngine>& TheEngine() {
  static auto* const engine = new std::unique_ptr<PostgresEngine>();
  return *engine;
}

PostgresEngine& Postgres() {
  if (TheEngine() == nullptr) TheEngine() = std::make_unique<PostgresEngine>();
  return *TheEngine();
}

class EndOfTests : public ::testing::Environment {
 public:
  void SetUp() override { ASSERT_TRUE(testing::PostgresIsInstalled()) << "install Debian's package postgresql"; }
  void TearDown() override { TheEngine().reset(); }
};
const auto* const kEndOfTests = ::testing::AddGlobalTestEnvironment(new EndOfTests());

INSTANTIATE_TEST_SUITE_P(Postgres, LogTest,
                         ::testing::Values(LogEngineCase{"postgres", []() -> LogEngine& { return Postgres(); }}),
                         [](const auto& info) { return info.param.name; });

class PostgresLogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    name_ = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    logs_ = Postgres().Connect();
    ASSERT_TRUE(logs_->Create(name_).ok());
    log_ = *logs_->Open(name_);
    writer_ = *log_->BeginWriter("w");
    for (int i = 0; i < 5; ++i) places_.push_back(MustAppend(*log_, writer_, {{0, "a"}, {1, "b"}}));
  }
  absl::Status Read(const LogPlace& after, const std::vector<uint32_t>& shards) {
    return log_->Read(after, shards, 1 << 20).status();
  }
  void Delete(const std::string& table, const std::string& where) {
    Postgres().server().Sql(
        absl::StrCat("DELETE FROM bebr_log.", table, "_", Postgres().Suffix(name_), " WHERE ", where));
  }

  std::string name_;
  std::unique_ptr<Logs> logs_;
  std::unique_ptr<Log> log_;
  LogWriter writer_;
  std::vector<LogPlace> places_;
};

TEST_F(PostgresLogTest, RowsDeletedByHandAreNoticed) {
  Delete("records", "position = 5 AND shard = 1");
  EXPECT_THAT(Read(places_[3], {1}).message(), AllOf(HasSubstr("log \"RowsDeletedByHandAreNoticed\" has lost"),
                                                     HasSubstr("position 5: rows of its tables are gone")));
  EXPECT_EQ(Read(places_[3], {1}).code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(Read(places_[3], {0}).ok());  // which has all of its own
  EXPECT_TRUE(Read(places_[4], {1}).ok());  // who has applied it already
  Delete("appends", "position >= 4");
  EXPECT_THAT(Read(places_[2], {0}).message(), HasSubstr("has lost the append at position 4"));
  EXPECT_EQ(Read(places_[0], {0}).code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(Read(places_[3], {0}).message(), HasSubstr("it is there no more"));
}

TEST_F(PostgresLogTest, AGapIsNoticed) {
  Delete("appends", "position = 2");
  EXPECT_THAT(Read({}, {0}).message(), HasSubstr("has lost the append at position 2"));
  EXPECT_TRUE(Read(places_[2], {0}).ok());
}

TEST_F(PostgresLogTest, RecordsThatWereChangedInLengthAreNoticed) {
  Postgres().server().Sql(
      absl::StrCat("UPDATE bebr_log.records_", Postgres().Suffix(name_), " SET record = 'longer' WHERE position = 3"));
  EXPECT_EQ(Read(places_[1], {0}).code(), absl::StatusCode::kDataLoss);
}

TEST_F(PostgresLogTest, RefusesWhatIsNotDurable) {
  PostgresServer& server = Postgres().server();
  const PostgresOptions options = OptionsOf(server);
  const auto refused = [](const PostgresOptions& options) {
    const absl::Status status = PostgresLogs::Open(options).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    return std::string(status.message());
  };
  const auto set = [&](const std::string& setting) {
    server.Sql("ALTER SYSTEM SET " + setting);
    const std::string name = setting.substr(0, setting.find(' '));
    server.Sql("SELECT pg_reload_conf()");
    while (server.Sql("SELECT " + setting.substr(setting.find('=') + 1) + " = current_setting('" + name + "')") !=
           "t\n") {
    }
  };
  PostgresOptions three = options;
  three.single = false;
  EXPECT_THAT(refused(three),
              AllOf(HasSubstr("could lose what it has acknowledged: synchronous_standby_names is empty."),
                    HasSubstr("cluster_log_single")));
  for (const std::string& name : std::vector<std::string>{"fsync", "full_page_writes", "synchronous_commit"}) {
    set(name + " = 'off'");
    EXPECT_THAT(refused(options), HasSubstr(name + " is off"));
    // A log that is open already.
    const absl::Status status = log_->Append(writer_, 6, std::vector<LogRecord>{{0, "c"}}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_THAT(status.message(), HasSubstr(name + " is off"));
    set(name + " = 'on'");
  }
  MustAppend(*log_, writer_, {{0, "c"}});
  PostgresOptions other = options;
  other.schema = "Other; DROP";
  EXPECT_EQ(PostgresLogs::Open(other).status().code(), absl::StatusCode::kInvalidArgument);
  other = options;
  other.address = "no address";
  EXPECT_EQ(PostgresLogs::Open(other).status().code(), absl::StatusCode::kInvalidArgument);
  other.address = "host=/nowhere";
  other.timeout = absl::Milliseconds(100);
  EXPECT_EQ(PostgresLogs::Open(other).status().code(), absl::StatusCode::kUnavailable);
}

// What somebody must mend is told from what passes by itself.
TEST_F(PostgresLogTest, WhoIsNotLetInIsToldSo) {
  PostgresServer& server = Postgres().server();
  const std::string file = std::string(absl::StripSuffix(server.Sql("SHOW hba_file"), "\n"));
  const std::string rules = server.Sql("SELECT pg_read_file('" + file + "')");
  server.Sql("CREATE ROLE guest LOGIN PASSWORD 'right'");
  server.Sql("COPY (VALUES ('local all guest scram-sha-256'), ('local all all trust')) TO '" + file + "'");
  const auto address = [&](const std::string& rest) {
    return absl::StrCat("host=", server.socket_directory(), " ", rest);
  };
  const auto open = [&](const std::string& of) {
    PostgresOptions options = OptionsOf(server);
    options.address = of;
    options.timeout = absl::Milliseconds(500);
    return PostgresLogs::Open(options).status();
  };
  const auto is_in_force = [&] { return !open(address("user=guest password=wrong dbname=postgres")).ok(); };
  server.Sql("SELECT pg_reload_conf()");
  while (!is_in_force()) absl::SleepFor(absl::Milliseconds(10));
  for (const auto& [wrong, why] : std::vector<std::pair<std::string, std::string>>{
           {"user=guest password=wrong dbname=postgres", "FATAL:  password authentication failed for user \"guest\""},
           {"user=guest dbname=postgres", "no password supplied"},
           {"user=stranger dbname=postgres", "FATAL:  role \"stranger\" does not exist"},
           {"user=bebr dbname=nowhere", "FATAL:  database \"nowhere\" does not exist"}}) {
    const absl::Status status = open(address(wrong));
    EXPECT_TRUE(MustBeMended(status)) << status;
    EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("refuses what cluster_log says"), HasSubstr(why)));
  }
  // Of several hosts one that refuses counts, and one that is away does not hide it.
  const std::string two = absl::StrCat("host=", server.socket_directory(), ",/nowhere user=stranger dbname=postgres");
  EXPECT_TRUE(MustBeMended(open(two)));
  EXPECT_FALSE(MustBeMended(open("host=/nowhere user=bebr dbname=postgres")));
  // What may pass by itself.
  EXPECT_EQ(open(address("user=bebr dbname=postgres target_session_attrs=standby")).code(),
            absl::StatusCode::kUnavailable);
  server.Sql(absl::StrCat("COPY (SELECT unnest(string_to_array(trim(trailing E'\\n' from $file$", rules,
                          "$file$), E'\\n'))) TO '", file, "'"));
  server.Sql("SELECT pg_reload_conf()");
}

// An append that its caller has given up waits for no lock any more: PostgreSQL has so many sessions and no more.
TEST_F(PostgresLogTest, NobodyWaitsForALockForLong) {
  PostgresServer& server = Postgres().server();
  const std::string waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
  std::thread holder([&] {
    server.Sql("BEGIN; SELECT id FROM bebr_log.log WHERE name = '" + name_ +
               "' FOR UPDATE; SELECT pg_sleep(6); COMMIT");
  });
  PostgresOptions options = OptionsOf(server);
  options.timeout = absl::Milliseconds(500);
  const auto log = *(*PostgresLogs::Open(options))->Open(name_);
  // Until the holder has its lock.
  const std::string held = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
  while (server.Sql(held) != "1\n") absl::SleepFor(absl::Milliseconds(10));
  for (int i = 0; i < 3; ++i) {
    const absl::Status status = log->Append(writer_, 6, std::vector<LogRecord>{{0, "c"}}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  }
  EXPECT_NE(server.Sql(waiting), "0\n");
  while (server.Sql(waiting) != "0\n") absl::SleepFor(absl::Milliseconds(10));
  EXPECT_EQ(server.Sql(held), "1\n") << "they gave up when the lock was free";
  holder.join();
  MustAppend(*log_, writer_, {{0, "c"}});
}

// Of a release before; one that is still there goes on.
TEST_F(PostgresLogTest, LogsWithoutAnIdentityGetOne) {
  Postgres().server().Sql("ALTER TABLE bebr_log.log DROP COLUMN identity");
  EXPECT_EQ(Read(places_[4], {1}), absl::OkStatus());
  MustAppend(*log_, writer_, {{0, "y"}});
  const auto logs = PostgresLogs::Open(OptionsOf(Postgres().server())),
             again = PostgresLogs::Open(OptionsOf(Postgres().server()));
  ASSERT_TRUE(logs.ok() && again.ok()) << logs.status() << again.status();
  const auto state = (*(*logs)->Open(name_))->State();
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_NE(state->identity, 0u);
  EXPECT_EQ((*(*again)->Open(name_))->State()->identity, state->identity);
  MustAppend(*log_, writer_, {{0, "z"}});
  // Given the one that nodes know, as deploy/CLUSTER.md has it for a restore.
  Postgres().server().Sql(
      "UPDATE bebr_log.log SET identity = ('3f00000000000001' || '0000000000000000')::uuid WHERE name = '" + name_ +
      "'");
  EXPECT_EQ((*(*logs)->Open(name_))->State()->identity, 0x3f00000000000001u);
  ASSERT_TRUE((*logs)->Create("made after").ok());
  EXPECT_NE((*(*logs)->Open("made after"))->State()->identity, state->identity);
}

TEST_F(PostgresLogTest, ASchemaOfAnotherFormatIsRefused) {
  PostgresOptions options = OptionsOf(Postgres().server());
  options.schema = "other_format";
  ASSERT_TRUE(PostgresLogs::Open(options).ok());
  Postgres().server().Sql("UPDATE other_format.format SET number = 2");
  EXPECT_THAT(PostgresLogs::Open(options).status().message(),
              HasSubstr("schema \"other_format\" in PostgreSQL has format 2; this server reads 1"));
}

}  // namespace
}  // namespace bebr
