// The definition of the verbs: what parses, what is refused and how, and what --help says.
#include "client/cli/app.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <sstream>

namespace bebr {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// What parsing said, on both streams, and its exit code.
struct Parsed {
  int code = 0;
  std::string out;
  std::string err;
};

Parsed Parse(const std::string& line, Command& command) {
  const auto app = MakeApp(command);
  try {
    app->parse(line, /*program_name_included=*/true);
    return {};
  } catch (const CLI::ParseError& error) {
    std::ostringstream out, err;
    const int code = app->exit(error, out, err);
    return {code, out.str(), err.str()};
  }
}

Parsed Parse(const std::string& line) {
  Command command;
  return Parse(line, command);
}

// Calls with every verb that does something, and its name in full.
void ForEachVerb(const std::function<void(const CLI::App&, const std::string&)>& visit) {
  Command command;
  const auto root = MakeApp(command);
  const std::function<void(const CLI::App&, const std::string&)> walk = [&](const CLI::App& app,
                                                                            const std::string& name) {
    const auto below = app.get_subcommands([](const CLI::App*) { return true; });
    if (below.empty()) visit(app, name);
    for (const CLI::App* verb : below) walk(*verb, name + " " + verb->get_name());
  };
  walk(*root, "bebr");
}

TEST(App, EveryVerbHasAnExampleThatParses) {
  size_t verbs = 0;
  ForEachVerb([&](const CLI::App& app, const std::string& name) {
    ++verbs;
    EXPECT_NE(app.get_description(), "") << name;
    const std::string footer = app.get_footer();
    ASSERT_THAT(footer, StartsWith("Example:\n  " + name)) << name;
    const std::string example = footer.substr(footer.find(name));
    Command command;
    const Parsed parsed = Parse(example, command);
    EXPECT_EQ(parsed.code, 0) << example << ": " << parsed.err;
    EXPECT_TRUE(command.run != nullptr) << example;
    EXPECT_THAT(Parse(name + " --help").out, HasSubstr(example));
  });
  EXPECT_GE(verbs, 24u);
}

TEST(App, EveryOptionIsExplained) {
  ForEachVerb([&](const CLI::App& app, const std::string& name) {
    for (const CLI::Option* option : app.get_options()) {
      EXPECT_NE(option->get_description(), "") << name << " " << option->get_name();
    }
  });
}

TEST(App, CommonOptionsStandBeforeAndAfterTheVerb) {
  for (const char* line :
       {"bebr --server h:1 --json count papers", "bebr count papers --server h:1 --json",
        "bebr --json version --server h:1 list papers", "bebr version list --json papers --server h:1"}) {
    Command command;
    EXPECT_EQ(Parse(line, command).code, 0) << line;
    EXPECT_EQ(command.server, "h:1") << line;
    EXPECT_TRUE(command.json) << line;
  }
}

TEST(App, SaysItsVersion) {
  EXPECT_THAT(Parse("bebr --version").out, ::testing::MatchesRegex("bebr [0-9]+.[0-9]+.[0-9]+\n"));
  EXPECT_EQ(Parse("bebr --version").code, 0);
  // A verb's own --version is another thing.
  EXPECT_EQ(Parse("bebr import papers docs.npy --version v2").code, 0);
}

TEST(App, MistakesAreCalledByTheirName) {
  const auto refused = [](const std::string& line, const std::string& message) {
    const Parsed parsed = Parse(line);
    EXPECT_NE(parsed.code, 0) << line;
    EXPECT_THAT(parsed.err, HasSubstr(message)) << line;
    EXPECT_EQ(parsed.out, "") << line;
  };
  refused("bebr", "bebr: which verb?\n`bebr --help` shows the verbs.\n");
  refused("bebr serch papers --queries q.npy", "bebr: there is no verb \"serch\"; did you mean \"search\"?");
  refused("bebr xyzzy", "bebr: there is no verb \"xyzzy\"\n");
  refused("bebr -k 3 search papers --queries q.npy", "bebr search: -k belongs behind the verb: `bebr search ... -k`");
  refused("bebr count papers --deadline -1", "--deadline: \"-1\" is no number of 0 or more\n");
  refused("bebr version", "bebr version: which verb?");
  refused("bebr version ad papers v2", "bebr version: there is no verb \"ad\"");
  refused("bebr search papers --querys q.npy", "bebr search: there is no option --querys");
  refused("bebr search papers", "bebr search: --queries or --like is required\n`bebr search --help`");
  refused("bebr count papers other", "bebr count: \"other\" is a word too many");
  refused("bebr create papers --model m --store-floats f64", "f64");
  for (const char* option : {"--row -1", "--row 1.5", "--row one"}) {
    refused(std::string("bebr search papers --queries q.npy ") + option, "is no whole number of 0 or more");
  }
  refused("bebr search papers --queries q.npy -k -3", "-k: \"-3\" is no whole number from 1 to 10,000");
  refused("bebr search papers --queries q.npy --rerank -1", "--rerank: \"-1\" is no whole number from 0 to 10,000");
  refused("bebr search papers --queries q.npy --row -1", "--row: \"-1\" is no whole number");
  refused("bebr import papers docs.npy --offset -1", "--offset: \"-1\" is no whole number");
  refused("bebr import papers docs.npy --skip-unknown", "--merge");
  refused("bebr update papers a --set draft", "\"draft\" is not NAME=VALUE");
  refused("bebr update papers a --set \xff=1", "\\xff=1 is not UTF-8");
}

TEST(App, ARowIsOneWord) {
  EXPECT_EQ(Parse("bebr search --row 1 --row 2 papers --queries q.npy").code, 0);
  EXPECT_EQ(Parse("bebr search --row 1 papers --queries q.npy").code, 0);
}

}  // namespace
}  // namespace bebr
