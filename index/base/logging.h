// The one place that chooses the logging library: LogInfo("opened {} in {} ms", name, ms) for people, and for programs
// too: LogEvent(LogLevel::kWarning, "slow_query", {{"collection", name}, {"total_us", us}}).
#ifndef BEBR_INDEX_BASE_LOGGING_H_
#define BEBR_INDEX_BASE_LOGGING_H_

#include <spdlog/spdlog.h>

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <variant>

#include "absl/time/time.h"

namespace bebr {

template <typename... Args>
void LogDebug(fmt::format_string<Args...> format, Args&&... args) {
  spdlog::debug(format, std::forward<Args>(args)...);
}
template <typename... Args>
void LogInfo(fmt::format_string<Args...> format, Args&&... args) {
  spdlog::info(format, std::forward<Args>(args)...);
}
template <typename... Args>
void LogWarning(fmt::format_string<Args...> format, Args&&... args) {
  spdlog::warn(format, std::forward<Args>(args)...);
}
template <typename... Args>
void LogError(fmt::format_string<Args...> format, Args&&... args) {
  spdlog::error(format, std::forward<Args>(args)...);
}

// kAudit is written whatever the level is.
enum class LogLevel { kInfo, kWarning, kError, kAudit };

// A value of an event. Borrowed: nothing is kept after LogEvent.
struct LogField {
  std::string_view name;  // of letters, digits and _
  std::variant<std::string_view, int64_t> value;
};

// A line of fields: `slow_query collection=papers total_us=1200` as text (values with other characters than letters,
// digits and _.:/- in double quotes, escaped as in JSON), a JSON object with "event" and the fields as JSON.
void LogEvent(LogLevel level, std::string_view event, std::initializer_list<LogField> fields);

// Sends log lines to standard error with UTC times: text, or, with `json`, one JSON object a line with time, level, and
// message or event. `level` is debug, info, warning or error; returns false for others.
bool InitLogging(std::string_view level, bool json = false);

// Changes the level; returns false, changing nothing, for others than those of InitLogging.
bool SetLogLevel(std::string_view level);

// For servers, after InitLogging: from now on lines are written by a thread of their own, and dropped where they cannot
// be written as fast as they come.
void WriteLogInBackground();
// Lines dropped so far.
uint64_t DroppedLogLines();
// Returns when all lines so far are written, or after `most`. For the end of the program.
void FlushLog(absl::Duration most);

}  // namespace bebr

#endif  // BEBR_INDEX_BASE_LOGGING_H_
