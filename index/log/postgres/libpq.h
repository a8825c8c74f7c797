// libpq, PostgreSQL's client library, loaded when the first log on PostgreSQL is opened. So a server that opens none
// needs neither the library nor what that pulls in.
#ifndef BEBR_INDEX_LOG_POSTGRES_LIBPQ_H_
#define BEBR_INDEX_LOG_POSTGRES_LIBPQ_H_

#include <libpq-fe.h>

#include "absl/status/statusor.h"

namespace bebr {

// The functions that are used, by their names in libpq-fe.h.
// clang-format off
#define BEBR_LIBPQ_FUNCTIONS(X) \
  X(PQconninfoParse) X(PQconninfoFree) X(PQfreemem) X(PQconnectStartParams) X(PQconnectPoll) X(PQfinish) X(PQstatus) \
  X(PQerrorMessage) X(PQsocket) X(PQhost) X(PQport) X(PQsetnonblocking) X(PQsetNoticeReceiver) \
  X(PQsetErrorVerbosity) X(PQconnectionNeedsPassword) \
  X(PQsendQueryParams) X(PQflush) X(PQconsumeInput) X(PQisBusy) X(PQgetResult) X(PQresultStatus) \
  X(PQresultErrorField) X(PQresultErrorMessage) X(PQclear) X(PQntuples) X(PQgetvalue) \
  X(PQgetlength) X(PQgetisnull)
// clang-format on

// They, as the library has them. Thread safety: as libpq's, one connection belongs to one thread at a time.
struct Libpq {
#define BEBR_LIBPQ_MEMBER(name) decltype(&::name) name;
  BEBR_LIBPQ_FUNCTIONS(BEBR_LIBPQ_MEMBER)
#undef BEBR_LIBPQ_MEMBER
};

// Loads the library, once. FAILED_PRECONDITION if it is not installed.
absl::StatusOr<const Libpq*> LoadLibpq();

}  // namespace bebr

#endif  // BEBR_INDEX_LOG_POSTGRES_LIBPQ_H_
