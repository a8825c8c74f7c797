// Whole numbers and names out of JSON, which has numbers and texts of any kind.
#ifndef BEBR_INDEX_CATALOG_JSON_NUMBERS_H_
#define BEBR_INDEX_CATALOG_JSON_NUMBERS_H_

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "index/types/document.h"

namespace bebr {

// Throw json::exception for a missing key, as the callers expect; DATA_LOSS for what is no T.
template <typename T>
absl::StatusOr<T> Number(const nlohmann::json& object, const char* key) {
  const nlohmann::json& value = object.at(key);
  if (value.is_number_unsigned() && value.get<uint64_t>() <= std::numeric_limits<T>::max()) return value.get<T>();
  return absl::DataLossError(
      absl::StrFormat("%s is no whole number from 0 to %d", key, uint64_t{std::numeric_limits<T>::max()}));
}

inline absl::StatusOr<int64_t> Time(const nlohmann::json& object, const char* key) {
  if (object.at(key).is_number_integer()) return object.at(key).get<int64_t>();
  return absl::DataLossError(absl::StrFormat("%s is no whole number", key));
}

// The one that "metric" names.
inline absl::StatusOr<Metric> MetricNamedIn(const nlohmann::json& object) {
  const std::string name = object.at("metric");
  for (const Metric metric : {Metric::kCosine, Metric::kInnerProduct, Metric::kL2}) {
    if (name == ToString(metric)) return metric;
  }
  return absl::DataLossError(absl::StrFormat("metric is '%s', which this release does not know", name));
}

}  // namespace bebr

#endif  // BEBR_INDEX_CATALOG_JSON_NUMBERS_H_
