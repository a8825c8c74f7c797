#include "tests/endurance/mixed_load.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "index/base/status_macros.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

constexpr uint32_t kWriters = 2, kSearchers = 2;
constexpr size_t kMostProblems = 20;
// Between two calls of a thread: the load is steady, not the most that a machine bears.
constexpr absl::Duration kPause = absl::Milliseconds(4);

ClientOptions OptionsOf(const ServerProcess& server) {
  return {.server = server.address(), .deadline = absl::Minutes(2)};
}

std::string ModelOfVersion(uint64_t seed) {
  return RandomModelFile(kSoakDims, *ParseCodeSpec(seed % 2 == 0 ? "64x2" : "96x1"), 4, seed);
}

double Percentile(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

}  // namespace

MixedLoad::MixedLoad(const ServerProcess* server, uint64_t seed, absl::Duration upgrade_interval)
    : server_(*server), seed_(seed), upgrade_interval_(upgrade_interval), client_(OptionsOf(*server)) {
  for (uint32_t w = 0; w < kWriters; ++w) writers_.emplace_back(&client_, w, seed + w);
}

MixedLoad::~MixedLoad() {
  stopping_ = true;
  Join();
}

absl::Status MixedLoad::Start() {
  v1::CollectionConfig config;
  config.set_name(kSoakCollection);
  config.set_version(version_);
  config.set_store_floats(v1::FLOAT_STORAGE_F16);
  config.set_shards(3);
  BEBR_RETURN_IF_ERROR(client_.CreateCollection(config, ModelOfVersion(0)).status());
  v1::SetAliasRequest alias;
  alias.mutable_alias()->set_name("live");
  alias.mutable_alias()->set_collection(kSoakCollection);
  BEBR_RETURN_IF_ERROR(client_.SetAlias(alias));
  // Filters that name an attribute which no document has yet are refused.
  for (SoakWriter& writer : writers_) {
    for (int i = 0; i < 20; ++i) BEBR_RETURN_IF_ERROR(writer.Step());
  }
  figures_taken_ = SteadyNow();
  for (SoakWriter& writer : writers_) threads_.emplace_back([this, &writer] { Write(writer); });
  for (uint32_t s = 0; s < kSearchers; ++s) threads_.emplace_back([this, s] { Search(seed_ + 100 + s); });
  threads_.emplace_back([this] { Browse(); });
  threads_.emplace_back([this] { Administer(); });
  threads_.emplace_back([this] { Scrape(); });
  return absl::OkStatus();
}

