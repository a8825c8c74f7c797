#include "index/replica/digest.h"

#include <openssl/evp.h>

#include <array>
#include <cstring>
#include <memory>
#include <string_view>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/storage/format.h"

namespace bebr {
namespace {

// What a fact is of, as FORMAT.md numbers it.
enum class Fact : uint8_t { kAttributes = 1, kCode = 2, kMark = 3, kFloats = 4 };

// Adds facts up.
class Sum {
 public:
  explicit Sum(ShardDigest* digest) : digest_(*digest), context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {}

  absl::Status Add(Fact fact, uint32_t number, std::string_view id, std::string_view value) {
    header_.clear();
    header_.push_back(static_cast<char>(fact));
    for (const uint32_t word : {number, static_cast<uint32_t>(id.size())}) {
      header_.append(reinterpret_cast<const char*>(&word), sizeof(word));
    }
    header_.append(id);
    std::array<unsigned char, EVP_MAX_MD_SIZE> hash;
    if (EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1 ||
        EVP_DigestUpdate(context_.get(), header_.data(), header_.size()) != 1 ||
        EVP_DigestUpdate(context_.get(), value.data(), value.size()) != 1 ||
        EVP_DigestFinal_ex(context_.get(), hash.data(), nullptr) != 1) {
      return absl::InternalError("SHA-256 failed; the digest of a shard needs it");
    }
    unsigned __int128 sum = static_cast<unsigned __int128>(digest_.high) << 64 | digest_.low;
    unsigned __int128 half = 0;
    std::memcpy(&half, hash.data(), sizeof(half));
    sum += half;
    digest_.high = static_cast<uint64_t>(sum >> 64);
    digest_.low = static_cast<uint64_t>(sum);
    return absl::OkStatus();
  }

 private:
  ShardDigest& digest_;
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
  std::string header_;
};

}  // namespace

std::string ToText(const ShardDigest& digest) {
  return absl::StrFormat("%016x%016x of %d documents", digest.high, digest.low, digest.documents);
}

absl::StatusOr<ShardDigest> DigestShard(CollectionStore& store, const CollectionStore::View& view, uint32_t shard,
                                        absl::Span<const uint32_t> spaces, absl::Span<const uint32_t> embeddings,
                                        absl::FunctionRef<absl::Status(uint64_t bytes)> go_on) {
  ShardDigest digest;
  Sum sum(&digest);
  std::string code_bytes;
  const auto document = [&](std::string_view id, std::string_view attributes,
                            absl::Span<const std::optional<StoredCode>> codes,
                            absl::Span<const uint32_t> marks) -> absl::Status {
    ++digest.documents;
    uint64_t bytes = id.size() + attributes.size();
    BEBR_RETURN_IF_ERROR(sum.Add(Fact::kAttributes, 0, id, attributes));
    for (size_t s = 0; s < spaces.size(); ++s) {
      if (!codes[s].has_value()) continue;
      EncodeCode(*codes[s], &code_bytes);
      BEBR_RETURN_IF_ERROR(sum.Add(Fact::kCode, spaces[s], id, code_bytes));
      bytes += code_bytes.size();
    }
    for (const uint32_t mark : marks) BEBR_RETURN_IF_ERROR(sum.Add(Fact::kMark, mark, id, ""));
    return go_on(bytes);
  };
  BEBR_RETURN_IF_ERROR(store.VisitDocuments(&view, shard, spaces, embeddings, document));
  for (const uint32_t embedding : embeddings) {
    const auto floats = [&](std::string_view id, std::string_view bytes) -> absl::Status {
      BEBR_RETURN_IF_ERROR(sum.Add(Fact::kFloats, embedding, id, bytes));
      return go_on(bytes.size());
    };
    BEBR_RETURN_IF_ERROR(store.VisitFloats(&view, embedding, shard, floats));
  }
  return digest;
}

}  // namespace bebr
