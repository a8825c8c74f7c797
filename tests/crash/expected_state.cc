#include "tests/crash/expected_state.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace bebr::testing {
namespace {

void ApplyTo(const WriteRequest& request, StampsById& documents) {
  for (const std::string& id : request.ids) {
    if (request.kind == WriteRequest::kDelete) {
      documents.erase(id);
    } else if (request.kind == WriteRequest::kReplace) {
      documents[id] = {request.stamp, request.stamp};
    } else if (const auto there = documents.find(id); there != documents.end()) {
      there->second.floats = request.stamp;
    }
  }
}

uint64_t ToNumber(const std::string& word) {
  uint64_t number = 0;
  return absl::SimpleAtoi(word, &number) ? number : 0;
}

std::string ToString(const StampsById& documents) {
  return absl::StrJoin(documents, " ", [](std::string* out, const auto& entry) {
    absl::StrAppend(out, entry.first, ":", entry.second.attributes, "/", entry.second.floats);
  });
}

// The writer of a document: ids are w2-17.
int WriterOf(const std::string& id) { return id[1] - '0'; }

}  // namespace

void WriteStream::Begin(WriteRequest request) {
  next_stamp_ = request.stamp + 1;
  requests_.push_back(std::move(request));
}

void WriteStream::Acknowledge(uint64_t stamp) {
  while (acknowledged_ < requests_.size() && requests_[acknowledged_].stamp <= stamp) ++acknowledged_;
}

std::vector<StampsById> WriteStream::States(size_t from) const {
  std::vector<StampsById> states;
  StampsById state = settled_;
  for (size_t i = 0; i <= requests_.size(); ++i) {
    if (i >= from) states.push_back(state);
    if (i < requests_.size()) ApplyTo(requests_[i], state);
  }
  return states;
}

bool WriteStream::Settle(const StampsById& found) {
  const std::vector<StampsById> states = States(acknowledged_);
  if (std::find(states.begin(), states.end(), found) == states.end()) return false;
  settled_ = found;
  requests_.clear();
  acknowledged_ = 0;
  return true;
}

void Administration::Apply(const std::vector<std::string>& words) {
  const std::string& what = words[0];
  const std::string &first = words[1], &second = words.size() > 2 ? words[2] : words[1];
  if (what == "create") collections[first] = {"v1", {{"v1", false}}};
  if (what == "drop") collections.erase(first);
  if (what == "snapshot") snapshots.emplace(first, second);
  if (what == "unsnapshot") snapshots.erase({first, second});
  if (what == "restore") collections[words[3]] = {};  // its versions are those of back then
  if (what == "version") collections[first].retired[second] = false;
  if (what == "promote") collections[first].current = second;
  if (what == "retire") collections[first].retired[second] = true;
  if (what == "alias") aliases[first] = second;
  if (what == "unalias") aliases.erase(first);
}

std::string Administration::ToString() const {
  std::string text;
  for (const auto& [name, versions] : collections) {
    absl::StrAppend(&text, name, "(", versions.current);
    for (const auto& [version, retired] : versions.retired) absl::StrAppend(&text, " ", version, retired ? "-" : "");
    text += ") ";
  }
  for (const auto& [collection, name] : snapshots) absl::StrAppend(&text, "snapshot ", collection, "/", name, " ");
  for (const auto& [alias, collection] : aliases) absl::StrAppend(&text, alias, "=", collection, " ");
  return text;
}

