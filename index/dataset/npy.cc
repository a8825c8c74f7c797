// NumPy's .npy: magic "\x93NUMPY", two version bytes, the header's length (2 bytes, from version 2 on 4,
// little-endian), a header that is a Python dictionary literal with descr, fortran_order and shape, then the values.
#include <algorithm>
#include <cstring>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "index/base/float16.h"
#include "index/base/status_macros.h"
#include "index/dataset/input_file.h"

namespace bebr {
namespace {

constexpr size_t kMaxHeaderBytes = 64 << 10;

struct Header {
  size_t value_bytes = 0;  // 2, 4 or 8; 1: bytes of eight values each, which are packed
  uint64_t rows = 0;
  uint64_t dims = 0;
};

// The text after `'key':` in the dictionary literal, or empty.
absl::string_view ValueOf(absl::string_view header, absl::string_view key) {
  for (const char quote : {'\'', '"'}) {
    const std::string quoted = absl::StrCat(std::string(1, quote), key, std::string(1, quote));
    const size_t at = header.find(quoted);
    if (at == absl::string_view::npos) continue;
    absl::string_view rest = absl::StripLeadingAsciiWhitespace(header.substr(at + quoted.size()));
    if (absl::ConsumePrefix(&rest, ":")) return absl::StripLeadingAsciiWhitespace(rest);
  }
  return {};
}

absl::StatusOr<size_t> ParseType(const std::string& path, absl::string_view text, bool packed) {
  const size_t end = text.empty() ? absl::string_view::npos : text.find(text.front(), 1);
  if (end == absl::string_view::npos || (text.front() != '\'' && text.front() != '"')) {
    return InvalidFile(path, "the header names no simple type (descr)");
  }
  const absl::string_view type = text.substr(1, end - 1);
  if (packed && type != "|u1") {
    return InvalidFile(path, absl::StrFormat("the values are of type '%s'; packed bits are of type uint8",
                                             absl::CHexEscape(type.substr(0, 32))));
  }
  if (packed) return 1;
  if (type == "<f2") return 2;
  if (type == "<f4") return 4;
  if (type == "<f8") return 8;
  if (type == "|u1") {
    return InvalidFile(
        path, absl::StrFormat("the values are bytes; packed bits, eight values a byte, are read as \"%s:bits\"", path));
  }
  return InvalidFile(
      path, absl::StrFormat("the values are of type '%s'; float16, float32 and float64, little-endian, are read",
                            absl::CHexEscape(type.substr(0, 32))));
}

absl::Status ParseShape(const std::string& path, absl::string_view text, Header* header) {
  const size_t end = text.find(')');
  if (!absl::ConsumePrefix(&text, "(") || end == absl::string_view::npos)
    return InvalidFile(path, "the header has no shape");
  const absl::string_view inside = text.substr(0, end - 1);
  std::vector<uint64_t> shape;
  for (absl::string_view part : absl::StrSplit(inside, ',')) {
    part = absl::StripAsciiWhitespace(part);
    if (part.empty()) continue;  // the comma after the last number
    uint64_t number = 0;
    if (!absl::SimpleAtoi(part, &number)) {
      return InvalidFile(
          path, absl::StrFormat("the header's shape (%s) is no list of sizes", absl::CHexEscape(inside.substr(0, 64))));
    }
    shape.push_back(number);
  }
  if (shape.size() != 2) {
    return InvalidFile(path, absl::StrFormat("the array has %d dimensions; rows x values are needed", shape.size()));
  }
  header->rows = shape[0];
  header->dims = shape[1];
  return CheckShape(path, header->rows, header->dims);
}

absl::StatusOr<Header> ParseHeader(const std::string& path, absl::string_view text, bool packed) {
  Header header;
  BEBR_ASSIGN_OR_RETURN(header.value_bytes, ParseType(path, ValueOf(text, "descr"), packed));
  const absl::string_view order = ValueOf(text, "fortran_order");
  if (order.substr(0, 4) == "True") {
    return InvalidFile(path, "the array is in Fortran order (column by column); save it with numpy.ascontiguousarray");
  }
  if (order.substr(0, 5) != "False") return InvalidFile(path, "the header does not say fortran_order");
  BEBR_RETURN_IF_ERROR(ParseShape(path, ValueOf(text, "shape"), &header));
  return header;
}

// Reads the header and leaves the file at the first value; the header's length in all goes to `header_bytes`.
absl::StatusOr<Header> ReadHeader(InputFile* file, bool packed, uint64_t* header_bytes) {
  unsigned char start[12];
  constexpr char kMagic[] = "\x93NUMPY";
  BEBR_ASSIGN_OR_RETURN(const size_t got, file->Read(10, start));
  if (got < 10 || std::memcmp(start, kMagic, 6) != 0)
    return InvalidFile(file->path(), "is no .npy file: the magic bytes are missing");
  uint64_t length = start[8] | start[9] << 8;
  *header_bytes = 10;
  if (start[6] < 1 || start[6] > 3) {
    return InvalidFile(file->path(), absl::StrFormat("has .npy version %d; versions 1 to 3 are read", start[6]));
  }
  if (start[6] > 1) {
    BEBR_RETURN_IF_ERROR(file->ReadExactly(2, start + 10));
    length |= uint64_t{start[10]} << 16 | uint64_t{start[11]} << 24;
    *header_bytes = 12;
  }
  if (length > kMaxHeaderBytes) {
    return InvalidFile(file->path(),
                       absl::StrFormat("claims a header of %d bytes; the limit is %d", length, kMaxHeaderBytes));
  }
  std::string text(length, '\0');
  BEBR_RETURN_IF_ERROR(file->ReadExactly(length, text.data()));
  *header_bytes += length;
  return ParseHeader(file->path(), text, packed);
}

class NpyFile final : public VectorFile {
 public:
  NpyFile(InputFile file, const Header& header) : file_(std::move(file)), header_(header) {}

