#include "index/learn/first_model.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/binarizer/model.h"
#include "index/code/code_spec.h"
#include "index/fit/fit.h"

namespace bebr {
namespace {

constexpr uint32_t kLeastUsualBits = 256;
constexpr uint32_t kMostUsualBits = 1024;
constexpr uint64_t kSeed = 1;

uint32_t MostBits(uint32_t dims) { return std::min(kMaxAutoBits, std::max(kLeastUsualBits, kMaxLevels * dims)); }

// Before anything is measured. The first model knows no mean: its codes tell little of l2's rows that lie far from 0,
// so as many are scored by their floats as there are, mostly, until the first fit.
uint32_t FirstRerank(Metric metric) {
  constexpr uint32_t kBlindRerank = 2000;
  return metric == Metric::kL2 ? kBlindRerank : kUnmeasuredRerank;
}

}  // namespace

uint32_t UsualBits(uint32_t dims) { return std::clamp((2 * dims + 31) / 32 * 32, kLeastUsualBits, kMostUsualBits); }

uint32_t FirstBits(const AutoBinarizerConfig& config) {
  return config.bits != 0 ? config.bits : UsualBits(config.dims);
}

absl::Status CheckAutoBinarizer(const AutoBinarizerConfig& config) {
  if (config.dims < 2 || config.dims > kMaxAutoDims) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "auto_binarizer.dims is %d; it is 2 to %d. For longer embeddings send a model file of bebr-train", config.dims,
        kMaxAutoDims));
  }
  const uint32_t most = MostBits(config.dims);
  if (config.bits != 0 && (config.bits < kMinAutoBits || config.bits > most || config.bits % 32 != 0)) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "auto_binarizer.bits is %d; it is a multiple of 32 from %d to %d for embeddings of %d floats, or "
        "0 for the usual number",
        config.bits, kMinAutoBits, most, config.dims));
  }
  if (!(config.recall >= 0.0 && config.recall < 1.0)) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "auto_binarizer.recall is %g; it is more than 0 and less than 1, or 0 for none", config.recall));
  }
  if (config.bits != 0 && config.recall != 0.0) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "auto_binarizer has bits %d and recall %g; set one: the other follows from it", config.bits, config.recall));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> FirstModelFile(const AutoBinarizerConfig& config) {
  BEBR_ASSIGN_OR_RETURN(const Model model, DataFreeModel(config.dims, config.metric, FirstBits(config), kSeed));
  return SerializeModel(model);
}

void BeginLearning(const CollectionConfig& config, CollectionManifest& manifest) {
  AutoRecord& record = manifest.auto_record.emplace();
  record.config = *config.auto_binarizer;
  record.version = manifest.default_version;
  record.keeps_floats = config.store_floats != FloatStorage::kNone;
  record.measures_rerank = record.keeps_floats && config.default_rerank == 0;
  if (record.measures_rerank) manifest.default_rerank = FirstRerank(record.config.metric);
  // As they came, so that nothing is refused for how they are kept for a while.
  if (!record.keeps_floats) manifest.store_floats = FloatStorage::kFloat32;
}

}  // namespace bebr
