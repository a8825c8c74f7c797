#ifndef BEBR_BENCH_SUPPORT_ENGINE_RUN_H_
#define BEBR_BENCH_SUPPORT_ENGINE_RUN_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/dataset/vector_file.h"
#include "index/engine.h"

namespace bebr::bench {

// An EngineRun is an engine in this process with one collection, "bench", whose documents' ids are row numbers: what a
// benchmark uses that measures the engine and not the calls to a server.
//
// Thread safety: none. Errors: the engine's.
class EngineRun {
 public:
  explicit EngineRun(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}
  // Opens the engine over `data_dir`, with the collection if it is there.
  static absl::StatusOr<std::unique_ptr<EngineRun>> Open(const std::string& data_dir);
  absl::Status Create(const std::string& model_file, FloatStorage store_floats);

  // Writes documents first .. first + count - 1, some requests at once, and returns when all are acknowledged.
  // `row(i)` gives document i's floats and must stay valid; each has the attribute "percent" = i % 100.
  absl::Status Write(size_t first, size_t count, size_t dims, const std::function<const float*(size_t)>& row);

  struct Answers {
    double seconds = 0;                        // of all calls
    std::vector<double> latencies_ms;          // of each call, sorted
    std::vector<std::vector<uint32_t>> found;  // rows, by query
    uint64_t bytes_scanned = 0;
    double scanned_share = 0;  // of a query, in the mean: SearchResult
  };
  // Runs all queries, `batch` at a time, with the options of `options`. One untimed call goes before.
  absl::StatusOr<Answers> Search(const Matrix& queries, size_t batch, const SearchRequest& options);

  Engine& engine() { return *engine_; }
  absl::StatusOr<CollectionInfo> Info() { return engine_->GetCollection(kCollection); }
  static constexpr char kCollection[] = "bench";

 private:
  absl::StatusOr<SearchResult> SearchOnce(SearchRequest request);

  std::unique_ptr<Engine> engine_;
};

// A number of 48 bits that depends on `i` alone and looks random.
uint64_t Mix(uint64_t i);

// Writes documents 0 .. count - 1 to a collection, a thousand at a time: document i has the id i, these attributes, and
// the floats of a row, over and over.
absl::Status Fill(Engine& engine, const std::string& collection, size_t count, const Matrix& rows,
                  const std::function<Attributes(size_t)>& attributes_of);

// Mean share of the exact rows (`exact_k` a query) that are among the first `depth` found.
double MeanRecall(const std::vector<uint32_t>& exact, size_t exact_k, const std::vector<std::vector<uint32_t>>& found,
                  size_t depth);

// The bytes of a model file: a random projection of `dims` floats, whose codes are as random as codes can be.
absl::StatusOr<std::string> RandomProjection(const std::string& shape, uint32_t query_levels, uint32_t dims);
// Normally distributed floats.
Matrix RandomRows(size_t rows, size_t dims, uint64_t seed);

// A Mixture makes many rows of a few: rows real.rows and on are noisy mixtures of two real ones, w a + (1 - w) b +
// noise, with w uniform in [0.5, 1] and normal noise of `noise` times each coordinate's standard deviation. A row
// depends on its number and `seed` alone.
class Mixture {
 public:
  Mixture(const Matrix& real, float noise, uint64_t seed);  // keeps a reference to `real`
  void Fill(size_t row, float* out) const;
  // Makes rows [from, to) of a matrix rows from + `shift` and on of the mixture, on all processors, and calls
  // finish(row) for each, from several threads; null: nothing.
  void FillRows(size_t from, size_t to, size_t shift, Matrix& out, void (*finish)(float* row, size_t dims)) const;

 private:
  const Matrix& real_;
  uint64_t seed_;
  std::vector<float> deviations_;  // times the noise
};

}  // namespace bebr::bench

#endif  // BEBR_BENCH_SUPPORT_ENGINE_RUN_H_
