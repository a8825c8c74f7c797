// How much memory requests, and answers, may take together.
#ifndef BEBR_SERVER_CALL_MEMORY_BUDGET_H_
#define BEBR_SERVER_CALL_MEMORY_BUDGET_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "index/base/mutex.h"

namespace bebr {

// A MemoryBudget bounds what the requests in progress take together, once they are parsed, or the answers that are
// being made, or those that wait for their clients. In bytes.
//
// It is shared by holders (Identity::Holder), of which one may have half of what the others leave: however much one
// holder takes, there is something left for the next.
//
//   BEBR_ASSIGN_OR_RETURN(const MemoryBudget::Hold hold, budget.Take(holder, bytes));   // given back when `hold` goes
//
// Thread safety: all methods may be called from any thread. It must outlive what was taken of it. Cost: a lock and a
// look-up in a hash table.
class MemoryBudget {
 public:
  // A part of the budget, given back by its destructor. Thread safety: none.
  class Hold {
   public:
    Hold() = default;
    Hold(Hold&& other) noexcept
        : budget_(std::exchange(other.budget_, nullptr)),
          holder_(std::exchange(other.holder_, nullptr)),
          bytes_(std::exchange(other.bytes_, 0)) {}
    Hold& operator=(Hold&& other) noexcept {
      std::swap(budget_, other.budget_);
      std::swap(holder_, other.holder_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Hold() { ShrinkTo(0); }
    uint64_t bytes() const { return bytes_; }
    // Gives back what is beyond so many bytes.
    void ShrinkTo(uint64_t bytes);

   private:
    friend class MemoryBudget;
    MemoryBudget* budget_ = nullptr;
    std::pair<const std::string, uint64_t>* holder_ = nullptr;  // an entry of holders_
    uint64_t bytes_ = 0;
  };

  // `limit` may change; it must outlive the budget.
  explicit MemoryBudget(const std::atomic<uint64_t>& limit) : limit_(limit) {}
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  // RESOURCE_EXHAUSTED, with a time to wait, while so much is not left for the holder; without one if it never will be.
  // Of requests.
  absl::StatusOr<Hold> Take(std::string_view holder, uint64_t bytes);
  // Adds to a hold of this budget and of this holder, which may be empty. False, adding nothing, while so much is not
  // left for it.
  bool TakeMore(std::string_view holder, uint64_t bytes, Hold& hold);
  // What is there already, whatever the limit.
  Hold Count(std::string_view holder, uint64_t bytes);

  uint64_t limit() const { return limit_.load(std::memory_order_relaxed); }
  uint64_t taken() const;
  uint64_t TakenBy(std::string_view holder) const;
  // What the holder may have in all, at this moment: half of what the others leave.
  uint64_t ShareOf(std::string_view holder) const;

 private:
  uint64_t Share(uint64_t others) const;
  void Add(std::string_view holder, uint64_t bytes, Hold& hold) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  uint64_t Of(std::string_view holder) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::atomic<uint64_t>& limit_;
  mutable Mutex mutex_;
  uint64_t taken_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unordered_map<std::string, uint64_t> holders_ ABSL_GUARDED_BY(mutex_);  // of those that have something
};

}  // namespace bebr

#endif  // BEBR_SERVER_CALL_MEMORY_BUDGET_H_
