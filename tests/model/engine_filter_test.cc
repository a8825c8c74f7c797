// Attributes of every type and filters on them against a plain evaluation of both, through writes and restarts.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <future>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "index/engine.h"
#include "tests/model/attributes_engine.h"

namespace bebr::testing {
namespace {

// What the collection under test says: names that are not here may be anything.
const AttributeSchema kSchema = {{"at", {.kind = AttributeKind::kTimestamp}},
                                 {"price", {.kind = AttributeKind::kDouble}},
                                 {"body", {.kind = AttributeKind::kString, .storage = AttributeStorage::kStored}},
                                 {"note", {.kind = AttributeKind::kString, .storage = AttributeStorage::kIndexed}}};
constexpr const char* kNames[] = {"at", "price", "body", "note", "any", "tags", "absent"};

// ---- The plain evaluation ----

// Whether filters see the value.
bool Visible(const std::string& name, const AttributeValue& value) {
  if (name == "body") return false;
  if (name == "note") return true;
  const auto is_long = [](const AttributeScalar& scalar) {
    const auto* text = std::get_if<std::string>(&scalar);
    return text != nullptr && text->size() > 256;
  };
  const auto* list = std::get_if<AttributeList>(&value);
  return list == nullptr ? !is_long(ToScalar(value)) : std::none_of(list->begin(), list->end(), is_long);
}

template <typename T>
bool Holds(const T& a, const std::string& op, const T& b) {
  return op == "="    ? a == b
         : op == "!=" ? a != b
         : op == "<"  ? a < b
         : op == "<=" ? a <= b
         : op == ">"  ? a > b
                      : a >= b;
}

bool Compare(const AttributeScalar& value, const std::string& op, const AttributeScalar& literal) {
  const auto number = [](const AttributeScalar& scalar) {
    const auto* integer = std::get_if<int64_t>(&scalar);
    return integer != nullptr ? static_cast<long double>(*integer) : std::get<double>(scalar);
  };
  const auto is_number = [](const AttributeScalar& scalar) {
    return std::holds_alternative<int64_t>(scalar) || std::holds_alternative<double>(scalar);
  };
  if (is_number(value) && is_number(literal)) return Holds(number(value), op, number(literal));
  return value.index() == literal.index() && Holds(value, op, literal);
}

// A condition as text, and what it means.
struct Condition {
  std::string text;
  std::function<bool(const std::string& id, const Attributes& attributes)> holds;
};

// ---- Random data ----

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  uint32_t Below(uint32_t bound) { return static_cast<uint32_t>(random_() % bound); }

