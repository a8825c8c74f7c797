#include "index/log/postgres/connection.h"

#include <errno.h>
#include <poll.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "index/base/status_macros.h"
#include "index/log/postgres/schema.h"
#include "index/log/postgres/values.h"

namespace bebr::postgres {
namespace {

constexpr int kBinary = 1;
constexpr int64_t kNoTimeout = 3600;  // as connect_timeout=0 asks for; the deadline ends it

// What an address need not say. Without them a host that is gone would be waited for for minutes.
const std::map<std::string, std::string>& Defaults() {
  static const auto* const defaults = new std::map<std::string, std::string>{
      {"connect_timeout", "3"},     {"tcp_user_timeout", "10000"}, {"keepalives_idle", "5"},
      {"keepalives_interval", "2"}, {"keepalives_count", "3"},     {"target_session_attrs", "read-write"},
      {"application_name", "bebr"}};
  return *defaults;
}

std::string OneLine(const char* text) {
  return absl::StrReplaceAll(absl::StripAsciiWhitespace(text == nullptr ? "" : text), {{"\n", "; "}});
}

absl::StatusOr<std::map<std::string, std::string>> ParseAddress(const Libpq* libpq, const std::string& address) {
  char* error = nullptr;
  PQconninfoOption* given = libpq->PQconninfoParse(address.c_str(), &error);
  const auto free = absl::MakeCleanup([&] {
    libpq->PQconninfoFree(given);
    libpq->PQfreemem(error);
  });
  if (given == nullptr) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "the log's address is no connection string of libpq, such as \"host=a,b,c dbname=bebr user=bebr\": %s",
        OneLine(error)));
  }
  std::map<std::string, std::string> options = Defaults();
  for (const PQconninfoOption* option = given; option->keyword != nullptr; ++option) {
    if (option->val != nullptr) options[option->keyword] = option->val;
  }
  // Whoever waits for a lock gives up before its caller does and sends it again, so that no waiting sessions pile up.
  // What the address itself sets comes later, and so counts.
  std::string& settings = options["options"];
  settings = absl::StrCat("-c lock_timeout=2s ", settings);
  return options;
}

// Why PostgreSQL did not let a connection in, as libpq tells it at length, and without what is of use to its developers
// alone; and whether it was there and said no, so that only another address, or its administrator, can help.
struct Refusal {
  std::string text;
  bool refused = false;
};

Refusal RefusalOf(std::string text) {
  // "...FATAL:  28P01: password authentication failed for user "u"; LOCATION:  auth_failed, auth.c:326"
  for (const char* hint : {"; \tIs the server running on that host and accepting TCP/IP connections?",
                           "; \tIs the server running locally and accepting connections on that socket?"})
    absl::StrReplaceAll({{hint, ""}}, &text);
  constexpr std::string_view kBefore = ":  ", kAfter = ": ", kLocation = "; LOCATION:  ";
  constexpr size_t kStateBytes = 5;
  Refusal refusal;
  for (size_t at = 0; (at = text.find(kBefore, at)) != text.npos;) {
    at += kBefore.size();
    const std::string state = text.substr(at, kStateBytes);
    const bool is_state = std::all_of(state.begin(), state.end(),
                                      [](char c) { return absl::ascii_isupper(c) || absl::ascii_isdigit(c); });
    if (state.size() < kStateBytes || !is_state || text.compare(at + kStateBytes, kAfter.size(), kAfter) != 0) continue;
    // Its user or password, its database, or the right to use that.
    refusal.refused |= state.starts_with("28") || state.starts_with("3D") || state == "42501";
    text.erase(at, kStateBytes + kAfter.size());
  }
  for (size_t at = 0; (at = text.find(kLocation)) != text.npos;)
    text.erase(at, std::min(text.find("; ", at + kLocation.size()), text.size()) - at);
  refusal.text = std::move(text);
  return refusal;
}

// The options for each host that they name.
std::vector<std::map<std::string, std::string>> EachHost(const std::map<std::string, std::string>& options) {
  size_t count = 1;
  for (const char* name : {"host", "hostaddr"}) {
    const auto given = options.find(name);
    if (given != options.end())
      count = std::max<size_t>(count, 1 + std::count(given->second.begin(), given->second.end(), ','));
  }
  std::vector<std::map<std::string, std::string>> hosts(count, options);
  if (count == 1) return hosts;
  for (const char* name : {"host", "hostaddr", "port"}) {
    const auto given = options.find(name);
    if (given == options.end()) continue;
    const std::vector<std::string> values = absl::StrSplit(given->second, ',');
    if (values.size() != count) continue;  // one port for all
    for (size_t i = 0; i < count; ++i) hosts[i][name] = values[i];
  }
  return hosts;
}

}  // namespace

