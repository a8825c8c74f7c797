#include "index/search/filter_parser.h"

#include <charconv>
#include <limits>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "index/base/status_macros.h"
#include "index/types/search.h"

namespace bebr {
namespace {

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

struct Token {
  TokenKind kind = TokenKind::kEnd;
  size_t begin = 0;                            // offset in the filter
  size_t end = 0;                              // one past its last byte
  std::string name;                            // of a kName, without quotes
  bool quoted = false;                         // of a kName
  AttributeValue value;                        // of a kLiteral
  FilterOperator op = FilterOperator::kEqual;  // of a kComparison
  std::string error;                           // of a kError: what is wrong at `begin`
};

bool IsNameStart(char c) { return absl::ascii_isalpha(static_cast<unsigned char>(c)) || c == '_'; }
bool IsDigit(char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); }
bool IsNameByte(char c) { return IsNameStart(c) || IsDigit(c) || c == '.' || c == '-'; }
// Whether `c` continues a UTF-8 character: messages are not cut there.
bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// A piece of the filter for a message: at most about 40 bytes, printable.
std::string Shown(absl::string_view text) {
  constexpr size_t kShownBytes = 40;
  if (text.size() <= kShownBytes) return absl::Utf8SafeCHexEscape(text);
  size_t bytes = kShownBytes;
  while (bytes > 0 && IsContinuation(text[bytes])) --bytes;
  return absl::StrCat(absl::Utf8SafeCHexEscape(text.substr(0, bytes)), "...");
}

// Cuts a filter into tokens, one at a time.
class Tokenizer {
 public:
  explicit Tokenizer(absl::string_view text) : text_(text) {}

