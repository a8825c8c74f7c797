#include "index/storage/log_scan.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_format.h"
#include "index/base/checksum.h"
#include "index/base/errno_status.h"
#include "index/base/file.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

constexpr size_t kBlockBytes = 32768;
constexpr size_t kHeaderBytes = 7;  // u32 checksum, u16 length, u8 type
enum PieceType : uint8_t { kFull = 1, kFirst = 2, kMiddle = 3, kLast = 4 };

struct Piece {
  PieceType type = kFull;
  size_t bytes = 0;  // with its header
};

uint32_t Unmasked(uint32_t checksum) {
  const uint32_t rotated = checksum - 0xA282EAD8u;
  return rotated >> 17 | rotated << 15;
}

// The piece at the beginning of `block`, if there is a whole one.
std::optional<Piece> PieceAt(std::string_view block) {
  if (block.size() < kHeaderBytes) return std::nullopt;
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(block[i]); };
  const size_t length = byte(4) | byte(5) << 8;
  if (byte(6) < kFull || byte(6) > kLast || kHeaderBytes + length > block.size()) return std::nullopt;
  uint32_t checksum;
  std::memcpy(&checksum, block.data(), sizeof(checksum));
  if (Crc32c(block.substr(kHeaderBytes - 1, length + 1)) != Unmasked(checksum)) return std::nullopt;
  return Piece{static_cast<PieceType>(byte(6)), kHeaderBytes + length};
}

class Scanner {
 public:
  const LogScan& result() const { return result_; }
  bool done() const { return result_.record_follows; }

  // The next block, the last of which may be shorter.
  void Add(std::string_view block) {
    size_t at = damaged_ ? 0 : ReadPieces(block);
    for (; damaged_ && at < block.size(); ++at) {
      const std::optional<Piece> piece = PieceAt(block.substr(at));
      if (!piece.has_value() || (piece->type != kFull && piece->type != kFirst)) continue;
      result_.record_follows = true;
      break;
    }
    result_.size += block.size();
  }

 private:
  // Returns where the block was found damaged, or its end.
  size_t ReadPieces(std::string_view block) {
    size_t at = 0;
    while (block.size() - at >= kHeaderBytes) {
      const std::optional<Piece> piece = PieceAt(block.substr(at));
      const bool begins = piece.has_value() && (piece->type == kFull || piece->type == kFirst);
      damaged_ = !piece.has_value() || begins == in_record_;
      if (damaged_) return at + (begins ? 0 : 1);
      at += piece->bytes;
      in_record_ = piece->type == kFirst || piece->type == kMiddle;
      if (!in_record_) result_.whole_bytes = result_.size + at;
    }
    // What is too short for a header is padding, before the next block; at the end of the file it is the rest of one.
    if (block.size() == kBlockBytes && !in_record_) result_.whole_bytes = result_.size + kBlockBytes;
    return block.size();
  }

  LogScan result_;
  bool in_record_ = false;
  bool damaged_ = false;
};

}  // namespace

absl::StatusOr<LogScan> ScanLog(const std::string& path) {
  const auto error = [&](const char* what) { return ErrnoStatus(errno, absl::StrFormat("cannot %s %s", what, path)); };
  BEBR_ASSIGN_OR_RETURN(const int fd, OpenDataFile(path));
  const absl::Cleanup close_fd = [fd] { close(fd); };
  Scanner scanner;
  // Small: many stores are opened in a row, and a large buffer for each would leave holes of its size in the heap.
  std::string buffer(kBlockBytes * 2, '\0');
  size_t filled = 0;
  for (bool ended = false; !ended && !scanner.done();) {
    const ssize_t got = read(fd, buffer.data() + filled, buffer.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return error("read");
    ended = got == 0;
    filled += static_cast<size_t>(got);
    if (!ended && filled < buffer.size()) continue;
    for (size_t at = 0; at < filled && !scanner.done(); at += kBlockBytes) {
      scanner.Add(std::string_view(buffer).substr(at, std::min(kBlockBytes, filled - at)));
    }
    filled = 0;
  }
  return scanner.result();
}

}  // namespace bebr
