#include "index/segment/attribute_dictionary.h"

#include <cstring>
#include <utility>

#include "index/types/attributes.h"

namespace bebr {
namespace {

// What the allocator takes for a string.
uint64_t AllocatedBytes(uint64_t size) { return size == 0 ? 0 : std::max<uint64_t>(32, (size + 8 + 15) / 16 * 16); }

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
  Set(number, text, 1);
  return number;
}

void AttributeDictionary::Set(uint32_t number, std::string_view text, uint32_t rows) {
  Entry& entry = entries_[number];
  entry.text = std::make_unique_for_overwrite<char[]>(text.size());
  std::memcpy(entry.text.get(), text.data(), text.size());
  entry.size = static_cast<uint32_t>(text.size());
  entry.rows = rows;
  numbers_.insert(number);
  text_bytes_ += AllocatedBytes(text.size());
}

void AttributeDictionary::Save(LayoutWriter& out, uint32_t size) const {
  MutexLock lock(&mutex_);
  for (uint32_t number = 0; number < size; ++number) out.PutText(TextOf(number));
}

void AttributeDictionary::Load(LayoutReader& in, const std::vector<uint32_t>& held) {
  MutexLock lock(&mutex_);
  entries_.resize(held.size());
  numbers_.reserve(held.size());
  for (uint32_t number = 0; number < held.size() && in.ok(); ++number) {
    const std::string text = in.TakeText(kMaxAttributesBytes);
    if (held[number] > 0 && numbers_.contains(text)) in.Fail("it has a text twice");
    if (!in.ok()) return;
    if (held[number] > 0) {
      Set(number, text, held[number]);
    } else {
      free_.push_back(number);  // only an index had it, or it has gone
    }
  }
}

std::optional<uint32_t> AttributeDictionary::Hold(uint32_t number) {
  MutexLock lock(&mutex_);
  if (number >= entries_.size() || entries_[number].rows == 0) return std::nullopt;
  ++entries_[number].rows;
  return entries_[number].size;
}

void AttributeDictionary::Release(absl::Span<const uint32_t> numbers) {
  MutexLock lock(&mutex_);
  for (const uint32_t number : numbers) {
    if (number >= entries_.size() || entries_[number].rows == 0) continue;  // memory has changed it
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

bool AttributeDictionary::Has(uint32_t number, std::string_view text) const {
  MutexLock lock(&mutex_);
  return number < entries_.size() && entries_[number].rows > 0 && TextOf(number) == text;
}

std::string AttributeDictionary::Text(uint32_t number) const {
  MutexLock lock(&mutex_);
  return number < entries_.size() ? std::string(TextOf(number)) : std::string();  // memory may have changed it
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

}  // namespace bebr
