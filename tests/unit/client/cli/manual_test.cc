// The manual page and the completion say what the command says, and are read by what reads them.
#include "client/cli/manual.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "client/cli/app.h"

namespace bebr {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// What a line of shell prints on both streams.
std::string Shell(const std::string& line) {
  std::FILE* pipe = popen(("{ " + line + "; } 2>&1").c_str(), "r");
  std::string text;
  char buffer[4096];
  for (size_t got = 0; (got = std::fread(buffer, 1, sizeof(buffer), pipe)) > 0;) text.append(buffer, got);
  pclose(pipe);
  return text;
}

class ManualTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = ::testing::TempDir() + name;
    std::ofstream(path) << text;
    return path;
  }

  Command command_;
  const std::unique_ptr<CLI::App> app_ = MakeApp(command_);
};

TEST_F(ManualTest, HasEveryVerbWithItsOptionsAndExample) {
  const std::string page = ManualPage(*app_);
  EXPECT_THAT(page, HasSubstr(".SS bebr search NAME\n"));
  EXPECT_THAT(page, HasSubstr(".SS bebr version promote NAME VERSION\n"));
  EXPECT_THAT(page, HasSubstr(".B \\-\\-rerank VALUE\n"));
  EXPECT_THAT(page, HasSubstr("bebr snapshot restore papers monday \\-\\-as papers_monday"));
  EXPECT_THAT(page, HasSubstr(".SH EXIT STATUS"));
  EXPECT_THAT(page, Not(HasSubstr(".SS bebr version\n")));
  // Each stands there once, not with every verb.
  EXPECT_EQ(page.find("\\-\\-tls\\-ca"), page.rfind("\\-\\-tls\\-ca VALUE"));
}

TEST_F(ManualTest, IsWhatTroffReads) {
  if (Shell("command -v groff").empty()) GTEST_SKIP() << "groff is not installed";
  const std::string path = Write("bebr_manual.1", ManualPage(*app_));
  EXPECT_EQ(Shell("groff -man -Tutf8 -ww -z " + path), "");
  EXPECT_THAT(Shell("groff -man -Tascii -P-cbou " + path), HasSubstr("--filter 'year >= 2020'"));
}

TEST_F(ManualTest, BashCompletesVerbsAndOptions) {
  const std::string path = Write("bebr_completion.bash", BashCompletion(*app_));
  const auto complete = [&](const std::string& words, int at) {
    return Shell("bash -c 'source " + path + "; COMP_WORDS=(" + words + "); COMP_CWORD=" + std::to_string(at) +
                 "; _bebr; echo \"${COMPREPLY[@]}\"'");
  };
  EXPECT_EQ(complete("bebr se", 1), "search\n");
  EXPECT_EQ(complete("bebr --json cou", 2), "count\n");
  EXPECT_EQ(complete("bebr version pro", 2), "promote\n");
  EXPECT_EQ(complete("bebr search papers --rer", 3), "--rerank\n");
  EXPECT_EQ(complete("bebr import papers doc", 3), "\n") << "file names are bash's own";
  EXPECT_EQ(complete("bebr import papers --mer", 3), "--merge\n");
}

}  // namespace
}  // namespace bebr
