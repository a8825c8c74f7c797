#include "bench/support/engine_run.h"

#include <algorithm>
#include <cmath>
#include <future>
#include <random>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "bench/support/machine.h"
#include "index/base/mutex.h"
#include "index/base/status_macros.h"
#include "index/base/thread_pool.h"
#include "index/binarizer/model.h"
#include "index/code/code_spec.h"

namespace bebr::bench {
namespace {

constexpr size_t kRequestDocuments = 1000;
constexpr size_t kRequestsAtOnce = 8;

// A small generator that is cheap to seed: one for every row.
struct SplitMix {
  using result_type = uint64_t;
  static constexpr uint64_t min() { return 0; }
  static constexpr uint64_t max() { return ~uint64_t{0}; }
  uint64_t operator()() {
    state += 0x9e3779b97f4a7c15u;
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  uint64_t state;
};

// Lets so many requests wait at a time and keeps the first error.
class Window {
 public:
  void Enter() {
    MutexLock lock(&mutex_);
    while (inside_ >= kRequestsAtOnce) changed_.Wait(&mutex_);
    ++inside_;
  }
  void Leave(const absl::Status& status) {
    MutexLock lock(&mutex_);
    status_.Update(status);
    --inside_;
    changed_.NotifyAll();
  }
  absl::Status AwaitAll() {
    MutexLock lock(&mutex_);
    while (inside_ != 0) changed_.Wait(&mutex_);
    return status_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  size_t inside_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<std::unique_ptr<EngineRun>> EngineRun::Open(const std::string& data_dir) {
  BEBR_ASSIGN_OR_RETURN(auto engine, Engine::Open({.data_dir = data_dir}));
  return std::unique_ptr<EngineRun>(new EngineRun(std::move(engine)));
}

absl::Status EngineRun::Create(const std::string& model_file, FloatStorage store_floats) {
  return engine_->CreateCollection({.name = kCollection, .store_floats = store_floats}, model_file);
}

absl::Status EngineRun::Write(size_t first, size_t count, size_t dims, const std::function<const float*(size_t)>& row) {
  Window window;
  for (size_t begin = first; begin < first + count; begin += kRequestDocuments) {
    UpsertRequest request{.collection = kCollection};
    for (size_t i = begin; i < std::min(begin + kRequestDocuments, first + count); ++i) {
      DocumentInput& document = request.documents.emplace_back();
      document.id = absl::StrCat(i);
      document.attributes["percent"] = static_cast<int64_t>(i % 100);
      document.embeddings.push_back({.values = absl::MakeConstSpan(row(i), dims)});
    }
    window.Enter();
    engine_->Upsert(std::move(request),
                    [&window](const absl::StatusOr<UpsertResult>& result) { window.Leave(result.status()); });
  }
  return window.AwaitAll();
}

absl::StatusOr<SearchResult> EngineRun::SearchOnce(SearchRequest request) {
  auto outcome = std::make_shared<std::promise<absl::StatusOr<SearchResult>>>();  // shared: set_value may outlast get
  engine_->Search(std::move(request),
                  [outcome](absl::StatusOr<SearchResult> result) { outcome->set_value(std::move(result)); });
  return outcome->get_future().get();
}

absl::StatusOr<EngineRun::Answers> EngineRun::Search(const Matrix& queries, size_t batch,
                                                     const SearchRequest& options) {
  const auto request_of = [&](size_t begin) {
    SearchRequest request = options;
    request.collection = kCollection;
    for (size_t q = begin; q < std::min(begin + batch, queries.rows); ++q) {
      request.queries.push_back(absl::MakeConstSpan(queries.row(q), queries.dims));
    }
    return request;
  };
  BEBR_RETURN_IF_ERROR(SearchOnce(request_of(0)).status());
  Answers answers;
  const uint64_t bytes = engine_->Stats().bytes_scanned;
  for (size_t begin = 0; begin < queries.rows; begin += batch) {
    const double start = NowSeconds();
    BEBR_ASSIGN_OR_RETURN(const SearchResult result, SearchOnce(request_of(begin)));
    answers.latencies_ms.push_back((NowSeconds() - start) * 1e3);
    answers.seconds += NowSeconds() - start;
    answers.scanned_share +=
        result.scanned_share * static_cast<double>(result.hits.size()) / static_cast<double>(queries.rows);
    for (const auto& hits : result.hits) {
      auto& rows = answers.found.emplace_back();
      for (const SearchHit& hit : hits) {
        uint32_t row = 0;
        if (!absl::SimpleAtoi(hit.id, &row)) return absl::InternalError(absl::StrCat("found id ", hit.id));
        rows.push_back(row);
      }
    }
  }
  answers.bytes_scanned = engine_->Stats().bytes_scanned - bytes;
  std::sort(answers.latencies_ms.begin(), answers.latencies_ms.end());
  return answers;
}

absl::StatusOr<std::string> RandomProjection(const std::string& shape, uint32_t query_levels, uint32_t dims) {
  std::mt19937_64 random(1);  // NOLINT(bugprone-random-generator-seed): the same model in every run
  std::normal_distribution<float> normal;
  Model model;
  model.metric = Metric::kCosine;
  model.input_dims = dims;
  BEBR_ASSIGN_OR_RETURN(model.spec, ParseCodeSpec(shape));
  model.query_levels = query_levels;
  model.trained = "random projection";
  model.mean.resize(dims);
  model.project.linear.weight.resize(size_t{model.spec.dims()} * dims);
  model.project.linear.bias.resize(model.spec.dims());
  const float scale = 1.0f / std::sqrt(static_cast<float>(dims));
  for (float& value : model.project.linear.weight) value = scale * normal(random);
  if (query_levels > kMaxLevels) {
    model.quantizer = Quantizer::kFitted;
    model.fine = FineRules{.levels = model.spec};
  }
  model.steps.resize(model.step_count());
  for (StepParameters& step : model.steps) {
    step.gain = 0.9f;
    step.residual.linear.bias.resize(model.spec.dims());
  }
  return SerializeModel(model);
}

Matrix RandomRows(size_t rows, size_t dims, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  Matrix matrix{rows, dims, std::vector<float>(rows * dims)};
  for (float& value : matrix.values) value = normal(random);
  return matrix;
}

uint64_t Mix(uint64_t i) {
  i = (i + 1) * 0x9e3779b97f4a7c15u;
  return (i ^ (i >> 29)) * 0xbf58476d1ce4e5b9u >> 16;
}

absl::Status Fill(Engine& engine, const std::string& collection, size_t count, const Matrix& rows,
                  const std::function<Attributes(size_t)>& attributes_of) {
  for (size_t begin = 0; begin < count; begin += kRequestDocuments) {
    UpsertRequest request{.collection = collection};
    for (size_t i = begin; i < std::min(begin + kRequestDocuments, count); ++i) {
      DocumentInput& document = request.documents.emplace_back();
      document.id = absl::StrCat(i);
      document.attributes = attributes_of(i);
      document.embeddings.push_back({.values = absl::MakeConstSpan(rows.row(i % rows.rows), rows.dims)});
    }
    auto outcome = std::make_shared<std::promise<absl::Status>>();  // shared: set_value may outlast get
    engine.Upsert(std::move(request), [outcome](const auto& result) { outcome->set_value(result.status()); });
    BEBR_RETURN_IF_ERROR(outcome->get_future().get());
  }
  return absl::OkStatus();
}

double MeanRecall(const std::vector<uint32_t>& exact, size_t exact_k, const std::vector<std::vector<uint32_t>>& found,
                  size_t depth) {
  double sum = 0;
  for (size_t q = 0; q < found.size(); ++q) {
    const auto end = found[q].begin() + static_cast<ptrdiff_t>(std::min(depth, found[q].size()));
    for (size_t i = 0; i < exact_k; ++i) sum += std::find(found[q].begin(), end, exact[q * exact_k + i]) != end;
  }
  return found.empty() ? 0 : sum / static_cast<double>(found.size() * exact_k);
}

Mixture::Mixture(const Matrix& real, float noise, uint64_t seed) : real_(real), seed_(seed), deviations_(real.dims) {
  std::vector<double> sum(real.dims), square(real.dims);
  for (size_t i = 0; i < real.rows; ++i) {
    for (size_t d = 0; d < real.dims; ++d) {
      sum[d] += real.row(i)[d];
      square[d] += double{real.row(i)[d]} * real.row(i)[d];
    }
  }
  const auto rows = static_cast<double>(real.rows);
  for (size_t d = 0; d < real.dims; ++d) {
    const double mean = sum[d] / rows;
    deviations_[d] = noise * static_cast<float>(std::sqrt(std::max(0.0, square[d] / rows - mean * mean)));
  }
}

void Mixture::Fill(size_t row, float* out) const {
  if (row < real_.rows) {
    std::copy_n(real_.row(row), real_.dims, out);
    return;
  }
  SplitMix random{seed_ * 0x9e3779b97f4a7c15u + row};
  std::normal_distribution<float> normal;
  const float* a = real_.row(random() % real_.rows);
  const float* b = real_.row(random() % real_.rows);
  const float w = 0.5f + 0.5f * static_cast<float>(random() >> 40) / static_cast<float>(1 << 24);
  for (size_t d = 0; d < real_.dims; ++d) out[d] = w * a[d] + (1 - w) * b[d] + deviations_[d] * normal(random);
}

void Mixture::FillRows(size_t from, size_t to, size_t shift, Matrix& out,
                       void (*finish)(float* row, size_t dims)) const {
  constexpr size_t kPart = 4096;
  ThreadPool pool(AvailableProcessors());
  pool.ParallelFor((to - from + kPart - 1) / kPart, [&](size_t part) {
    for (size_t i = from + part * kPart; i < std::min(to, from + (part + 1) * kPart); ++i) {
      Fill(i + shift, out.row(i));
      if (finish != nullptr) finish(out.row(i), out.dims);
    }
  });
}

}  // namespace bebr::bench
