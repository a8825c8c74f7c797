#include "client/cli/app.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace bebr {
namespace {

bool HasVerbs(const CLI::App& app) {
  return !app.get_subcommands([](const CLI::App*) { return true; }).empty();
}

// Changes of a letter that make one word the other.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = std::exchange(row[j + 1], std::min({replaced, row[j] + 1, row[j + 1] + 1}));
    }
  }
  return row[b.size()];
}

// A verb that a word could mean: "; did you mean ...?", or nothing.
std::string LikeVerb(const CLI::App& app, const std::string& word) {
  constexpr size_t kMostChanges = 2;
  std::string best;
  size_t least = std::min(kMostChanges, word.size() - 1) + 1;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    const size_t distance = Distance(word, verb->get_name());
    if (distance >= least) continue;
    least = distance;
    best = verb->get_name();
  }
  return best.empty() ? "" : absl::StrCat("; did you mean \"", best, "\"?");
}

// Of an option that nobody takes where it stands.
std::string UnknownOption(const CLI::App& verb, const std::string& called, const std::string& word) {
  const std::string name = word.substr(0, word.find('='));
  if (verb.get_parent() == nullptr || verb.get_option_no_throw(name) == nullptr) {
    return absl::StrCat("there is no option ", word);
  }
  return absl::StrCat(name, " belongs behind the verb: `", called, " ... ", name, "`");
}

// What is wrong with the arguments, and where it says how they should be.
std::string Explain(const CLI::App* app, const CLI::Error& error) {
  const CLI::App* verb = app;
  std::string called = app->get_name();
  for (auto chosen = verb->get_subcommands(); !chosen.empty(); chosen = verb->get_subcommands()) {
    verb = chosen.back();
    absl::StrAppend(&called, " ", verb->get_name());
  }
  std::string what = error.what();
  // A word that nobody knows is the likelier mistake than what is then missing.
  if (const std::vector<std::string> extra = app->remaining(/*recurse=*/true); !extra.empty()) {
    what = absl::StartsWith(extra[0], "-") ? UnknownOption(*verb, called, extra[0])
           : HasVerbs(*verb) ? absl::StrCat("there is no verb \"", extra[0], "\"", LikeVerb(*verb, extra[0]))
                             : absl::StrCat("\"", extra[0], "\" is a word too many");
  } else if (HasVerbs(*verb)) {
    what = "which verb?";
  }
  return absl::StrCat(called, ": ", what, "\n`", called, " --help` shows ",
                      HasVerbs(*verb) ? "the verbs" : "what it takes, with an example", ".\n");
}

}  // namespace

std::unique_ptr<CLI::App> MakeApp(Command& command) {
  auto app = std::make_unique<CLI::App>("Client of the binary-embedding vector search server.", "bebr");
  app->require_subcommand(1);
  app->set_version_flag("--version", "bebr " BEBR_VERSION);
  app->footer("Example:\n  bebr collections --server 127.0.0.1:7700\n`bebr VERB --help` shows what a verb takes.");
  app->failure_message(Explain);
  AddCommonOptions(*app, command);
  AddCreate(*app, command);
  AddImport(*app, command);
  AddSearch(*app, command);
  AddGet(*app, command);
  AddDelete(*app, command);
  AddUpdate(*app, command);
  AddScroll(*app, command);
  AddCount(*app, command);
  AddFacets(*app, command);
  AddExport(*app, command);
  AddStats(*app, command);
  AddCollections(*app, command);
  AddDrop(*app, command);
  AddEval(*app, command);
  AddBench(*app, command);
  AddVersion(*app, command);
  AddAlias(*app, command);
  AddSnapshot(*app, command);
  AddCluster(*app, command);
  AddTop(*app, command);
  AddDoctor(*app, command);
  AddVerify(*app, command);
  AddManual(*app, command);
  return app;
}

}  // namespace bebr
