// Calls that are refused before anything of them is read.
#ifndef BEBR_SERVER_CALL_REFUSED_CALL_H_
#define BEBR_SERVER_CALL_REFUSED_CALL_H_

#include <utility>

#include "absl/status/status.h"
#include "server/call/call.h"

namespace bebr {

// Ends at once with `status`; if `quiet`, nothing is logged of it.
class RefusedCall final : public Call {
 public:
  RefusedCall(CallStart start, const absl::Status& status, bool quiet) : Call(std::move(start)) {
    if (quiet) Hush();
    End(status);
  }
};

}  // namespace bebr

#endif  // BEBR_SERVER_CALL_REFUSED_CALL_H_
