// Keys and values of a collection's database, byte by byte as FORMAT.md says. All numbers in values are little-endian.
#ifndef BEBR_INDEX_STORAGE_FORMAT_H_
#define BEBR_INDEX_STORAGE_FORMAT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/types/document.h"

namespace bebr {

// Of a store whose attributes are of the first four types, and of one that has others: it is raised when the first of
// them comes.
inline constexpr uint32_t kStoreFormatVersion = 2;
inline constexpr uint32_t kNewestStoreFormat = 3;
// Added to an embedding's number in the keys of marks, which stand beside the codes.
inline constexpr uint32_t kMarkBase = 0x80000000u;

// Key of a document: its shard big-endian, then the id, so that a shard is one key range in the order of the ids.
std::string DocumentKey(uint32_t shard, std::string_view id);
// Key of a document's code in a space, or of its floats by a version: the number big-endian, then its DocumentKey, so
// that one space or version is one key range, and a shard's part of it too.
std::string NumberedKey(uint32_t number, uint32_t shard, std::string_view id);
// Where the keys of a number begin; they end where those of the next one do.
std::string NumberPrefix(uint32_t number);

// A key of a document, taken apart.
struct DocumentKeyParts {
  uint32_t shard = 0;
  std::string_view id;  // borrows from the key
};
// A key of codes or floats, taken apart.
struct NumberedKeyParts {
  uint32_t number = 0;
  DocumentKeyParts document;
};
// Nullopt if the key is too short to be one.
std::optional<DocumentKeyParts> SplitDocumentKey(std::string_view key);
std::optional<NumberedKeyParts> SplitNumberedKey(std::string_view key);

// A code as stored: the number of the version that wrote it, its factors, its packed words (CodeSpec).
struct StoredCode {
  uint32_t version = 0;
  float scale = 0;
  float offset = 0;
  absl::Span<const uint32_t> words;
  uint32_t group = 0;
};
void EncodeCode(const StoredCode& code, std::string* out);
// `words` borrows from `bytes` where that is aligned, else from `*buffer`. DATA_LOSS if the length is wrong.
absl::StatusOr<StoredCode> DecodeCode(std::string_view bytes, std::string* buffer);

// Expands floats stored as `storage` says into `values`, whose size is that of the embedding. DATA_LOSS if the length
// is wrong.
absl::Status ReadStoredFloats(FloatStorage storage, std::string_view bytes, absl::Span<float> values);

std::string EncodeAttributes(const Attributes& attributes);
// The format that a store with these has, at least.
uint32_t FormatOf(const Attributes& attributes);
absl::StatusOr<Attributes> DecodeAttributes(std::string_view bytes);

}  // namespace bebr

#endif  // BEBR_INDEX_STORAGE_FORMAT_H_
