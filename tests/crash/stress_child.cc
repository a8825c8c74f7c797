#include "tests/crash/stress_child.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "index/base/status_macros.h"
#include "index/engine.h"
#include "index/shard/shard_set.h"
#include "tests/support/engine_calls.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

constexpr uint32_t kDims = 8;
constexpr size_t kIdsPerWriter = 60, kMostBatch = 25, kMostVersions = 200;
constexpr int kMostInFlight = 4;
const char* const kCollections[] = {"c0", "c1"};
constexpr uint32_t kShards[] = {3, 1};

std::vector<float> VectorOf(const std::string& id, uint64_t stamp) {
  std::vector<float> vector = RandomVectors(1, kDims, std::hash<std::string>()(id) ^ (stamp * 0x9e3779b97f4a7c15u))[0];
  vector[0] = static_cast<float>(stamp);
  return vector;
}

const std::string& ModelFile(uint64_t number) {
  static const std::vector<std::string> models = {
      RandomModelFile(kDims, *ParseCodeSpec("32x2"), 4, 1),
      RandomModelFile(kDims, *ParseCodeSpec("24x3"), 4, 2),
      RandomModelFile(kDims, *ParseCodeSpec("64x1"), 1, 3),
      RandomModelFile(kDims, *ParseCodeSpec("32x2t"), 5, 4),
      RandomModelFile(kDims, WithGroups(*ParseCodeSpec("24x2"), 3), 5, 5),
      TranslatedModelFile(RandomModelFile(kDims, WithGroups(*ParseCodeSpec("32x2"), 2), 5, 6), kDims, 7)};
  return models[number % models.size()];
}

class Child {
 public:
  Child(const ChildOptions& options, ExpectedState& expected) : options_(options), expected_(expected) {}

