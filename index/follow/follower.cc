#include "index/follow/follower.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"
#include "index/replica/log_record.h"
#include "index/storage/files.h"

namespace bebr {
namespace {

constexpr absl::Duration kRetryInterval = absl::Milliseconds(200);
constexpr absl::Duration kSaveInterval = absl::Seconds(1);
constexpr absl::Duration kAskInterval = absl::Seconds(2);
// While somebody waits for what the log is about to have.
constexpr absl::Duration kQuickPoll = absl::Milliseconds(2);

absl::StatusOr<std::string> EncodeMutations(const std::string& collection, uint64_t revision,
                                            const LoggedRequest& request) {
  LogChange change{.kind = LogChangeKind::kMutations, .name = collection};
  BEBR_ASSIGN_OR_RETURN(change.record, EncodeLogRecord(revision, request.mutations));
  return EncodeLogChange(change);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Follower>> Follower::Open(LogEngine* engine,
                                                         std::function<absl::StatusOr<std::unique_ptr<Log>>()> open,
                                                         Options options) {
  BEBR_ASSIGN_OR_RETURN(std::optional<FollowerState> state, ReadFollowerState(options.data_dir));
  if (!state.has_value()) {
    if (!engine->engine().ListCollections().empty()) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "data_dir \"%s\" has collections that no log has made; give the node an empty directory", options.data_dir));
    }
    BEBR_RETURN_IF_ERROR(WriteFollowerState(options.data_dir, state.emplace()));
  }
  std::unique_ptr<Follower> follower(new Follower(engine, std::move(open), std::move(options), *state));
  follower->thread_ = std::thread([f = follower.get()] { f->Run(); });
  return follower;
}

Follower::Follower(LogEngine* engine, std::function<absl::StatusOr<std::unique_ptr<Log>>()> open, Options options,
                   const FollowerState& state)
    : engine_(*engine),
      open_(std::move(open)),
      options_(std::move(options)),
      snapshots_(engine, options_.data_dir, options_.first_slot, options_.last_slot),
      applier_(engine, options_.data_dir, state, &outcomes_, &comparisons_, &snapshots_),
      seeds_(engine, options_.data_dir),
      applied_(state.place.position),
      head_(state.place.position),
      identity_(state.log),
      quarantined_(!state.quarantined.empty()),
      filling_(state.filling) {
  MutexLock lock(&mutex_);
  problem_ = state.quarantined;
}

