#include "index/segment/attribute_columns.h"

#include <bit>

namespace bebr {

uint32_t AttributeDictionary::Add(std::string_view text) {
  MutexLock lock(&mutex_);
  if (const auto it = numbers_.find(text); it != numbers_.end()) return it->second;
  const uint32_t number = static_cast<uint32_t>(texts_.size());
  const std::string& stored = texts_.emplace_back(text);
  numbers_.emplace(stored, number);
  bytes_ += sizeof(std::string) + (stored.capacity() > 15 ? stored.capacity() + 1 : 0);
  return number;
}

std::optional<uint32_t> AttributeDictionary::Find(std::string_view text) const {
  MutexLock lock(&mutex_);
  const auto it = numbers_.find(text);
  if (it == numbers_.end()) return std::nullopt;
  return it->second;
}

uint32_t AttributeDictionary::size() const {
  MutexLock lock(&mutex_);
  return static_cast<uint32_t>(texts_.size());
}

uint64_t AttributeDictionary::memory_bytes() const {
  MutexLock lock(&mutex_);
  return bytes_ + numbers_.capacity() * (sizeof(std::pair<std::string_view, uint32_t>) + 1);
}

AttributeColumns::Column& AttributeColumns::ColumnFor(const std::string& name) {
  auto it = columns_->find(name);
  if (it == columns_->end()) {
    columns_ = std::make_shared<Map>(*columns_);
    it = columns_->emplace(name, std::make_shared<Column>(capacity_)).first;
  }
  return *it->second;
}

void AttributeColumns::Copy(const AttributeColumns& from, uint32_t from_row, uint32_t to) {
  for (const auto& [name, column] : *from.columns_) {
    if (column->types[from_row] == AttributeType::kAbsent) continue;
    Column& target = ColumnFor(name);
    target.types[to] = column->types[from_row];
    target.values[to] = column->values[from_row];
  }
}

void AttributeColumns::Set(uint32_t row, const Attributes& attributes, AttributeDictionary& dictionary) {
  for (const auto& [name, value] : attributes) {
    Column& column = ColumnFor(name);
    if (const auto* text = std::get_if<std::string>(&value)) {
      column.types[row] = AttributeType::kString;
      column.values[row] = dictionary.Add(*text);
    } else if (const auto* integer = std::get_if<int64_t>(&value)) {
      column.types[row] = AttributeType::kInt;
      column.values[row] = static_cast<uint64_t>(*integer);
    } else if (const auto* number = std::get_if<double>(&value)) {
      column.types[row] = AttributeType::kDouble;
      column.values[row] = std::bit_cast<uint64_t>(*number);
    } else {
      column.types[row] = AttributeType::kBool;
      column.values[row] = std::get<bool>(value) ? 1 : 0;
    }
  }
}

uint64_t AttributeColumns::memory_bytes(uint32_t rows) const { return columns_->size() * uint64_t{9} * rows; }

}  // namespace bebr
