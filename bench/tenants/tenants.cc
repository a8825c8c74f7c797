// bench_tenants: what many clients get who ask different things. In one large collection: no filter, each client its
// own tenant, each its own half of the documents by a range. Then one client of a small collection, alone and while the
// others scan the large one. With short floats and random codes: a scan knows no difference. Straight through the
// engine, or through a server, whose calls then take their share of the processors, as their clients do; then also
// calls that ask for nothing, which is the most that gRPC alone lets through.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <functional>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "bebr/v1/collections.grpc.pb.h"
#include "bebr/v1/search.grpc.pb.h"
#include "bench/support/engine_run.h"
#include "bench/support/machine.h"
#include "bench/support/server_process.h"
#include "index/base/mutex.h"
#include "index/base/status_macros.h"

namespace bebr::bench {
namespace {

constexpr char kSmall[] = "small";
constexpr int64_t kTimes = 1000000;
constexpr size_t kQueries = 500;

struct Options {
  std::string json;
  std::string shape = "256x2";
  uint32_t query_levels = 4;
  uint32_t dims = 16;
  size_t documents = 200000;
  size_t small_documents = 10000;
  size_t tenants = 5000;
  size_t clients = 64;
  size_t k = 10;
  size_t rounds = 3;
  double seconds = 1.5;
  std::string only;  // one kind of question, which a profile is made of
  bool server = false;
};

size_t TenantOf(const Options& options, size_t document) { return Mix(document) % options.tenants; }
int64_t TimeOf(size_t document) { return static_cast<int64_t>(Mix(~document) % kTimes); }

Attributes AttributesOf(const Options& options, size_t document) {
  return {{"tenant", absl::StrCat("tenant-", TenantOf(options, document))}, {"time", TimeOf(document)}};
}

// What a client asks, and what must be true of each document that it finds.
struct Question {
  std::string collection = EngineRun::kCollection;
  std::string filter;
  std::function<bool(size_t document)> holds;
  bool empty_call = false;  // asks a server for nothing
};

struct Measured {
  double seconds = 0, cpu_seconds = 0;
  std::vector<double> latencies_ms;
  double cpu_us() const { return cpu_seconds * 1e6 / static_cast<double>(latencies_ms.size()); }
  double rate() const { return static_cast<double>(latencies_ms.size()) / seconds; }
};

// Where the questions go.
class Searcher {
 public:
  virtual ~Searcher() = default;
  // The ids of what client number `client` finds for its question.
  virtual absl::StatusOr<std::vector<std::string>> Search(size_t client, const Question& question, size_t k,
                                                          absl::Span<const float> query) = 0;
  // Processor time of who searches.
  virtual double CpuSeconds() const = 0;
};

class EngineSearcher final : public Searcher {
 public:
  explicit EngineSearcher(Engine& engine) : engine_(engine) {}
  absl::StatusOr<std::vector<std::string>> Search(size_t /*client*/, const Question& question, size_t k,
                                                  absl::Span<const float> query) override {
    SearchRequest request{.collection = question.collection, .k = k, .filter = question.filter};
    request.queries.push_back(query);
    auto outcome = std::make_shared<std::promise<absl::StatusOr<SearchResult>>>();
    engine_.Search(std::move(request),
                   [outcome](absl::StatusOr<SearchResult> result) { outcome->set_value(std::move(result)); });
    BEBR_ASSIGN_OR_RETURN(SearchResult result, outcome->get_future().get());
    std::vector<std::string> ids;
    for (SearchHit& hit : result.hits[0]) ids.push_back(std::move(hit.id));
    return ids;
  }
  double CpuSeconds() const override { return OwnCpuSeconds(); }

 private:
  Engine& engine_;
};

// A connection for each client.
class ServerSearcher final : public Searcher {
 public:
  ServerSearcher(const ServerProcess& server, size_t clients) : server_(server) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // else all share one connection
    for (size_t i = 0; i < clients; ++i) {
      const auto channel = grpc::CreateCustomChannel(server.address(), grpc::InsecureChannelCredentials(), arguments);
      channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(5));
      stubs_.push_back(v1::SearchService::NewStub(channel));
      collections_.push_back(v1::CollectionService::NewStub(channel));
    }
  }
  absl::StatusOr<std::vector<std::string>> Search(size_t client, const Question& question, size_t k,
                                                  absl::Span<const float> query) override {
    if (question.empty_call) return EmptyCall(*collections_[client]);
    v1::SearchRequest request;
    request.set_collection(question.collection);
    request.mutable_query()->mutable_values()->Add(query.begin(), query.end());
    request.mutable_options()->set_k(static_cast<uint32_t>(k));
    request.mutable_options()->set_filter(question.filter);
    grpc::ClientContext context;
    v1::SearchResponse response;
    const grpc::Status status = stubs_[client]->Search(&context, request, &response);
    if (!status.ok()) return ToAbsl(status);
    std::vector<std::string> ids;
    for (const v1::SearchHit& hit : response.hits()) ids.push_back(hit.id());
    return ids;
  }
  double CpuSeconds() const override { return ProcessCpuSeconds(server_.pid()); }

