// Values as PostgreSQL sends and takes them in binary form.
#ifndef BEBR_INDEX_LOG_POSTGRES_VALUES_H_
#define BEBR_INDEX_LOG_POSTGRES_VALUES_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/types/span.h"
#include "index/log/log.h"

namespace bebr::postgres {

// Arguments of statements; texts are sent as they are.
std::string BigInt(uint64_t value);
std::string Boolean(bool value);
std::string Uuid(const AppendId& id);
std::string IntArray(absl::Span<const uint32_t> values);
std::string ByteaArray(absl::Span<const LogRecord> records);

// Results: an integer of any width, and a uuid, from their bytes.
int64_t ReadInt(std::string_view bytes);
AppendId ReadUuid(std::string_view bytes);

}  // namespace bebr::postgres

#endif  // BEBR_INDEX_LOG_POSTGRES_VALUES_H_