  AttributeScalar Scalar() {
    static const std::vector<int64_t> kInts = {0, 1, -1, 2, int64_t{1} << 53, (int64_t{1} << 53) + 1, INT64_MAX};
    static const std::vector<double> kDoubles = {0.0, -0.0, 1.0, 1.5, -1.0, 9007199254740992.0, 1e300};
    switch (Below(5)) {
      case 0:
        return Text();
      case 1:
        return Below(2) == 0 ? kInts[Below(static_cast<uint32_t>(kInts.size()))] : static_cast<int64_t>(Below(500));
      case 2:
        return Below(2) == 0 ? kDoubles[Below(static_cast<uint32_t>(kDoubles.size()))] : Below(500) / 2.0;
      case 3:
        return Time();
      default:
        return Below(2) == 0;
    }
  }
  std::string Text() {
    static constexpr size_t kLengths[] = {0, 1, 255, 256, 257, 700};
    if (Below(3) != 0) return absl::StrCat("t", Below(300));  // few documents have each
    return std::string(kLengths[Below(6)], static_cast<char>('a' + Below(3)));
  }
  Timestamp Time() {
    static const std::vector<int64_t> kTimes = {0, 1, -1, 1767225600000000, 1767225600250000, -62167219200000000};
    return {Below(2) == 0 ? kTimes[Below(static_cast<uint32_t>(kTimes.size()))] : int64_t{Below(500)} * 3'600'000'000};
  }

  // A value as a client sends it, and as the collection holds it.
  std::pair<AttributeValue, AttributeValue> ValueOf(const std::string& name) {
    AttributeList sent, held;
    const uint32_t count = Below(4) == 0 ? Below(6) : 1;
    for (uint32_t i = 0; i < count; ++i) {
      auto [one_sent, one_held] = ScalarOf(name);
      sent.push_back(std::move(one_sent));
      held.push_back(std::move(one_held));
    }
    if (count == 1 && Below(8) != 0) return {ToValue(sent[0]), ToValue(held[0])};
    return {sent, held};
  }

  std::pair<Attributes, Attributes> Document() {
    Attributes sent, held;
    for (const std::string name : kNames) {
      if (name == "absent" || Below(3) == 0) continue;
      std::tie(sent[name], held[name]) = ValueOf(name);
    }
    return {std::move(sent), std::move(held)};
  }

  // `ids`: one test is of ids.
  Condition Make(int depth, bool ids = false) {
    const uint32_t choice = depth == 0 ? 0 : Below(5);
    if (choice < 2) return ids ? OfIds() : Test();
    Condition a = Make(depth - 1, ids);
    if (choice == 2) {
      return {absl::StrCat("NOT (", a.text, ")"),
              [a](const std::string& id, const Attributes& attributes) { return !a.holds(id, attributes); }};
    }
    Condition b = Make(depth - 1);
    if (Below(2) == 0) std::swap(a, b);
    const bool both = choice == 3;
    return {absl::StrCat("(", a.text, both ? ") AND (" : ") OR (", b.text, ")"),
            [a, b, both](const std::string& id, const Attributes& attributes) {
              return both ? a.holds(id, attributes) && b.holds(id, attributes)
                          : a.holds(id, attributes) || b.holds(id, attributes);
            }};
  }

 private:
  std::pair<AttributeScalar, AttributeScalar> ScalarOf(const std::string& name) {
    if (name == "at") {
      const Timestamp time = Time();
      return {Below(2) == 0 ? AttributeScalar(time) : AttributeScalar(FormatTimestamp(time)), time};
    }
    if (name == "price") {
      const auto whole = static_cast<int64_t>(Below(100));
      if (Below(2) == 0) return {whole, static_cast<double>(whole)};
      return {static_cast<double>(whole) + 0.5, static_cast<double>(whole) + 0.5};
    }
    AttributeScalar value = name == "body" || name == "note" ? AttributeScalar(Text()) : Scalar();
    return {value, value};
  }

  static std::string Render(const AttributeScalar& value) {
    if (const auto* text = std::get_if<std::string>(&value)) return absl::StrCat("\"", *text, "\"");
    if (const auto* integer = std::get_if<int64_t>(&value)) return absl::StrCat(*integer);
    if (const auto* number = std::get_if<double>(&value)) return absl::StrFormat("%.17e", *number);
    if (const auto* time = std::get_if<Timestamp>(&value)) {
      return absl::StrCat("TIMESTAMP '", FormatTimestamp(*time), "'");
    }
    return std::get<bool>(value) ? "true" : "false";
  }
  static std::string RenderList(const std::vector<AttributeScalar>& values) {
    return absl::StrCat("(", absl::StrJoin(values, ", ", [](std::string* out, const auto& v) { *out += Render(v); }),
                        ")");
  }

  // On a value that filters see.
  static Condition On(const std::string& name, const std::string& rest,
                      std::function<bool(const AttributeValue&)> holds) {
    return {absl::StrCat(name, " ", rest), [name, holds](const std::string&, const Attributes& attributes) {
              const auto it = attributes.find(name);
              return it != attributes.end() && Visible(name, it->second) && holds(it->second);
            }};
  }
  static Condition OnScalar(const std::string& name, const std::string& rest,
                            std::function<bool(const AttributeScalar&)> holds) {
    return On(name, rest, [holds](const AttributeValue& value) {
      return !std::holds_alternative<AttributeList>(value) && holds(ToScalar(value));
    });
  }

  AttributeScalar Literal(const std::string& name) {
    return Below(6) == 0 || name == "absent" ? Scalar() : ScalarOf(name).second;
  }
  std::vector<AttributeScalar> Literals(const std::string& name, uint32_t most) {
    std::vector<AttributeScalar> literals;
    for (uint32_t i = 1 + Below(most); i > 0; --i) literals.push_back(Literal(name));
    return literals;
  }

  Condition Test() {
    const std::string name = kNames[Below(std::size(kNames))];
    switch (Below(8)) {
      case 0:
        return {absl::StrCat(name, " EXISTS"),
                [name](const std::string&, const Attributes& attributes) { return attributes.contains(name); }};
      case 1: {
        const auto values = Literals(name, Below(8) == 0 ? 80 : 4);
        return OnScalar(name, "IN " + RenderList(values), [values](const AttributeScalar& value) {
          return std::any_of(values.begin(), values.end(), [&](const auto& one) { return Compare(value, "=", one); });
        });
      }
      case 2: {
        const AttributeScalar least = Literal(name), most = Literal(name);
        return OnScalar(name, absl::StrCat("BETWEEN ", Render(least), " AND ", Render(most)),
                        [least, most](const AttributeScalar& value) {
                          return Compare(value, ">=", least) && Compare(value, "<=", most);
                        });
      }
      case 3: {
        const std::string start = Below(2) == 0 ? "t1" : std::string(Below(300), 'a');
        return OnScalar(name, absl::StrCat("STARTS WITH \"", start, "\""), [start](const AttributeScalar& value) {
          const auto* text = std::get_if<std::string>(&value);
          return text != nullptr && text->starts_with(start);
        });
      }
      case 4:
        return Contains(name);
      case 5:
        return OfIds();
      default: {
        static constexpr const char* kOperators[] = {"=", "=", "!=", "<", "<=", ">", ">="};
        const std::string op = kOperators[Below(7)];
        const AttributeScalar literal = Literal(name);
        return OnScalar(name, absl::StrCat(op, " ", Render(literal)),
                        [op, literal](const AttributeScalar& value) { return Compare(value, op, literal); });
      }
    }
  }

  // Some of the ids are of nobody, some come twice.
  Condition OfIds() {
    std::vector<AttributeScalar> ids;
    static constexpr uint32_t kCounts[] = {1, 5, 200, 2500};
    for (uint32_t i = 1 + Below(kCounts[Below(4)]); i > 0; --i) ids.push_back(absl::StrCat("d", Below(3100)));
    const auto first = std::get<std::string>(ids[0]);
    switch (Below(5)) {
      case 0:
        return {absl::StrCat("id < '", first, "'"),
                [first](const std::string& id, const Attributes&) { return id < first; }};
      case 1:
        return {absl::StrCat("id != '", first, "'"),
                [first](const std::string& id, const Attributes&) { return id != first; }};
      case 2:
        return {absl::StrCat("id = '", first, "'"),
                [first](const std::string& id, const Attributes&) { return id == first; }};
      default:
        return {absl::StrCat("id IN ", RenderList(ids)),
                [wanted = std::set<AttributeScalar>(ids.begin(), ids.end())](const std::string& id, const Attributes&) {
                  return wanted.contains(id);
                }};
    }
  }

  Condition Contains(const std::string& name) {
    const uint32_t kind = Below(3);
    const auto values = kind == 0 ? std::vector<AttributeScalar>{Literal(name)} : Literals(name, 4);
    const std::string rest = kind == 0 ? Render(values[0]) : (kind == 1 ? "ANY " : "ALL ") + RenderList(values);
    return On(name, "CONTAINS " + rest, [values, all = kind == 2](const AttributeValue& value) {
      const auto* list = std::get_if<AttributeList>(&value);
      if (list == nullptr) return false;
      const auto has = [&](const AttributeScalar& wanted) {
        return std::any_of(list->begin(), list->end(), [&](const auto& one) { return Compare(one, "=", wanted); });
      };
      return all ? std::all_of(values.begin(), values.end(), has) : std::any_of(values.begin(), values.end(), has);
    });
  }

  std::mt19937_64 random_;
};

class EngineFilterTest : public AttributesEngineTest {
 protected:
  EngineFilterTest() : AttributesEngineTest(kSchema) {}