 private:
  static absl::Status ToAbsl(const grpc::Status& status) {
    return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  }
  // Of a server without aliases, so that it has nothing to do but what every call takes.
  static absl::StatusOr<std::vector<std::string>> EmptyCall(v1::CollectionService::Stub& stub) {
    grpc::ClientContext context;
    v1::ListAliasesResponse response;
    const grpc::Status status = stub.ListAliases(&context, v1::ListAliasesRequest(), &response);
    if (!status.ok()) return ToAbsl(status);
    return std::vector<std::string>();
  }

  const ServerProcess& server_;
  std::vector<std::unique_ptr<v1::CollectionService::Stub>> collections_;
  std::vector<std::unique_ptr<v1::SearchService::Stub>> stubs_;
};

// Clients that ask again as soon as they are answered.
class Clients {
 public:
  Clients(Searcher& searcher, const Options& options, const Matrix& queries)
      : searcher_(searcher), options_(options), queries_(queries) {}

  // Client first + c asks questions[c] for some time; what they measure is added to `measured`.
  absl::Status Run(const std::vector<Question>& questions, double seconds, Measured& measured, size_t first = 0) {
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    Mutex mutex;
    absl::Status status;
    const double start = NowSeconds(), cpu = searcher_.CpuSeconds();
    for (size_t c = 0; c < questions.size(); ++c) {
      threads.emplace_back([&, c] {
        std::vector<double> latencies;
        absl::Status mine;
        for (size_t i = c; mine.ok() && !stop; ++i) {
          const double begun = NowSeconds();
          mine = Ask(first + c, questions[c], i);
          latencies.push_back((NowSeconds() - begun) * 1e3);
        }
        MutexLock lock(&mutex);
        status.Update(mine);
        measured.latencies_ms.insert(measured.latencies_ms.end(), latencies.begin(), latencies.end());
      });
    }
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    stop = true;
    for (std::thread& thread : threads) thread.join();
    measured.seconds += NowSeconds() - start;
    measured.cpu_seconds += searcher_.CpuSeconds() - cpu;
    return status;
  }

 private:
  absl::Status Ask(size_t client, const Question& question, size_t i) {
    const auto query = absl::MakeConstSpan(queries_.row(i % queries_.rows), queries_.dims);
    BEBR_ASSIGN_OR_RETURN(const std::vector<std::string> ids, searcher_.Search(client, question, options_.k, query));
    if (ids.empty() && !question.empty_call)
      return absl::InternalError(absl::StrCat("nothing found: ", question.filter));
    for (const std::string& id : ids) {
      size_t document = 0;
      if (!absl::SimpleAtoi(id, &document) || (question.holds && !question.holds(document)))
        return absl::InternalError(absl::StrCat("found ", id, " for ", question.filter));
    }
    return absl::OkStatus();
  }

  Searcher& searcher_;
  const Options& options_;
  const Matrix& queries_;
};

std::vector<Question> Unfiltered(const Options& options) { return std::vector<Question>(options.clients); }

std::vector<Question> OwnTenants(const Options& options) {
  std::vector<Question> questions(options.clients);
  for (size_t c = 0; c < questions.size(); ++c) {
    const size_t tenant = TenantOf(options, c);  // one with a document
    questions[c].filter = absl::StrCat("tenant = \"tenant-", tenant, "\"");
    questions[c].holds = [&options, tenant](size_t document) { return TenantOf(options, document) == tenant; };
  }
  return questions;
}

