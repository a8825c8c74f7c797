#ifndef BEBR_BENCH_INGEST_BESIDE_H_
#define BEBR_BENCH_INGEST_BESIDE_H_

#include <cstddef>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/dataset/vector_file.h"

namespace bebr::bench {

// Clients that search a collection without a pause.
struct SearchLoad {
  std::string server;
  std::string collection;
  size_t clients = 0;
};

// Queries answered a second, by rows of `queries`, from the moment that `work` begins until it has ended. The first
// error, of a search or of `work`, is returned.
absl::StatusOr<double> SearchBeside(const SearchLoad& load, const Matrix& queries,
                                    absl::FunctionRef<absl::Status()> work);

}  // namespace bebr::bench

#endif  // BEBR_BENCH_INGEST_BESIDE_H_
