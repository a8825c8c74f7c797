#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/cli/command.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

constexpr uint64_t kPageDocuments = 1000;

struct Options {
  std::string name;
  std::string filter;
  std::string after;
  uint64_t limit = 100;
  bool strict = false;
  bool attributes = false;
  bool embeddings = false;
  bool codes = false;
};

void Print(const Command& command, const v1::Document& document) {
  const auto json = ToJson(document);
  if (command.json) {
    std::printf("%s\n", json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    return;
  }
  std::printf("%s%s%s\n", IdText(document.id()).c_str(), document.attributes().empty() ? "" : "  ",
              document.attributes().empty() ? "" : json["attributes"].dump().c_str());
  for (const v1::Embedding& embedding : document.embeddings()) {
    std::printf("    %s: %s\n", embedding.version().c_str(), ToJson(embedding.vector())["values"].dump().c_str());
  }
  for (const v1::DocumentCode& code : document.codes()) {
    std::printf("    %s: code %s\n", code.version().c_str(), ToJson(code)["words"].dump().c_str());
  }
}

// For a shell: in quotes where it would read it otherwise.
std::string ShellWord(const std::string& text) {
  if (text.find_first_of(" \t\"'\\$`*?[]{}()<>|&;#~!") == std::string::npos) return text;
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

absl::Status Run(const Command& command, const Options& options) {
  const absl::StatusOr<std::string> after = IdFromText(options.after);
  if (!after.ok()) return UsageError(absl::StrCat("--after: ", after.status().message()));
  Client client = command.Connect();
  v1::ScrollRequest request;
  request.set_collection(options.name);
  request.set_filter(options.filter);
  request.set_page_token(*after);
  request.set_strict(options.strict);
  request.set_with_attributes(options.attributes);
  request.set_with_embeddings(options.embeddings);
  request.set_with_codes(options.codes);
  bool first = true;
  for (uint64_t left = options.limit == 0 ? UINT64_MAX : options.limit; left > 0;) {
    request.set_limit(static_cast<uint32_t>(std::min(left, kPageDocuments)));
    BEBR_ASSIGN_OR_RETURN(const auto page, client.Scroll(request));
    if (std::exchange(first, false)) PrintWarnings(page.warnings());
    for (const v1::Document& document : page.documents()) Print(command, document);
    left -= std::min<uint64_t>(left, page.documents_size());
    if (page.next_page_token().empty()) return absl::OkStatus();
    request.set_page_token(page.next_page_token());
  }
  std::fprintf(stderr, "there are more: --after %s\n", ShellWord(IdText(request.page_token())).c_str());
  return absl::OkStatus();
}

}  // namespace

void AddScroll(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb =
      AddVerb(app, command, "scroll",
              "list documents in the order of their ids, one a line; an id with control characters is a JSON string",
              "bebr scroll papers --filter 'year >= 2020' --attributes --limit 20",
              [&command, options] { return Run(command, *options); });
  verb->add_option("name", options->name, "name of the collection")->required();
  verb->add_option("--filter", options->filter, "only documents with such attributes");
  verb->add_option("--after", options->after, "only ids beyond this one, as scroll prints it");
  AddStrict(verb, options->strict);
  verb->add_option("--limit", options->limit, "at most so many; 0: all")->check(WholeNumber())->capture_default_str();
  verb->add_flag("--attributes", options->attributes, "show the attributes");
  verb->add_flag("--embeddings", options->embeddings, "show the stored floats");
  verb->add_flag("--codes", options->codes, "show the codes");
}

}  // namespace bebr