std::vector<Question> OwnHalves(const Options& options) {
  std::vector<Question> questions(options.clients);
  for (size_t c = 0; c < questions.size(); ++c) {
    const int64_t from = kTimes / 2 * static_cast<int64_t>(c) / static_cast<int64_t>(questions.size());
    questions[c].filter = absl::StrCat("time >= ", from, " AND time < ", from + kTimes / 2);
    questions[c].holds = [from](size_t document) {
      return TimeOf(document) >= from && TimeOf(document) < from + kTimes / 2;
    };
  }
  return questions;
}

struct Kind {
  const char* name;
  std::vector<Question> questions;
  Measured measured;
};

// The kinds take turns, since the machine's speed wanders.
absl::Status MeasureFilters(const Options& options, Clients& clients, nlohmann::json& json) {
  std::vector<Kind> kinds = {{"no filter", Unfiltered(options), {}},
                             {"own tenant", OwnTenants(options), {}},
                             {"own half", OwnHalves(options), {}}};
  if (options.server) kinds.push_back({"empty call", std::vector<Question>(options.clients, {.empty_call = true}), {}});
  if (!options.only.empty()) std::erase_if(kinds, [&](const Kind& kind) { return kind.name != options.only; });
  for (Kind& kind : kinds) {
    Measured first;  // builds the indexes
    BEBR_RETURN_IF_ERROR(clients.Run(kind.questions, 0.2, first));
  }
  for (size_t round = 0; round < options.rounds; ++round) {
    for (Kind& kind : kinds) BEBR_RETURN_IF_ERROR(clients.Run(kind.questions, options.seconds, kind.measured));
  }
  std::printf("%zu documents, %zu tenants, %zu clients\n", options.documents, options.tenants, options.clients);
  std::printf("%-12s %11s %13s %14s %9s %9s\n", "filter", "queries/s", "to unfiltered", "cpu us a query", "p50, ms",
              "p99, ms");
  for (Kind& kind : kinds) {
    std::sort(kind.measured.latencies_ms.begin(), kind.measured.latencies_ms.end());
    const double ratio = kind.measured.rate() / kinds[0].measured.rate();
    const double p50 = Percentile(kind.measured.latencies_ms, 0.5), p99 = Percentile(kind.measured.latencies_ms, 0.99);
    std::printf("%-12s %11.0f %13.2f %14.0f %9.2f %9.2f\n", kind.name, kind.measured.rate(), ratio,
                kind.measured.cpu_us(), p50, p99);
    json["filters"].push_back({{"filter", kind.name},
                               {"queries_per_s", kind.measured.rate()},
                               {"to_unfiltered", ratio},
                               {"cpu_us_per_query", kind.measured.cpu_us()},
                               {"p50_ms", p50},
                               {"p99_ms", p99}});
  }
  return absl::OkStatus();
}

absl::Status MeasureNeighbours(const Options& options, Clients& clients, nlohmann::json& json) {
  const std::vector<Question> small(1, Question{.collection = kSmall});
  Measured alone, beside, others;
  for (size_t round = 0; round < options.rounds; ++round) {
    BEBR_RETURN_IF_ERROR(clients.Run(small, options.seconds, alone, options.clients));
    absl::Status status;
    std::thread large([&] { status = clients.Run(Unfiltered(options), options.seconds + 0.4, others); });
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    const absl::Status of_small = clients.Run(small, options.seconds, beside, options.clients);
    large.join();
    status.Update(of_small);
    BEBR_RETURN_IF_ERROR(status);
  }
  std::printf("\none client of %zu documents:\n%-26s %11s %9s %9s\n", options.small_documents, "", "queries/s",
              "p50, ms", "p99, ms");
  for (auto& [name, measured] : {std::pair<const char*, Measured*>("alone", &alone),
                                 std::pair<const char*, Measured*>("beside the large one", &beside)}) {
    std::sort(measured->latencies_ms.begin(), measured->latencies_ms.end());
    const double p50 = Percentile(measured->latencies_ms, 0.5), p99 = Percentile(measured->latencies_ms, 0.99);
    std::printf("%-26s %11.0f %9.3f %9.3f\n", name, measured->rate(), p50, p99);
    json["small"].push_back({{"name", name}, {"queries_per_s", measured->rate()}, {"p50_ms", p50}, {"p99_ms", p99}});
  }
  return absl::OkStatus();
}

// Asks all questions, of a searcher that has the collections.
absl::Status Measure(const Options& options, Searcher& searcher, nlohmann::json& json) {
  const Matrix queries = RandomRows(kQueries, options.dims, 3);
  Clients clients(searcher, options, queries);
  json["clients"] = options.clients;
  json["through_server"] = options.server;
  if (options.only != kSmall) BEBR_RETURN_IF_ERROR(MeasureFilters(options, clients, json));
  return options.only.empty() || options.only == kSmall ? MeasureNeighbours(options, clients, json) : absl::OkStatus();
}

