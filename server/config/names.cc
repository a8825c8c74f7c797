#include "server/config/names.h"

#include <algorithm>
#include <cstddef>
#include <numeric>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace bebr {
namespace {

constexpr std::string_view kPrefix = "BEBR_";
constexpr size_t kNear = 3;               // letters that a misspelled name may be away
constexpr size_t kMaxComparedBytes = 64;  // what is longer is no misspelling

// Of the client, the kernels, the backup, the compose files, the tests.
constexpr std::string_view kOthers[] = {"BEBR_CONFIG",        "BEBR_SIMD",
                                        "BEBR_SERVER",        "BEBR_API_KEY",
                                        "BEBR_TLS_CA",        "BEBR_TLS_CERT",
                                        "BEBR_TLS_KEY",       "BEBR_BACKUP_KEEP",
                                        "BEBR_BACKUP_TARGET", "BEBR_BACKUP_KEEP_LOCAL",
                                        "BEBR_TLS",           "BEBR_KEYS",
                                        "BEBR_BIN",           "BEBR_PROTO",
                                        "BEBR_PROGRAMS",      "BEBR_SOURCES",
                                        "BEBR_EXAMPLES",      "BEBR_SIMD_TEST_EMULATED"};

// Letters to insert, take out or replace to make one of the other.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

// BEBR_SERVICE_HOST, BEBR_SERVICE_PORT_GRPC, BEBR_PORT=tcp://..., BEBR_PORT_7700_TCP_ADDR, and the same of bebr-edge.
bool DescribesService(std::string_view variable, std::string_view value) {
  if (variable.ends_with("_SERVICE_HOST") || variable.ends_with("_SERVICE_PORT")) return true;
  if (variable.find("_SERVICE_PORT_") != std::string_view::npos) return true;
  if (variable.ends_with("_PORT")) return value.find("://") != std::string_view::npos;
  constexpr std::string_view kPort = "_PORT_";
  const size_t port = variable.find(kPort);
  if (port == std::string_view::npos || port + kPort.size() == variable.size()) return false;
  return absl::ascii_isdigit(static_cast<unsigned char>(variable[port + kPort.size()]));
}

}  // namespace

std::string DidYouMean(std::string_view name, const std::vector<std::string>& known) {
  if (name.size() > kMaxComparedBytes) return "";
  const std::string* nearest = nullptr;
  size_t distance = kNear + 1;
  for (const std::string& candidate : known) {
    const size_t d = Distance(name, candidate);
    if (d < distance) {
      distance = d;
      nearest = &candidate;
    }
  }
  return nearest == nullptr ? "" : absl::StrFormat("; did you mean %s?", *nearest);
}

std::vector<std::string> UnknownVariables(const std::map<std::string, std::string>& environment,
                                          const std::vector<std::string>& options) {
  std::vector<std::string> messages;
  for (const auto& [variable, value] : environment) {
    if (!variable.starts_with(kPrefix) || DescribesService(variable, value)) continue;
    if (std::find(std::begin(kOthers), std::end(kOthers), variable) != std::end(kOthers)) continue;
    if (std::find(options.begin(), options.end(), variable) != options.end()) continue;
    messages.push_back(absl::StrCat("environment variable ", variable.substr(0, kMaxComparedBytes),
                                    " belongs to no option: correct it or unset it", DidYouMean(variable, options)));
  }
  return messages;
}

}  // namespace bebr
