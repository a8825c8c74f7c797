// A filter's text. What parses is evaluated on rows with attributes of every type, and NOT of it, and it AND itself,
// must select what they should.
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/search/filter.h"
#include "index/segment/attribute_columns.h"
#include "tests/fuzz/fuzzer.h"

namespace bebr::fuzz {
namespace {

constexpr uint32_t kRows = 150;  // more than two words of bits, and not a whole number of them

class Table {
 public:
  Table() : columns_(kRows, dictionary_) {
    const std::vector<AttributeValue> values = {std::string(""),
                                                std::string("a"),
                                                std::string("b\"\\é"),
                                                int64_t{0},
                                                int64_t{1},
                                                std::numeric_limits<int64_t>::min(),
                                                std::numeric_limits<int64_t>::max(),
                                                0.5,
                                                -1e300,
                                                9007199254740993.0,
                                                true,
                                                false,
                                                Timestamp{1},
                                                AttributeList{},
                                                AttributeList{"a", 1.0, true, Timestamp{1}}};
    for (uint32_t row = 0; row < kRows; ++row) {
      Attributes attributes;
      if (row % 3 != 0) attributes["a"] = values[row % values.size()];
      if (row % 5 != 0) attributes["b"] = values[row / 7 % values.size()];
      attributes["row"] = static_cast<int64_t>(row);
      columns_.Set(row, attributes);
    }
  }
  RowSet Evaluate(const Filter& filter) const {
    return filter.Evaluate(*columns_.view(), *dictionary_, filter.CompareTexts(*dictionary_), kRows);
  }

 private:
  const std::shared_ptr<AttributeDictionary> dictionary_ = std::make_shared<AttributeDictionary>();
  AttributeColumns columns_;
};

}  // namespace
}  // namespace bebr::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bebr;
  static const fuzz::Table table;
  const std::string text(fuzz::ToView(data, size));
  const auto filter = Filter::Parse(text);
  if (!filter.ok()) {
    FUZZ_REQUIRE(filter.status().code() == absl::StatusCode::kInvalidArgument);
    FUZZ_REQUIRE(filter.status().message().size() < 500);
    return 0;
  }
  const RowSet rows = table.Evaluate(**filter);
  FUZZ_REQUIRE(rows.size() == (fuzz::kRows + 63) / 64);
  FUZZ_REQUIRE(rows.back() >> (fuzz::kRows % 64) == 0);
  // These may be too long or too deep; otherwise they mean something.
  if (const auto negation = Filter::Parse(absl::StrCat("NOT (", text, ")")); negation.ok()) {
    const RowSet others = table.Evaluate(**negation);
    for (uint32_t row = 0; row < fuzz::kRows; ++row) {
      FUZZ_REQUIRE(((rows[row / 64] ^ others[row / 64]) >> (row % 64) & 1) == 1);
    }
  }
  if (const auto twice = Filter::Parse(absl::StrCat("(", text, ") AND (", text, ")")); twice.ok()) {
    FUZZ_REQUIRE(table.Evaluate(**twice) == rows);
  }
  return 0;
}
