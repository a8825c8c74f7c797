// Early return for absl::Status and absl::StatusOr.
//
//   BEBR_RETURN_IF_ERROR(file.Sync());
//   BEBR_ASSIGN_OR_RETURN(Model model, Model::Parse(bytes));
#ifndef BEBR_INDEX_BASE_STATUS_MACROS_H_
#define BEBR_INDEX_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define BEBR_RETURN_IF_ERROR(expr)                                                   \
  do {                                                                               \
    if (absl::Status bebr_status_ = (expr); !bebr_status_.ok()) return bebr_status_; \
  } while (false)

#define BEBR_CONCAT_INNER_(a, b) a##b
#define BEBR_CONCAT_(a, b) BEBR_CONCAT_INNER_(a, b)
#define BEBR_ASSIGN_OR_RETURN(lhs, expr) BEBR_ASSIGN_OR_RETURN_(BEBR_CONCAT_(bebr_statusor_, __LINE__), lhs, expr)
#define BEBR_ASSIGN_OR_RETURN_(statusor, lhs, expr)        \
  auto statusor = (expr);                                  \
  if (!statusor.ok()) return std::move(statusor).status(); \
  lhs = *std::move(statusor)

#endif  // BEBR_INDEX_BASE_STATUS_MACROS_H_
