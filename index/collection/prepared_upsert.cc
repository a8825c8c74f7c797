#include "index/collection/prepared_upsert.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/clock.h"
#include "index/base/float16.h"
#include "index/base/status_macros.h"
#include "index/catalog/embedding.h"

namespace bebr {
namespace {

constexpr size_t kEncodeRows = 128;  // documents a thread encodes at a time

// The versions that encode an embedding which came for `source`: of all that take it, one for each space, `source` in
// its own and otherwise the newest.
std::vector<const Version*> Encoders(const CollectionManifest& manifest, const Version& source) {
  std::vector<const Version*> encoders = {&source};
  const std::vector<const Version*> takers = manifest.VersionsOfEmbedding(source.embedding);
  for (auto taker = takers.rbegin(); taker != takers.rend(); ++taker) {
    if (std::none_of(encoders.begin(), encoders.end(), [&](const Version* e) { return e->space == (*taker)->space; }))
      encoders.push_back(*taker);
  }
  return encoders;
}

MutationKind KindOf(UpsertMode mode) {
  switch (mode) {
    case UpsertMode::kMerge:
      return MutationKind::kMerge;
    case UpsertMode::kReplaceAll:
      return MutationKind::kReplaceAll;
    default:
      return MutationKind::kReplace;
  }
}

// Multiplies a row whose largest value is so small that f16 would round it away by a power of two, which leaves its
// direction, all that cosine asks for, as it is. No row of length 1 is that small.
void Lengthen(absl::Span<float> row) {
  constexpr float kLeastLargest = 0x1p-10f;
  float largest = 0;
  for (const float value : row) largest = std::max(largest, std::fabs(value));
  if (largest == 0 || largest >= kLeastLargest) return;
  const int exponent = std::ilogb(largest);
  for (float& value : row) value = std::ldexp(value, -exponent);
}

}  // namespace

absl::StatusOr<std::unique_ptr<PreparedUpsert>> PreparedUpsert::Create(
    UpsertRequest request, std::shared_ptr<const CollectionManifest> manifest) {
  BEBR_RETURN_IF_ERROR(ValidateCount("documents", request.documents.size(), kMaxDocumentsPerRequest));
  std::unique_ptr<PreparedUpsert> prepared(new PreparedUpsert(std::move(request), std::move(manifest)));
  BEBR_RETURN_IF_ERROR(prepared->CheckConditions());
  for (size_t i = 0; i < prepared->request_.documents.size(); ++i) {
    absl::Status checked = prepared->CheckDocument(i);
    if (checked.ok()) continue;
    if (!prepared->request_.partial) return checked;
    DocumentInput& document = prepared->request_.documents[i];
    document.attributes.clear();
    prepared->problems_.push_back({.index = i, .id = document.id, .status = std::move(checked)});
  }
  return prepared;
}

absl::Status PreparedUpsert::CheckConditions() const {
  if (request_.mode == UpsertMode::kMerge && (request_.only_if_absent || !request_.only_if_newer_by.empty())) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "%s is set, and mode is merge, which is for documents that exist and keeps their attributes; use replace",
        request_.only_if_absent ? "only_if_absent" : "only_if_newer_by"));
  }
  const auto rule = manifest_->attributes.find(request_.only_if_newer_by);
  if (rule != manifest_->attributes.end() && rule->second.storage == AttributeStorage::kStored) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "only_if_newer_by is \"%s\", which is stored only by the collection's schema; name one that is indexed",
        request_.only_if_newer_by));
  }
  if (request_.model_checksum == 0) return absl::OkStatus();
  BEBR_ASSIGN_OR_RETURN(const Version* version, manifest_->FindVersion(""));
  return CheckMadeFor(request_.model_checksum, *version, *manifest_);
}

