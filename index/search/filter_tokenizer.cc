#include "index/search/filter_tokenizer.h"

#include <charconv>
#include <limits>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/types/shown_text.h"

namespace bebr {
namespace {

bool IsNameStart(char c) { return absl::ascii_isalpha(static_cast<unsigned char>(c)) || c == '_'; }
bool IsDigit(char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); }
bool IsNameByte(char c) { return IsNameStart(c) || IsDigit(c) || c == '.' || c == '-'; }

void Fail(FilterToken& token, std::string error) {
  token.kind = TokenKind::kError;
  token.error = std::move(error);
}

void ConvertNumber(FilterToken& token, absl::string_view text, bool decimal) {
  const char* end = text.data() + text.size();
  token.kind = TokenKind::kLiteral;
  if (decimal) {
    double value = 0;
    if (std::from_chars(text.data(), end, value).ec != std::errc()) {
      return Fail(token,
                  absl::StrFormat("%s is outside the range of a 64-bit floating-point number", ShownInMessage(text)));
    }
    token.value = value;
    return;
  }
  int64_t value = 0;
  if (std::from_chars(text.data(), end, value).ec != std::errc()) {
    return Fail(token, absl::StrFormat("%s is outside the range of a 64-bit integer, %d to %d; with .0 behind it, it "
                                       "is a decimal",
                                       ShownInMessage(text), std::numeric_limits<int64_t>::min(),
                                       std::numeric_limits<int64_t>::max()));
  }
  token.value = value;
}

void TakeText(FilterToken& token, std::string content) {
  token.kind = TokenKind::kLiteral;
  token.value = std::move(content);
}

void TakeQuotedName(FilterToken& token, std::string content) {
  if (content.empty()) return Fail(token, "the name in back quotes is empty");
  token.kind = TokenKind::kName;
  token.name = std::move(content);
  token.quoted = true;
}

}  // namespace

FilterToken FilterTokenizer::Next() {
  while (at_ < text_.size() && absl::ascii_isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  FilterToken token;
  token.begin = at_;
  if (at_ < text_.size()) Read(token);
  token.end = at_;
  return token;
}

void FilterTokenizer::Read(FilterToken& token) {
  const char c = Peek();
  if (IsNameStart(c)) return ReadWord(token);
  if (IsDigit(c) || (c == '-' && IsDigit(Peek(1)))) return ReadNumber(token);
  switch (c) {
    case '"':
    case '\'':
    case '`':
      return ReadQuoted(token, c);
    case '(':
      return Take(token, TokenKind::kOpen, 1);
    case ')':
      return Take(token, TokenKind::kClose, 1);
    case ',':
      return Take(token, TokenKind::kComma, 1);
    case '=':
      return TakeComparison(token, FilterOperator::kEqual, 1);
    case '<':
      if (Peek(1) == '=') return TakeComparison(token, FilterOperator::kLessEqual, 2);
      return TakeComparison(token, FilterOperator::kLess, 1);
    case '>':
      if (Peek(1) == '=') return TakeComparison(token, FilterOperator::kGreaterEqual, 2);
      return TakeComparison(token, FilterOperator::kGreater, 1);
    case '!':
      if (Peek(1) == '=') return TakeComparison(token, FilterOperator::kNotEqual, 2);
      break;
    default:
      break;
  }
  ++at_;
  while (at_ < text_.size() && IsContinuation(text_[at_])) ++at_;
  Fail(token,
       absl::StrCat("'", ShownInMessage(text_.substr(token.begin, at_ - token.begin)),
                    "' has no meaning here; a name with other characters than a to z, digits, _ . - goes in back "
                    "quotes, and text in quotes"));
}

void FilterTokenizer::Take(FilterToken& token, TokenKind kind, size_t bytes) {
  token.kind = kind;
  at_ += bytes;
}

void FilterTokenizer::TakeComparison(FilterToken& token, FilterOperator op, size_t bytes) {
  token.op = op;
  Take(token, TokenKind::kComparison, bytes);
}

void FilterTokenizer::ReadWord(FilterToken& token) {
  while (at_ < text_.size() && IsNameByte(text_[at_])) ++at_;
  const absl::string_view word = text_.substr(token.begin, at_ - token.begin);
  static constexpr std::pair<absl::string_view, TokenKind> kKeywords[] = {
      {"and", TokenKind::kAnd}, {"or", TokenKind::kOr},         {"not", TokenKind::kNot},
      {"in", TokenKind::kIn},   {"exists", TokenKind::kExists},
  };
  for (const auto& [keyword, kind] : kKeywords) {
    if (absl::EqualsIgnoreCase(word, keyword)) return Take(token, kind, 0);
  }
  for (const bool value : {false, true}) {
    if (!absl::EqualsIgnoreCase(word, value ? "true" : "false")) continue;
    token.value = value;
    return Take(token, TokenKind::kLiteral, 0);
  }
  token.name = std::string(word);
  Take(token, TokenKind::kName, 0);
}

void FilterTokenizer::SkipDigits() {
  while (IsDigit(Peek())) ++at_;
}

void FilterTokenizer::ReadNumber(FilterToken& token) {
  bool decimal = false;
  if (Peek() == '-') ++at_;
  SkipDigits();
  if (Peek() == '.' && IsDigit(Peek(1))) {
    decimal = true;
    ++at_;
    SkipDigits();
  }
  if (Peek() == 'e' || Peek() == 'E') {
    const size_t sign = Peek(1) == '-' || Peek(1) == '+' ? 1 : 0;
    if (IsDigit(Peek(1 + sign))) {
      decimal = true;
      at_ += 1 + sign;
      SkipDigits();
    }
  }
  if (IsNameByte(Peek())) {
    while (IsNameByte(Peek())) ++at_;
    return Fail(token, absl::StrCat("'", ShownInMessage(text_.substr(token.begin, at_ - token.begin)),
                                    "' is not a number; put text in quotes, and a name that begins with a digit in "
                                    "back quotes"));
  }
  ConvertNumber(token, text_.substr(token.begin, at_ - token.begin), decimal);
}

void FilterTokenizer::ReadQuoted(FilterToken& token, char quote) {
  std::string content;
  for (++at_; at_ < text_.size(); ++at_) {
    char c = text_[at_];
    if (c == quote) {
      ++at_;
      return quote == '`' ? TakeQuotedName(token, std::move(content)) : TakeText(token, std::move(content));
    }
    if (c == '\\') {
      c = Peek(1);
      if (c != '"' && c != '\'' && c != '`' && c != '\\') {
        token.begin = at_;
        return Fail(token,
                    "a \\ in quotes stands before a quote or another \\ only; write \\\\ for the character itself");
      }
      ++at_;
    }
    content += c;
  }
  Fail(token, absl::StrFormat("this %c has no closing %c", quote, quote));
}

}  // namespace bebr