absl::Status Run(const Options& options) {
  const WorkDirectory work;
  const std::string data = work.path() + "/data";
  BEBR_ASSIGN_OR_RETURN(auto run, EngineRun::Open(data));
  BEBR_ASSIGN_OR_RETURN(const std::string model, RandomProjection(options.shape, options.query_levels, options.dims));
  const Matrix rows = RandomRows(100003, options.dims, 2);
  BEBR_RETURN_IF_ERROR(run->Create(model, FloatStorage::kNone));
  BEBR_RETURN_IF_ERROR(run->engine().CreateCollection({.name = kSmall}, model));
  const auto attributes = [&](size_t document) { return AttributesOf(options, document); };
  BEBR_RETURN_IF_ERROR(Fill(run->engine(), EngineRun::kCollection, options.documents, rows, attributes));
  BEBR_RETURN_IF_ERROR(Fill(run->engine(), kSmall, options.small_documents, rows, attributes));
  nlohmann::json json = {{"machine", DescribeMachine()},
                         {"code", options.shape},
                         {"documents", options.documents},
                         {"small_documents", options.small_documents},
                         {"tenants", options.tenants}};
  if (options.server) {
    run.reset();
    BEBR_ASSIGN_OR_RETURN(const auto server, ServerProcess::Start(data));
    ServerSearcher searcher(*server, options.clients + 1);
    BEBR_RETURN_IF_ERROR(Measure(options, searcher, json));
    BEBR_RETURN_IF_ERROR(server->Stop());
  } else {
    EngineSearcher searcher(run->engine());
    BEBR_ASSIGN_OR_RETURN(const CollectionInfo before, run->Info());
    BEBR_RETURN_IF_ERROR(Measure(options, searcher, json));
    BEBR_ASSIGN_OR_RETURN(const CollectionInfo after, run->Info());
    const double index_bytes = static_cast<double>(after.memory.attributes - before.memory.attributes);
    std::printf("posting lists: %.2f bytes a document\n", index_bytes / static_cast<double>(options.documents));
    json["posting_bytes_per_document"] = index_bytes / static_cast<double>(options.documents);
  }
  return WriteJson(options.json, json);
}

}  // namespace
}  // namespace bebr::bench

int main(int argc, char** argv) {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);  // as the server
  // Each thread waits for its own connection, as clients on machines of their own do. By default those of one process
  // share one poller, which hands on what comes for others.
  setenv("GRPC_POLL_STRATEGY", "poll", 0);
  bebr::bench::Options options;
  CLI::App app("bench_tenants: clients with filters of their own, and a small collection beside a large one");
  app.add_option("--json", options.json, "write the figures to this file");
  app.add_option("--documents", options.documents, "of the large collection")
      ->check(CLI::Range(1000, 100000000))
      ->capture_default_str();
  app.add_option("--small-documents", options.small_documents, "of the small one")
      ->check(CLI::Range(100, 100000000))
      ->capture_default_str();
  app.add_option("--tenants", options.tenants, "in the large collection")
      ->check(CLI::Range(1, 10000000))
      ->capture_default_str();
  app.add_option("--clients", options.clients, "at once")->check(CLI::Range(1, 4096))->capture_default_str();
  app.add_option("-k", options.k, "results of a query")->check(CLI::Range(1, 10000))->capture_default_str();
  app.add_option("--shape", options.shape, "of the codes")->capture_default_str();
  app.add_option("--query-levels", options.query_levels, "levels of a query")->capture_default_str();
  app.add_option("--dims", options.dims, "floats of an embedding")->capture_default_str();
  app.add_option("--rounds", options.rounds, "each kind of question is asked so often")->capture_default_str();
  app.add_option("--seconds", options.seconds, "of each round")->capture_default_str();
  app.add_flag("--server", options.server, "through a server of its own, in place of the engine in this process");
  app.add_option("--only", options.only, "one kind of question alone, as for a profile")
      ->check(CLI::IsMember({"no filter", "own tenant", "own half", "empty call", bebr::bench::kSmall}));
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = bebr::bench::Run(options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "bench_tenants: %s\n", status.ToString().c_str());
  return 1;
}
