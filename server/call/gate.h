// Who is inside, and whether anybody else is let in.
#ifndef BEBR_SERVER_CALL_GATE_H_
#define BEBR_SERVER_CALL_GATE_H_

#include <cstddef>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "index/base/mutex.h"

namespace bebr {

// A Gate lets in whoever comes until it is closed, and knows how many are inside: the calls of a server that stops.
//
//   const Gate::Pass pass = gate.Enter();
//   if (!pass.entered()) return ...;        // the gate is closed
//
// Thread safety: all methods may be called from any thread. It must outlive its passes.
class Gate {
 public:
  // A place inside, given back by its destructor.
  class Pass {
   public:
    Pass() = default;
    Pass(Pass&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
    Pass& operator=(Pass&& other) noexcept {
      std::swap(gate_, other.gate_);
      return *this;
    }
    ~Pass();
    bool entered() const { return gate_ != nullptr; }

   private:
    friend class Gate;
    explicit Pass(Gate* gate) : gate_(gate) {}
    Gate* gate_ = nullptr;
  };

  Gate() = default;
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  Pass Enter();
  // Lets in nobody any more.
  void Close();
  bool closed() const;
  // Waits until nobody is inside, for `most` at the longest. Whether nobody is.
  bool AwaitEmpty(absl::Duration most);

 private:
  mutable Mutex mutex_;
  CondVar empty_;
  size_t inside_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace bebr

#endif  // BEBR_SERVER_CALL_GATE_H_