  int Run() {
    auto engine = Engine::Open(
        {.data_dir = options_.data_dir, .threads = 2, .write_buffer_bytes = 7 << 16, .block_cache_bytes = 1 << 20});
    if (!engine.ok()) return Wrong(absl::StrCat("cannot open: ", engine.status().ToString()));
    engine_ = *std::move(engine);
    if (const absl::Status status = TellAll(); !status.ok()) return Wrong(status.ToString());
    TellFound("open");
    administration_ = expected_.administration();
    for (const auto& name : engine_->ListCollections()) known_.push_back(name);
    if (const absl::Status status = MakeCollections(); !status.ok()) return Wrong(status.ToString());
    std::vector<std::thread> threads;
    for (int writer = 0; writer < kWriters; ++writer) {
      std::map<std::string, uint64_t> stamps;
      for (const char* name : kCollections) stamps[name] = expected_.stream(name, writer).next_stamp();
      threads.emplace_back([this, writer, stamps] { Write(writer, stamps); });
    }
    threads.emplace_back([this] { Administrate(); });
    if (options_.run_ms > 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(options_.run_ms));
      stopping_ = true;
    }
    for (std::thread& thread : threads) thread.join();
    engine_.reset();
    return failed_ ? 1 : 0;
  }

 private:
  // Lines are short enough to be written whole.
  void Tell(const std::string& line) {
    const std::string bytes = line + "\n";
    if (write(options_.output, bytes.data(), bytes.size()) < 0) _exit(3);
  }
  // What was found is what this process goes on from, too; whether it is right, the other one says.
  void TellFound(const std::string& line) {
    Tell(line);
    (void)expected_.Take(line);
  }
  int Wrong(const std::string& what) {
    failed_ = true;
    stopping_ = true;
    Tell(absl::StrCat("wrong ", what.substr(0, 3000)));
    return 1;
  }

  absl::Status MakeCollections() {
    for (size_t c = 0; c < std::size(kCollections); ++c) {
      if (std::find(known_.begin(), known_.end(), kCollections[c]) != known_.end()) continue;
      Tell(absl::StrCat("admin create ", kCollections[c]));
      BEBR_RETURN_IF_ERROR(engine_->CreateCollection(
          {.name = kCollections[c], .store_floats = FloatStorage::kFloat32, .shards = kShards[c]}, ModelFile(0)));
      Tell("admin_done");
      administration_.Apply({"create", kCollections[c]});
    }
    return absl::OkStatus();
  }

  // Everything in a collection, compared with itself: documents with their attributes, floats and codes.
  absl::Status TellDocuments(const std::string& name) {
    BEBR_ASSIGN_OR_RETURN(const CollectionInfo info, engine_->GetCollection(name));
    uint32_t space = 0;
    for (const VersionInfo& version : info.versions) {
      if (version.name == info.default_version) space = version.space;
    }
    BEBR_ASSIGN_OR_RETURN(const Page page, engine_->Scroll({.collection = name,
                                                            .limit = 10000,
                                                            .with_attributes = true,
                                                            .with_embeddings = true,
                                                            .with_codes = true}));
    for (const PageDocument& entry : page.documents) {
      const Document& document = entry.document;
      const auto stamp = document.attributes.find("n");
      if (stamp == document.attributes.end() || document.embeddings.size() != 1)
        return absl::InternalError(absl::StrCat(name, ": half a document: ", document.id));
      const auto floats = static_cast<uint64_t>(document.embeddings[0].values[0]);
      if (document.embeddings[0].values != VectorOf(document.id, floats))
        return absl::InternalError(absl::StrCat(name, ": wrong floats of ", document.id));
      const bool coded = std::any_of(entry.codes.begin(), entry.codes.end(),
                                     [&](const DocumentCode& code) { return code.space == space; });
      if (!coded) return absl::InternalError(absl::StrCat(name, ": no code of ", document.id));
      TellFound(absl::StrCat("document ", name, " ", document.id, " ", std::get<int64_t>(stamp->second), " ", floats));
    }
    const std::vector<float> query = VectorOf("query", 1);
    BEBR_ASSIGN_OR_RETURN(const SearchResult found,
                          SearchAndWait(*engine_, {.collection = name, .queries = {query}, .k = 10000}));
    if (found.hits[0].size() == page.documents.size() && info.documents == page.documents.size())
      return absl::OkStatus();
    return absl::InternalError(absl::StrCat(name, ": a search finds ", found.hits[0].size(), " of ",
                                            page.documents.size(), " documents, and the count is ", info.documents));
  }

  absl::Status TellAll() {
    for (const UnavailableCollection& one : engine_->UnavailableCollections()) {
      return absl::DataLossError(absl::StrCat(one.name, " is unavailable: ", one.reason));
    }
    for (const std::string& name : engine_->ListCollections()) {
      BEBR_ASSIGN_OR_RETURN(const CollectionInfo info, engine_->GetCollection(name));
      std::string line = absl::StrCat("collection ", name, " ", info.default_version);
      for (const VersionInfo& version : info.versions) {
        absl::StrAppend(&line, " ", version.name, ":", version.state == VersionState::kRetired ? 1 : 0);
      }
      TellFound(line);
      BEBR_RETURN_IF_ERROR(TellDocuments(name));
    }
    BEBR_ASSIGN_OR_RETURN(const auto snapshots, engine_->ListSnapshots(""));
    for (const SnapshotInfo& info : snapshots)
      TellFound(absl::StrCat("has_snapshot ", info.collection, " ", info.name));
    for (const Alias& alias : engine_->ListAliases())
      TellFound(absl::StrCat("has_alias ", alias.name, " ", alias.collection));
    return absl::OkStatus();
  }

  struct Flight {
    std::vector<std::vector<float>> vectors;
    std::atomic<int>* in_flight;
  };

  // `stamps` are the next ones, by collection.
  void Write(int writer, std::map<std::string, uint64_t> stamps) {
    std::mt19937_64 random(options_.seed * 31 + static_cast<uint64_t>(writer));
    std::atomic<int> in_flight{0};
    while (!stopping_) {
      const std::string collection = kCollections[random() % std::size(kCollections)];
      WriteRequest request{WriteRequest::kReplace, stamps[collection]++, {}};
      const uint64_t dice = random() % 10;
      if (dice >= 6) request.kind = dice >= 8 ? WriteRequest::kDelete : WriteRequest::kMerge;
      for (size_t count = 1 + random() % kMostBatch; count > 0; --count) {
        request.ids.push_back(absl::StrCat("w", writer, "-", random() % kIdsPerWriter));
      }
      std::sort(request.ids.begin(), request.ids.end());
      request.ids.erase(std::unique(request.ids.begin(), request.ids.end()), request.ids.end());
      Tell(absl::StrCat("begin ", collection, " ", writer, " ", std::string(1, static_cast<char>(request.kind)), " ",
                        request.stamp, " ", absl::StrJoin(request.ids, ",")));
      ++in_flight;
      Submit(collection, writer, request, &in_flight);
      while (in_flight >= kMostInFlight) std::this_thread::yield();
    }
    while (in_flight > 0) std::this_thread::yield();
  }

  void Submit(const std::string& collection, int writer, const WriteRequest& request, std::atomic<int>* in_flight) {
    const std::string done_line = absl::StrCat("done ", collection, " ", writer, " ", request.stamp);
    const auto done = [this, done_line, in_flight](const absl::Status& status) {
      if (status.ok()) {
        Tell(done_line);
      } else {
        Wrong(absl::StrCat("a write failed: ", status.ToString()));
      }
      --*in_flight;
    };
    if (request.kind == WriteRequest::kDelete) {
      return engine_->Delete(collection, request.ids, [done](auto result) { done(result.status()); });
    }
    auto vectors = std::make_shared<std::vector<std::vector<float>>>();
    for (const std::string& id : request.ids) vectors->push_back(VectorOf(id, request.stamp));
    const bool merge = request.kind == WriteRequest::kMerge;
    UpsertRequest upsert{.collection = collection, .mode = merge ? UpsertMode::kMerge : UpsertMode::kReplace};
    for (size_t i = 0; i < request.ids.size(); ++i) {
      DocumentInput& document = upsert.documents.emplace_back();
      document.id = request.ids[i];
      if (!merge) document.attributes["n"] = static_cast<int64_t>(request.stamp);
      if (!merge) document.attributes["text"] = std::string(300, 'x');
      // Versions come and go, but all take the embeddings of the first.
      document.embeddings.push_back({.values = (*vectors)[i]});
    }
    engine_->Upsert(std::move(upsert), [done, vectors](auto result) { done(result.status()); });
  }

  void Administrate() {
    std::mt19937_64 random(options_.seed * 31 + 99);
    while (!stopping_) {
      const absl::Status status = AdministrateOnce(random);
      if (!status.ok()) Wrong(absl::StrCat("administration: ", status.ToString()));
    }
  }

  // Tells, does and tells again.
  absl::Status Do(const std::vector<std::string>& words, const std::function<absl::Status()>& body) {
    const std::string what = absl::StrJoin(words, " ");
    Tell("admin " + what);
    if (const absl::Status status = body(); !status.ok()) {
      return absl::Status(status.code(), absl::StrCat(what, ": ", status.message()));
    }
    Tell("admin_done");
    administration_.Apply(words);
    return absl::OkStatus();
  }

  absl::Status AdministrateOnce(std::mt19937_64& random) {
    const std::string collection = kCollections[random() % std::size(kCollections)];
    const std::string number = absl::StrCat(options_.seed, "-", ++operations_);
    switch (random() % 8) {
      case 0:
        return administration_.collections.contains("x")
                   ? Do({"drop", "x"}, [&] { return engine_->DeleteCollection("x"); })
                   : Do({"create", "x"},
                        [&] { return engine_->CreateCollection({.name = "x", .shards = 2}, ModelFile(random())); });
      case 1:
        return Snapshot(collection, absl::StrCat("s", number));
      case 2:
        return Restore(random);
      case 3:
        return AddVersion(collection, absl::StrCat("v", number), random);
      case 4:
        return Promote(collection, random);
      case 5:
        return Retire(collection, random);
      case 6:
        return administration_.aliases.contains("al")
                   ? Do({"unalias", "al"}, [&] { return engine_->DeleteAlias("al"); })
                   : Do({"alias", "al", collection}, [&] { return engine_->SetAlias("al", collection, std::nullopt); });
      default:
        std::this_thread::sleep_for(std::chrono::milliseconds(random() % 20));
        return absl::OkStatus();
    }
  }

  absl::Status Snapshot(const std::string& collection, const std::string& name) {
    if (administration_.snapshots.size() < 4) {
      return Do({"snapshot", collection, name}, [&] { return engine_->CreateSnapshot(collection, name).status(); });
    }
    const auto [of, oldest] = *administration_.snapshots.begin();
    return Do({"unsnapshot", of, oldest},
              [&, of = of, oldest = oldest] { return engine_->DeleteSnapshot(of, oldest); });
  }

  // Restores a snapshot, tells what is in it, and drops what it made. What an earlier process left of that is dropped.
  absl::Status Restore(std::mt19937_64& random) {
    const auto drop = [&] { return Do({"drop", "r"}, [&] { return engine_->DeleteCollection("r"); }); };
    if (administration_.collections.contains("r")) return drop();
    if (administration_.snapshots.empty()) return absl::OkStatus();
    auto chosen = administration_.snapshots.begin();
    std::advance(chosen, random() % administration_.snapshots.size());
    const auto [of, name] = *chosen;
    BEBR_RETURN_IF_ERROR(
        Do({"restore", of, name, "r"}, [&, of = of, name = name] { return engine_->RestoreSnapshot(of, name, "r"); }));
    BEBR_RETURN_IF_ERROR(TellDocuments("r"));
    Tell(absl::StrCat("restored ", of, " ", name));
    return drop();
  }

  absl::Status AddVersion(const std::string& collection, const std::string& name, std::mt19937_64& random) {
    const auto& versions = administration_.collections[collection];
    const auto in_use = std::count_if(versions.retired.begin(), versions.retired.end(),
                                      [](const auto& version) { return !version.second; });
    if (in_use >= 3 || versions.retired.size() >= kMostVersions) return absl::OkStatus();
    const VersionConfig config{.name = name, .same_embeddings_as = versions.current};
    BEBR_RETURN_IF_ERROR(Do({"version", collection, name},
                            [&] { return engine_->AddVersion(collection, config, ModelFile(random())); }));
    const absl::Status started = engine_->StartBackfill(collection, name, 0);
    return absl::IsFailedPrecondition(started) ? absl::OkStatus() : started;  // all documents deleted at this moment
  }

  // The versions in use that are not the default, and whether every document has a code of each.
  absl::StatusOr<std::vector<std::pair<std::string, bool>>> Others(const std::string& collection) {
    BEBR_ASSIGN_OR_RETURN(const CollectionInfo info, engine_->GetCollection(collection));
    std::vector<std::pair<std::string, bool>> others;
    for (const VersionInfo& version : info.versions) {
      if (version.state == VersionState::kRetired || version.state == VersionState::kDefault) continue;
      others.emplace_back(version.name, version.state == VersionState::kReady);
    }
    return others;
  }

  absl::Status Promote(const std::string& collection, std::mt19937_64& random) {
    BEBR_ASSIGN_OR_RETURN(auto others, Others(collection));
    std::erase_if(others, [](const auto& version) { return !version.second; });
    if (others.empty()) return absl::OkStatus();
    const std::string name = others[random() % others.size()].first;
    // By force: a write that began before the version was added may bring a document without a code of it meanwhile.
    return Do({"promote", collection, name}, [&] { return engine_->PromoteVersion(collection, name, "", true); });
  }

  absl::Status Retire(const std::string& collection, std::mt19937_64& random) {
    BEBR_ASSIGN_OR_RETURN(const auto others, Others(collection));
    if (others.empty()) return absl::OkStatus();
    const std::string name = others[random() % others.size()].first;
    const absl::Status retired =
        Do({"retire", collection, name}, [&] { return engine_->RetireVersion(collection, name); });
    // Such a document, as above, has its only code of that version.
    return absl::IsFailedPrecondition(retired) ? absl::OkStatus() : retired;
  }

  const ChildOptions options_;
  ExpectedState& expected_;
  std::unique_ptr<Engine> engine_;
  std::vector<std::string> known_;
  Administration administration_;
  uint64_t operations_ = 0;
  std::atomic<bool> stopping_{false}, failed_{false};
};

}  // namespace

int RunChild(const ChildOptions& options, ExpectedState& expected) {
  ShardSet::LeastLayoutDocuments() = 0;  // every end that is in order writes layout files
  return Child(options, expected).Run();
}

}  // namespace bebr::testing
