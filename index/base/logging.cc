#include "index/base/logging.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <atomic>
#include <memory>
#include <string>

#include "nlohmann/json.hpp"

namespace bebr {
namespace {

std::atomic<bool> json_lines{false};

// Stands before the fields of an event on their way to the formatter; no message begins with it.
constexpr char kFieldsMark = '\x1e';

// In ASCII, whatever bytes a client sent.
void AppendQuoted(std::string_view text, std::string& out) {
  out += nlohmann::json(text).dump(/*indent=*/-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace);
}

bool IsPlain(std::string_view text) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:/-";
  return !text.empty() && text.find_first_not_of(kPlain) == std::string_view::npos;
}

void AppendValue(const LogField& field, bool always_quoted, std::string& out) {
  if (const auto* number = std::get_if<int64_t>(&field.value)) {
    out += std::to_string(*number);
  } else if (const auto text = std::get<std::string_view>(field.value); always_quoted || !IsPlain(text)) {
    AppendQuoted(text, out);
  } else {
    out += text;
  }
}

class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    head_.format(message, out);
    const std::string_view payload(message.payload.data(), message.payload.size());
    std::string rest;
    if (!payload.empty() && payload[0] == kFieldsMark) {
      rest = payload.substr(1);
    } else {
      rest = "\"message\": ";
      AppendQuoted(payload, rest);
    }
    rest += "}\n";
    out.append(rest.data(), rest.data() + rest.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<JsonFormatter>(); }

 private:
  spdlog::pattern_formatter head_{R"({"time": "%Y-%m-%dT%H:%M:%S.%eZ", "level": "%l", )",
                                  spdlog::pattern_time_type::utc, ""};
};

}  // namespace

void LogEvent(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  const bool json = json_lines.load(std::memory_order_relaxed);
  std::string line;
  if (json) {
    (line += kFieldsMark) += "\"event\": ";
    AppendQuoted(event, line);
  } else {
    line += event;
  }
  for (const LogField& field : fields) {
    (((line += json ? ", \"" : " ") += field.name) += json ? "\": " : "=");
    AppendValue(field, json, line);
  }
  spdlog::log(level == LogLevel::kInfo      ? spdlog::level::info
              : level == LogLevel::kWarning ? spdlog::level::warn
                                            : spdlog::level::err,
              "{}", line);
}

bool InitLogging(std::string_view level, bool json) {
  const auto parsed = spdlog::level::from_str(std::string(level));
  if (parsed == spdlog::level::off && level != "off") return false;
  auto logger = std::make_shared<spdlog::logger>("bebr", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  json_lines = json;
  if (json) {
    logger->set_formatter(std::make_unique<JsonFormatter>());
  } else {
    logger->set_formatter(
        std::make_unique<spdlog::pattern_formatter>("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc));
  }
  logger->set_level(parsed);
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
  return true;
}

}  // namespace bebr
