#include "index/request/recommend.h"

#include <cmath>
#include <string>
#include <string_view>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/catalog/embedding.h"

namespace bebr {
namespace {

// The mean of some examples; of cosine, of their directions.
class Mean {
 public:
  Mean(size_t dims, Metric metric) : sum_(dims, 0.0), metric_(metric) {}

  void Add(absl::Span<const float> values) {
    const double unit = Unit(values);
    for (size_t i = 0; i < sum_.size(); ++i) sum_[i] += unit * values[i];
    ++count_;
  }
  size_t count() const { return count_; }
  double operator[](size_t i) const { return count_ == 0 ? 0.0 : sum_[i] / static_cast<double>(count_); }

 private:
  double Unit(absl::Span<const float> values) const {
    double squared = 0;
    for (const float value : values) squared += double{value} * value;
    switch (metric_) {
      case Metric::kCosine:
        return squared > 0 ? 1.0 / std::sqrt(squared) : 0.0;
      case Metric::kInnerProduct:
      case Metric::kL2:
        break;
    }
    return 1.0;
  }

  std::vector<double> sum_;
  const Metric metric_;
  size_t count_ = 0;
};

absl::Status AddDocuments(const PinnedView& seen, const Version& version, std::string_view field,
                          const std::vector<std::string>& ids, Mean& mean) {
  if (ids.empty()) return absl::OkStatus();
  for (size_t i = 0; i < ids.size(); ++i) BEBR_RETURN_IF_ERROR(ValidateId(absl::StrFormat("%s[%d]", field, i), ids[i]));
  BEBR_ASSIGN_OR_RETURN(const auto documents, Collection::Get(seen, ids, /*with_embeddings=*/true));
  const std::string& name = seen.manifest->VersionsOfEmbedding(version.embedding).front()->name;
  auto document = documents.begin();
  for (const std::string& id : ids) {
    if (document == documents.end() || document->id != id) {
      return absl::NotFoundError(absl::StrFormat("%s: there is no document \"%s\"", field, id));
    }
    const StoredEmbedding* found = nullptr;
    for (const StoredEmbedding& embedding : document->embeddings) {
      if (embedding.version == name) found = &embedding;
    }
    if (found == nullptr) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "%s: document \"%s\" has no stored floats of version \"%s\" to search by", field, id, version.name));
    }
    mean.Add(found->values);
    ++document;
  }
  return absl::OkStatus();
}

absl::Status AddVectors(const Version& version, std::string_view field,
                        const std::vector<absl::Span<const float>>& vectors, Mean& mean) {
  for (size_t i = 0; i < vectors.size(); ++i) {
    BEBR_RETURN_IF_ERROR(CheckEmbedding(absl::StrFormat("%s[%d]", field, i), vectors[i], version));
    mean.Add(vectors[i]);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<float>> QueryOf(const PinnedView& seen, const ExampleRequest& request) {
  const auto& manifest = seen.manifest;
  BEBR_ASSIGN_OR_RETURN(const Version* version, manifest->FindVersion(request.version));
  const size_t ids = request.positive_ids.size() + request.negative_ids.size();
  const size_t examples = ids + request.positives.size() + request.negatives.size();
  if (examples > kMaxExamples) {
    return absl::InvalidArgumentError(absl::StrFormat("like has %d examples; the limit is %d", examples, kMaxExamples));
  }
  if (request.positive_ids.empty() && request.positives.empty()) {
    return absl::InvalidArgumentError("like has no positive example; give an id or a vector that hits should resemble");
  }
  if (ids > 0 && !manifest->KeepsFloats()) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "collection \"%s\" stores no floats, so a document is no query; send its vector", manifest->name));
  }
  const size_t dims = version->binarizer->input_dims();
  const Metric metric = version->binarizer->metric();
  Mean positive(dims, metric), negative(dims, metric);
  BEBR_RETURN_IF_ERROR(AddDocuments(seen, *version, "like.positive_ids", request.positive_ids, positive));
  BEBR_RETURN_IF_ERROR(AddDocuments(seen, *version, "like.negative_ids", request.negative_ids, negative));
  BEBR_RETURN_IF_ERROR(AddVectors(*version, "like.positives", request.positives, positive));
  BEBR_RETURN_IF_ERROR(AddVectors(*version, "like.negatives", request.negatives, negative));
  std::vector<float> query(dims);
  const double weight = negative.count() == 0 ? 1.0 : 2.0;
  for (size_t i = 0; i < dims; ++i) query[i] = static_cast<float>(weight * positive[i] - negative[i]);
  return query;
}

}  // namespace bebr
