#include "index/log/log.h"

#include <algorithm>

#include "absl/strings/cord.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace bebr {
namespace {

constexpr absl::string_view kEndsEarlier = "bebr/log_ends_earlier";

}  // namespace

std::string ToText(const AppendId& id) { return absl::StrFormat("%016x%016x", id.high, id.low); }

absl::Status CheckLogName(std::string_view what, std::string_view name) {
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (!name.empty() && name.size() <= kMaxLogNameBytes && plain) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("the name of a %s has 1 to %d printable ASCII characters; this has %d%s", what, kMaxLogNameBytes,
                      name.size(), plain ? "" : ", and others"));
}

absl::Status CheckAppend(absl::Span<const LogRecord> records) {
  if (records.empty()) return absl::InvalidArgumentError("an append has one record at least; this has none");
  std::vector<uint32_t> shards;
  size_t bytes = 0;
  for (const LogRecord& record : records) {
    shards.push_back(record.shard);
    bytes += record.bytes.size();
  }
  std::sort(shards.begin(), shards.end());
  if (shards.back() >= kMaxLogShards) {
    return absl::InvalidArgumentError(
        absl::StrFormat("a record is for shard %d; the limit is %d", shards.back(), kMaxLogShards - 1));
  }
  if (const auto twice = std::adjacent_find(shards.begin(), shards.end()); twice != shards.end()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("an append has two records for shard %d; one is the limit", *twice));
  }
  if (bytes > kMaxAppendBytes) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "the records of an append have %d bytes; the limit is %d: append less at a time", bytes, kMaxAppendBytes));
  }
  return absl::OkStatus();
}

absl::Status NoSuchLog(std::string_view name) {
  return absl::NotFoundError(absl::StrFormat("there is no log \"%s\"", name));
}

absl::Status Fenced(std::string_view writer) {
  return absl::FailedPreconditionError(
      absl::StrFormat("writer \"%s\" has begun elsewhere since; this one must not append any more", writer));
}

absl::Status WrongNumber(std::string_view writer, uint64_t number, uint64_t last) {
  return absl::InvalidArgumentError(absl::StrFormat(
      "append %d of writer \"%s\" is not the next one, nor its last, which is %d", number, writer, last));
}

absl::Status LostHistory(std::string_view log, const LogPlace& after, std::string_view found) {
  return absl::DataLossError(
      absl::StrFormat("log \"%s\" has lost appends: position %d, append %s, was read from it, and %s. Who has applied "
                      "them must stop, and be "
                      "copied anew from one who has not",
                      log, after.position, ToText(after.append), found));
}

absl::Status EndsEarlier(std::string_view log, const LogPlace& after, const LogPlace& head) {
  absl::Status error = LostHistory(log, after, absl::StrFormat("it ends at %d", head.position));
  error.SetPayload(kEndsEarlier, absl::Cord());
  return error;
}

bool IsEndsEarlier(const absl::Status& error) { return error.GetPayload(kEndsEarlier).has_value(); }

absl::Status AnotherLog(std::string_view who, uint64_t its, uint64_t found) {
  return absl::UnavailableError(
      absl::StrFormat("%s follows log %016x, and not log %016x: is cluster_log the right database?", who, its, found));
}

bool MustBeMended(const absl::Status& error) {
  return absl::IsFailedPrecondition(error) || absl::IsPermissionDenied(error) || absl::IsInvalidArgument(error);
}

absl::Status TrimmedAway(std::string_view log, uint64_t position) {
  return absl::OutOfRangeError(absl::StrFormat(
      "log \"%s\" no longer has what follows position %d: who is there must be copied anew", log, position));
}

}  // namespace bebr
