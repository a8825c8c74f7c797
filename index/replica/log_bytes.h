// How records of the log are written and read: the pieces that all kinds have (FORMAT.md).
#ifndef BEBR_INDEX_REPLICA_LOG_BYTES_H_
#define BEBR_INDEX_REPLICA_LOG_BYTES_H_

#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/types/write.h"

namespace bebr::log_bytes {

static_assert(std::endian::native == std::endian::little, "numbers are copied as they lie in memory");

// Kinds of records.
inline constexpr uint8_t kMutationsRecord = 1;
inline constexpr uint8_t kChangesRecord = 2;

// Writes numbers and texts behind each other. What its field cannot say is not written, and told by status().
class Writer {
 public:
  template <typename T>
  void Number(T value) {
    out_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  template <typename Length>
  void Text(std::string_view text) {
    Count<Length>(text.size());
    out_.append(text);
  }
  template <typename Length>
  void Count(size_t count) {
    if (count > std::numeric_limits<Length>::max()) TooLong(count, std::numeric_limits<Length>::max());
    Number(static_cast<Length>(count));
  }
  void AttributesOf(const Attributes& attributes);
  std::string& out() { return out_; }
  // INVALID_ARGUMENT if something was longer than a record can say.
  const absl::Status& status() const { return status_; }

 private:
  void TooLong(size_t length, size_t limit);
  std::string out_;
  absl::Status status_;
};

// Reads them again; once something is missing, all that follows is.
class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}
  template <typename T>
  T Number() {
    T value = 0;
    if (Has(sizeof(T))) {
      std::memcpy(&value, in_.data(), sizeof(T));
      in_.remove_prefix(sizeof(T));
    }
    return value;
  }
  template <typename Length>
  std::string_view Text() {
    const size_t length = Number<Length>();
    if (!Has(length)) return {};
    const std::string_view text = in_.substr(0, length);
    in_.remove_prefix(length);
    return text;
  }
  bool ok() const { return ok_; }
  bool AtEnd() const { return ok_ && in_.empty(); }

 private:
  bool Has(size_t bytes) {
    ok_ = ok_ && in_.size() >= bytes;
    return ok_;
  }
  std::string_view in_;
  bool ok_ = true;
};

absl::Status Damaged(std::string_view what);

// What a record ends with, and what is read of it: what stands behind format and kind. DATA_LOSS if it is damaged,
// FAILED_PRECONDITION if it is of a later release: of another format or kind.
std::string WithChecksum(std::string body);
absl::StatusOr<Reader> BodyOf(std::string_view record, uint8_t format, uint8_t kind);

void WriteChange(const AttributeChange& change, Writer& writer);
absl::StatusOr<AttributeChange> ReadChange(Reader& reader);

}  // namespace bebr::log_bytes

#endif  // BEBR_INDEX_REPLICA_LOG_BYTES_H_
