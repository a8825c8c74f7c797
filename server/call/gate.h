// Who is inside, and whether anybody else is let in.
#ifndef BEBR_SERVER_CALL_GATE_H_
#define BEBR_SERVER_CALL_GATE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "index/base/mutex.h"

namespace bebr {

// A Gate lets in whoever comes until it is closed, and knows how many are inside: the calls of a server that stops.
//
//   const Gate::Pass pass = gate.Enter(peer);
//   if (!pass.entered()) return ...;        // the gate is closed
//
// Thread safety: all methods may be called from any thread. It must outlive its passes.
class Gate {
 public:
  // A place inside, given back by its destructor.
  class Pass {
   public:
    Pass() = default;
    Pass(Pass&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)), count_(other.count_) {}
    Pass& operator=(Pass&& other) noexcept {
      std::swap(gate_, other.gate_);
      std::swap(count_, other.count_);
      return *this;
    }
    ~Pass();
    bool entered() const { return gate_ != nullptr; }

   private:
    friend class Gate;
    Pass(Gate* gate, std::pair<const std::string, size_t>* count) : gate_(gate), count_(count) {}
    Gate* gate_ = nullptr;
    std::pair<const std::string, size_t>* count_ = nullptr;  // an entry of inside_by_
  };

  Gate() = default;
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  // `by`: who comes, for Inside.
  Pass Enter(std::string_view by = {});
  // Lets in nobody any more.
  void Close();
  bool closed() const;
  // How many came when it was closed.
  uint64_t refused() const;
  // Whether anything that came in by this name still is.
  bool Inside(std::string_view by) const;
  // Waits until nobody is inside, for `most` at the longest. Whether nobody is.
  bool AwaitEmpty(absl::Duration most);
  // AwaitEmpty waits no longer.
  void Hurry();
  bool hurried() const;

 private:
  mutable Mutex mutex_;
  CondVar empty_;  // or hurried_
  size_t inside_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unordered_map<std::string, size_t> inside_by_ ABSL_GUARDED_BY(mutex_);
  uint64_t refused_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool hurried_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace bebr

#endif  // BEBR_SERVER_CALL_GATE_H_
