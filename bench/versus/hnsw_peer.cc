#include "bench/versus/hnsw_peer.h"

#ifdef BEBR_HAVE_HNSWLIB
#include <hnswlib/hnswlib.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "bench/support/machine.h"

namespace bebr::bench {
namespace {

void RunThreads(size_t threads, const std::function<void()>& work) {
  std::vector<std::thread> pool;
  for (size_t t = 0; t < threads; ++t) pool.emplace_back(work);
  for (std::thread& thread : pool) thread.join();
}

class Hnsw : public HnswPeer {
 public:
  explicit Hnsw(const HnswOptions& options)
      : space_(options.dims), index_(&space_, options.most_rows, options.m, options.ef_construction) {}

  void Add(size_t first, size_t count, size_t threads, const std::function<const float*(size_t)>& row) override {
    std::atomic<size_t> next{first};
    RunThreads(threads, [&] {
      for (size_t i; (i = next.fetch_add(1)) < first + count;) index_.addPoint(row(i), i);
    });
  }

  Answers Search(const Matrix& queries, size_t k, size_t ef, size_t threads) override {
    index_.setEf(std::max(ef, k));
    Answers answers;
    answers.found.resize(queries.rows);
    answers.latencies_ms.resize(queries.rows);
    std::atomic<size_t> next{0};
    const double start = NowSeconds();
    RunThreads(threads, [&] {
      for (size_t q; (q = next.fetch_add(1)) < queries.rows;) {
        const double begin = NowSeconds();
        auto nearest = index_.searchKnn(queries.row(q), k);  // worst first
        answers.latencies_ms[q] = (NowSeconds() - begin) * 1e3;
        auto& rows = answers.found[q];
        for (; !nearest.empty(); nearest.pop()) rows.push_back(static_cast<uint32_t>(nearest.top().second));
        std::reverse(rows.begin(), rows.end());
      }
    });
    answers.seconds = NowSeconds() - start;
    std::sort(answers.latencies_ms.begin(), answers.latencies_ms.end());
    return answers;
  }

 private:
  hnswlib::InnerProductSpace space_;
  hnswlib::HierarchicalNSW<float> index_;
};

}  // namespace

std::unique_ptr<HnswPeer> MakeHnswPeer(const HnswOptions& options) { return std::make_unique<Hnsw>(options); }

}  // namespace bebr::bench
#else
namespace bebr::bench {

std::unique_ptr<HnswPeer> MakeHnswPeer(const HnswOptions&) { return nullptr; }

}  // namespace bebr::bench
#endif
