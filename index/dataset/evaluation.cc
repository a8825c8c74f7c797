#include "index/dataset/evaluation.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "index/base/status_macros.h"
#include "index/base/utf8.h"
#include "index/dataset/input_file.h"
#include "index/dataset/line_reader.h"

namespace bebr {
namespace {

// Calls line(number from 1, text without its line end) for every line of the file.
template <typename Line>
absl::Status ForEachLine(const std::string& path, Line line) {
  BEBR_ASSIGN_OR_RETURN(LineReader reader, LineReader::Open(path));
  std::string text;
  for (;;) {
    BEBR_ASSIGN_OR_RETURN(const bool more, reader.Next(&text));
    if (!more) return absl::OkStatus();
    BEBR_RETURN_IF_ERROR(line(reader.number(), absl::string_view(text)));
  }
}

absl::StatusOr<std::vector<std::string>> ReadJsonIds(const std::string& path) {
  std::vector<std::string> ids;
  BEBR_RETURN_IF_ERROR(ForEachLine(path, [&](size_t number, absl::string_view text) -> absl::Status {
    const auto line = nlohmann::json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
    const char* const name = line.is_object() && line.contains("_id") ? "_id" : "id";
    if (!line.is_object() || !line.contains(name) || !line[name].is_string())
      return InvalidFile(path, absl::StrFormat("line %d is no object with a text under \"_id\" or \"id\"", number));
    ids.push_back(line[name].get<std::string>());
    return ValidateId(absl::StrFormat("%s: the id in line %d", path, number), ids.back());
  }));
  if (ids.empty()) return InvalidFile(path, "holds no ids");
  return ids;
}

}  // namespace

absl::StatusOr<Qrels> ReadQrels(const std::string& path) {
  Qrels qrels;
  BEBR_RETURN_IF_ERROR(ForEachLine(path, [&](size_t number, absl::string_view text) -> absl::Status {
    const std::vector<absl::string_view> columns = absl::StrSplit(text, '\t');
    double gain = 0;
    const bool valid = columns.size() == 3 && !columns[0].empty() && !columns[1].empty() &&
                       absl::SimpleAtod(columns[2], &gain) && std::isfinite(gain);
    if (!valid && number == 1 && columns.size() == 3) return absl::OkStatus();  // the header
    if (!valid) {
      return InvalidFile(path,
                         absl::StrFormat("line %d is not query-id, corpus-id and score, separated by tabs", number));
    }
    qrels[columns[0]][columns[1]] = gain;
    return absl::OkStatus();
  }));
  if (qrels.empty()) return InvalidFile(path, "holds no judgements");
  return qrels;
}

double Ndcg(const absl::flat_hash_map<std::string, double>& judgements, const std::vector<std::string_view>& ranked,
            size_t k) {
  std::vector<double> gains;
  for (const auto& [id, gain] : judgements) {
    if (gain > 0) gains.push_back(gain);
  }
  std::sort(gains.begin(), gains.end(), std::greater<>());
  double ideal = 0;
  for (size_t i = 0; i < std::min(k, gains.size()); ++i) ideal += gains[i] / std::log2(static_cast<double>(i) + 2);
  if (ideal == 0) return 0;
  double dcg = 0;
  for (size_t i = 0; i < std::min(k, ranked.size()); ++i) {
    const auto found = judgements.find(absl::string_view(ranked[i].data(), ranked[i].size()));
    if (found != judgements.end()) dcg += found->second / std::log2(static_cast<double>(i) + 2);
  }
  return dcg / ideal;
}

std::string InBeirFolder(const std::string& path, const char* file) {
  std::error_code none;
  return std::filesystem::is_directory(path, none) ? absl::StrCat(path, "/", file) : path;
}

absl::StatusOr<std::vector<std::string>> ReadIds(const std::string& path) {
  if (absl::EndsWith(path, ".jsonl")) return ReadJsonIds(path);
  std::vector<std::string> ids;
  bool columns = false;
  BEBR_RETURN_IF_ERROR(ForEachLine(path, [&](size_t number, absl::string_view text) -> absl::Status {
    const size_t tab = text.find('\t');
    if (number == 1) columns = tab != absl::string_view::npos;
    if (columns != (tab != absl::string_view::npos)) {
      return InvalidFile(path, absl::StrFormat("line %d has %s tab, and line 1 has %s; ids have none, and in a file of "
                                               "columns, of which the first is taken, every line has one",
                                               number, columns ? "no" : "a", columns ? "one" : "none"));
    }
    ids.emplace_back(text.substr(0, tab));
    if (!IsUtf8(ids.back())) return InvalidFile(path, absl::StrFormat("the id in line %d is not UTF-8", number));
    return ValidateId(absl::StrFormat("%s: the id in line %d", path, number), ids.back());
  }));
  if (ids.empty()) return InvalidFile(path, "holds no ids");
  return ids;
}

}  // namespace bebr
