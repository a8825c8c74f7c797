// A writer of a soak, which knows what it wrote.
#ifndef BEBR_TESTS_ENDURANCE_SOAK_WRITER_H_
#define BEBR_TESTS_ENDURANCE_SOAK_WRITER_H_

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/client.h"

namespace bebr::testing {

inline constexpr uint32_t kSoakDims = 64;
inline constexpr const char* kSoakCollection = "main";

// A SoakWriter upserts, replaces, changes and deletes documents that are its own, by id and by filter, and knows of
// each which revision was acknowledged last, if it is there at all. Its documents are some thousands, so that what it
// writes is soon a replacement.
//
// Ownership: the client is borrowed. Thread safety: none.
class SoakWriter {
 public:
  SoakWriter(Client* client, uint32_t number, uint64_t seed) : client_(*client), number_(number), random_(seed) {}

  // One request, whatever the dice say. Its error may mean that the effect is there or not: then the writer must not go
  // on. RESOURCE_EXHAUSTED has no effect.
  absl::Status Step();
  // Asks for all documents. DATA_LOSS names one that is not as it was acknowledged last; one that the last Step would
  // have changed may be as before or as after.
  absl::Status Check(Client& client) const;
  uint64_t documents_written() const { return written_; }

 private:
  // Revision of a document; none: it does not exist.
  using State = std::optional<int64_t>;
  static constexpr size_t kDocuments = 4000;
  static constexpr size_t kSlots = 100;

  std::string Id(size_t document) const;
  std::vector<size_t> Pick(size_t count);
  absl::Status Upsert();
  absl::Status Update();
  absl::Status Delete();
  absl::Status DeleteSlot();
  // Takes over what the request made of documents, or, after an error, what it may have made of them.
  absl::Status Take(const absl::Status& outcome, const std::vector<size_t>& documents, State state, bool only_existing);

  Client& client_;
  const uint32_t number_;
  std::mt19937_64 random_;
  int64_t revision_ = 0;
  uint64_t written_ = 0;
  std::vector<State> states_ = std::vector<State>(kDocuments);
  std::vector<std::optional<State>> pending_ = std::vector<std::optional<State>>(kDocuments);
};

}  // namespace bebr::testing

#endif  // BEBR_TESTS_ENDURANCE_SOAK_WRITER_H_
