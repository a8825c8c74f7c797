#include "index/search/filter_parser.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "index/base/status_macros.h"
#include "index/search/filter_tokenizer.h"
#include "index/types/search.h"
#include "index/types/shown_text.h"

namespace bebr {
namespace {

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
    return Error(absl::StrCat("expected ", what, ", found ",
                              ShownInMessage(text_.substr(token_.begin, token_.end - token_.begin))));
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
    if (IsWord("contains")) return Contains(node);
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
      case TokenKind::kName:
        return Expected(absl::StrCat(kOperators, " (a name of several words goes in back quotes)"));
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
    if (IsContains(node->op)) {
      return absl::InvalidArgumentError(
          "filter: CONTAINS is for lists, and id is the document's id; compare it by = or IN");
    }
    for (const AttributeScalar& literal : node->literals) {
      if (std::holds_alternative<std::string>(literal)) continue;
      return absl::InvalidArgumentError(
          "filter: id is compared with something else than text; it is the document's id, which goes in quotes (an "
          "attribute of that name goes in back quotes)");
    }
    return NodePtr(std::move(node));
  }

  absl::Status Literal(Filter::Node& node) {
    if (IsWord("timestamp")) return TimestampLiteral(node);
    if (token_.kind != TokenKind::kLiteral) {
      const bool doubled = text_.substr(token_.begin, 1) == "=";
      return Expected(doubled ? "text in quotes, a number, true, false or TIMESTAMP \"...\" (equality is one =)"
                              : "text in quotes, a number, true, false or TIMESTAMP \"...\"");
    }
    node.literals.push_back(std::move(token_.value));
    Advance();
    return absl::OkStatus();
  }

  absl::Status TimestampLiteral(Filter::Node& node) {
    Advance();
    const auto* text = token_.kind == TokenKind::kLiteral ? std::get_if<std::string>(&token_.value) : nullptr;
    if (text == nullptr) return Expected("text in quotes after TIMESTAMP");
    const absl::StatusOr<Timestamp> time = ParseTimestamp(*text);
    if (!time.ok()) return Error(absl::StrCat("TIMESTAMP ", time.status().message()));
    node.literals.emplace_back(*time);
    Advance();
    return absl::OkStatus();
  }

  absl::Status Contains(Filter::Node& node) {
    node.op = FilterOperator::kContains;
    Advance();
    if (!IsWord("any") && !IsWord("all")) return Literal(node);
    node.op = IsWord("any") ? FilterOperator::kContainsAny : FilterOperator::kContainsAll;
    Advance();
    return List(node);
  }

  absl::Status List(Filter::Node& node) {
    if (token_.kind != TokenKind::kOpen) return Expected("( and a list of values");
    do {
      Advance();
      BEBR_RETURN_IF_ERROR(Literal(node));
    } while (token_.kind == TokenKind::kComma);
    if (token_.kind != TokenKind::kClose) return Expected(", or )");
    Advance();
    return absl::OkStatus();
  }

  static constexpr absl::string_view kOperators = "=, !=, <, <=, >, >=, IN, BETWEEN, STARTS WITH, CONTAINS or EXISTS";

  const absl::string_view text_;
  FilterTokenizer tokenizer_;
  FilterToken token_;
  size_t depth_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<const Filter::Node>> ParseFilter(std::string_view text) {
  if (text.size() > kMaxBuiltFilterBytes) {
    return absl::InvalidArgumentError(
        absl::StrFormat("filter has %d bytes; the limit is %d", text.size(), kMaxBuiltFilterBytes));
  }
  return Parser(absl::string_view(text.data(), text.size())).Parse();
}

std::vector<const Filter::Node*> AllTestsOf(const Filter::Node& root) {
  std::vector<const Filter::Node*> tests, nodes = {&root};
  while (!nodes.empty()) {
    const Filter::Node* node = nodes.back();
    nodes.pop_back();
    for (const auto& child : node->children) nodes.push_back(child.get());
    if (node->kind == Filter::Node::Kind::kTest) tests.push_back(node);
  }
  return tests;
}

std::vector<const Filter::Node*> AttributeTestsOf(const Filter::Node& root) {
  std::vector<const Filter::Node*> tests = AllTestsOf(root);
  std::erase_if(tests, [](const Filter::Node* test) { return test->of_id; });
  return tests;
}

}  // namespace bebr
