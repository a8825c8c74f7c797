#include "index/segment/attribute_columns.h"

#include <bit>
#include <limits>
#include <utility>
#include <vector>

#include "index/segment/attribute_list.h"

namespace bebr {
namespace {

constexpr int64_t kManyNames = 64;

bool IsInDictionary(AttributeType type) { return type == AttributeType::kString || type == AttributeType::kList; }

// A value that is no text and no list, as a column has it.
std::pair<AttributeType, uint64_t> Packed(const AttributeValue& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) {
    return {AttributeType::kInt, static_cast<uint64_t>(*integer)};
  }
  if (const auto* number = std::get_if<double>(&value))
    return {AttributeType::kDouble, std::bit_cast<uint64_t>(*number)};
  if (const auto* time = std::get_if<Timestamp>(&value)) {
    return {AttributeType::kTimestamp, static_cast<uint64_t>(time->unix_us)};
  }
  return {AttributeType::kBool, std::get<bool>(value) ? 1 : 0};
}

}  // namespace

AttributeColumns::Column::Column(uint32_t capacity, std::shared_ptr<AttributeDictionary> dictionary)
    : types(capacity), values(capacity), lists(std::move(dictionary)) {
  for (auto& row : first_rows) row.store(std::numeric_limits<uint32_t>::max(), std::memory_order_relaxed);
}

void AttributeColumns::Column::SetType(uint32_t row, AttributeType type) {
  types[row] = type;
  std::atomic<uint32_t>& first = first_rows[static_cast<size_t>(type)];
  if (row < first.load(std::memory_order_relaxed)) first.store(row, std::memory_order_relaxed);
}

AttributeColumns::AttributeColumns(uint32_t capacity, std::shared_ptr<AttributeDictionary> dictionary,
                                   std::shared_ptr<const AttributeSchema> schema)
    : capacity_(capacity),
      dictionary_(std::move(dictionary)),
      schema_(schema != nullptr ? std::move(schema) : std::make_shared<const AttributeSchema>()),
      columns_(std::make_shared<Map>()) {}

AttributeColumns::~AttributeColumns() {
  std::vector<uint32_t> numbers;
  for (const auto& [name, column] : *columns_) {
    for (uint32_t row = 0; row < rows_; ++row) {
      if (IsInDictionary(column->types[row])) numbers.push_back(static_cast<uint32_t>(column->values[row]));
    }
    dictionary_->Release(numbers);
    numbers.clear();
  }
}

AttributeColumns::Column& AttributeColumns::ColumnFor(const std::string& name) {
  if (const auto it = columns_->find(name); it != columns_->end()) return *it->second;
  if (viewed_) columns_ = std::make_shared<Map>(*columns_);
  viewed_ = false;
  ++unused_names_;
  return *columns_->emplace(name, std::make_shared<Column>(capacity_, dictionary_)).first->second;
}

void AttributeColumns::SetType(Column& column, uint32_t row, AttributeType type) {
  if (column.rows_in_use.fetch_add(1, std::memory_order_relaxed) == 0) --unused_names_;
  column.SetType(row, type);
}

void AttributeColumns::SetValue(Column& column, uint32_t row, AttributeType type, uint64_t value) {
  SetType(column, row, type);
  column.values[row] = value;
  column.has_values = true;
}

void AttributeColumns::SetText(Column& column, uint32_t row, AttributeType type, uint32_t number, uint64_t size) {
  SetValue(column, row, type, number);
  rows_ = row + 1;
  text_bytes_ += size;
}

void AttributeColumns::Copy(const AttributeColumns& from, uint32_t from_row, uint32_t to) {
  for (const auto& [name, column] : *from.columns_) {
    const AttributeType type = column->types[from_row];
    if (type == AttributeType::kAbsent) continue;
    Column& target = ColumnFor(name);
    if (type == AttributeType::kStored) {
      SetType(target, to, type);
      continue;
    }
    const uint64_t value = column->values[from_row];
    if (IsInDictionary(type)) {
      const auto number = static_cast<uint32_t>(value);
      const std::optional<uint32_t> size = dictionary_->Hold(number);
      if (size.has_value()) SetText(target, to, type, number, *size);  // else memory has changed it, which is noticed
    } else {
      SetValue(target, to, type, value);
    }
  }
}

void AttributeColumns::Forget(uint32_t row) const {
  for (const auto& [name, column] : *columns_) {
    if (column->types[row] == AttributeType::kAbsent) continue;
    if (column->rows_in_use.fetch_sub(1, std::memory_order_relaxed) == 1) ++unused_names_;
  }
}

bool AttributeColumns::MostlyUnused() const {
  return unused_names_ >= kManyNames && 2 * unused_names_ >= static_cast<int64_t>(columns_->size());
}

void AttributeColumns::Set(uint32_t row, const Attributes& attributes) {
  for (const auto& [name, value] : attributes) {
    Column& column = ColumnFor(name);
    if (IsStoredOnly(*schema_, name, value)) {
      SetType(column, row, AttributeType::kStored);
    } else {
      SetOne(column, row, value);
    }
  }
}

