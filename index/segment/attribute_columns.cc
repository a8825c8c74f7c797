#include "index/segment/attribute_columns.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "index/segment/attribute_list.h"

namespace bebr {
namespace {

// What the allocator takes for a string.
uint64_t AllocatedBytes(uint64_t size) { return size == 0 ? 0 : std::max<uint64_t>(32, (size + 8 + 15) / 16 * 16); }

bool IsInDictionary(AttributeType type) { return type == AttributeType::kString || type == AttributeType::kList; }

}  // namespace

uint32_t AttributeDictionary::Add(std::string_view text) {
  MutexLock lock(&mutex_);
  if (const auto it = numbers_.find(text); it != numbers_.end()) {
    ++entries_[*it].rows;
    return *it;
  }
  if (free_.empty()) {
    free_.push_back(static_cast<uint32_t>(entries_.size()));
    entries_.emplace_back();
  }
  const uint32_t number = free_.back();
  free_.pop_back();
  Entry& entry = entries_[number];
  entry.text = std::make_unique_for_overwrite<char[]>(text.size());
  std::memcpy(entry.text.get(), text.data(), text.size());
  entry.size = static_cast<uint32_t>(text.size());
  entry.rows = 1;
  numbers_.insert(number);
  text_bytes_ += AllocatedBytes(text.size());
  return number;
}

uint32_t AttributeDictionary::Hold(uint32_t number) {
  MutexLock lock(&mutex_);
  ++entries_[number].rows;
  return entries_[number].size;
}

void AttributeDictionary::Release(absl::Span<const uint32_t> numbers) {
  MutexLock lock(&mutex_);
  for (const uint32_t number : numbers) {
    Entry& entry = entries_[number];
    if (--entry.rows > 0) continue;
    numbers_.erase(number);
    text_bytes_ -= AllocatedBytes(entry.size);
    entry = Entry();
    free_.push_back(number);
  }
  if (!numbers_.empty()) return;
  entries_ = std::vector<Entry>();
  free_ = std::vector<uint32_t>();
  numbers_.rehash(0);
}

std::optional<uint32_t> AttributeDictionary::Find(std::string_view text) const {
  MutexLock lock(&mutex_);
  const auto it = numbers_.find(text);
  if (it == numbers_.end()) return std::nullopt;
  return *it;
}

std::string AttributeDictionary::Text(uint32_t number) const {
  MutexLock lock(&mutex_);
  return std::string(TextOf(number));
}

uint32_t AttributeDictionary::size() const {
  MutexLock lock(&mutex_);
  return static_cast<uint32_t>(entries_.size());
}

uint64_t AttributeDictionary::memory_bytes() const {
  MutexLock lock(&mutex_);
  return text_bytes_ + entries_.capacity() * sizeof(Entry) + free_.capacity() * sizeof(uint32_t) +
         numbers_.capacity() * (sizeof(uint32_t) + 1);
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
  return *columns_->emplace(name, std::make_shared<Column>(capacity_)).first->second;
}

void AttributeColumns::SetValue(Column& column, uint32_t row, AttributeType type, uint64_t value) {
  column.types[row] = type;
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
      target.types[to] = type;
      continue;
    }
    const uint64_t value = column->values[from_row];
    if (IsInDictionary(type)) {
      const auto number = static_cast<uint32_t>(value);
      SetText(target, to, type, number, dictionary_->Hold(number));
    } else {
      SetValue(target, to, type, value);
    }
  }
}

void AttributeColumns::Set(uint32_t row, const Attributes& attributes) {
  for (const auto& [name, value] : attributes) {
    Column& column = ColumnFor(name);
    if (IsStoredOnly(*schema_, name, value)) {
      column.types[row] = AttributeType::kStored;
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
  } else if (const auto* integer = std::get_if<int64_t>(&value)) {
    SetValue(column, row, AttributeType::kInt, static_cast<uint64_t>(*integer));
  } else if (const auto* number = std::get_if<double>(&value)) {
    SetValue(column, row, AttributeType::kDouble, std::bit_cast<uint64_t>(*number));
  } else if (const auto* time = std::get_if<Timestamp>(&value)) {
    SetValue(column, row, AttributeType::kTimestamp, static_cast<uint64_t>(time->unix_us));
  } else {
    SetValue(column, row, AttributeType::kBool, std::get<bool>(value) ? 1 : 0);
  }
}

std::optional<AttributeScalar> ScalarAt(const AttributeColumns::Column& column, uint32_t row,
                                        const AttributeDictionary& dictionary) {
  const uint64_t value = column.values[row];
  switch (column.types[row]) {
    case AttributeType::kString:
      return dictionary.Text(static_cast<uint32_t>(value));
    case AttributeType::kInt:
      return static_cast<int64_t>(value);
    case AttributeType::kDouble:
      return std::bit_cast<double>(value) + 0.0;  // one zero
    case AttributeType::kBool:
      return value != 0;
    case AttributeType::kTimestamp:
      return Timestamp{static_cast<int64_t>(value)};
    default:
      return std::nullopt;
  }
}

std::optional<int64_t> AttributeColumns::Integer(std::string_view name, uint32_t row) const {
  const auto column = columns_->find(name);
  if (column == columns_->end() || column->second->types[row] != AttributeType::kInt) return std::nullopt;
  return static_cast<int64_t>(column->second->values[row]);
}

uint64_t AttributeColumns::memory_bytes(uint32_t rows) const {
  uint64_t row_bytes = 0;
  for (const auto& [name, column] : *columns_) row_bytes += column->has_values ? 9 : 1;
  return row_bytes * rows;
}

}  // namespace bebr
