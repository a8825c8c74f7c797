#include "client/cli/manual.h"

#include <functional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/substitute.h"
#include "client/cli/app.h"

namespace bebr {
namespace {

constexpr const char* kHead =
    ".TH BEBR 1 \"\" \"$0\" \"User Commands\"\n"
    ".SH NAME\n"
    "bebr \\- client of the binary\\-embedding vector search server\n"
    ".SH SYNOPSIS\n"
    ".B bebr\n.RI [ OPTIONS ] \" VERB \" [ ARGUMENTS ]\n"
    ".SH DESCRIPTION\n"
    "Creates, fills, searches and measures collections of vectors on a\n.BR bebr\\-server .\n"
    "Results go to standard output, everything else to standard error.\n";

constexpr const char* kTail =
    ".SH EXIT STATUS\n"
    ".TP\n.B 0\nDone.\n"
    ".TP\n.B 1\nA file, the server or the machine said no, or the output could not be written.\n"
    ".TP\n.B 2\nWrong arguments: nothing was tried.\n"
    ".TP\n.B 3\nNo server answers, it refuses for now, or the deadline passed: the same may work later.\n"
    ".SH ENVIRONMENT\n"
    ".TP\n.BR BEBR_SERVER \", \" BEBR_API_KEY \", \" BEBR_TLS_CA \", \" BEBR_TLS_CERT \", \" BEBR_TLS_KEY\n"
    "What the options of these names are where they are not given.\n";

std::vector<const CLI::App*> VerbsOf(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

// Calls with the root, every group and every verb, and their names in full.
void Walk(const CLI::App& app, const std::string& name,
          const std::function<void(const CLI::App&, const std::string&)>& visit) {
  visit(app, name);
  for (const CLI::App* verb : VerbsOf(app)) Walk(*verb, absl::StrCat(name, " ", verb->get_name()), visit);
}

// Text that troff prints as it is.
std::string Plain(const std::string& text) {
  std::string escaped = absl::StrReplaceAll(text, {{"\\", "\\e"}, {"-", "\\-"}, {"'", "\\(aq"}, {"\n", "\n.br\n"}});
  return absl::StartsWith(escaped, ".") ? absl::StrCat("\\&", escaped) : escaped;
}

// A description as a sentence, without its full stop.
std::string Sentence(std::string text) {
  if (!text.empty()) text[0] = absl::ascii_toupper(text[0]);
  return Plain(text);
}

std::string OptionEntry(const CLI::Option& option) {
  const bool positional = option.get_positional();
  const char* value = option.get_items_expected_max() == 0 ? "" : " VALUE";
  std::string entry = ".TP\n.B ";
  absl::StrAppend(&entry,
                  Plain(positional ? absl::AsciiStrToUpper(option.get_name(true))
                                   : absl::StrCat(option.get_name(false, true), value)),
                  "\n", Sentence(option.get_description()));
  if (option.get_required()) absl::StrAppend(&entry, " (required)");
  return absl::StrCat(entry, ".\n");
}

// The options of one app: those every verb has, or the others.
std::string Options(const CLI::App& app, bool common) {
  std::string entries;
  for (const CLI::Option* option : app.get_options()) {
    if ((option->get_group() == kCommonGroup) == common && option != app.get_help_ptr()) {
      absl::StrAppend(&entries, OptionEntry(*option));
    }
  }
  return entries;
}

std::string VerbEntry(const CLI::App& verb, const std::string& name) {
  std::string positionals;
  for (const CLI::Option* option : verb.get_options()) {
    if (!option->get_positional()) continue;
    const std::string upper = absl::AsciiStrToUpper(option->get_name(true));
    absl::StrAppend(&positionals, option->get_required() ? absl::StrCat(" ", upper) : absl::StrCat(" [", upper, "]"));
  }
  std::string example = verb.get_footer();
  example = example.substr(example.find(name));
  return absl::StrCat(".SS ", Plain(name + positionals), "\n", Sentence(verb.get_description()), ".\n",
                      Options(verb, /*common=*/false), ".PP\nExample:\n.PP\n.nf\n.RS\n", Plain(example),
                      "\n.RE\n.fi\n");
}

// The words that may stand after `name`.
std::string WordsAfter(const CLI::App& app) {
  std::vector<std::string> words;
  for (const CLI::App* verb : VerbsOf(app)) words.push_back(verb->get_name());
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) words.push_back("--" + name);
    for (const std::string& name : option->get_snames()) words.push_back("-" + name);
  }
  return absl::StrJoin(words, " ");
}

}  // namespace

std::string ManualPage(const CLI::App& root) {
  std::string page = absl::Substitute(kHead, Plain(root.version()));
  absl::StrAppend(&page, ".SH OPTIONS\nThese may stand before the verb or after it.\n", Options(root, /*common=*/true),
                  ".TP\n.B ", Plain("--help"), "\nWhat the verb takes, with an example.\n", Options(root, false),
                  ".SH VERBS\n");
  Walk(root, "bebr", [&](const CLI::App& app, const std::string& name) {
    if (VerbsOf(app).empty()) absl::StrAppend(&page, VerbEntry(app, name));
  });
  return absl::StrCat(page, kTail);
}

std::string BashCompletion(const CLI::App& root) {
  std::vector<std::string> names;
  std::string cases;
  Walk(root, "bebr", [&](const CLI::App& app, const std::string& name) {
    if (&app != &root) names.push_back(absl::StrCat("'", name, "'"));
    // A verb without verbs of its own is followed by names and files, unless an option is begun.
    absl::StrAppend(&cases, "    '", name, "') ", VerbsOf(app).empty() ? "[[ $word != -* ]] || " : "", "words='",
                    WordsAfter(app), "' ;;\n");
  });
  return absl::StrCat(
      "# Completion of bebr for bash: verbs and options, and elsewhere file names.\n"
      "_bebr() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} verb=bebr words='' i\n"
      "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
      "    case \"$verb ${COMP_WORDS[i]}\" in\n"
      "    ",
      absl::StrJoin(names, " | "),
      ") verb=\"$verb ${COMP_WORDS[i]}\" ;;\n"
      "    esac\n"
      "  done\n"
      "  case $verb in\n",
      cases,
      "  esac\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
      "}\n"
      "complete -o default -F _bebr bebr\n");
}

}  // namespace bebr
