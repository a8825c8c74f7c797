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

absl::Status AddDocuments(const ExampleSpace& space, GetExamples get, std::string_view field,
                          const std::vector<std::string>& ids, Mean& mean) {
  if (ids.empty()) return absl::OkStatus();
  for (size_t i = 0; i < ids.size(); ++i) BEBR_RETURN_IF_ERROR(ValidateId(absl::StrFormat("%s[%d]", field, i), ids[i]));
  BEBR_ASSIGN_OR_RETURN(const std::vector<Document> documents, get(ids));
  auto document = documents.begin();
  for (const std::string& id : ids) {
    if (document == documents.end() || document->id != id) {
      return absl::NotFoundError(absl::StrFormat("%s: there is no document \"%s\"", field, id));
    }
    const StoredEmbedding* found = nullptr;
    for (const StoredEmbedding& embedding : document->embeddings) {
      if (embedding.version == space.embedding) found = &embedding;
    }
    if (found == nullptr) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "%s: document \"%s\" has no stored floats of version \"%s\" to search by", field, id, space.version));
    }
    mean.Add(found->values);
    ++document;
  }
  return absl::OkStatus();
}

absl::Status AddVectors(const ExampleSpace& space, std::string_view field,
                        const std::vector<absl::Span<const float>>& vectors, Mean& mean) {
  for (size_t i = 0; i < vectors.size(); ++i) {
    BEBR_RETURN_IF_ERROR(
        CheckEmbedding(absl::StrFormat("%s[%d]", field, i), vectors[i], space.version, space.input_dims));
    mean.Add(vectors[i]);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<float>> QueryOf(const PinnedView& seen, const ExampleRequest& request) {
  BEBR_ASSIGN_OR_RETURN(const Version* version, seen.manifest->FindVersion(request.version));
  const ExampleSpace space{.collection = seen.manifest->name,
                           .version = version->name,
                           .embedding = seen.manifest->VersionsOfEmbedding(version->embedding).front()->name,
                           .input_dims = version->binarizer->input_dims(),
                           .metric = version->binarizer->metric(),
                           .keeps_floats = seen.manifest->KeepsFloats()};
  return QueryOf(space, request, [&seen](const std::vector<std::string>& ids) {
    return Collection::Get(seen, ids, /*with_embeddings=*/true);
  });
}

absl::StatusOr<std::vector<float>> QueryOf(const ExampleSpace& space, const ExampleRequest& request, GetExamples get) {
  const size_t ids = request.positive_ids.size() + request.negative_ids.size();
  const size_t examples = ids + request.positives.size() + request.negatives.size();
  if (examples > kMaxExamples) {
    return absl::InvalidArgumentError(absl::StrFormat("like has %d examples; the limit is %d", examples, kMaxExamples));
  }
  if (request.positive_ids.empty() && request.positives.empty()) {
    return absl::InvalidArgumentError("like has no positive example; give an id or a vector that hits should resemble");
  }
  if (ids > 0 && !space.keeps_floats) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "collection \"%s\" stores no floats, so a document is no query; send its vector", space.collection));
  }
  Mean positive(space.input_dims, space.metric), negative(space.input_dims, space.metric);
  BEBR_RETURN_IF_ERROR(AddDocuments(space, get, "like.positive_ids", request.positive_ids, positive));
  BEBR_RETURN_IF_ERROR(AddDocuments(space, get, "like.negative_ids", request.negative_ids, negative));
  BEBR_RETURN_IF_ERROR(AddVectors(space, "like.positives", request.positives, positive));
  BEBR_RETURN_IF_ERROR(AddVectors(space, "like.negatives", request.negatives, negative));
  std::vector<float> query(space.input_dims);
  const double weight = negative.count() == 0 ? 1.0 : 2.0;
  for (size_t i = 0; i < query.size(); ++i) query[i] = static_cast<float>(weight * positive[i] - negative[i]);
  return query;
}

}  // namespace bebr
