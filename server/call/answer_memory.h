// What one answer takes while it is made.
#ifndef BEBR_SERVER_CALL_ANSWER_MEMORY_H_
#define BEBR_SERVER_CALL_ANSWER_MEMORY_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "index/base/mutex.h"
#include "server/call/memory_budget.h"

namespace bebr {

// The AnswerMemory of a call counts what its answer takes while it is made, towards the budget of all answers, of which
// one may take half, as may all of one holder together. Thread safety: all methods may be called from any thread.
class AnswerMemory {
 public:
  // `budget` must outlive it. `holder`: of the budget.
  AnswerMemory(MemoryBudget& budget, std::string holder) : budget_(budget), holder_(std::move(holder)) {}

  // Before so many bytes more are taken. RESOURCE_EXHAUSTED, with a time to wait if others hold them.
  absl::Status Take(uint64_t bytes);
  // Hands over what was taken: it is given back when that goes.
  MemoryBudget::Hold Release();

 private:
  MemoryBudget& budget_;
  const std::string holder_;
  Mutex mutex_;
  MemoryBudget::Hold hold_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bebr

#endif  // BEBR_SERVER_CALL_ANSWER_MEMORY_H_
