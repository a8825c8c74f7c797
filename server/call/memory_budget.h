// How much memory requests, and answers, may take together.
#ifndef BEBR_SERVER_CALL_MEMORY_BUDGET_H_
#define BEBR_SERVER_CALL_MEMORY_BUDGET_H_

#include <atomic>
#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"

namespace bebr {

// A MemoryBudget bounds what the requests in progress take together, once they are parsed, or the answers that are
// being made. In bytes.
//
//   BEBR_ASSIGN_OR_RETURN(const MemoryBudget::Hold hold, budget.Take(bytes));   // given back when `hold` goes
//
// Thread safety: all methods may be called from any thread. It must outlive what was taken of it.
class MemoryBudget {
 public:
  // A part of the budget, given back by its destructor.
  class Hold {
   public:
    Hold() = default;
    Hold(Hold&& other) noexcept
        : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    Hold& operator=(Hold&& other) noexcept {
      std::swap(budget_, other.budget_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Hold() {
      if (budget_ != nullptr) budget_->taken_.fetch_sub(bytes_);
    }
    uint64_t bytes() const { return bytes_; }

   private:
    friend class MemoryBudget;
    Hold(MemoryBudget* budget, uint64_t bytes) : budget_(budget), bytes_(bytes) {}
    MemoryBudget* budget_ = nullptr;
    uint64_t bytes_ = 0;
  };

  // `limit` may change; it must outlive the budget.
  explicit MemoryBudget(const std::atomic<uint64_t>& limit) : limit_(limit) {}
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  // RESOURCE_EXHAUSTED, with a time to wait, while so much is not left; without one if it never will be. Of requests.
  absl::StatusOr<Hold> Take(uint64_t bytes);
  // Adds to a hold of this budget, which may be empty. False, adding nothing, while so much is not left.
  bool TakeMore(uint64_t bytes, Hold& hold);
  uint64_t limit() const { return limit_.load(std::memory_order_relaxed); }
  uint64_t taken() const { return taken_.load(std::memory_order_relaxed); }

 private:
  const std::atomic<uint64_t>& limit_;
  std::atomic<uint64_t> taken_{0};
};

}  // namespace bebr

#endif  // BEBR_SERVER_CALL_MEMORY_BUDGET_H_