absl::Status PreparedUpsert::CheckAttributes(const std::string& field, DocumentInput& document) const {
  BEBR_RETURN_IF_ERROR(ConformAttributes(field + ".attributes", manifest_->attributes, document.attributes));
  BEBR_RETURN_IF_ERROR(ValidateAttributes(field + ".attributes", document.attributes, manifest_->attributes));
  if (request_.mode == UpsertMode::kMerge && !document.attributes.empty()) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "%s.attributes is not empty; a merge adds embeddings and leaves the attributes as they are", field));
  }
  if (request_.only_if_newer_by.empty()) return absl::OkStatus();
  const auto number = document.attributes.find(request_.only_if_newer_by);
  if (number != document.attributes.end() && std::holds_alternative<int64_t>(number->second)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("%s.attributes[\"%s\"] is no integer; only_if_newer_by compares the integers of that name", field,
                      request_.only_if_newer_by));
}

absl::Status PreparedUpsert::CheckEmbeddingOf(const std::string& field, size_t number, const EmbeddingInput& embedding,
                                              std::vector<const Version*>& seen) const {
  const float max_abs = manifest_->store_floats == FloatStorage::kFloat16 ? kFloat16Max : kMaxAbsValue;
  BEBR_ASSIGN_OR_RETURN(const Version* source, manifest_->FindVersion(embedding.version));
  BEBR_RETURN_IF_ERROR(
      CheckEmbedding(absl::StrFormat("%s.embeddings[%d]", field, number), embedding.values, *source, max_abs));
  for (const Version* other : seen) {
    if (other == source) {
      return absl::InvalidArgumentError(
          absl::StrFormat("%s has two embeddings of version \"%s\"", field, source->name));
    }
    if (other->embedding == source->embedding) {
      return absl::InvalidArgumentError(
          absl::StrFormat("%s has an embedding of version \"%s\" and one of \"%s\", which take the same embeddings; "
                          "send one",
                          field, other->name, source->name));
    }
  }
  seen.push_back(source);
  return absl::OkStatus();
}

absl::Status PreparedUpsert::CheckDocument(size_t index) {
  DocumentInput& document = request_.documents[index];
  BEBR_RETURN_IF_ERROR(document.problem);
  const std::string field = absl::StrFormat("documents[%d]", index);
  BEBR_RETURN_IF_ERROR(ValidateId(field + ".id", document.id));
  BEBR_RETURN_IF_ERROR(CheckAttributes(field, document));
  if (document.embeddings.empty()) {
    return absl::InvalidArgumentError(absl::StrFormat("%s.embeddings is empty; a document needs at least one", field));
  }
  std::vector<const Version*> sources;
  for (size_t e = 0; e < document.embeddings.size(); ++e) {
    BEBR_RETURN_IF_ERROR(CheckEmbeddingOf(field, e, document.embeddings[e], sources));
  }
  for (size_t e = 0; e < document.embeddings.size(); ++e) {
    AddEmbedding(index, document.embeddings[e].values.data(), *sources[e]);
    input_bytes_ += document.embeddings[e].values.size() * sizeof(float);
  }
  for (const auto& [name, value] : document.attributes) input_bytes_ += name.size() + ValueBytes(value);
  return absl::OkStatus();
}

void PreparedUpsert::AddEmbedding(size_t document, const float* values, const Version& source) {
  for (const Version* version : Encoders(*manifest_, source)) {
    auto part = std::find_if(parts_.begin(), parts_.end(),
                             [&](const auto& p) { return p.source == &source && p.version == version; });
    if (part == parts_.end()) {
      parts_.push_back({.source = &source, .version = version});
      part = parts_.end() - 1;
    }
    part->documents.push_back(static_cast<uint32_t>(document));
    part->embeddings.push_back(values);
  }
}

void PreparedUpsert::Encode(ThreadPool& pool, std::atomic<uint64_t>& encode_us) {
  const FloatStorage storage = manifest_->store_floats;
  for (VersionPart& part : parts_) {
    const Binarizer& binarizer = *part.version->binarizer;
    const size_t rows = part.documents.size();
    part.words.resize(rows * binarizer.spec().code_words());
    part.factors.resize(rows);
    if (storage != FloatStorage::kNone && part.version == part.source) {
      part.float_bytes =
          binarizer.input_dims() * (storage == FloatStorage::kFloat16 ? sizeof(uint16_t) : sizeof(float));
    }
    part.floats.resize(rows * part.float_bytes);
    pool.ParallelFor((rows + kEncodeRows - 1) / kEncodeRows, [&](size_t chunk) {
      const SteadyTime start = SteadyNow();
      const size_t begin = chunk * kEncodeRows;
      EncodeRows(part, begin, std::min(kEncodeRows, rows - begin));
      encode_us.fetch_add(static_cast<uint64_t>(MicrosSince(start)), std::memory_order_relaxed);
    });
  }
}

