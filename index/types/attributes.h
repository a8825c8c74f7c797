// Attributes of documents: values, their limits, and what a collection says of them by name.
#ifndef BEBR_INDEX_TYPES_ATTRIBUTES_H_
#define BEBR_INDEX_TYPES_ATTRIBUTES_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace bebr {

inline constexpr size_t kMaxAttributes = 64;
inline constexpr size_t kMaxAttributeNameBytes = 128;
inline constexpr size_t kMaxAttributesBytes = 1 << 20;          // names and values of one document together
inline constexpr size_t kMaxIndexedAttributesBytes = 16 << 10;  // of these, the ones that filters compare
inline constexpr size_t kMaxIndexedTextBytes = 256;             // longer ones are stored only, unless a rule says else
inline constexpr size_t kMaxAttributeRules = 256;               // of a collection

// A moment, in microseconds since 1970 (UTC): years 0 to 9999.
struct Timestamp {
  int64_t unix_us = 0;

  friend auto operator<=>(const Timestamp&, const Timestamp&) = default;
};

// One value, several, or either. The order of the alternatives is part of the storage format.
using AttributeScalar = std::variant<std::string, int64_t, double, bool, Timestamp>;
using AttributeList = std::vector<AttributeScalar>;
using AttributeValue = std::variant<std::string, int64_t, double, bool, Timestamp, AttributeList>;
using Attributes = std::map<std::string, AttributeValue, std::less<>>;

AttributeValue ToValue(AttributeScalar scalar);
// Of a value that is no list.
AttributeScalar ToScalar(AttributeValue value);
// What a value takes of a document's bytes: a text its length, all else 8; of a list each value 8, and texts their
// length beside.
size_t ValueBytes(const AttributeValue& value);

// As RFC 3339 has it: 2026-01-31T12:00:00Z, with any offset and any fraction of a second, of which microseconds are
// kept. INVALID_ARGUMENT shows what is wrong.
absl::StatusOr<Timestamp> ParseTimestamp(std::string_view text);
// In UTC, with as much of a fraction as there is.
std::string FormatTimestamp(Timestamp time);

// What an attribute's values are. The numbers are part of the catalogue's format, as are those below.
enum class AttributeKind : uint8_t { kAny = 0, kString = 1, kInt = 2, kDouble = 3, kBool = 4, kTimestamp = 5 };
// Where they are. Indexed: in memory, for filters, and on disk. Stored: on disk alone; filters see that they exist.
enum class AttributeStorage : uint8_t { kBySize = 0, kIndexed = 1, kStored = 2 };

// What a collection says of the attribute of one name.
struct AttributeRule {
  AttributeKind kind = AttributeKind::kAny;
  AttributeStorage storage = AttributeStorage::kBySize;

  friend bool operator==(const AttributeRule&, const AttributeRule&) = default;
};
// By name; names that are not there are of any kind, and stored by size.
using AttributeSchema = std::map<std::string, AttributeRule, std::less<>>;

std::string_view ToString(AttributeKind kind);
std::string_view ToString(AttributeStorage storage);

// Whether filters do not see the value of the attribute of that name: it is stored only.
bool IsStoredOnly(const AttributeSchema& schema, std::string_view name, const AttributeValue& value);

// INVALID_ARGUMENT, naming `field`, unless count, name lengths and sizes are within the limits above and no double is
// NaN or infinite.
absl::Status ValidateAttributes(std::string_view field, const Attributes& attributes,
                                const AttributeSchema& schema = {});
// Makes the values those of the schema's kinds: a text that is one becomes a timestamp, an integer a decimal. Values of
// other kinds are INVALID_ARGUMENT, naming `field`. A list is looked at value by value.
absl::Status ConformAttributes(std::string_view field, const AttributeSchema& schema, Attributes& attributes);
// INVALID_ARGUMENT for too many rules, or a name that no attribute can have.
absl::Status ValidateSchema(const AttributeSchema& schema);

}  // namespace bebr

#endif  // BEBR_INDEX_TYPES_ATTRIBUTES_H_