Follower::~Follower() {
  {
    MutexLock lock(&mutex_);
    ending_ = true;
    *ending_calls_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
  GiveSeeds();
  std::multimap<uint64_t, Waiter> waiters;
  {
    MutexLock lock(&mutex_);
    waiters.swap(waiters_);
  }
  for (auto& [position, waiter] : waiters) waiter.done(absl::UnavailableError("the node is stopping"));
  applier_.Save().IgnoreError();  // the next start has a little more to read
}

absl::Status Follower::Behind(uint64_t position) const {
  MutexLock lock(&mutex_);
  return absl::AbortedError(absl::StrFormat("it has applied the log up to position %d, and %d is asked for%s%s",
                                            applied_.load(), position, problem_.empty() ? "" : ": ", problem_));
}

absl::Status Follower::Check(uint64_t position) const {
  if (quarantined_) {
    MutexLock lock(&mutex_);
    return absl::UnavailableError(
        absl::StrFormat("it is quarantined and must be filled anew, from an empty data_dir: %s", problem_));
  }
  if (filling_) return absl::UnavailableError("it is being filled from another replica");
  return position <= applied_ ? absl::OkStatus() : Behind(position);
}

void Follower::Await(uint64_t position, SteadyTime deadline, absl::AnyInvocable<void(absl::Status)> done) {
  if (const absl::Status now = Check(position); !absl::IsAborted(now)) return done(now);
  {
    MutexLock lock(&mutex_);
    if (position > applied_ && !ending_) {
      waiters_.emplace(position, Waiter{deadline, std::move(done)});
      changed_.NotifyAll();
      return;
    }
  }
  done(Check(position));
}

absl::Status Follower::CheckLog(uint64_t identity) const {
  const uint64_t own = identity_;
  return identity == 0 || own == 0 || identity == own ? absl::OkStatus() : AnotherLog("it", own, identity);
}

void Follower::Outcome(const LogPlace& place, uint32_t number, SteadyTime deadline,
                       absl::AnyInvocable<void(absl::StatusOr<ChangeOutcome>)> done) {
  Await(place.position, deadline, [this, place, number, done = std::move(done)](const absl::Status& reached) mutable {
    if (!reached.ok()) return done(reached);
    done(outcomes_.Find(place, number));
  });
}

void Follower::Prepare(UpsertRequest request, absl::AnyInvocable<void(absl::StatusOr<PreparedChange>)> done) {
  if (const absl::Status fit = Check(0); !fit.ok()) return done(fit);
  request.collection = engine_.engine().Resolve(request.collection);
  // Before the manifest that it is encoded by is looked at: so one that changes in between is noticed.
  const auto revision = applier_.Revision(request.collection);
  if (!revision.has_value()) {
    return done(absl::NotFoundError(absl::StrFormat("there is no collection \"%s\"", request.collection)));
  }
  const std::string collection = request.collection;
  engine_.Prepare(std::move(request), [collection, revision = *revision,
                                       done = std::move(done)](absl::StatusOr<PreparedMutations> prepared) mutable {
    if (!prepared.ok()) return done(prepared.status());
    auto encoded = EncodeMutations(collection, revision, prepared->request);
    if (!encoded.ok()) return done(encoded.status());
    done(PreparedChange{.change = *std::move(encoded), .problems = std::move(prepared->problems)});
  });
}

absl::StatusOr<PreparedBackfill> Follower::PrepareBackfill(std::string_view collection, std::string_view version,
                                                           std::string_view after, size_t most_documents) {
  BEBR_RETURN_IF_ERROR(Check(0));
  const std::string name = engine_.engine().Resolve(collection);
  const auto revision = applier_.Revision(name);  // before the manifest: as in Prepare
  if (!revision.has_value()) return absl::NotFoundError(absl::StrFormat("there is no collection \"%s\"", name));
  BEBR_ASSIGN_OR_RETURN(CodesOfStored codes, engine_.PrepareBackfill(name, version, after, most_documents));
  PreparedBackfill prepared{.documents = codes.request.mutations.size(), .last_id = std::move(codes.last_id)};
  if (prepared.documents == 0) return prepared;
  BEBR_ASSIGN_OR_RETURN(prepared.change, EncodeMutations(name, *revision, codes.request));
  return prepared;
}

absl::Status Follower::CheckRoomFor(std::string_view collection, const AttributeChange& change) {
  BEBR_RETURN_IF_ERROR(Check(0));
  return engine_.CheckRoomFor(collection, change);
}

absl::StatusOr<CollectionDigest> Follower::Digest(std::string_view collection, uint64_t position, uint64_t bytes_per_s,
                                                  const std::atomic<bool>* cancelled) {
  if (position != 0) return comparisons_.Digest(position, collection, bytes_per_s, cancelled);
  BEBR_ASSIGN_OR_RETURN(const auto seen, engine_.See(collection));
  return seen->Digest([](uint64_t) { return absl::OkStatus(); });
}

ReplicaState Follower::State() const {
  MutexLock lock(&mutex_);
  ReplicaState state{.applied = applied_,
                     .head = head_,
                     .problem = problem_,
                     .quarantined = quarantined_,
                     .name_taken = name_taken_,
                     .warning = warning_,
                     .lag = SteadyNow() - had_all_};
  state.kept = applier_.kept();
  state.log = identity_;
  if (!filling_) return state;
  state.problem = absl::StrFormat("it is being filled from node %s: %d of %d bytes have come%s%s", filled_from_,
                                  seeded_bytes_.load(), seed_bytes_.load(), problem_.empty() ? "" : "; ", problem_);
  state.kept = needed_;
  state.seed_bytes = seed_bytes_;
  state.seeded_bytes = seeded_bytes_;
  return state;
}

absl::StatusOr<LogPage> Follower::Read(const LogPlace& after, size_t max_bytes) {
  auto page = log_->Read(after, std::vector<uint32_t>{kBarrierShard, LogShardOf(options_.first_slot)}, max_bytes);
  if (IsEndsEarlier(page.status())) {
    // A deposed leader of PostgreSQL may say so, for a while.
    ends_earlier_since_ = std::min(ends_earlier_since_, SteadyNow());
    if (SteadyNow() - ends_earlier_since_ < options_.patience) return page;
  } else if (page.ok()) {
    ends_earlier_since_ = absl::InfiniteDuration();
  }
  if (absl::IsDataLoss(page.status())) Quarantine(page.status());
  return page;
}

absl::Status Follower::OpenLog() {
  BEBR_ASSIGN_OR_RETURN(auto log, open_());
  BEBR_ASSIGN_OR_RETURN(const LogState found, log->State());
  const FollowerState& state = applier_.state();
  const bool has_nothing = state.place.position == 0 && state.barrier == 0;
  if (state.log != 0 && state.log != found.identity && !has_nothing)
    return AnotherLog(absl::StrFormat("the node, up to position %d,", applied_.load()), state.log, found.identity);
  log_ = std::move(log);
  opened_ = found.identity;
  return absl::OkStatus();
}

absl::Status Follower::AskWhetherToFollow() {
  if (options_.may_follow == nullptr || SteadyNow() < ask_again_) return absl::OkStatus();
  absl::Status may = options_.may_follow();
  std::string warning = options_.warning == nullptr ? "" : options_.warning();
  {
    MutexLock lock(&mutex_);
    name_taken_ = absl::IsAlreadyExists(may);
    warning_ = std::move(warning);
  }
  if (may.ok()) ask_again_ = SteadyNow() + kAskInterval;
  return may;
}

absl::StatusOr<bool> Follower::Begin() {
  if (log_ == nullptr) BEBR_RETURN_IF_ERROR(OpenLog());
  BEBR_RETURN_IF_ERROR(AskWhetherToFollow());
  if (applier_.state().filling) {
    BEBR_RETURN_IF_ERROR(FinishFilling());
    return true;
  }
  if (!sown_) {
    BEBR_ASSIGN_OR_RETURN(const bool filled, FillWhatIsEmpty());
    if (filled) return true;
  }
  if (!compared_) {
    // The state file may be behind what the stores have; a log that ends between the two has lost that.
    BEBR_ASSIGN_OR_RETURN(const LogPlace furthest, applier_.Furthest());
    const absl::Status read = Read(furthest, /*max_bytes=*/1).status();
    if (absl::IsOutOfRange(read)) return FillAnew(read);
    BEBR_RETURN_IF_ERROR(read);
    BEBR_RETURN_IF_ERROR(RemoveAll(SeedDirectory(options_.data_dir)));  // of one that broke off, and is needed no more
    if (applier_.state().log != opened_) BEBR_RETURN_IF_ERROR(applier_.SetLog(opened_));
    identity_ = opened_;
    compared_ = true;
  }
  return false;
}

absl::StatusOr<bool> Follower::Step() {
  BEBR_ASSIGN_OR_RETURN(const bool filled, Begin());
  if (filled) return true;
  const SteadyTime asked = SteadyNow();
  const absl::StatusOr<LogPage> page = Read(applier_.place(), options_.page_bytes);
  if (absl::IsOutOfRange(page.status())) return FillAnew(page.status());
  BEBR_RETURN_IF_ERROR(page.status());
  head_ = std::max(page->head.position, page->place.position);
  if (!page->places.empty()) {
    const absl::Status applied = applier_.Apply(*page);
    if (Applier::NobodyCanRead(applied)) Quarantine(applied);
    if (const auto& missing = applier_.missing_snapshot(); missing.has_value()) return FindSnapshot(*missing, applied);
    BEBR_RETURN_IF_ERROR(applied);
    applied_ = applier_.place().position;
  }
  if (applied_ >= head_) {
    MutexLock lock(&mutex_);
    had_all_ = asked;
  }
  if (applier_.kept() < applied_) BEBR_RETURN_IF_ERROR(SaveNowAndThen());
  return !page->places.empty();
}

absl::Status Follower::SaveNowAndThen() {
  if (SteadyNow() - saved_ <= kSaveInterval) return absl::OkStatus();
  saved_ = SteadyNow();
  return applier_.Save();
}

void Follower::Quarantine(const absl::Status& lost) {
  {
    MutexLock lock(&mutex_);
    problem_ = std::string(lost.message());  // for whoever sees that it is quarantined
  }
  quarantined_ = true;
  LogError("the node is quarantined: empty its data_dir and start it again; then it is filled anew: {}",
           std::string(lost.message()));
  if (const absl::Status kept = applier_.Quarantine(std::string(lost.message())); !kept.ok()) {
    LogError("that it is quarantined cannot be written down: {}", kept.ToString());
  }
}

void Follower::Note(const absl::Status& status) {
  const std::string text(status.message());
  {
    MutexLock lock(&mutex_);
    if (problem_ == text) return;
    problem_ = text;
  }
  if (status.ok()) return LogInfo("follows the log again, from position {}", applied_.load());
  if (MustBeMended(status) || absl::IsAlreadyExists(status))
    return LogError("does not follow the log, from position {}: {}", applied_.load(), text);
  LogWarning("does not follow the log, from position {}: {}", applied_.load(), status.ToString());
}

void Follower::Tell() {
  std::vector<std::pair<uint64_t, Waiter>> ready;
  {
    MutexLock lock(&mutex_);
    const SteadyTime now = SteadyNow();
    for (auto it = waiters_.begin(); it != waiters_.end();) {
      if (it->first > applied_ && now < it->second.deadline && !quarantined_ && !filling_) {
        ++it;
        continue;
      }
      ready.emplace_back(it->first, std::move(it->second));
      it = waiters_.erase(it);
    }
  }
  for (auto& [position, waiter] : ready) {
    const absl::Status reached = Check(position);
    waiter.done(absl::IsAborted(reached) ? absl::DeadlineExceededError(reached.message()) : reached);
  }
}

bool Follower::Rest(absl::Duration most, bool while_nobody_waits) {
  MutexLock lock(&mutex_);
  const size_t waiting = waiters_.size();
  const SteadyTime end = SteadyNow() + (while_nobody_waits && waiting > 0 ? std::min(most, kQuickPoll) : most);
  while (!ending_ && wanted_.empty() && (waiters_.size() <= waiting || !while_nobody_waits) && SteadyNow() < end)
    changed_.WaitFor(&mutex_, end - SteadyNow());
  return !ending_;
}

void Follower::Run() {
  bool on = true;
  while (on) {
    absl::StatusOr<bool> more = false;
    if (!quarantined_) {
      more = Step();
      Note(more.status());
    }
    Tell();
    comparisons_.Expire();
    GiveSeeds();
    if (!more.ok()) {
      on = Rest(kRetryInterval, /*while_nobody_waits=*/false);
    } else {
      on = Rest(*more ? absl::ZeroDuration() : options_.poll, /*while_nobody_waits=*/true);
    }
  }
}

}  // namespace bebr
