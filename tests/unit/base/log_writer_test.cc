#include "index/base/log_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/time/clock.h"

namespace bebr {
namespace {

class LogWriterTest : public ::testing::Test {
 protected:
  LogWriterTest() { EXPECT_EQ(pipe(ends_), 0); }
  ~LogWriterTest() override {
    close(ends_[0]);
    close(ends_[1]);
  }
  std::string ReadSome() const {
    char buffer[65536];
    const ssize_t got = read(ends_[0], buffer, sizeof(buffer));
    return std::string(buffer, got > 0 ? static_cast<size_t>(got) : 0);
  }
  int ends_[2];
};

TEST_F(LogWriterTest, WritesLinesInTheirOrder) {
  LogWriter writer(ends_[1], 1 << 20);
  for (int i = 0; i < 100; ++i) writer.Write(std::to_string(i) + "\n");
  writer.Flush(absl::Minutes(1));
  std::string expected;
  for (int i = 0; i < 100; ++i) expected += std::to_string(i) + "\n";
  EXPECT_EQ(ReadSome(), expected);
  EXPECT_EQ(writer.dropped(), 0u);
}

TEST_F(LogWriterTest, NobodyWaitsForAPipeThatIsNotRead) {
  fcntl(ends_[1], F_SETPIPE_SZ, 4096);
  const std::string line(999, 'x');
  {
    LogWriter writer(ends_[1], 50000);
    for (int i = 0; i < 1000; ++i) writer.Write(line + "\n");  // returns although nobody reads
    EXPECT_GE(writer.dropped(), 1000u - 4 - 51);
    EXPECT_LT(writer.dropped(), 1000u);
    writer.Flush(absl::Milliseconds(10));  // gives up
    // Whoever reads again gets whole lines, and what comes now.
    std::string text;
    while (text.size() < 40000) text += ReadSome();
    writer.Write("last\n");
    while (text.find("last\n") == std::string::npos) text += ReadSome();
    EXPECT_EQ(text.find_first_not_of("x\n"), text.find("last"));
    for (int i = 0; i < 1000; ++i) writer.Write(line + "\n");
  }  // ends although nobody reads
}

TEST_F(LogWriterTest, OtherLinesPushNoneOfTheAuditOut) {
  fcntl(ends_[1], F_SETPIPE_SZ, 4096);
  LogWriter writer(ends_[1], 50000);
  for (int i = 0; i < 200; ++i) writer.Write(std::string(999, 'x') + "\n");
  const uint64_t dropped = writer.dropped();
  EXPECT_GT(dropped, 0u);
  for (int i = 0; i < 40; ++i) writer.Write(std::string(999, 'a') + "\n", LogWriter::Kind::kAudit);
  EXPECT_EQ(writer.dropped(), dropped);
  std::string text;
  while (static_cast<size_t>(std::count(text.begin(), text.end(), 'a')) < 40 * 999) text += ReadSome();
}

TEST_F(LogWriterTest, ADescriptorThatTakesNothingLosesLines) {
  signal(SIGPIPE, SIG_IGN);
  close(std::exchange(ends_[0], -1));
  LogWriter writer(ends_[1], 1 << 20);
  writer.Write("line\n");
  writer.Flush(absl::Minutes(1));
  EXPECT_EQ(writer.dropped(), 1u);
}

}  // namespace
}  // namespace bebr