  size_t rows() const override { return header_.rows; }
  size_t dims() const override { return header_.value_bytes == 1 ? 8 * header_.dims : header_.dims; }
  absl::StatusOr<size_t> Read(size_t max_rows, float* out) override {
    const size_t count = std::min<size_t>(max_rows, header_.rows - row_);
    BEBR_RETURN_IF_ERROR(ReadValues(count * header_.dims, out));
    row_ += count;
    return count;
  }

 private:
  absl::Status ReadValues(size_t count, float* out) {
    if (header_.value_bytes == 4) return file_.ReadExactly(count * 4, out);
    buffer_.resize(std::min(kReadBufferBytes, count * header_.value_bytes));
    while (count > 0) {
      const size_t some = std::min(count, buffer_.size() / header_.value_bytes);
      BEBR_RETURN_IF_ERROR(file_.ReadExactly(some * header_.value_bytes, buffer_.data()));
      if (header_.value_bytes == 2) {
        HalfToFloat(reinterpret_cast<const uint16_t*>(buffer_.data()), some, out);
      } else if (header_.value_bytes == 1) {
        Unpack(some, out);
        out += 7 * some;
      } else {
        const auto* doubles = reinterpret_cast<const double*>(buffer_.data());
        for (size_t i = 0; i < some; ++i) out[i] = static_cast<float>(doubles[i]);
      }
      out += some;
      count -= some;
    }
    return absl::OkStatus();
  }

  // As numpy.packbits does it: of a byte the highest bit first.
  void Unpack(size_t bytes, float* out) const {
    for (size_t i = 0; i < 8 * bytes; ++i) {
      const auto byte = static_cast<unsigned>(buffer_[i / 8]);
      out[i] = (byte >> (7 - i % 8) & 1) != 0 ? 1.0f : -1.0f;
    }
  }

  InputFile file_;
  Header header_;
  std::vector<std::byte> buffer_;
  size_t row_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<VectorFile>> OpenNpy(const std::string& path, bool packed) {
  BEBR_ASSIGN_OR_RETURN(InputFile file, InputFile::Open(path));
  uint64_t header_bytes = 0;
  BEBR_ASSIGN_OR_RETURN(const Header header, ReadHeader(&file, packed, &header_bytes));
  const uint64_t expected = header_bytes + header.rows * header.dims * header.value_bytes;  // < 2^52: no overflow
  if (file.size() != expected) {
    return InvalidFile(
        path, absl::StrFormat("has %d bytes, but %d rows of %d values of %d bytes and the header need %d", file.size(),
                              header.rows, header.dims, header.value_bytes, expected));
  }
  return std::make_unique<NpyFile>(std::move(file), header);
}

}  // namespace bebr
