#include "index/cluster/write_order.h"

#include <utility>

#include "absl/container/flat_hash_set.h"

namespace bebr {

class WriteOrder::Write {
 public:
  // What `start` holds holds this write in turn, so it is let go of once it has run.
  static void Start(const Ticket& write) { std::exchange(write->start, nullptr)(write); }

  std::vector<uint64_t> keys;
  absl::AnyInvocable<void(Ticket)> start;
  size_t waits_for = 0;         // writes before it
  std::vector<Ticket> waiting;  // for it
};

WriteOrder::Ticket WriteOrder::Enter(std::vector<uint64_t> keys, absl::AnyInvocable<void(Ticket)> start) {
  auto write = std::make_shared<Write>();
  write->keys = std::move(keys);
  write->start = std::move(start);
  {
    MutexLock lock(&mutex_);
    absl::flat_hash_set<const Write*> before;
    for (const uint64_t key : write->keys) {
      Ticket& last = last_[key];
      if (last != nullptr && last != write && before.insert(last.get()).second) last->waiting.push_back(write);
      last = write;
    }
    write->waits_for = before.size();
    if (write->waits_for > 0) return write;
  }
  Write::Start(write);
  return write;
}

void WriteOrder::Leave(const Ticket& ticket) {
  std::vector<Ticket> ready;
  {
    MutexLock lock(&mutex_);
    for (const uint64_t key : ticket->keys) {
      const auto last = last_.find(key);
      if (last != last_.end() && last->second == ticket) last_.erase(last);
    }
    for (Ticket& next : ticket->waiting) {
      if (--next->waits_for == 0) ready.push_back(std::move(next));
    }
    ticket->waiting.clear();
  }
  for (const Ticket& next : ready) Write::Start(next);
}

}  // namespace bebr