  static constexpr uint32_t kIds = 3000;

  void Write(size_t count) {
    std::vector<std::pair<std::string, Attributes>> put;
    std::set<std::string> ids;
    while (ids.size() < count) ids.insert(absl::StrCat("d", any_.Below(kIds)));
    for (const std::string& id : ids) {
      auto [sent, held] = any_.Document();
      put.emplace_back(id, std::move(sent));
      model_[id] = std::move(held);
    }
    ASSERT_TRUE(Put(std::move(put)).ok());
  }
  void DeleteSome() {
    std::vector<std::string> ids;
    for (int i = 0; i < 60; ++i) ids.push_back(absl::StrCat("d", any_.Below(kIds)));
    ASSERT_TRUE(DeleteAndWait(*engine_, "c", ids).ok());
    for (const std::string& id : ids) model_.erase(id);
  }
  void ChangeSome() {
    AttributeUpdate update;
    const std::string removed = kNames[any_.Below(3)];
    auto [sent, held] = any_.Document();
    sent.erase(removed);
    held.erase(removed);
    update.change.set = sent;
    update.change.remove = {removed};
    for (int i = 0; i < 20; ++i) update.ids.push_back(absl::StrCat("d", any_.Below(kIds)));
    std::sort(update.ids.begin(), update.ids.end());
    update.ids.erase(std::unique(update.ids.begin(), update.ids.end()), update.ids.end());
    for (const std::string& id : update.ids) {
      const auto it = model_.find(id);
      if (it == model_.end()) continue;
      it->second.erase(removed);
      for (const auto& [name, value] : held) it->second[name] = value;
    }
    const auto result = Update(std::move(update));
    ASSERT_TRUE(result.ok()) << result.status();
  }

