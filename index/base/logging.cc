#include "index/base/logging.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "index/base/log_writer.h"
#include "index/base/mutex.h"
#include "nlohmann/json.hpp"

namespace bebr {
namespace {

std::atomic<bool> json_lines{false};
std::atomic<LogWriter*> background{nullptr};

// Of lines that wait for being written.
constexpr size_t kMaxQueuedBytes = size_t{4} << 20;

// Of a text in an event: clients' texts may be as long as their messages.
constexpr size_t kMaxValueBytes = 2048;

constexpr std::string_view kAuditName = "audit";  // in place of the logger's, which no line shows

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
  } else if (const auto text = std::get<std::string_view>(field.value).substr(0, kMaxValueBytes);
             always_quoted || !IsPlain(text)) {
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

// Hands lines to a LogWriter, whatever thread they come from.
class BackgroundSink final : public spdlog::sinks::sink {
 public:
  explicit BackgroundSink(LogWriter* writer) : writer_(writer) {}

  void log(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    {
      MutexLock lock(&mutex_);
      formatter_->format(message, line);
    }
    const bool audit = std::string_view(message.logger_name.data(), message.logger_name.size()) == kAuditName;
    writer_->Write(std::string(line.data(), line.size()), audit ? LogWriter::Kind::kAudit : LogWriter::Kind::kOther);
  }
  void flush() override {}
  void set_pattern(const std::string& pattern) override {
    set_formatter(std::make_unique<spdlog::pattern_formatter>(pattern));
  }
  void set_formatter(std::unique_ptr<spdlog::formatter> formatter) override {
    MutexLock lock(&mutex_);
    formatter_ = std::move(formatter);
  }

 private:
  LogWriter* const writer_;
  Mutex mutex_;
  std::unique_ptr<spdlog::formatter> formatter_ ABSL_GUARDED_BY(mutex_);
};

std::shared_ptr<spdlog::logger> MakeLogger(spdlog::sink_ptr sink, spdlog::level::level_enum level) {
  auto logger = std::make_shared<spdlog::logger>("bebr", std::move(sink));
  if (json_lines) {
    logger->set_formatter(std::make_unique<JsonFormatter>());
  } else {
    logger->set_formatter(
        std::make_unique<spdlog::pattern_formatter>("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc));
  }
  logger->set_level(level);
  logger->flush_on(spdlog::level::info);
  return logger;
}

std::optional<spdlog::level::level_enum> ParseLevel(std::string_view level) {
  const auto parsed = spdlog::level::from_str(std::string(level));
  if (parsed == spdlog::level::off && level != "off") return std::nullopt;
  return parsed;
}

// A line of the audit, whatever the level is.
void LogAudit(std::string_view line) {
  const auto logger = spdlog::default_logger();
  const spdlog::details::log_msg message(spdlog::string_view_t(kAuditName.data(), kAuditName.size()),
                                         spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
  for (const auto& sink : logger->sinks()) {
    sink->log(message);
    sink->flush();
  }
}

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
  if (level == LogLevel::kAudit) return LogAudit(line);
  spdlog::log(level == LogLevel::kInfo      ? spdlog::level::info
              : level == LogLevel::kWarning ? spdlog::level::warn
                                            : spdlog::level::err,
              "{}", line);
}

bool InitLogging(std::string_view level, bool json) {
  const auto parsed = ParseLevel(level);
  if (!parsed.has_value()) return false;
  json_lines = json;
  spdlog::set_default_logger(MakeLogger(std::make_shared<spdlog::sinks::stderr_color_sink_mt>(), *parsed));
  return true;
}

bool SetLogLevel(std::string_view level) {
  const auto parsed = ParseLevel(level);
  if (parsed.has_value()) spdlog::set_level(*parsed);
  return parsed.has_value();
}

void WriteLogInBackground() {
  auto* writer = new LogWriter(STDERR_FILENO, kMaxQueuedBytes);  // never deleted: anybody may log until the very end
  background = writer;
  spdlog::set_default_logger(MakeLogger(std::make_shared<BackgroundSink>(writer), spdlog::get_level()));
}

uint64_t DroppedLogLines() {
  const LogWriter* writer = background;
  return writer == nullptr ? 0 : writer->dropped();
}

void FlushLog(absl::Duration most) {
  if (LogWriter* writer = background) writer->Flush(most);
}

}  // namespace bebr