void AttributeColumns::SetOne(Column& column, uint32_t row, const AttributeValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) {
    SetText(column, row, AttributeType::kString, dictionary_->Add(*text), text->size());
  } else if (const auto* list = std::get_if<AttributeList>(&value)) {
    const std::string packed = PackList(*list);
    SetText(column, row, AttributeType::kList, dictionary_->Add(packed), packed.size());
  } else {
    const auto [type, bits] = Packed(value);
    SetValue(column, row, type, bits);
  }
}

bool AttributeColumns::EqualOne(const Column& column, uint32_t row, const AttributeValue& value) const {
  const AttributeType type = column.types[row];
  const uint64_t bits = column.values[row];
  const auto has = [&](std::string_view text) {
    return bits <= std::numeric_limits<uint32_t>::max() && dictionary_->Has(static_cast<uint32_t>(bits), text);
  };
  if (const auto* text = std::get_if<std::string>(&value)) return type == AttributeType::kString && has(*text);
  if (const auto* list = std::get_if<AttributeList>(&value))
    return type == AttributeType::kList && has(PackList(*list));
  return std::pair(type, bits) == Packed(value);
}

bool AttributeColumns::Equal(const View& view, uint32_t row, const Attributes& attributes) const {
  for (const auto& [name, column] : *view) {
    if (column->types[row] != AttributeType::kAbsent && !attributes.contains(name)) return false;
  }
  for (const auto& [name, value] : attributes) {
    const auto column = view->find(name);
    if (column == view->end()) return false;
    const bool equal = IsStoredOnly(*schema_, name, value) ? column->second->types[row] == AttributeType::kStored
                                                           : EqualOne(*column->second, row, value);
    if (!equal) return false;
  }
  return true;
}

void AttributeColumns::Recount(uint32_t row, const Attributes& attributes) const {
  for (const auto& [name, column] : *columns_) {
    if (IsInDictionary(column->types[row])) dictionary_->Hold(static_cast<uint32_t>(column->values[row]));
  }
  for (const auto& [name, value] : attributes) {
    const auto* text = std::get_if<std::string>(&value);
    const auto* list = std::get_if<AttributeList>(&value);
    if ((text == nullptr && list == nullptr) || IsStoredOnly(*schema_, name, value)) continue;
    const auto number = dictionary_->Find(text != nullptr ? *text : PackList(*list));
    if (number.has_value()) dictionary_->Release({*number});
  }
}

std::optional<AttributeScalar> ScalarAt(const AttributeColumns::Column& column, uint32_t row,
                                        const AttributeDictionary& dictionary) {
  const AttributeType type = column.types[row];
  const uint64_t value = column.values[row];
  if (type == AttributeType::kString) return dictionary.Text(static_cast<uint32_t>(value));
  if (type == AttributeType::kAbsent || type >= AttributeType::kList) return std::nullopt;
  return NumberOf(type, value);
}

std::optional<int64_t> AttributeColumns::Integer(std::string_view name, uint32_t row) const {
  const auto column = columns_->find(name);
  if (column == columns_->end() || column->second->types[row] != AttributeType::kInt) return std::nullopt;
  return static_cast<int64_t>(column->second->values[row]);
}

void AttributeColumns::Save(LayoutWriter& out, uint32_t rows) const {
  out.Put(rows_);
  out.Put(text_bytes_);
  out.Put(static_cast<uint32_t>(columns_->size()));
  for (const auto& [name, column] : *columns_) {
    out.PutText(name);
    out.PutArray(column->types.data(), rows);
    out.Put(static_cast<uint8_t>(column->has_values));
    if (column->has_values) out.PutArray(column->values.data(), rows);
  }
}

void AttributeColumns::Load(LayoutReader& in, uint32_t rows, std::vector<uint32_t>& held) {
  const auto last_text = in.Take<uint32_t>();
  if (last_text > rows) return in.Fail("more rows have texts than there are");
  text_bytes_ = in.Take<uint64_t>();
  const auto columns = in.TakeCount<uint32_t>(std::numeric_limits<uint32_t>::max(), sizeof(uint32_t));
  for (uint32_t i = 0; i < columns && in.ok(); ++i) {
    const std::string name = in.TakeText(kMaxAttributeNameBytes);
    if (columns_->contains(name)) return in.Fail("it has an attribute twice");
    Column& column = ColumnFor(name);
    in.TakeArray(column.types.data(), rows);
    column.has_values = in.Take<uint8_t>() != 0;
    if (column.has_values) in.TakeArray(column.values.data(), rows);
    for (uint32_t row = 0; row < rows; ++row) {
      const AttributeType type = column.types[row];
      if (type == AttributeType::kAbsent) continue;
      if (type > AttributeType::kStored) return in.Fail("an attribute has a type that there is not");
      if (type != AttributeType::kStored && !column.has_values) return in.Fail("a row has no value");
      SetType(column, row, type);
      if (!IsInDictionary(type)) continue;
      if (row >= last_text || column.values[row] >= held.size()) return in.Fail("a row has a text that there is not");
      ++held[column.values[row]];
    }
  }
  // Now that the dictionary is told of all of them: the end of these rows takes them back.
  if (in.ok()) rows_ = last_text;
}

uint64_t AttributeColumns::memory_bytes(uint32_t rows) const {
  uint64_t row_bytes = 0;
  for (const auto& [name, column] : *columns_) row_bytes += column->has_values ? 9 : 1;
  return row_bytes * rows;
}

}  // namespace bebr
