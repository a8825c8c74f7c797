// PostgreSQL is killed, or fails over, while there are appends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "index/log/postgres/postgres_logs.h"
#include "tests/unit/log/log_test.h"
#include "tests/unit/log/postgres_server.h"

namespace bebr {
namespace {

using testing::PostgresServer;

PostgresOptions OptionsOf(const std::string& hosts) {
  return {.address = absl::StrCat("host=", hosts, " user=bebr dbname=postgres"),
          .single = true,
          .timeout = absl::Seconds(1),
          .poll = absl::Milliseconds(5),
          .generation_bytes = 20000};
}

// Writers that append without end, sending again what was not acknowledged, and what was.
class Writers {
 public:
  Writers(Logs& logs, int count) {
    for (int w = 0; w < count; ++w) {
      acknowledged_.emplace_back();
      threads_.emplace_back([this, w, &logs] { Append(**logs.Open("log"), w); });
    }
  }
  // Waits until there are so many acknowledged appends.
  void AwaitMore(uint64_t more) const {
    const uint64_t until = count_ + more;
    while (count_ < until) absl::SleepFor(absl::Milliseconds(2));
  }
  // Ends them, and looks for all of their appends in the log.
  void Check(Log& log) {
    stopping_ = true;
    for (std::thread& thread : threads_) thread.join();
    std::map<uint64_t, std::string> found;
    LogPlace place;
    do {
      const auto page = log.Read(place, std::vector<uint32_t>{0}, 1 << 20);
      ASSERT_TRUE(page.ok()) << page.status();
      for (const LogEntry& entry : page->entries) found[entry.position] = entry.bytes;
      if (page->place == place) break;
      place = page->place;
    } while (true);
    uint64_t sum = 0;
    for (size_t w = 0; w < acknowledged_.size(); ++w) {
      // Each acknowledged one is where it was said to be; a position has one record, so none is there twice.
      for (size_t i = 0; i < acknowledged_[w].size(); ++i)
        EXPECT_EQ(found[acknowledged_[w][i]], absl::StrCat(w, ".", i + 1));
      sum += acknowledged_[w].size();
    }
    EXPECT_EQ(found.size(), sum);  // all were acknowledged in the end
    std::printf("%d appends\n", static_cast<int>(sum));
  }

 private:
  void Append(Log& log, int w) {
    const std::string name = absl::StrCat("w", w);
    absl::StatusOr<LogWriter> writer = absl::UnknownError("");
    while (!writer.ok()) writer = log.BeginWriter(name);
    for (uint64_t number = 1; !stopping_; ++number) {
      const std::string bytes = absl::StrCat(w, ".", number);
      absl::StatusOr<LogPlace> place = absl::UnknownError("");
      while (!place.ok()) {
        place = log.Append(*writer, number, std::vector<LogRecord>{{0, bytes}, {1, std::string_view(kOther)}});
        // FAILED_PRECONDITION: who leads now is not durable yet.
        ASSERT_TRUE(place.ok() || absl::IsUnavailable(place.status()) || absl::IsFailedPrecondition(place.status()))
            << place.status();
      }
      acknowledged_[w].push_back(place->position);
      ++count_;
    }
  }

  static constexpr char kOther[] = "a record of another shard, which nobody reads";
  std::vector<std::vector<uint64_t>> acknowledged_;  // by writer and number: positions
  std::vector<std::thread> threads_;
  std::atomic<uint64_t> count_{0};
  std::atomic<bool> stopping_{false};
};

// A host that takes connections and never answers has its share of the time; the others have theirs.
TEST(PostgresFaultsTest, AHostThatHangsIsNotWaitedFor) {
  const int hangs = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(hangs, reinterpret_cast<const sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(hangs, 8), 0);
  ASSERT_EQ(getsockname(hangs, reinterpret_cast<sockaddr*>(&address), &size), 0);
  PostgresOptions options = OptionsOf("127.0.0.1");
  absl::StrAppend(&options.address, " connect_timeout=1000 port=", ntohs(address.sin_port));
  const absl::Status status = PostgresLogs::Open(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("it did not answer in time"));
  PostgresServer server;
  server.Start();
  options = OptionsOf("127.0.0.1," + server.socket_directory());
  absl::StrAppend(&options.address, " connect_timeout=1000 port=", ntohs(address.sin_port), ",5432");
  options.timeout = absl::Seconds(10);
  EXPECT_TRUE(PostgresLogs::Open(options).ok());
  close(hangs);
}

TEST(PostgresFaultsTest, KilledWhileThereAreAppends) {
  PostgresServer server;
  server.Start();
  const auto logs = *PostgresLogs::Open(OptionsOf(server.socket_directory()));
  ASSERT_TRUE(logs->Create("log").ok());
  Writers writers(*logs, 3);
  for (int kills = 0; kills < 3; ++kills) {
    writers.AwaitMore(40);
    server.Kill();
    server.Start();
  }
  writers.AwaitMore(20);
  writers.Check(**logs->Open("log"));
}

// As Patroni does it, by hand: of the standbys the one that has most becomes the leader, and those who write find it.
TEST(PostgresFaultsTest, FailsOverToAStandby) {
  auto primary = std::make_unique<PostgresServer>();
  primary->Start();
  PostgresServer one(*primary, "one"), two(*primary, "two");
  one.Start();
  two.Start();
  primary->Sql("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (one, two)'");
  primary->Reload();
  PostgresOptions options =
      OptionsOf(absl::StrCat(primary->socket_directory(), ",", one.socket_directory(), ",", two.socket_directory()));
  options.single = false;
  absl::StatusOr<std::unique_ptr<PostgresLogs>> logs = absl::UnknownError("");
  while (!logs.ok()) logs = PostgresLogs::Open(options);  // until the setting is there
  ASSERT_TRUE((*logs)->Create("log").ok());
  const auto log = *(*logs)->Open("log");
  Writers writers(**logs, 3);
  writers.AwaitMore(60);
  primary->Kill();
  const auto has = [](const PostgresServer& server) {
    return server.Sql("SELECT lpad((pg_last_wal_receive_lsn() - '0/0')::text, 20, '0')");
  };
  PostgresServer& leader = has(one) > has(two) ? one : two;
  leader.Promote();
  // No longer durable: no append is acknowledged until the other one follows it, or one is said to be enough.
  EXPECT_THAT(log->BeginWriter("late").status().message(), ::testing::HasSubstr("synchronous_standby_names is empty"));
  PostgresServer& other = &leader == &one ? two : one;
  other.Set(absl::StrCat("primary_conninfo = 'host=", leader.socket_directory(), " user=bebr application_name=x'"));
  leader.Sql("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (x)'");
  leader.Reload();
  other.Reload();
  writers.AwaitMore(30);
  writers.Check(*log);
}

}  // namespace
}  // namespace bebr
