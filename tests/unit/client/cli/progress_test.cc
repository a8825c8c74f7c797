#include "client/cli/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <unistd.h>

#include <cstdio>

namespace bebr {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

TEST(ProgressLine, KeepsToTheWidth) {
  const std::string figures = " 50% 500 of 1,000 documents, 100/s, 5 s left";
  EXPECT_EQ(ProgressLine("import", figures, 0.5, 200),
            "import [" + std::string(15, '#') + std::string(15, '.') + "] " + figures);
  for (size_t columns = 0; columns <= 200; ++columns) {
    EXPECT_LE(ProgressLine("import", figures, 0.5, columns).size(), columns);
  }
  EXPECT_THAT(ProgressLine("import", figures, 0.5, 64), HasSubstr("#."));
  EXPECT_THAT(ProgressLine("import", figures, 0.5, 64), HasSubstr(figures));
  EXPECT_EQ(ProgressLine("import", figures, 0.5, 56), "import " + figures);
  EXPECT_EQ(ProgressLine("import", figures, 0.5, 20), ("import " + figures).substr(0, 20));
}

// What a progress bar writes on a terminal of so many columns.
std::string OnTerminal(unsigned short columns, void (*job)()) {
  int terminal = -1, slave = -1;
  winsize size{.ws_row = 24, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
  EXPECT_EQ(openpty(&terminal, &slave, nullptr, nullptr, &size), 0);
  std::fflush(stderr);
  const int before = dup(STDERR_FILENO);
  dup2(slave, STDERR_FILENO);
  job();
  std::fflush(stderr);
  dup2(before, STDERR_FILENO);
  close(before);
  close(slave);
  // A terminal hands over what was written in as many pieces as it likes; with nobody left to write, the end is an
  // error.
  std::string text;
  char piece[4096];
  for (ssize_t got; (got = read(terminal, piece, sizeof(piece))) > 0;) {
    text.append(piece, static_cast<size_t>(got));
  }
  close(terminal);
  return text;
}

TEST(Progress, FitsItsTerminal) {
  for (const unsigned short columns : {20, 60, 200}) {
    const std::string text = OnTerminal(columns, [] {
      Progress progress("import", "documents", 60000, false);
      progress.End(60000);
    });
    const size_t end = text.find("\033[K");
    ASSERT_NE(end, std::string::npos) << text;
    EXPECT_EQ(text[0], '\r');
    EXPECT_LE(end - 1, columns - 1u) << text;
    EXPECT_THAT(text, HasSubstr("import"));
    EXPECT_EQ(text.find("[#") != std::string::npos, columns == 200) << text;
  }
}

TEST(Progress, CanBeTakenAwayAndIsEndedOnce) {
  EXPECT_EQ(OnTerminal(80,
                       [] {
                         Progress progress("check", "rows", 5, false);
                         progress.Clear();
                       }),
            "");
  const std::string left = OnTerminal(80, [] {
    Progress progress("import", "documents", 5, false);
    usleep(150000);  // longer than the interval
    progress.Set(1);
  });
  EXPECT_THAT(left, EndsWith("\r\n")) << "an unfinished bar leaves the line";
}

}  // namespace
}  // namespace bebr
