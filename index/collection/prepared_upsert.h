// The first half of a write: checking and encoding.
#ifndef BEBR_INDEX_COLLECTION_PREPARED_UPSERT_H_
#define BEBR_INDEX_COLLECTION_PREPARED_UPSERT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "index/base/thread_pool.h"
#include "index/catalog/manifest.h"
#include "index/shard/mutation.h"
#include "index/types/write.h"

namespace bebr {

// A PreparedUpsert is an upsert between its check and its end: the request and, once it is encoded, the codes and
// floats that the shards' mutations borrow.
//
// Ownership: holds the request and the manifest it was checked against; the embeddings' values are the caller's. Thread
// safety: none; Create, Encode and Mutations follow each other.
class PreparedUpsert {
 public:
  // A checked request. INVALID_ARGUMENT names field, value and limit; NOT_FOUND: an unknown version.
  static absl::StatusOr<std::unique_ptr<PreparedUpsert>> Create(UpsertRequest request,
                                                                std::shared_ptr<const CollectionManifest> manifest);

  // Encodes the embeddings, on the threads of `pool`; adds the processor time to `encode_us`.
  void Encode(ThreadPool& pool, std::atomic<uint64_t>& encode_us);
  // One for each document that is not left out, in the request's order. They borrow from this object.
  std::vector<Mutation> Mutations() const;
  // Those that are left out have no attributes any more.
  const std::vector<DocumentInput>& documents() const { return request_.documents; }
  // Why documents of a partial request are left out.
  const std::vector<DocumentProblem>& problems() const { return problems_; }
  // Bytes of the request's floats.
  uint64_t input_bytes() const { return input_bytes_; }
  bool check_only() const { return request_.check_only; }

 private:
  // Embeddings that came for `source`, encoded by `version`, which takes the same ones.
  struct VersionPart {
    const Version* source = nullptr;
    const Version* version = nullptr;
    std::vector<uint32_t> documents;       // positions in the request
    std::vector<const float*> embeddings;  // borrowed from the caller
    std::vector<uint32_t> words;
    std::vector<CodeFactors> factors;
    std::string floats;      // as stored, if this part is the one that stores them
    size_t float_bytes = 0;  // of one embedding
  };

  PreparedUpsert(UpsertRequest request, std::shared_ptr<const CollectionManifest> manifest)
      : request_(std::move(request)), manifest_(std::move(manifest)) {}

  absl::Status CheckConditions() const;
  // One mutation for each document of the request, without its codes and floats.
  std::vector<Mutation> WithoutCodes() const;
  absl::Status CheckDocument(size_t index);
  absl::Status CheckAttributes(const std::string& field, DocumentInput& document) const;
  // Of one embedding of a document, given the versions of those before it, to which it adds its own.
  absl::Status CheckEmbeddingOf(const std::string& field, size_t number, const EmbeddingInput& embedding,
                                std::vector<const Version*>& seen) const;
  void AddEmbedding(size_t document, const float* values, const Version& source);
  void EncodeRows(VersionPart& part, size_t begin, size_t count);

  UpsertRequest request_;
  const std::shared_ptr<const CollectionManifest> manifest_;
  std::vector<VersionPart> parts_;
  std::vector<DocumentProblem> problems_;  // by index
  uint64_t input_bytes_ = 0;
};

}  // namespace bebr

#endif  // BEBR_INDEX_COLLECTION_PREPARED_UPSERT_H_