  using Model = std::map<std::string, Attributes>;
  static std::vector<std::string> ThoseIn(const Model& model, const Condition& condition) {
    std::vector<std::string> ids;
    for (const auto& [id, attributes] : model) {
      if (condition.holds(id, attributes)) ids.push_back(id);
    }
    return ids;
  }
  // The present, from now on as an earlier moment too.
  void Keep() {
    const auto page = engine_->Scroll({.collection = "c", .limit = 1, .keep_view = absl::Minutes(10)});
    ASSERT_TRUE(page.ok()) << page.status();
    kept_.emplace_back(page->view_token, model_);
    if (kept_.size() > 3) kept_.pop_front();
  }
  void CheckKept(const Condition& condition) {
    for (const auto& [token, model] : kept_) {
      std::vector<std::string> found, listed;
      const auto result = SearchAndWait(
          *engine_,
          {.collection = "c", .queries = {query_}, .k = 10000, .filter = condition.text, .view_token = token});
      ASSERT_TRUE(result.ok()) << result.status() << "\n" << condition.text;
      for (const SearchHit& hit : result->hits[0]) found.push_back(hit.id);
      const auto page =
          engine_->Scroll({.collection = "c", .filter = condition.text, .limit = 10000, .view_token = token});
      ASSERT_TRUE(page.ok()) << page.status() << "\n" << condition.text;
      for (const PageDocument& one : page->documents) listed.push_back(one.document.id);
      const std::vector<std::string> expected = ThoseIn(model, condition);
      EXPECT_EQ(found, expected) << condition.text;
      EXPECT_EQ(listed, expected) << condition.text;
    }
  }
  void DeleteThose(const Condition& condition) {
    const std::vector<std::string> gone = ThoseIn(model_, condition);
    if (gone.size() > 300) return;
    auto outcome = std::make_shared<std::promise<absl::StatusOr<ChangeResult>>>();
    engine_->DeleteByFilter({.collection = "c", .filter = condition.text},
                            [outcome](absl::StatusOr<ChangeResult> result) { outcome->set_value(std::move(result)); });
    const auto deleted = outcome->get_future().get();
    ASSERT_TRUE(deleted.ok()) << deleted.status();
    EXPECT_EQ(deleted->documents, gone.size()) << condition.text;
    for (const std::string& id : gone) model_.erase(id);
  }

