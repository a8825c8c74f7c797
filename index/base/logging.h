// The one place that chooses the logging library: LogInfo("opened {} in {} ms", name, ms).
#ifndef BEBR_INDEX_BASE_LOGGING_H_
#define BEBR_INDEX_BASE_LOGGING_H_

#include <spdlog/spdlog.h>

#include <string_view>

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

// Sends log lines to standard error with UTC times. `level` is debug, info, warning or error; returns false for others.
bool InitLogging(std::string_view level);

}  // namespace bebr

#endif  // BEBR_INDEX_BASE_LOGGING_H_
