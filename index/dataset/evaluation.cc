#include "index/dataset/evaluation.h"

#include <dnnl.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "index/base/status_macros.h"
#include "index/base/thread_pool.h"
#include "index/dataset/input_file.h"

namespace bebr {
namespace {

constexpr size_t kQueryBlock = 128;
constexpr size_t kDocBlock = 8192;  // with kQueryBlock 4 MiB of scores for each thread
// The sums of a matrix product depend on the place in the block, so equal rows may come out unequal. The candidates
// beyond k let the final order be taken from sums that depend on the rows only.
constexpr size_t kSpare = 16;

struct Candidate {
  double score;
  uint32_t row;
};
// The better one first; also the order of a heap whose top is the worst.
bool Better(const Candidate& a, const Candidate& b) { return a.score != b.score ? a.score > b.score : a.row < b.row; }

double Dot(const float* a, const float* b, size_t dims) {
  double sum = 0;
  for (size_t i = 0; i < dims; ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

// Offers scores[i] * scale[row] (scale may be null) for the documents first_row + i to the heap of the best `keep`.
void Offer(const float* scores, size_t count, size_t first_row, const float* scale, size_t keep,
           std::vector<Candidate>* heap) {
  for (size_t i = 0; i < count; ++i) {
    const float score = scale == nullptr ? scores[i] : scores[i] * scale[first_row + i];
    if (heap->size() == keep) {
      if (!(score > heap->front().score)) continue;  // rows come in ascending order: an equal one loses
      std::pop_heap(heap->begin(), heap->end(), Better);
      heap->pop_back();
    }
    heap->push_back({score, static_cast<uint32_t>(first_row + i)});
    std::push_heap(heap->begin(), heap->end(), Better);
  }
}

// The neighbours of the queries first..first + count - 1.
void SearchBlock(const Matrix& docs, const Matrix& queries, size_t first, size_t count, size_t k, const float* scale,
                 uint32_t* out) {
  omp_set_num_threads(1);  // of this thread: the matrix product stays on it, the blocks are the parallel part
  const size_t keep = std::min(docs.rows, k + kSpare);
  std::vector<float> scores(count * std::min(kDocBlock, docs.rows));
  std::vector<std::vector<Candidate>> heaps(count);
  for (size_t doc = 0; doc < docs.rows; doc += kDocBlock) {
    const size_t width = std::min(kDocBlock, docs.rows - doc);
    dnnl_sgemm('N', 'T', static_cast<dnnl_dim_t>(count), static_cast<dnnl_dim_t>(width),
               static_cast<dnnl_dim_t>(docs.dims), 1.0f, queries.row(first), static_cast<dnnl_dim_t>(docs.dims),
               docs.row(doc), static_cast<dnnl_dim_t>(docs.dims), 0.0f, scores.data(), static_cast<dnnl_dim_t>(width));
    for (size_t q = 0; q < count; ++q) Offer(scores.data() + q * width, width, doc, scale, keep, &heaps[q]);
  }
  for (size_t q = 0; q < count; ++q) {
    for (Candidate& candidate : heaps[q]) {
      candidate.score = Dot(queries.row(first + q), docs.row(candidate.row), docs.dims);
      if (scale != nullptr) {
        const double norm = std::sqrt(Dot(docs.row(candidate.row), docs.row(candidate.row), docs.dims));
        candidate.score = norm > 0 ? candidate.score / norm : 0;
      }
    }
    std::sort(heaps[q].begin(), heaps[q].end(), Better);
    for (size_t i = 0; i < k; ++i) out[q * k + i] = heaps[q][i].row;
  }
}

// Calls line(number from 1, text without its line end) for every line of the file.
template <typename Line>
absl::Status ForEachLine(const std::string& path, Line line) {
  BEBR_RETURN_IF_ERROR(InputFile::Open(path).status());
  std::ifstream file(path);
  std::string text;
  for (size_t number = 1; std::getline(file, text); ++number) {
    if (!text.empty() && text.back() == '\r') text.pop_back();
    BEBR_RETURN_IF_ERROR(line(number, absl::string_view(text)));
  }
  if (file.bad()) return absl::DataLossError(absl::StrCat("cannot read ", path));
  return absl::OkStatus();
}

}  // namespace

std::vector<uint32_t> ExactNeighbors(const Matrix& docs, const Matrix& queries, size_t k, Metric metric,
                                     size_t threads) {
  k = std::min(k, docs.rows);
  std::vector<uint32_t> neighbors(queries.rows * k);
  if (neighbors.empty() || docs.dims != queries.dims) return {};
  ThreadPool pool(threads > 1 ? threads - 1 : 0);  // the caller works along
  std::vector<float> scale;
  if (metric == Metric::kCosine) {  // a query's own length changes no order
    scale.resize(docs.rows);
    pool.ParallelFor((docs.rows + kDocBlock - 1) / kDocBlock, [&](size_t block) {
      for (size_t i = block * kDocBlock; i < std::min(docs.rows, (block + 1) * kDocBlock); ++i) {
        const double norm = std::sqrt(Dot(docs.row(i), docs.row(i), docs.dims));
        scale[i] = norm > 0 ? static_cast<float>(1 / norm) : 0.0f;
      }
    });
  }
  pool.ParallelFor((queries.rows + kQueryBlock - 1) / kQueryBlock, [&](size_t block) {
    const size_t first = block * kQueryBlock;
    SearchBlock(docs, queries, first, std::min(kQueryBlock, queries.rows - first), k,
                scale.empty() ? nullptr : scale.data(), neighbors.data() + first * k);
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
  BEBR_RETURN_IF_ERROR(ForEachLine(path, [&](size_t number, absl::string_view text) {
    const absl::string_view id = text.substr(0, text.find('\t'));
    ids.emplace_back(id);
    return ValidateId(absl::StrFormat("%s: the id in line %d", path, number), ids.back());
  }));
  if (ids.empty()) return InvalidFile(path, "holds no ids");
  return ids;
}

}  // namespace bebr
