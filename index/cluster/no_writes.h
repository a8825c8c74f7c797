// The part of an Engine that some nodes are not asked for.
#ifndef BEBR_INDEX_CLUSTER_NO_WRITES_H_
#define BEBR_INDEX_CLUSTER_NO_WRITES_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "index/engine.h"

namespace bebr {

// An Engine that is asked to read only: whatever changes something is an error of the program.
class EngineWithoutWrites : public Engine {
 public:
  void SetLimits(const EngineOptions&) override {}
  absl::Status CreateCollection(const CollectionConfig&, std::string_view) override { return NotAsked(); }
  absl::Status DeleteCollection(std::string_view) override { return NotAsked(); }
  std::vector<std::string> ListCollections() override { return {}; }
  std::vector<UnavailableCollection> UnavailableCollections() override { return {}; }
  std::vector<ReadOnlyCollection> ReadOnlyCollections() override { return {}; }
  std::vector<DamagedCollection> DamagedCollections() override { return {}; }
  absl::Status AddVersion(std::string_view, const VersionConfig&, std::string_view) override { return NotAsked(); }
  absl::Status PromoteVersion(std::string_view, std::string_view, std::string_view, bool) override {
    return NotAsked();
  }
  absl::Status RetireVersion(std::string_view, std::string_view) override { return NotAsked(); }
  absl::Status StartBackfill(std::string_view, std::string_view, uint64_t) override { return NotAsked(); }
  absl::Status StopBackfill(std::string_view, std::string_view) override { return NotAsked(); }
  absl::StatusOr<VersionCheck> CheckVersion(std::string_view, const CheckRequest&) override { return NotAsked(); }
  absl::Status SetAlias(std::string_view, std::string_view, std::optional<std::string_view>) override {
    return NotAsked();
  }
  absl::Status DeleteAlias(std::string_view) override { return NotAsked(); }
  std::vector<Alias> ListAliases() override { return {}; }
  std::string Resolve(std::string_view name) override { return std::string(name); }
  absl::StatusOr<SnapshotInfo> CreateSnapshot(std::string_view, std::string_view) override { return NotAsked(); }
  absl::StatusOr<std::vector<SnapshotInfo>> ListSnapshots(std::string_view) override { return NotAsked(); }
  std::map<std::string, absl::Time> NewestSnapshots() override { return {}; }
  absl::Status RestoreSnapshot(std::string_view, std::string_view, std::string_view) override { return NotAsked(); }
  absl::Status DeleteSnapshot(std::string_view, std::string_view) override { return NotAsked(); }
  void Upsert(UpsertRequest, absl::AnyInvocable<void(absl::StatusOr<UpsertResult>)> done) override { done(NotAsked()); }
  void Delete(std::string_view, std::vector<std::string>,
              absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done) override {
    done(NotAsked());
  }
  void DeleteByFilter(const FilteredDeletion&, absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done) override {
    done(NotAsked());
  }
  void UpdateAttributes(AttributeUpdate, absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done) override {
    done(NotAsked());
  }
  absl::StatusOr<std::vector<float>> Recommend(const ExampleRequest&) override { return NotAsked(); }
  EngineStats Stats() override { return {}; }

 protected:
  static absl::Status NotAsked() { return absl::UnimplementedError("gateways do not ask this of nodes"); }
};

}  // namespace bebr

#endif  // BEBR_INDEX_CLUSTER_NO_WRITES_H_
