// bench/run kernels: the scan kernels against the limits of the machine, measured in the same run, and against FAISS.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/kernels/faiss_peer.h"
#include "bench/kernels/limits.h"
#include "bench/kernels/scan.h"
#include "bench/support/machine.h"
#include "index/base/thread_pool.h"

namespace bebr::bench {
namespace {

struct Options {
  std::string json;
  size_t documents = 1000000;
  std::vector<size_t> bits = {256, 512, 1024, 2048};
  std::vector<std::string> kernels;  // none: all
  std::vector<std::string> tables;   // likewise
  int rounds = 7;
  int most_threads = 2;
  bool scalar = true;
  bool peers = true;
};

// GB/s by threads - 1, the best so far. What can be read a second depends on how much there is: a part of a smaller
// width's documents lies in the third-level cache, so each width is held against its own.
struct Limits {
  std::vector<double> read, popcount, products, pairs;
};
using LimitsByBits = std::map<size_t, Limits>;

struct PeerCell {
  size_t bits, queries;
  int threads;
  double seconds = 1e9;
  double ours = 0;  // seconds of the best table
};

// Codes of `bits` bits: one level, several, and mixed ones.
std::vector<Cell> CellsOf(size_t bits, const Options& options) {
  const auto dims = [bits](uint32_t levels) { return static_cast<uint32_t>(bits / levels); };
  std::vector<Cell> kinds = {{"hamming", {{dims(1), 1}}, 1}};
  if (bits == 512 || bits == 1024) {
    kinds.push_back({"sdc2", {{dims(2), 2}}, 2});
    // Three levels of a multiple of 32 dims, with one level for the rest of the bits.
    const uint32_t thirds = static_cast<uint32_t>(bits / 96 * 32);
    kinds.push_back({"sdc3", {{thirds, 3}, {static_cast<uint32_t>(bits) - 3 * thirds, 1}}, 3});
    kinds.push_back({"sdc4", {{dims(4), 4}}, 4});
    kinds.push_back({"asymmetric", {{dims(1), 1}}, 4});
    kinds.push_back({"asymmetric", {{dims(2), 2}}, 4});
    const uint32_t unit = static_cast<uint32_t>(bits / 16);
    kinds.push_back({"mixed", {{unit, 4}, {2 * unit, 3}, {3 * unit, 2}}, 4});
    kinds.push_back({"fitted", {{2 * unit, 4}, {2 * unit, 3}, {unit, 2}}, 6});
    kinds.push_back({"fitted", {{dims(2), 2}}, 6});
    kinds.push_back({"fitted", {{thirds, 3}, {static_cast<uint32_t>(bits) - 3 * thirds, 1}}, 6});
    // As many bytes as those before, which are scored by a level more.
    kinds.push_back({"trellis", {{dims(1), 1, 0, true}}, 6});
    kinds.push_back({"trellis", {{dims(2), 2, 0, true}}, 6});
    kinds.push_back({"trellis", {{thirds, 3, 0, true}, {static_cast<uint32_t>(bits) - 3 * thirds, 1, 0, true}}, 6});
    // The shape of the first fitted one, with its run of 4 levels as it is, and trellis-coded: two bands.
    const uint32_t more = 2 * unit;
    kinds.push_back({"trellis", {{more, 4}, {more, 3, 0, true}, {unit, 2, 0, true}}, 6});
    kinds.push_back({"trellis", {{more, 2}, {more, 2, 0, true}, {more, 3, 0, true}, {unit, 2, 0, true}}, 6});
  }
  std::erase_if(kinds, [&options](const Cell& kind) {
    return !options.kernels.empty() &&
           std::find(options.kernels.begin(), options.kernels.end(), kind.kernel) == options.kernels.end();
  });
  std::vector<Cell> cells;
  for (const Cell& kind : kinds) {
    for (const simd::KernelTable* table : simd::AllKernels()) {
      const bool slow = std::string(table->name) == "scalar";
      if (!table->supported() || (slow && !options.scalar)) continue;
      if (!options.tables.empty() &&
          std::find(options.tables.begin(), options.tables.end(), table->name) == options.tables.end())
        continue;
      for (size_t queries : {1, 64}) {
        for (int threads = 1; threads <= options.most_threads; ++threads) {
          Cell cell = kind;
          cell.table = table;
          cell.queries = queries;
          cell.threads = threads;
          // The scalar table is a reference, a hundred times slower: a sample of the documents tells enough.
          cell.documents = slow ? options.documents / 100 / 16 * 16 : options.documents;
          if (slow && (threads > 1 || queries > 1)) continue;
          cells.push_back(cell);
        }
      }
    }
  }
  return cells;
}

void MeasureLimits(const Documents& documents, Limits& limits) {
  for (size_t t = 0; t < limits.read.size(); ++t) {
    limits.read[t] = std::max(limits.read[t], ReadGbPerS(documents.data(), documents.bytes(), static_cast<int>(t) + 1));
    limits.popcount[t] = std::max(limits.popcount[t], PopcountGbPerS(static_cast<int>(t) + 1));
    limits.products[t] = std::max(limits.products[t], ByteProductsPerNs(static_cast<int>(t) + 1));
    limits.pairs[t] = std::max(limits.pairs[t], PairProductsPerNs(static_cast<int>(t) + 1));
  }
}

double NsPerCode(double seconds, size_t documents, size_t queries) {
  return seconds * 1e9 / static_cast<double>(documents * queries);
}

// A single query is held against the read bandwidth, with the factors it reads too; a batch against the arithmetic.
nlohmann::json RowOf(const std::string& kernel, size_t bits, uint32_t levels, uint32_t query_levels, size_t documents,
                     size_t queries, int threads, double seconds, size_t document_bytes, const Limits& limits) {
  const bool read = queries == 1;
  const double gb = static_cast<double>((read ? document_bytes : bits / 8) * documents * queries) / 1e9;
  const double limit = (read ? limits.read : limits.popcount)[static_cast<size_t>(threads) - 1];
  return {{"kernel", kernel},
          {"bits", bits},
          {"levels", levels},
          {"query_levels", query_levels},
          {"documents", documents},
          {"queries", queries},
          {"threads", threads},
          {"gb_per_s", gb / seconds},
          {"share_of_limit", gb / seconds / limit},
          {"ns_per_code", NsPerCode(seconds, documents, queries)},
          {"limit", read ? "read" : "popcount"},
          {"limit_gb_per_s", limit}};
}

nlohmann::json RowOf(const Cell& cell, const LimitsByBits& limits) {
  const simd::CodeShape shape = ShapeOf(cell);
  nlohmann::json row =
      RowOf(cell.kernel, BitsOf(cell), cell.bands[0].levels, cell.query_levels, cell.documents, cell.queries,
            cell.threads, cell.seconds, simd::BlockBytes(shape.code_words) / simd::kBlockRows, limits.at(BitsOf(cell)));
  row["table"] = cell.table->name;
  std::string code;
  size_t dims = 0;
  for (const simd::BandShape& band : cell.bands) {
    code += (code.empty() ? "" : "+") + std::to_string(band.dims) + "x" + std::to_string(band.levels);
    if (band.trellis) code += "t";
    dims += band.dims;
  }
  row["code"] = code;
  const Limits& of_bits = limits.at(BitsOf(cell));
  const bool has_pairs = row.value("table", "-") == "avx512bw";
  const double products = (has_pairs ? of_bits.pairs : of_bits.products)[static_cast<size_t>(cell.threads) - 1];
  if (cell.queries > 1 && cell.query_levels > 1 && products > 0)
    row["share_of_byte_products"] = static_cast<double>(dims) / row["ns_per_code"].get<double>() / products;
  return row;
}

void Print(const nlohmann::json& row) {
  std::printf("%-16s %-9s %-22s %2d %4d %8d %3d %2d %9.2f %8.3f %7.1f%%", row["kernel"].get<std::string>().c_str(),
              row.value("table", "-").c_str(), row.value("code", "-").c_str(), row["query_levels"].get<int>(),
              row["bits"].get<int>(), row["documents"].get<int>(), row["queries"].get<int>(), row["threads"].get<int>(),
              row["gb_per_s"].get<double>(), row["ns_per_code"].get<double>(),
              100 * row["share_of_limit"].get<double>());
  if (row.contains("share_of_byte_products"))
    std::printf(" %7.1f%%", 100 * row["share_of_byte_products"].get<double>());
  std::printf("\n");
}

// Everything of one width, in rounds: what the machine does to one measurement of a round it does to its neighbours
// too.
void MeasureWidth(size_t bits, const Options& options, Limits& limits, std::vector<Cell>& cells,
                  std::vector<PeerCell>& peers) {
  const Documents documents(options.documents, static_cast<uint32_t>(bits / 32));
  std::vector<Cell> width = CellsOf(bits, options);
  const std::unique_ptr<FaissPeer> faiss =
      options.peers && bits == 1024 ? MakeFaissPeer(options.documents, bits) : nullptr;
  std::vector<PeerCell> width_peers;
  for (int round = 0; round < options.rounds; ++round) {
    std::fprintf(stderr, "%zu bits, round %d of %d\n", bits, round + 1, options.rounds);
    MeasureLimits(documents, limits);
    for (Cell& cell : width) cell.seconds = std::min(cell.seconds, documents.Scan(cell));
  }
  if (faiss != nullptr) {
    for (size_t queries : {1, 64}) {
      for (int threads = 1; threads <= options.most_threads; ++threads) {
        PeerCell peer{bits, queries, threads};
        for (int i = 0; i < (queries == 1 ? 5 : 2); ++i)
          peer.seconds = std::min(peer.seconds, faiss->Search(queries, threads));
        for (Cell& cell : width) {
          if (cell.kernel != "hamming" || cell.queries != queries || cell.threads != threads) continue;
          if (cell.documents != options.documents) continue;
          cell.seconds = std::min(cell.seconds, documents.Scan(cell));  // beside the peer, once more
          if (peer.ours == 0 || cell.seconds < peer.ours) peer.ours = cell.seconds;
        }
        peers.push_back(peer);
      }
    }
  }
  cells.insert(cells.end(), width.begin(), width.end());
}

nlohmann::json Report(const Options& options, const LimitsByBits& limits, const std::vector<Cell>& cells,
                      const std::vector<PeerCell>& peers) {
  nlohmann::json report = {
      {"machine", DescribeMachine()}, {"rows", nlohmann::json::array()}, {"peers", nlohmann::json::array()}};
  for (const auto& [bits, width] : limits) {
    for (size_t t = 0; t < width.read.size(); ++t) {
      const std::string threads = std::to_string(t + 1);
      // Of the widest codes, and each width's own.
      report["limits"]["read_gb_per_s"][threads] = width.read[t];
      report["limits"]["popcount_gb_per_s"][threads] = width.popcount[t];
      report["limits"]["byte_products_per_ns"][threads] = width.products[t];
      report["limits"]["pair_products_per_ns"][threads] = width.pairs[t];
      report["limits"]["read_gb_per_s_by_bits"][std::to_string(bits)][threads] = width.read[t];
      std::printf(
          "limits, %zu bits, %s thread%s: read %.1f GB/s, popcount %.1f GB/s of code x queries, vpdpbusd %.1f "
          "products/ns, vpmaddubsw %.1f\n",
          bits, threads.c_str(), t == 0 ? "" : "s", width.read[t], width.popcount[t], width.products[t],
          width.pairs[t]);
    }
  }
  report["limits"]["popcount_method"] = PopcountMethod();
  std::printf("popcount limit by %s\n\n%-16s %-9s %-22s %2s %4s %8s %3s %2s %9s %8s %8s %8s\n",
              PopcountMethod().c_str(), "kernel", "table", "code", "Q", "bits", "docs", "q", "t", "GB/s", "ns/code",
              "of limit", "of dot");
  for (const Cell& cell : cells) {
    report["rows"].push_back(RowOf(cell, limits));
    Print(report["rows"].back());
  }
  for (const PeerCell& peer : peers) {
    nlohmann::json row = RowOf("hamming", peer.bits, 1, 1, options.documents, peer.queries, peer.threads, peer.seconds,
                               peer.bits / 8, limits.at(peer.bits));
    row["name"] = "FAISS IndexBinaryFlat";
    row["ratio"] = peer.seconds / peer.ours;
    report["peers"].push_back(row);
    std::printf("FAISS IndexBinaryFlat, %zu bits, %zu queries, %d threads: %.3f ns/code, %.1f times ours\n", peer.bits,
                peer.queries, peer.threads, row["ns_per_code"].get<double>(), peer.seconds / peer.ours);
  }
  if (options.peers && peers.empty())
    std::printf("no peer: built without FAISS (libfaiss-dev), or no row at 1024 bits\n");
  return report;
}

// Runnable processes a processor, over the last minute. Timings taken while others compute are worth little: said, not
// hidden.
double LoadPerProcessor() {
  double load = 0;
  if (getloadavg(&load, 1) != 1) return 0;
  const double per_processor = load / static_cast<double>(AvailableProcessors());
  if (per_processor > 0.3) {
    std::fprintf(stderr,
                 "WARNING: the machine is busy (load %.1f): only limits and ratios near each other mean anything\n",
                 load);
  }
  return per_processor;
}

int Run(int argc, char** argv) {
  Options options;
  options.most_threads = std::clamp(static_cast<int>(AvailableProcessors()), 1, 2);
  CLI::App app("The scan kernels against the limits of this machine");
  app.add_option("--json", options.json, "write the results to this file");
  app.add_option("--documents", options.documents, "documents of a scan")->check(CLI::Range(16000, 100000000));
  app.add_option("--bits", options.bits, "bits of a code, a multiple of 256")
      ->delimiter(',')
      ->check(CLI::Range(256, 8192));
  app.add_option("--kernels", options.kernels,
                 "only these: hamming, sdc2, sdc3, sdc4, asymmetric, mixed, fitted, trellis")
      ->delimiter(',')
      ->check(CLI::IsMember({"hamming", "sdc2", "sdc3", "sdc4", "asymmetric", "mixed", "fitted", "trellis"}));
  app.add_option("--tables", options.tables, "only these tables of kernels, such as avx512bw")->delimiter(',');
  app.add_option("--rounds", options.rounds, "repeats; the best counts")->check(CLI::Range(1, 1000));
  app.add_option("--threads", options.most_threads, "most threads")->check(CLI::Range(1, 256));
  app.add_flag("!--no-scalar", options.scalar, "leave the scalar table out");
  app.add_flag("!--no-peers", options.peers, "leave FAISS out");
  CLI11_PARSE(app, argc, argv);
  options.documents = options.documents / 64 * 64;
  for (size_t bits : options.bits) {
    if (bits % 256 != 0) {
      std::fprintf(stderr, "--bits %zu is not a multiple of 256\n", bits);
      return 2;
    }
  }
  const double load = LoadPerProcessor();
  LimitsByBits limits;
  std::vector<Cell> cells;
  std::vector<PeerCell> peers;
  for (size_t bits : options.bits) {
    limits[bits].read.resize(static_cast<size_t>(options.most_threads));
    limits[bits].popcount.resize(static_cast<size_t>(options.most_threads));
    limits[bits].products.resize(static_cast<size_t>(options.most_threads));
    limits[bits].pairs.resize(static_cast<size_t>(options.most_threads));
    MeasureWidth(bits, options, limits[bits], cells, peers);
  }
  nlohmann::json report = Report(options, limits, cells, peers);
  report["machine"]["load_per_processor_at_start"] = load;
  const absl::Status status = WriteJson(options.json, report);
  if (!status.ok()) std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return status.ok() ? 0 : 1;
}

}  // namespace
}  // namespace bebr::bench

int main(int argc, char** argv) { return bebr::bench::Run(argc, argv); }
