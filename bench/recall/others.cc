#include "bench/recall/others.h"

#include "absl/strings/str_cat.h"
#include "bench/baselines/gaussian_bound.h"
#include "bench/baselines/osq.h"
#include "bench/baselines/product.h"
#include "bench/baselines/rabitq.h"
#include "bench/baselines/turboquant.h"

namespace bebr::bench {
namespace {

constexpr size_t kCentroids = 256;

// What the lists below are made of.
struct Given {
  const Problem& problem;
  const CorpusStatistics& statistics;
  uint64_t seed;
  bool all;
  std::vector<Other>& others;

  size_t dims() const { return problem.dims(); }
  std::string Shape(size_t parts, int bits) const { return absl::StrCat(parts, "x", bits); }
  void Add(const std::string& method, size_t parts, int bits, int query_levels, std::function<Estimates()> make) const {
    others.push_back({method, Shape(parts, bits), static_cast<double>(parts * static_cast<size_t>(bits)), bits,
                      query_levels, std::move(make)});
  }
};

void AddRabitq(const Given& given) {
  const auto add = [&given](const std::string& method, const RabitqOptions& options) {
    const auto make = [&problem = given.problem, &statistics = given.statistics, options] {
      return MakeRabitq(problem, options, statistics.components);
    };
    given.Add(method, options.dims, options.bits, 32, make);
  };
  const size_t d = given.dims();
  add("rabitq", {.dims = d / 2, .bits = 1, .seed = given.seed});
  for (const int bits : given.all ? std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 9} : std::vector<int>{1, 2, 4})
    add("rabitq", {.dims = d, .bits = bits, .seed = given.seed});
  for (const int bits : given.all ? std::vector<int>{1, 2, 3, 4, 5} : std::vector<int>{1, 2})
    add("rabitq-ivf", {.dims = d, .bits = bits, .centroids = kCentroids, .seed = given.seed});
}

void AddScalar(const Given& given) {
  for (const int bits : {1, 2, 4, 7}) {
    if (bits > 4 && !given.all) continue;
    given.Add("osq", given.dims(), bits, bits <= 4 ? 4 : bits,
              [&problem = given.problem, bits] { return MakeOsq(problem, bits); });
  }
  for (const bool unbiased : {false, true}) {
    for (const int bits : given.all ? std::vector<int>{1, 2, 3, 4, 5} : std::vector<int>{1, 2}) {
      given.Add(unbiased ? "turboquant-prod" : "turboquant", given.dims(), bits, 32,
                [&problem = given.problem, bits, unbiased, seed = given.seed] {
                  return MakeTurboquant(problem, bits, unbiased, seed);
                });
    }
  }
}

void AddProduct(const Given& given) {
  const size_t d = given.dims();
  for (const bool rotated : {false, true}) {
    for (const int bits : {4, 8}) {
      for (const double bits_a_dim : given.all ? std::vector<double>{0.5, 1, 2, 4} : std::vector<double>{1, 2}) {
        const ProductOptions options = {.parts = static_cast<size_t>(bits_a_dim * static_cast<double>(d) / bits),
                                        .bits = bits,
                                        .rotated = rotated,
                                        .seed = given.seed};
        if (options.parts == 0) continue;
        given.Add(absl::StrCat(rotated ? "opq" : "pq", bits), options.parts, bits, 32,
                  [&problem = given.problem, &statistics = given.statistics, options] {
                    return MakeProduct(problem, options, statistics.components, statistics.variances);
                  });
      }
    }
  }
}

void AddBound(const Given& given) {
  for (const double bits_a_dim : {0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0}) {
    const double bits = bits_a_dim * static_cast<double>(given.dims());
    given.others.push_back({"bound", "Gaussian", bits, 0, 32,
                            [&problem = given.problem, &statistics = given.statistics, bits, seed = given.seed] {
                              return MakeGaussianBound(problem, bits, statistics.components, statistics.variances,
                                                       seed);
                            }});
  }
}

}  // namespace

std::vector<Other> Others(const Problem& problem, const CorpusStatistics& statistics, uint64_t seed, bool all) {
  std::vector<Other> others;
  const Given given{problem, statistics, seed, all, others};
  AddRabitq(given);
  AddScalar(given);
  AddProduct(given);
  AddBound(given);
  return others;
}

}  // namespace bebr::bench
