#include "tests/endurance/soak_writer.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "tests/support/test_models.h"

namespace bebr::testing {

std::string SoakWriter::Id(size_t document) const { return absl::StrFormat("writer-%d-%d", number_, document); }

std::vector<size_t> SoakWriter::Pick(size_t count) {
  std::vector<size_t> picked;
  while (picked.size() < count) {
    const size_t document = random_() % kDocuments;
    if (std::find(picked.begin(), picked.end(), document) == picked.end()) picked.push_back(document);
  }
  return picked;
}

absl::Status SoakWriter::Step() {
  ++revision_;
  const uint64_t dice = random_() % 100;
  if (dice < 65) return Upsert();
  if (dice < 80) return Update();
  if (dice < 97) return Delete();
  return DeleteSlot();
}

absl::Status SoakWriter::Take(const absl::Status& outcome, const std::vector<size_t>& documents, State state,
                              bool only_existing) {
  if (absl::IsResourceExhausted(outcome)) return outcome;
  for (const size_t document : documents) {
    if (only_existing && !states_[document].has_value()) continue;
    if (outcome.ok()) {
      states_[document] = state;
    } else {
      pending_[document] = state;
    }
  }
  if (outcome.ok()) written_ += documents.size();
  return outcome;
}

absl::Status SoakWriter::Upsert() {
  const std::vector<size_t> documents = Pick(20);
  v1::UpsertRequest request;
  request.set_collection(kSoakCollection);
  for (const size_t document : documents) {
    v1::Document& to = *request.add_documents();
    to.set_id(Id(document));
    auto& attributes = *to.mutable_attributes();
    attributes["writer"].set_int_value(number_);
    attributes["slot"].set_int_value(static_cast<int64_t>(document % kSlots));
    attributes["revision"].set_int_value(revision_);
    attributes["kind"].set_string_value(absl::StrCat("kind-", random_() % 10));
    attributes["note"].set_string_value(absl::StrFormat("a text of this document alone: %016x", random_()));
    const std::vector<float> values = RandomVectors(1, kSoakDims, random_())[0];
    to.add_embeddings()->mutable_vector()->mutable_values()->Add(values.begin(), values.end());
  }
  return Take(client_.Upsert(request).status(), documents, revision_, false);
}

absl::Status SoakWriter::Update() {
  const std::vector<size_t> documents = Pick(10);
  v1::UpdateAttributesRequest request;
  request.set_collection(kSoakCollection);
  for (const size_t document : documents) request.add_ids(Id(document));
  (*request.mutable_set())["revision"].set_int_value(revision_);
  return Take(client_.UpdateAttributes(request).status(), documents, revision_, true);
}

absl::Status SoakWriter::Delete() {
  const std::vector<size_t> documents = Pick(10);
  v1::DeleteRequest request;
  request.set_collection(kSoakCollection);
  for (const size_t document : documents) request.add_ids(Id(document));
  return Take(client_.Delete(request).status(), documents, std::nullopt, false);
}

absl::Status SoakWriter::DeleteSlot() {
  const size_t slot = random_() % kSlots;
  std::vector<size_t> documents;
  for (size_t document = slot; document < kDocuments; document += kSlots) documents.push_back(document);
  v1::DeleteRequest request;
  request.set_collection(kSoakCollection);
  request.set_filter(absl::StrFormat("writer = %d AND slot = %d", number_, slot));
  return Take(client_.Delete(request).status(), documents, std::nullopt, false);
}

absl::Status SoakWriter::Check(Client& client) const {
  constexpr size_t kAtATime = 500;
  for (size_t first = 0; first < kDocuments; first += kAtATime) {
    v1::GetRequest request;
    request.set_collection(kSoakCollection);
    for (size_t document = first; document < first + kAtATime; ++document) request.add_ids(Id(document));
    BEBR_ASSIGN_OR_RETURN(const v1::GetResponse response, client.Get(request));
    std::map<std::string, State> found;
    for (const v1::Document& document : response.documents()) {
      found[document.id()] = document.attributes().at("revision").int_value();
    }
    for (size_t document = first; document < first + kAtATime; ++document) {
      const State state = found[Id(document)];
      if (state == states_[document] || (pending_[document].has_value() && state == *pending_[document])) continue;
      return absl::DataLossError(absl::StrFormat("%s has revision %d; %d was acknowledged (-1: it does not exist)",
                                                 Id(document), state.value_or(-1), states_[document].value_or(-1)));
    }
  }
  return absl::OkStatus();
}

}  // namespace bebr::testing
