// Whether there is room for what a ReplicatedEngine is about to append.
#include <atomic>
#include <memory>
#include <utility>

#include "index/cluster/replicated_engine_impl.h"

namespace bebr {

void ReplicatedEngine::CheckRoom(std::string_view collection, std::vector<size_t> nodes,
                                 const std::optional<AttributeChange>& change,
                                 absl::AnyInvocable<void(absl::Status)> done) {
  if (!change.has_value() || nodes.empty()) return done(absl::OkStatus());
  struct Asked {
    std::vector<absl::Status> answers;  // each written by one node's answer
    std::atomic<size_t> left;
    absl::AnyInvocable<void(absl::Status)> done;
  };
  auto asked = std::make_shared<Asked>();
  asked->answers.resize(nodes.size());
  asked->left = nodes.size();
  asked->done = std::move(done);
  const AttributeUpdate update{.collection = std::string(collection), .change = *change};
  for (size_t i = 0; i < nodes.size(); ++i) {
    sets_[nodes[i]]->CheckRoomFor(update, [asked, i](absl::Status status) {
      asked->answers[i] = std::move(status);
      if (asked->left.fetch_sub(1) > 1) return;
      absl::Status room;
      for (const absl::Status& answer : asked->answers) room.Update(answer);
      asked->done(room);
    });
  }
}

}  // namespace bebr
