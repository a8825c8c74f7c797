// FAISS's exhaustive binary index, as a peer of the Hamming kernel.
#ifndef BEBR_BENCH_KERNELS_FAISS_PEER_H_
#define BEBR_BENCH_KERNELS_FAISS_PEER_H_

#include <cstddef>
#include <cstdint>
#include <memory>

namespace bebr::bench {

class FaissPeer {
 public:
  virtual ~FaissPeer() = default;
  // Seconds of one search for the 10 nearest of `queries` queries.
  virtual double Search(size_t queries, int threads) = 0;
};

// Null where the program was built without FAISS. Documents are random codes.
std::unique_ptr<FaissPeer> MakeFaissPeer(size_t documents, size_t bits);

}  // namespace bebr::bench

#endif  // BEBR_BENCH_KERNELS_FAISS_PEER_H_
