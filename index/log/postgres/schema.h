// The tables of logs in PostgreSQL and the functions on them, which README.md describes.
#ifndef BEBR_INDEX_LOG_POSTGRES_SCHEMA_H_
#define BEBR_INDEX_LOG_POSTGRES_SCHEMA_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "index/base/clock.h"

namespace bebr::postgres {

class Connection;

// Raised when tables or functions change so that servers before cannot use them.
inline constexpr int kSchemaFormat = 1;

// SQLSTATEs that the functions raise.
inline constexpr std::string_view kFenced = "BE001";
inline constexpr std::string_view kWrongNumber = "BE002";
inline constexpr std::string_view kNoLog = "BE003";
inline constexpr std::string_view kNotDurable = "BE004";

// What an error of this SQLSTATE is.
absl::StatusCode CodeOf(std::string_view state);

// PostgreSQL is set so that it would lose what it has acknowledged, as `problem` says.
absl::Status NotDurable(std::string_view problem);

// `text` with the schema's name for each "$schema".
std::string InSchema(std::string_view text, const std::string& schema);

// FAILED_PRECONDITION if PostgreSQL is set so that it would lose what it has acknowledged; `single`: one PostgreSQL
// without standbys is enough.
absl::Status CheckDurable(Connection& connection, bool single, SteadyTime deadline);

// Makes the schema, if it is not there. FAILED_PRECONDITION if it is of another format.
absl::Status Prepare(Connection& connection, const std::string& schema, SteadyTime deadline);

}  // namespace bebr::postgres

#endif  // BEBR_INDEX_LOG_POSTGRES_SCHEMA_H_