  void CheckFilter(const Condition& condition) {
    std::vector<std::string> found;
    const std::vector<std::string> expected = ThoseIn(model_, condition);
    const auto result =
        SearchAndWait(*engine_, {.collection = "c", .queries = {query_}, .k = 10000, .filter = condition.text});
    ASSERT_TRUE(result.ok()) << result.status() << "\n" << condition.text;
    for (const SearchHit& hit : result->hits[0]) found.push_back(hit.id);  // of equal scores: by id
    EXPECT_EQ(found, expected) << condition.text;
    some_ += found.empty() || found.size() == model_.size() ? 0 : 1;
    EXPECT_EQ(Count(condition.text), expected.size()) << condition.text;
  }
  void CheckFacets(const std::string& name) {
    std::map<AttributeValue, uint64_t> expected;
    for (const auto& [id, attributes] : model_) {
      const auto it = attributes.find(name);
      if (it == attributes.end() || !Visible(name, it->second)) continue;
      const auto* list = std::get_if<AttributeList>(&it->second);
      std::set<AttributeScalar> values;
      if (list == nullptr) values.insert(ToScalar(it->second));
      if (list != nullptr) values.insert(list->begin(), list->end());
      for (const AttributeScalar& value : values) ++expected[ToValue(value)];
    }
    const auto facets = engine_->Facets({.collection = "c", .attribute = name, .limit = 1000});
    ASSERT_TRUE(facets.ok()) << facets.status();
    EXPECT_EQ(facets->values, expected.size()) << name;
    for (const Facet& facet : facets->facets) EXPECT_EQ(facet.documents, expected[facet.value]) << name;
  }
  void CheckDocuments() {
    std::vector<std::string> ids;
    for (const auto& [id, attributes] : model_) ids.push_back(id);
    const auto got = engine_->Get("c", ids, false);
    ASSERT_TRUE(got.ok() && got->size() == ids.size()) << got.status();
    for (const Document& document : *got) EXPECT_EQ(document.attributes, model_[document.id]) << document.id;
  }

  Generator any_{17};
  std::map<std::string, Attributes> model_;
  std::deque<std::pair<std::string, Model>> kept_;  // views, by their tokens
  int some_ = 0;                                    // filters that some documents satisfied, and some did not
};

TEST_F(EngineFilterTest, AgreesWithAPlainEvaluation) {
  for (int step = 0; step < 16; ++step) {
    ASSERT_NO_FATAL_FAILURE(Write(step == 0 ? 2600 : 100));
    ASSERT_NO_FATAL_FAILURE(DeleteSome());
    ASSERT_NO_FATAL_FAILURE(ChangeSome());
    if (step % 5 == 4) {
      ASSERT_NO_FATAL_FAILURE(Open());
    }
    for (int i = 0; i < 60; ++i) ASSERT_NO_FATAL_FAILURE(CheckFilter(any_.Make(i % 3)));
    for (const char* name : {"at", "price", "note", "body", "tags"}) ASSERT_NO_FATAL_FAILURE(CheckFacets(name));
    ASSERT_NO_FATAL_FAILURE(CheckDocuments());
  }
  EXPECT_GT(some_, 400);
}

// Documents that were replaced, changed, deleted or moved since, and segments that were written anew.
TEST_F(EngineFilterTest, IdsAreThoseOfTheView) {
  for (int step = 0; step < 24; ++step) {
    ASSERT_NO_FATAL_FAILURE(Write(step == 0 ? 2600 : step % 8 == 6 ? 2900 : 300));
    ASSERT_NO_FATAL_FAILURE(DeleteSome());
    ASSERT_NO_FATAL_FAILURE(ChangeSome());
    if (step % 7 == 6) {
      ASSERT_NO_FATAL_FAILURE(Open());
      kept_.clear();
    }
    if (step % 2 == 0) {
      ASSERT_NO_FATAL_FAILURE(Keep());
    }
    for (int i = 0; i < 3; ++i) ASSERT_NO_FATAL_FAILURE(DeleteThose(any_.Make(i, /*ids=*/true)));
    for (int i = 0; i < 12; ++i) {
      const Condition condition = any_.Make(i % 4, /*ids=*/true);
      ASSERT_NO_FATAL_FAILURE(CheckFilter(condition));
      ASSERT_NO_FATAL_FAILURE(CheckKept(condition));
    }
  }
  EXPECT_GT(some_, 150);
}

}  // namespace
}  // namespace bebr::testing
