// What bebr-train can be asked for.
#ifndef BEBR_INDEX_TRAIN_OPTIONS_H_
#define BEBR_INDEX_TRAIN_OPTIONS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "index/binarizer/model.h"
#include "index/code/code_spec.h"
#include "index/fit/shape_search.h"
#include "index/types/document.h"

namespace bebr {

// What makes the codes: residual levels that are trained, or MIB, whose bits are cut at medians.
enum class Method { kResidual, kMedian };
// How the gradient passes through the sign.
enum class Estimator {
  kStraightThrough,  // 1 for |x| <= 1
  kReste,            // rectified straight-through: a power of |x|, sharper as training goes on
  kTanh,             // tanh's derivative
};

// What bebr-train was asked for. Exactly one of bits, shape, target_recall and compatible_with is set.
struct TrainOptions {
  std::string input;    // document embeddings
  std::string queries;  // held-out queries; empty: rows split off from `input`
  std::string output;   // model file
  size_t bits = 0;
  std::optional<LevelPlan> shape;
  double target_recall = 0.0;
  CodeKind code = CodeKind::kLevels;  // where the shape is searched; trellis codes are not trained
  uint32_t groups = 1;  // of documents, at most; 1: none; the start with groups is kept where it beats training
  uint32_t query_levels = kMaxQueryLevels;  // above kMaxLevels: a fitted quantizer, for all but the paper's blocks
  Metric metric = Metric::kCosine;
  Method method = Method::kResidual;
  int64_t steps = -1;                                // -1: as many as the trainer thinks right; 0: only the start
  std::vector<uint32_t> hidden = {256};              // of the MLP paths; empty: linear
  std::vector<uint32_t> query_hidden = {1024};       // of a compatible version's queries, likewise
  ResidualForm residual_form = ResidualForm::kCode;  // kInput: the paper's blocks
  Estimator estimator = Estimator::kStraightThrough;
  double learning_rate = 0.0;   // peak; 0: the trainer's choice
  double prefix_share = 0.0;    // share of the steps that train a prefix of the levels
  std::string compatible_with;  // model file of an older version, into whose space the new one writes; empty: none
  std::string paired;           // the older version's embeddings of the rows of `input`
  std::string pairs;            // query embeddings that belong to documents; empty: none
  std::string pair_rows;        // their documents' row numbers, one a line; empty: row i to row i
  bool resume = false;          // go on from output + ".checkpoint" where it exists
  int64_t stop_after = -1;  // CANCELLED after this step, its checkpoints kept: what an interruption leaves; -1: never
  int64_t interrupt_after = -1;  // as `interrupted` after this step, for tests; -1: never
  uint64_t seed = 1;
  size_t threads = 0;       // 0: every processor
  double time_limit = 0.0;  // seconds after which no more shapes and groups are tried; 0: all that are worth it
  size_t fit_rows = 0;      // rows that means, covariances and groups are measured on; 0: the trainer's choice
  // Once true, training writes a checkpoint and ends (CANCELLED), and so does what comes before it, without one; null:
  // never.
  const std::atomic<bool>* interrupted = nullptr;
  // Set before an interruption finds something to keep, and so is to be waited for: from training on; null: not told.
  std::atomic<bool>* keeps = nullptr;
  bool progress = true;
};

}  // namespace bebr

#endif  // BEBR_INDEX_TRAIN_OPTIONS_H_