void MixedLoad::Join() {
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void MixedLoad::AddTo(Figures& figures) {
  const SteadyTime now = SteadyNow();
  const double seconds = absl::ToDoubleSeconds(now - std::exchange(figures_taken_, now));
  const uint64_t searches = searches_, writes = writes_;
  figures.searches_per_s = static_cast<double>(searches - std::exchange(searches_before_, searches)) / seconds;
  figures.writes_per_s = static_cast<double>(writes - std::exchange(writes_before_, writes)) / seconds;
  std::vector<double> latencies;
  {
    MutexLock lock(&mutex_);
    latencies.swap(latencies_ms_);
  }
  figures.p50_ms = Percentile(latencies, 0.5);
  figures.p99_ms = Percentile(latencies, 0.99);
}

std::vector<std::string> MixedLoad::Problems() const {
  MutexLock lock(&mutex_);
  return problems_;
}

std::string MixedLoad::Summary() const {
  return absl::StrFormat(
      "%d writes, %d searches, %d rounds of administration, %d upgrades, %d scrapes; %d calls were refused for a while",
      writes_.load(), searches_.load(), rounds_.load(), upgrades_.load(), scrapes_.load(), refused_.load());
}

absl::Status MixedLoad::Check(Client& client) const {
  for (const SoakWriter& writer : writers_) BEBR_RETURN_IF_ERROR(writer.Check(client));
  return absl::OkStatus();
}

void MixedLoad::Problem(const std::string& text) {
  MutexLock lock(&mutex_);
  if (problems_.size() < kMostProblems) problems_.push_back(text);
}

bool MixedLoad::GoesOn(const std::string& what, const absl::Status& status) {
  if (absl::IsResourceExhausted(status)) {
    ++refused_;
    absl::SleepFor(absl::Milliseconds(100));
  } else if (!status.ok()) {
    // While the server ends, whoever meets that is done.
    if (!ending_) Problem(absl::StrCat(what, ": ", status.ToString()));
    return false;
  }
  absl::SleepFor(kPause);
  return !stopping_;
}

void MixedLoad::Write(SoakWriter& writer) {
  absl::Status status;
  do {
    status = writer.Step();
    writes_ += status.ok() ? 1 : 0;
  } while (GoesOn("a write", status));
}

absl::Status MixedLoad::SearchOnce(Client& client, std::mt19937_64& random) {
  v1::SearchRequest request;
  request.set_collection(random() % 8 == 0 ? "live" : kSoakCollection);
  const std::vector<float> query = RandomVectors(1, kSoakDims, random())[0];
  request.mutable_query()->mutable_values()->Add(query.begin(), query.end());
  v1::SearchOptions& options = *request.mutable_options();
  options.set_k(10);
  const std::string kind = absl::StrCat("kind-", random() % 10);
  const bool filtered = random() % 2 == 0;
  if (filtered) options.set_filter(absl::StrFormat("kind = \"%s\" AND slot < %d", kind, 10 + random() % 90));
  options.set_with_attributes(filtered);
  if (random() % 4 == 0) options.set_rerank(100);
  const SteadyTime begin = SteadyNow();
  BEBR_ASSIGN_OR_RETURN(const v1::SearchResponse response, client.Search(request));
  const double ms = absl::ToDoubleMilliseconds(SteadyNow() - begin);
  for (const v1::SearchHit& hit : response.hits()) {
    if (filtered && hit.attributes().at("kind").string_value() != kind) {
      Problem(absl::StrCat("a hit that its filter excludes: ", hit.id()));
    }
  }
  ++searches_;
  MutexLock lock(&mutex_);
  latencies_ms_.push_back(ms);
  return absl::OkStatus();
}

void MixedLoad::Search(uint64_t seed) {
  Client client(OptionsOf(server_));
  std::mt19937_64 random(seed);
  while (GoesOn("a search", SearchOnce(client, random))) {
  }
}

void MixedLoad::Browse() {
  v1::CountRequest count;
  count.set_collection(kSoakCollection);
  v1::FacetRequest facets;
  facets.set_collection(kSoakCollection);
  facets.set_attribute("kind");
  v1::ScrollRequest page;
  page.set_collection(kSoakCollection);
  page.set_limit(50);
  page.set_with_attributes(true);
  for (uint64_t round = 0;; ++round) {
    count.set_filter(absl::StrCat("slot = ", round % 100));
    absl::Status status = client_.Count(count).status();
    status.Update(client_.Facets(facets).status());
    const auto got = client_.Scroll(page);
    status.Update(got.status());
    if (got.ok()) page.set_page_token(got->next_page_token());
    if (!GoesOn("a page, count or facet", status)) return;
  }
}

void MixedLoad::Scrape() {
  for (;;) {
    absl::Status status = client_.GetStats().status();
    status.Update(client_.ListCollections().status());
    const std::string metrics = server_.HttpGet("/metrics");
    if (metrics.find("bebr_") == std::string::npos) status.Update(absl::UnavailableError("no metrics: " + metrics));
    scrapes_ += status.ok() ? 1 : 0;
    if (!GoesOn("a scrape", status)) return;
    absl::SleepFor(absl::Milliseconds(200));
  }
}

void MixedLoad::Administer() {
  SteadyTime upgraded = SteadyNow();
  absl::Status status;
  for (int round = 0; GoesOn("administration", status); ++round) {
    status = AdministerOnce(round);
    rounds_ += status.ok() ? 1 : 0;
    absl::SleepFor(absl::Milliseconds(200));
    if (!status.ok() || SteadyNow() - upgraded < upgrade_interval_) continue;
    status = Upgrade();
    upgraded = SteadyNow();
  }
}

absl::Status MixedLoad::AdministerOnce(int round) {
  const std::string snapshot = absl::StrCat("s", round);
  v1::CreateSnapshotRequest create;
  create.set_collection(kSoakCollection);
  create.set_name(snapshot);
  BEBR_RETURN_IF_ERROR(client_.CreateSnapshot(create).status());
  v1::RestoreSnapshotRequest restore;
  restore.set_collection(kSoakCollection);
  restore.set_name(snapshot);
  restore.set_new_collection("copy");
  BEBR_RETURN_IF_ERROR(client_.RestoreSnapshot(restore).status());
  BEBR_RETURN_IF_ERROR(client_.DeleteCollection("copy"));
  if (round > 0) {  // the one before
    v1::DeleteSnapshotRequest remove;
    remove.set_collection(kSoakCollection);
    remove.set_name(absl::StrCat("s", round - 1));
    BEBR_RETURN_IF_ERROR(client_.DeleteSnapshot(remove));
  }
  v1::CollectionConfig moment;
  moment.set_name("moment");
  BEBR_RETURN_IF_ERROR(client_.CreateCollection(moment, ModelOfVersion(1)).status());
  v1::SetAliasRequest alias;
  alias.mutable_alias()->set_name("other");
  alias.mutable_alias()->set_collection("moment");
  BEBR_RETURN_IF_ERROR(client_.SetAlias(alias));
  BEBR_RETURN_IF_ERROR(client_.DeleteAlias("other"));
  return client_.DeleteCollection("moment");
}

absl::Status MixedLoad::Upgrade() {
  const std::string next = absl::StrCat("v", upgrades_ + 1);
  v1::VersionConfig config;
  config.set_collection(kSoakCollection);
  config.set_name(next);
  config.set_same_embeddings_as(version_);
  BEBR_RETURN_IF_ERROR(client_.AddVersion(config, ModelOfVersion(upgrades_ + 1)).status());
  v1::BackfillVersionRequest backfill;
  backfill.set_collection(kSoakCollection);
  backfill.set_version(next);
  BEBR_RETURN_IF_ERROR(client_.BackfillVersion(backfill).status());
  for (bool ready = false; !ready; absl::SleepFor(absl::Milliseconds(50))) {
    BEBR_ASSIGN_OR_RETURN(const v1::Collection collection, client_.GetCollection(kSoakCollection));
    for (const v1::Version& version : collection.versions()) {
      ready = ready || (version.name() == next && version.state() == v1::VERSION_STATE_READY);
    }
    if (stopping_) return absl::OkStatus();
  }
  v1::PromoteVersionRequest promote;
  promote.set_collection(kSoakCollection);
  promote.set_version(next);
  promote.set_expected_default(version_);
  BEBR_RETURN_IF_ERROR(client_.PromoteVersion(promote).status());
  v1::RetireVersionRequest retire;
  retire.set_collection(kSoakCollection);
  retire.set_version(std::exchange(version_, next));
  BEBR_RETURN_IF_ERROR(client_.RetireVersion(retire).status());
  ++upgrades_;
  return absl::OkStatus();
}

}  // namespace bebr::testing
