// From the text of a filter to its words.
#ifndef BEBR_INDEX_SEARCH_FILTER_TOKENIZER_H_
#define BEBR_INDEX_SEARCH_FILTER_TOKENIZER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "index/search/filter_parser.h"
#include "index/types/document.h"

namespace bebr {

// What a piece of a filter's text is.
enum class TokenKind : uint8_t {
  kEnd,
  kName,
  kLiteral,
  kComparison,
  kAnd,
  kOr,
  kNot,
  kIn,
  kExists,
  kOpen,
  kClose,
  kComma,
  kError,
};

// A word, a name, a literal or a mark.
struct FilterToken {
  TokenKind kind = TokenKind::kEnd;
  size_t begin = 0;                            // offset in the filter
  size_t end = 0;                              // one past its last byte
  std::string name;                            // of a kName, without quotes
  bool quoted = false;                         // of a kName
  AttributeScalar value;                       // of a kLiteral
  FilterOperator op = FilterOperator::kEqual;  // of a kComparison
  std::string error;                           // of a kError: what is wrong at `begin`
};

// Cuts a filter into tokens, one at a time. The text is borrowed.
class FilterTokenizer {
 public:
  explicit FilterTokenizer(absl::string_view text) : text_(text) {}

  FilterToken Next();

 private:
  char Peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  void Read(FilterToken& token);
  void Take(FilterToken& token, TokenKind kind, size_t bytes);
  void TakeComparison(FilterToken& token, FilterOperator op, size_t bytes);
  void ReadWord(FilterToken& token);
  void SkipDigits();
  void ReadNumber(FilterToken& token);
  void ReadQuoted(FilterToken& token, char quote);

  const absl::string_view text_;
  size_t at_ = 0;
};

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_FILTER_TOKENIZER_H_
