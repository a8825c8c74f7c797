#include "index/dataset/evaluation.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "index/base/status_macros.h"
#include "index/base/thread_pool.h"
#include "index/dataset/input_file.h"
#include "index/dataset/line_reader.h"
#include "index/exact/exact_search.h"

namespace bebr {
namespace {

constexpr size_t kQueryBlock = 128;
constexpr size_t kDocBlock = 512;  // with kQueryBlock 256 KiB of scores for each thread: they stay in its cache
// Sums of floats are rounded. The candidates beyond k let the final order be taken from sums in double.
constexpr size_t kSpare = 16;

struct Candidate {
  double score;
  uint32_t row;
  bool operator<(const Candidate& other) const {  // the better one first
    return score != other.score ? score > other.score : row < other.row;
  }
};

double Dot(const float* a, const float* b, size_t dims) {
  double sum = 0;
  for (size_t i = 0; i < dims; ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

double Score(const float* query, const float* doc, size_t dims, Metric metric) {
  const double dot = Dot(query, doc, dims);
  if (metric == Metric::kInnerProduct) return dot;
  const double norm = std::sqrt(Dot(doc, doc, dims));
  return norm > 0 ? dot / norm : 0;
}

// The neighbours of the queries first..first + count - 1. `factors`: of every document, or null (ExactBest).
void SearchBlock(const Matrix& docs, const Matrix& queries, size_t first, size_t count, size_t k, Metric metric,
                 const float* factors, uint32_t* out) {
  const ExactQueries block(queries.row(first), count, queries.dims);
  ExactBest<uint32_t> best(block, std::min(docs.rows, k + kSpare));
  for (size_t doc = 0; doc < docs.rows; doc += kDocBlock) {
    best.Add(docs.row(doc), std::min(kDocBlock, docs.rows - doc), factors == nullptr ? nullptr : factors + doc,
             [doc](size_t i) { return static_cast<uint32_t>(doc + i); });
  }
  for (size_t q = 0; q < count; ++q) {
    std::vector<Candidate> found;
    for (const auto& [score, row] : best.Take(q))
      found.push_back({Score(queries.row(first + q), docs.row(row), docs.dims, metric), row});
    std::sort(found.begin(), found.end());
    for (size_t i = 0; i < k; ++i) out[q * k + i] = found[i].row;
  }
}

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

}  // namespace

std::vector<uint32_t> ExactNeighbors(const Matrix& docs, const Matrix& queries, size_t k, Metric metric,
                                     size_t threads) {
  k = std::min(k, docs.rows);
  std::vector<uint32_t> neighbors(queries.rows * k);
  if (neighbors.empty() || docs.dims != queries.dims) return {};
  ThreadPool pool(threads > 1 ? threads - 1 : 0);  // the caller works along
  std::vector<float> factors;
  if (metric == Metric::kCosine) {
    factors.resize(docs.rows);
    pool.ParallelFor((docs.rows + kDocBlock - 1) / kDocBlock, [&](size_t block) {
      for (size_t i = block * kDocBlock; i < std::min(docs.rows, (block + 1) * kDocBlock); ++i)
        factors[i] = InverseLength(docs.row(i), docs.dims);
    });
  }
  pool.ParallelFor((queries.rows + kQueryBlock - 1) / kQueryBlock, [&](size_t block) {
    const size_t first = block * kQueryBlock;
    SearchBlock(docs, queries, first, std::min(kQueryBlock, queries.rows - first), k, metric,
                factors.empty() ? nullptr : factors.data(), neighbors.data() + first * k);
  });
  return neighbors;
}

double Recall(const uint32_t* exact, size_t k_exact, const uint32_t* found, size_t found_count, size_t depth) {
  if (k_exact == 0) return 0;
  const uint32_t* end = found + std::min(found_count, depth);
  size_t hits = 0;
  for (size_t i = 0; i < k_exact; ++i) hits += std::find(found, end, exact[i]) != end ? 1 : 0;
  return static_cast<double>(hits) / static_cast<double>(k_exact);
}

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

absl::StatusOr<std::vector<std::string>> ReadIds(const std::string& path) {
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