std::string ExpectedState::Take(const std::string& line) {
  const Words words = absl::StrSplit(line, ' ');
  const std::string& what = words[0];
  if (what == "begin") {  // begin COLLECTION WRITER KIND STAMP ID,ID
    WriteRequest request{static_cast<WriteRequest::Kind>(words[3][0]), ToNumber(words[4]),
                         absl::StrSplit(words[5], ',')};
    streams_[{words[1], static_cast<int>(ToNumber(words[2]))}].Begin(std::move(request));
  } else if (what == "done") {  // done COLLECTION WRITER STAMP
    streams_[{words[1], static_cast<int>(ToNumber(words[2]))}].Acknowledge(ToNumber(words[3]));
  } else if (what == "admin" || what == "admin_done") {
    return TakeAdministration(words);
  } else if (what == "collection") {  // collection NAME DEFAULT VERSION:RETIRED ...
    Administration::Versions& versions = found_.collections[words[1]];
    if (words[1] == "r") return "";  // restored
    versions.current = words[2];
    for (size_t i = 3; i < words.size(); ++i) {
      const std::pair<std::string, std::string> version = absl::StrSplit(words[i], ':');
      versions.retired[version.first] = version.second == "1";
    }
  } else if (what == "document") {  // document COLLECTION ID ATTRIBUTES FLOATS
    found_documents_[{words[1], WriterOf(words[2])}][words[2]] = {ToNumber(words[3]), ToNumber(words[4])};
  } else if (what == "has_snapshot") {
    found_.snapshots.emplace(words[1], words[2]);
  } else if (what == "has_alias") {
    found_.aliases[words[1]] = words[2];
  } else if (what == "open") {
    return TakeOpen();
  } else if (what == "restored") {  // restored COLLECTION NAME: what its documents are was told before
    return TakeRestored({words[1], words[2]});
  } else {
    return absl::StrCat("the process says: ", line);
  }
  return "";
}

std::string ExpectedState::TakeAdministration(const Words& words) {
  if (words[0] == "admin") {
    pending_ = Words(words.begin() + 1, words.end());
    if (pending_[0] == "snapshot") BeginSnapshot(pending_[1]);
    return "";
  }
  administration_.Apply(pending_);
  if (pending_[0] == "snapshot") KeepSnapshot({pending_[1], pending_[2]});
  pending_.clear();
  return "";
}

void ExpectedState::BeginSnapshot(const std::string& collection) {
  at_begin_.clear();
  for (const auto& [key, stream] : streams_) {
    if (key.first == collection) at_begin_[key] = stream.acknowledged();
  }
}

void ExpectedState::KeepSnapshot(const Snapshot& snapshot) {
  auto& kept = snapshots_[snapshot];
  kept.clear();
  for (const auto& [key, acknowledged] : at_begin_) kept[key] = streams_[key].States(acknowledged);
}

void ExpectedState::End() {
  if (!pending_.empty() && pending_[0] == "snapshot") KeepSnapshot({pending_[1], pending_[2]});
  found_ = {};
  found_documents_.clear();
}

std::string ExpectedState::TakeOpen() {
  Administration after = administration_;
  if (!pending_.empty()) after.Apply(pending_);
  if (found_ != administration_ && found_ != after) {
    return absl::StrCat("there is ", found_.ToString(), "\nexpected ", administration_.ToString(), "\nor ",
                        after.ToString());
  }
  administration_ = found_;
  pending_.clear();
  for (auto& [key, stream] : streams_) {
    const StampsById& found = found_documents_[key];
    if (stream.Settle(found)) continue;
    std::string text = absl::StrCat("documents of writer ", key.second, " in ", key.first, ": ", ToString(found));
    for (const StampsById& state : stream.States(stream.acknowledged())) {
      absl::StrAppend(&text, "\nexpected ", ToString(state));
    }
    return text;
  }
  found_documents_.clear();
  return "";
}

std::string ExpectedState::TakeRestored(const Snapshot& snapshot) {
  for (const auto& [key, states] : snapshots_[snapshot]) {
    const StampsById& found = found_documents_[{"r", key.second}];
    if (std::find(states.begin(), states.end(), found) != states.end()) continue;
    std::string text = absl::StrCat("snapshot ", snapshot.first, "/", snapshot.second, " holds of writer ", key.second,
                                    ": ", ToString(found));
    for (const StampsById& state : states) absl::StrAppend(&text, "\nexpected ", ToString(state));
    return text;
  }
  found_documents_.clear();
  return "";
}

}  // namespace bebr::testing