std::string_view Rows::bytes(int row, int column) const {
  return {libpq_->PQgetvalue(result_.get(), row, column),
          static_cast<size_t>(libpq_->PQgetlength(result_.get(), row, column))};
}
uint64_t Rows::number(int row, int column) const { return static_cast<uint64_t>(ReadInt(bytes(row, column))); }
AppendId Rows::append(int row, int column) const { return ReadUuid(bytes(row, column)); }

Connection::Connection(const Libpq* libpq, PGconn* connection) : libpq_(libpq), connection_(connection) {}

Connection::~Connection() { libpq_->PQfinish(connection_); }

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(const Libpq* libpq, const std::string& address,
                                                             SteadyTime deadline) {
  BEBR_ASSIGN_OR_RETURN(const Options all, ParseAddress(libpq, address));
  int64_t timeout_s = 0;
  if (!absl::SimpleAtoi(all.at("connect_timeout"), &timeout_s) || timeout_s <= 0) timeout_s = kNoTimeout;
  // libpq tries several hosts by itself, but a host that hangs then takes the whole time.
  const std::vector<Options> hosts = EachHost(all);
  absl::Status status;
  for (size_t i = 0; i < hosts.size(); ++i) {
    const SteadyTime now = SteadyNow();
    const absl::Duration share = (deadline - now) / static_cast<int64_t>(hosts.size() - i);
    auto connection = OpenOne(libpq, hosts[i], now + std::min(share, absl::Seconds(timeout_s)));
    if (connection.ok()) return connection;
    // That one refuses counts for more than that others are away.
    const bool refused = absl::IsFailedPrecondition(status) || absl::IsFailedPrecondition(connection.status());
    const std::string both = absl::StrCat(status.message(), status.ok() ? "" : "; ", connection.status().message());
    status = refused ? absl::FailedPreconditionError(both) : absl::UnavailableError(both);
  }
  return status;
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::OpenOne(const Libpq* libpq, const Options& options,
                                                                SteadyTime deadline) {
  std::vector<const char*> names, values;
  for (const auto& [name, value] : options) {
    names.push_back(name.c_str());
    values.push_back(value.c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  std::unique_ptr<Connection> connection(
      new Connection(libpq, libpq->PQconnectStartParams(names.data(), values.data(), 0)));
  const auto unreachable = [&](std::string_view why) {
    return absl::UnavailableError(absl::StrFormat("PostgreSQL, which has the log, cannot be reached: %s", why));
  };
  PGconn* const raw = connection->connection_;
  libpq->PQsetErrorVerbosity(raw, PQERRORS_VERBOSE);  // so that the text has the code, whatever its language
  bool writing = true;                                // as libpq says that it begins
  while (libpq->PQstatus(raw) != CONNECTION_BAD) {
    if (!connection->WaitForSocket(writing, deadline).ok()) return unreachable("it did not answer in time");
    const PostgresPollingStatusType next = libpq->PQconnectPoll(raw);
    if (next == PGRES_POLLING_OK || next == PGRES_POLLING_FAILED) break;
    writing = next == PGRES_POLLING_WRITING;
  }
  if (libpq->PQstatus(raw) != CONNECTION_OK || libpq->PQsetnonblocking(raw, 1) != 0) {
    const Refusal why = RefusalOf(OneLine(libpq->PQerrorMessage(raw)));
    if (!why.refused && libpq->PQconnectionNeedsPassword(raw) == 0) return unreachable(why.text);
    return absl::FailedPreconditionError(absl::StrFormat(
        "PostgreSQL, which is to have the log, refuses what cluster_log says, its user, password or database: %s",
        why.text));
  }
  libpq->PQsetErrorVerbosity(raw, PQERRORS_DEFAULT);
  const auto notice = [](void* self, const PGresult* result) {
    auto* connection = static_cast<Connection*>(self);
    const char* severity = connection->libpq_->PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (severity == nullptr || std::string_view(severity) != "WARNING") return;
    connection->warning_ = OneLine(connection->libpq_->PQresultErrorMessage(result));
  };
  libpq->PQsetNoticeReceiver(connection->connection_, notice, connection.get());
  return connection;
}

absl::StatusOr<Rows> Connection::Run(const std::string& statement, absl::Span<const std::string> arguments,
                                     SteadyTime deadline) {
  warning_.clear();
  BEBR_RETURN_IF_ERROR(Send(statement, arguments, deadline));
  BEBR_RETURN_IF_ERROR(WaitForAnswer(deadline));
  Rows rows(libpq_, nullptr);
  absl::Status status;
  // All of it: results are null-ended.
  while (PGresult* result = libpq_->PQgetResult(connection_)) {
    Rows next(libpq_, result);
    if (status.ok()) status = ErrorOf(result);
    rows = std::move(next);
    BEBR_RETURN_IF_ERROR(WaitForAnswer(deadline));
  }
  BEBR_RETURN_IF_ERROR(status);
  if (!warning_.empty()) return Broken(warning_);
  return rows;
}

absl::Status Connection::Send(const std::string& statement, absl::Span<const std::string> arguments,
                              SteadyTime deadline) {
  std::vector<const char*> values;
  std::vector<int> lengths;
  const std::vector<int> formats(arguments.size(), kBinary);
  for (const std::string& argument : arguments) {
    values.push_back(argument.data());
    lengths.push_back(static_cast<int>(argument.size()));
  }
  if (libpq_->PQsendQueryParams(connection_, statement.c_str(), static_cast<int>(arguments.size()), nullptr,
                                values.data(), lengths.data(), formats.data(), kBinary) == 0) {
    return Broken(OneLine(libpq_->PQerrorMessage(connection_)));
  }
  for (;;) {
    const int left = libpq_->PQflush(connection_);
    if (left == 0) return absl::OkStatus();
    if (left < 0) return Broken(OneLine(libpq_->PQerrorMessage(connection_)));
    BEBR_RETURN_IF_ERROR(WaitForSocket(/*writing=*/true, deadline));
    if (libpq_->PQconsumeInput(connection_) == 0) return Broken(OneLine(libpq_->PQerrorMessage(connection_)));
  }
}

absl::Status Connection::WaitForAnswer(SteadyTime deadline) {
  while (libpq_->PQisBusy(connection_) != 0) {
    BEBR_RETURN_IF_ERROR(WaitForSocket(/*writing=*/false, deadline));
    if (libpq_->PQconsumeInput(connection_) == 0) return Broken(OneLine(libpq_->PQerrorMessage(connection_)));
  }
  return absl::OkStatus();
}

absl::Status Connection::WaitForSocket(bool writing, SteadyTime deadline) {
  for (;;) {
    const int64_t left_ms = absl::ToInt64Milliseconds(deadline - SteadyNow());
    if (left_ms <= 0) return Broken("it did not answer in time");
    pollfd socket = {.fd = libpq_->PQsocket(connection_),
                     .events = static_cast<int16_t>(POLLIN | (writing ? POLLOUT : 0)),
                     .revents = 0};
    const int ready = poll(&socket, 1, static_cast<int>(std::min<int64_t>(left_ms + 1, 1000)));
    if (ready > 0) return absl::OkStatus();
    if (ready < 0 && errno != EINTR) return Broken("poll failed");
  }
}

absl::Status Connection::Broken(std::string_view why) {
  broken_ = true;
  const char* host = libpq_->PQhost(connection_);
  const char* port = libpq_->PQport(connection_);
  return absl::UnavailableError(absl::StrFormat("PostgreSQL at %s:%s, which has the log: %s",
                                                host == nullptr ? "?" : host, port == nullptr ? "?" : port, why));
}

absl::Status Connection::ErrorOf(PGresult* result) {
  const ExecStatusType status = libpq_->PQresultStatus(result);
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) return absl::OkStatus();
  const auto field = [&](int code) -> std::string {
    const char* text = libpq_->PQresultErrorField(result, code);
    return text == nullptr ? "" : text;
  };
  error_state_ = field(PG_DIAG_SQLSTATE);
  error_text_ = field(PG_DIAG_MESSAGE_PRIMARY);
  const absl::StatusCode code = CodeOf(error_state_);
  if (error_state_.empty() || code == absl::StatusCode::kUnavailable) {
    return Broken(OneLine(libpq_->PQresultErrorMessage(result)));
  }
  return absl::Status(code, absl::StrFormat("the log in PostgreSQL: %s (SQLSTATE %s)", error_text_, error_state_));
}

}  // namespace bebr::postgres
