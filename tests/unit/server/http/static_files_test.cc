#include "server/http/static_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/temporary_directory.h"

namespace bebr {
namespace {

using ::testing::HasSubstr;

class StaticFilesTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text) const {
    const std::filesystem::path path = std::filesystem::path(directory_.path()) / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  absl::StatusOr<StaticFiles> Read() const { return StaticFiles::Read("console_dir", directory_.path()); }

  const testing::TemporaryDirectory directory_;
};

TEST_F(StaticFilesTest, ServesWhatWasThereWhenItWasRead) {
  Write("index.html", "<p>");
  Write("assets/main.js", "go()");
  const auto files = Read();
  ASSERT_TRUE(files.ok()) << files.status();
  std::filesystem::remove_all(directory_.path() + "/assets");
  ASSERT_NE(files->Find(""), nullptr);
  EXPECT_EQ(files->Find("")->bytes, "<p>");
  ASSERT_NE(files->Find("assets/main.js"), nullptr);
  EXPECT_EQ(files->Find("assets/main.js")->content_type, "text/javascript; charset=utf-8");
  for (const char* none : {"assets", "assets/", "../index.html", "assets/../index.html", "/index.html", "index.html/"})
    EXPECT_EQ(files->Find(none), nullptr) << none;
}

TEST_F(StaticFilesTest, RefusesADirectoryThatIsNoConsole) {
  EXPECT_THAT(Read().status().message(), HasSubstr("index.html"));
  EXPECT_THAT(StaticFiles::Read("console_dir", directory_.path() + "/none").status().message(),
              HasSubstr("console_dir"));
  Write("index.html", "<p>");
  Write("large.bin", "");
  std::filesystem::resize_file(directory_.path() + "/large.bin", uint64_t{33} << 20);
  const auto files = Read();
  EXPECT_EQ(files.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(files.status().message(), HasSubstr("33554432"));
}

TEST_F(StaticFilesTest, ConsoleIsReadOnlyAndLoadsNothingForeign) {
  Write("index.html", "<p>");
  const auto files = Read();
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_EQ(ConsoleAnswer(*files, "/", "POST").status, 405u);
  EXPECT_EQ(ConsoleAnswer(*files, "", "GET").status, 301u);
  EXPECT_EQ(ConsoleAnswer(*files, "/../secret", "GET").status, 404u);
  EXPECT_EQ(ConsoleAnswer(*files, "index.html", "GET").status, 404u);  // "/consoleindex.html"
  const HttpAnswer page = ConsoleAnswer(*files, "/", "GET");
  EXPECT_EQ(page.status, 200u);
  EXPECT_EQ(page.body, "<p>");
  const auto policy = std::find_if(page.headers.begin(), page.headers.end(),
                                   [](const auto& header) { return header.first == "Content-Security-Policy"; });
  ASSERT_NE(policy, page.headers.end());
  EXPECT_THAT(policy->second, HasSubstr("default-src 'self'"));
}

}  // namespace
}  // namespace bebr