void PreparedUpsert::EncodeRows(VersionPart& part, size_t begin, size_t count) {
  const Binarizer& binarizer = *part.version->binarizer;
  const size_t dims = binarizer.input_dims(), words = binarizer.spec().code_words();
  std::vector<float> matrix(count * dims);
  for (size_t r = 0; r < count; ++r) std::copy_n(part.embeddings[begin + r], dims, matrix.data() + r * dims);
  char* floats = part.floats.data() + begin * part.float_bytes;
  if (manifest_->store_floats == FloatStorage::kFloat16) {
    switch (binarizer.metric()) {
      case Metric::kCosine:
        for (size_t r = 0; r < count; ++r) Lengthen(absl::MakeSpan(matrix).subspan(r * dims, dims));
        break;
      case Metric::kInnerProduct:
      case Metric::kL2:
        break;
    }
    // The code is that of the floats as they are stored, so that encoding them again gives it again.
    std::vector<uint16_t> halves(matrix.size());
    FloatToHalf(matrix.data(), matrix.size(), halves.data());
    HalfToFloat(halves.data(), halves.size(), matrix.data());
    if (part.float_bytes > 0) std::memcpy(floats, halves.data(), halves.size() * sizeof(uint16_t));
  } else if (part.float_bytes > 0) {
    std::memcpy(floats, matrix.data(), matrix.size() * sizeof(float));
  }
  binarizer.EncodeDocuments(matrix.data(), count, part.words.data() + begin * words, part.factors.data() + begin);
}

std::vector<Mutation> PreparedUpsert::WithoutCodes() const {
  std::vector<Mutation> mutations(request_.documents.size());
  for (size_t i = 0; i < mutations.size(); ++i) {
    const DocumentInput& document = request_.documents[i];
    mutations[i].kind = KindOf(request_.mode);
    mutations[i].id = document.id;
    mutations[i].attributes = &document.attributes;
    mutations[i].only_if_absent = request_.only_if_absent;
    if (!request_.only_if_newer_by.empty()) mutations[i].newer_by = &request_.only_if_newer_by;
  }
  return mutations;
}

std::vector<Mutation> PreparedUpsert::Mutations() const {
  std::vector<Mutation> mutations = WithoutCodes();
  // Of several codes for one space the default version's stays, else the newest version's.
  const auto rank = [&](uint32_t number) {
    return std::pair(manifest_->versions[number].name == manifest_->default_version, number);
  };
  for (const VersionPart& part : parts_) {
    const size_t words = part.version->binarizer->spec().code_words();
    for (size_t r = 0; r < part.documents.size(); ++r) {
      Mutation& mutation = mutations[part.documents[r]];
      const RowCode code{part.version->space, static_cast<uint8_t>(part.version->number), part.factors[r],
                         absl::MakeConstSpan(part.words.data() + r * words, words)};
      auto same = std::find_if(mutation.codes.begin(), mutation.codes.end(),
                               [&](const RowCode& other) { return other.space == code.space; });
      if (same == mutation.codes.end()) {
        mutation.codes.push_back(code);
      } else if (rank(code.version) > rank(same->version)) {
        *same = code;
      }
      if (part.float_bytes > 0) {
        mutation.floats.push_back(
            {part.source->embedding, std::string_view(part.floats).substr(r * part.float_bytes, part.float_bytes)});
      }
    }
  }
  if (problems_.empty()) return mutations;
  std::vector<Mutation> written;
  auto problem = problems_.begin();
  for (size_t i = 0; i < mutations.size(); ++i) {
    if (problem != problems_.end() && problem->index == i) {
      ++problem;
    } else {
      written.push_back(std::move(mutations[i]));
    }
  }
  return written;
}

}  // namespace bebr
