#include "bench/kernels/faiss_peer.h"

#ifdef BEBR_HAVE_FAISS
#include <faiss/IndexBinaryFlat.h>
#include <omp.h>

#include <cstring>
#include <random>
#include <vector>

#include "bench/support/machine.h"

namespace bebr::bench {
namespace {

using Id = decltype(faiss::IndexBinaryFlat::ntotal);

class Flat : public FaissPeer {
 public:
  Flat(size_t documents, size_t bits) : index_(static_cast<Id>(bits)), queries_(64 * bits / 8) {
    std::mt19937_64 random(1);
    std::vector<uint8_t> codes(documents / 64 * bits / 8);
    for (size_t done = 0; done < documents; done += documents / 64) {
      for (size_t i = 0; i + 8 <= codes.size(); i += 8) {
        const uint64_t word = random();
        std::memcpy(&codes[i], &word, sizeof(word));
      }
      index_.add(static_cast<Id>(documents / 64), codes.data());
    }
    for (uint8_t& byte : queries_) byte = static_cast<uint8_t>(random());
  }

  double Search(size_t queries, int threads) override {
    constexpr int kNearest = 10;
    std::vector<int32_t> distances(queries * kNearest);
    std::vector<Id> ids(queries * kNearest);
    omp_set_num_threads(threads);
    const double start = NowSeconds();
    index_.search(static_cast<Id>(queries), queries_.data(), kNearest, distances.data(), ids.data());
    return NowSeconds() - start;
  }

 private:
  faiss::IndexBinaryFlat index_;
  std::vector<uint8_t> queries_;
};

}  // namespace

std::unique_ptr<FaissPeer> MakeFaissPeer(size_t documents, size_t bits) {
  return std::make_unique<Flat>(documents, bits);
}

}  // namespace bebr::bench

#else

namespace bebr::bench {

std::unique_ptr<FaissPeer> MakeFaissPeer(size_t, size_t) { return nullptr; }

}  // namespace bebr::bench

#endif