  Token Next() {
    while (at_ < text_.size() && absl::ascii_isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
    Token token;
    token.begin = at_;
    if (at_ < text_.size()) Read(token);
    token.end = at_;
    return token;
  }

 private:
  char Peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

  void Read(Token& token) {
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
    Fail(token, absl::StrCat("'", Shown(text_.substr(token.begin, at_ - token.begin)), "' has no meaning here"));
  }

  void Take(Token& token, TokenKind kind, size_t bytes) {
    token.kind = kind;
    at_ += bytes;
  }
  void TakeComparison(Token& token, FilterOperator op, size_t bytes) {
    token.op = op;
    Take(token, TokenKind::kComparison, bytes);
  }
  static void Fail(Token& token, std::string error) {
    token.kind = TokenKind::kError;
    token.error = std::move(error);
  }

  void ReadWord(Token& token) {
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

  void SkipDigits() {
    while (IsDigit(Peek())) ++at_;
  }

  void ReadNumber(Token& token) {
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
      return Fail(token, absl::StrCat("'", Shown(text_.substr(token.begin, at_ - token.begin)),
                                      "' is not a number; put text in quotes"));
    }
    ConvertNumber(token, text_.substr(token.begin, at_ - token.begin), decimal);
  }

  static void ConvertNumber(Token& token, absl::string_view text, bool decimal) {
    const char* end = text.data() + text.size();
    token.kind = TokenKind::kLiteral;
    if (decimal) {
      double value = 0;
      if (std::from_chars(text.data(), end, value).ec != std::errc()) {
        return Fail(token, absl::StrFormat("%s is outside the range of a 64-bit floating-point number", Shown(text)));
      }
      token.value = value;
      return;
    }
    int64_t value = 0;
    if (std::from_chars(text.data(), end, value).ec != std::errc()) {
      return Fail(token, absl::StrFormat("%s is outside the range of a 64-bit integer, %d to %d; with .0 behind it, it "
                                         "is a decimal",
                                         Shown(text), std::numeric_limits<int64_t>::min(),
                                         std::numeric_limits<int64_t>::max()));
    }
    token.value = value;
  }

  void ReadQuoted(Token& token, char quote) {
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

  static void TakeText(Token& token, std::string content) {
    token.kind = TokenKind::kLiteral;
    token.value = std::move(content);
  }
  static void TakeQuotedName(Token& token, std::string content) {
    if (content.empty()) return Fail(token, "the name in back quotes is empty");
    token.kind = TokenKind::kName;
    token.name = std::move(content);
    token.quoted = true;
  }

  const absl::string_view text_;
  size_t at_ = 0;
};

// A recursive-descent parser: one function for each level of precedence.
class Parser {
 public:
  using NodePtr = std::unique_ptr<const Filter::Node>;
  using Result = absl::StatusOr<NodePtr>;

  explicit Parser(absl::string_view text) : text_(text), tokenizer_(text), token_(tokenizer_.Next()) {}

  Result Parse() {
    BEBR_ASSIGN_OR_RETURN(NodePtr root, Or());
    if (token_.kind != TokenKind::kEnd) return Expected("AND, OR or the end of the filter");
    return root;
  }

 private:
  void Advance() { token_ = tokenizer_.Next(); }

  absl::Status Error(absl::string_view message) const {
    return absl::InvalidArgumentError(absl::StrFormat("filter, position %d: %s", token_.begin + 1, message));
  }
  absl::Status Expected(absl::string_view what) const {
    if (token_.kind == TokenKind::kError) return Error(token_.error);
    if (token_.kind == TokenKind::kEnd) return Error(absl::StrCat("expected ", what, ", found the end of the filter"));
    return Error(
        absl::StrCat("expected ", what, ", found ", Shown(text_.substr(token_.begin, token_.end - token_.begin))));
  }

  Result Or() { return Chain(Filter::Node::Kind::kOr, TokenKind::kOr, &Parser::And); }
  Result And() { return Chain(Filter::Node::Kind::kAnd, TokenKind::kAnd, &Parser::Term); }

  Result Chain(Filter::Node::Kind kind, TokenKind separator, Result (Parser::*operand)()) {
    BEBR_ASSIGN_OR_RETURN(NodePtr first, (this->*operand)());
    if (token_.kind != separator) return first;
    auto node = std::make_unique<Filter::Node>();
    node->kind = kind;
    node->children.push_back(std::move(first));
    while (token_.kind == separator) {
      Advance();
      BEBR_ASSIGN_OR_RETURN(NodePtr next, (this->*operand)());
      node->children.push_back(std::move(next));
    }
    return NodePtr(std::move(node));
  }

  // NOT term, (filter) or a test.
  Result Term() {
    if (token_.kind != TokenKind::kNot && token_.kind != TokenKind::kOpen) return Test();
    if (depth_ == kMaxFilterDepth) {
      return Error(absl::StrFormat("parentheses and NOTs are nested deeper than the limit of %d; simplify the filter",
                                   kMaxFilterDepth));
    }
    ++depth_;
    const bool negated = token_.kind == TokenKind::kNot;
    Advance();
    Result result = negated ? Negation() : Group();
    --depth_;
    return result;
  }

  Result Negation() {
    auto node = std::make_unique<Filter::Node>();
    node->kind = Filter::Node::Kind::kNot;
    BEBR_ASSIGN_OR_RETURN(NodePtr operand, Term());
    node->children.push_back(std::move(operand));
    return NodePtr(std::move(node));
  }

  Result Group() {
    BEBR_ASSIGN_OR_RETURN(NodePtr inner, Or());
    if (token_.kind != TokenKind::kClose) return Expected("AND, OR or )");
    Advance();
    return inner;
  }

  Result Test() {
    if (token_.kind != TokenKind::kName) {
      return Expected(
          "an attribute name, NOT or ( (a name that is a keyword or has other characters than letters, "
          "digits, _ . - goes in back quotes)");
    }
    auto node = std::make_unique<Filter::Node>();
    node->of_id = !token_.quoted && token_.name == "id";
    node->name = std::move(token_.name);
    Advance();
    if (IsWord("between")) return Between(std::move(node));
    BEBR_RETURN_IF_ERROR(Condition(*node));
    if (node->of_id && node->op == FilterOperator::kExists) return NodePtr(std::move(node));
    return node->of_id ? OfId(std::move(node)) : NodePtr(std::move(node));
  }

  // What stands behind the name.
  absl::Status Condition(Filter::Node& node) {
    if (IsWord("starts")) return StartsWith(node);
    switch (token_.kind) {
      case TokenKind::kExists:
        Advance();
        return absl::OkStatus();
      case TokenKind::kComparison:
        node.op = token_.op;
        Advance();
        return Literal(node);
      case TokenKind::kIn:
        node.op = FilterOperator::kIn;
        Advance();
        return List(node);
      case TokenKind::kNot:
        return Expected(absl::StrCat(kOperators, " (NOT goes before the name)"));
      default:
        return Expected(kOperators);
    }
  }

  // Words that mean something only behind a name, so that attributes may be called so.
  bool IsWord(absl::string_view word) const {
    return token_.kind == TokenKind::kName && !token_.quoted && absl::EqualsIgnoreCase(token_.name, word);
  }

  absl::Status StartsWith(Filter::Node& node) {
    node.op = FilterOperator::kStartsWith;
    Advance();
    if (!IsWord("with")) return Expected("WITH after STARTS");
    Advance();
    if (token_.kind != TokenKind::kLiteral || !std::holds_alternative<std::string>(token_.value)) {
      return Expected("text in quotes after STARTS WITH");
    }
    return Literal(node);
  }

  // name BETWEEN a AND b is name >= a AND name <= b.
  Result Between(std::unique_ptr<Filter::Node> least) {
    Advance();
    auto most = std::make_unique<Filter::Node>();
    most->name = least->name;
    most->of_id = least->of_id;
    least->op = FilterOperator::kGreaterEqual;
    most->op = FilterOperator::kLessEqual;
    BEBR_RETURN_IF_ERROR(Literal(*least));
    if (token_.kind != TokenKind::kAnd) return Expected("AND and the upper bound of BETWEEN");
    Advance();
    BEBR_RETURN_IF_ERROR(Literal(*most));
    auto both = std::make_unique<Filter::Node>();
    both->kind = Filter::Node::Kind::kAnd;
    for (auto* bound : {&least, &most}) {
      if ((*bound)->of_id) {
        BEBR_ASSIGN_OR_RETURN(NodePtr checked, OfId(std::move(*bound)));
        both->children.push_back(std::move(checked));
      } else {
        both->children.push_back(std::move(*bound));
      }
    }
    return NodePtr(std::move(both));
  }

  Result OfId(std::unique_ptr<Filter::Node> node) const {
    for (const AttributeValue& literal : node->literals) {
      if (std::holds_alternative<std::string>(literal)) continue;
      return absl::InvalidArgumentError(
          "filter: id is compared with something else than text; it is the document's id, which goes in quotes (an "
          "attribute of that name goes in back quotes)");
    }
    return NodePtr(std::move(node));
  }

  absl::Status Literal(Filter::Node& node) {
    if (token_.kind != TokenKind::kLiteral) return Expected("text in quotes, a number, true or false");
    node.literals.push_back(std::move(token_.value));
    Advance();
    return absl::OkStatus();
  }

  absl::Status List(Filter::Node& node) {
    if (token_.kind != TokenKind::kOpen) return Expected("( and a list of values after IN");
    do {
      Advance();
      BEBR_RETURN_IF_ERROR(Literal(node));
    } while (token_.kind == TokenKind::kComma);
    if (token_.kind != TokenKind::kClose) return Expected(", or )");
    Advance();
    return absl::OkStatus();
  }

  static constexpr absl::string_view kOperators = "=, !=, <, <=, >, >=, IN, BETWEEN, STARTS WITH or EXISTS";

  const absl::string_view text_;
  Tokenizer tokenizer_;
  Token token_;
  size_t depth_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<const Filter::Node>> ParseFilter(std::string_view text) {
  if (text.size() > kMaxBuiltFilterBytes) {
    return absl::InvalidArgumentError(
        absl::StrFormat("the filter has %d bytes; the limit is %d", text.size(), kMaxBuiltFilterBytes));
  }
  return Parser(absl::string_view(text.data(), text.size())).Parse();
}

}  // namespace bebr
