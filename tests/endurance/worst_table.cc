#include "tests/endurance/worst_table.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "index/base/clock.h"
#include "index/base/status_macros.h"
#include "tests/support/engine_calls.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

double Seconds(SteadyTime begin) { return absl::ToDoubleSeconds(SteadyNow() - begin); }

// Megabytes of a line of /proc/PID/status.
double StatusMb(pid_t pid, const std::string& name) {
  std::ifstream in(absl::StrCat("/proc/", pid, "/status"));
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(name + ":")) return std::stod(line.substr(name.size() + 1)) / 1024;
  }
  return 0;
}

}  // namespace

Subject::Subject(CollectionConfig config, std::string model) {
  config.name = std::string("c");
  if (config.store_floats == FloatStorage::kNone) config.store_floats = FloatStorage::kFloat16;
  if (model.empty()) model = RandomModelFile(kWorstDims, *ParseCodeSpec("64x2"), 4, 1);
  status_ = Start();
  if (status_.ok()) status_ = engine_->CreateCollection(config, model);
}

absl::Status Subject::Open() {
  BEBR_RETURN_IF_ERROR(Start());
  return engine_->GetCollection("c").status();
}

absl::Status Subject::Start() {
  engine_.reset();
  BEBR_ASSIGN_OR_RETURN(engine_, Engine::Open({.data_dir = directory_.path(), .threads = 2}));
  return absl::OkStatus();
}

Table::Table(double most_seconds) : most_seconds_(most_seconds) {
  std::printf("%-60s %8s %8s %8s\n", "input", "s", "MB", "start s");
}

void Table::Run(const std::string& what, Subject& subject, const Call& call, bool restarts) {
  const auto checked = [&] { return subject.status().ok() ? call() : subject.status(); };
  Measure(what, getpid(), checked, [&] { return restarts ? subject.Open() : absl::OkStatus(); });
}

void Table::Measure(const std::string& what, pid_t pid, const Call& call, const Call& restart, double most_megabytes) {
  std::ofstream(absl::StrCat("/proc/", pid, "/clear_refs")) << "5";  // the peak begins anew
  const double before = StatusMb(pid, "VmRSS");
  SteadyTime begin = SteadyNow();
  const absl::Status status = call();
  const double seconds = Seconds(begin), megabytes = StatusMb(pid, "VmHWM") - before;
  begin = SteadyNow();
  const absl::Status opened = status.ok() ? restart() : absl::OkStatus();
  const double start = Seconds(begin);
  const bool slow = most_seconds_ > 0 && std::max(seconds, start) > most_seconds_;
  const bool good = status.ok() && opened.ok() && !slow && megabytes <= most_megabytes;
  good_ = good_ && good;
  std::printf("%-60s %8.2f %8.0f %8.2f %s%s%s\n", what.c_str(), seconds, megabytes, start, good ? "" : "FAIL ",
              status.ok() ? "" : status.ToString().c_str(), opened.ok() ? "" : opened.ToString().c_str());
  std::fflush(stdout);
}

Documents MakeDocuments(size_t count, uint32_t dims, const std::function<void(size_t, DocumentInput&)>& edit) {
  Documents documents{.vectors = RandomVectors(count, dims, 3)};
  for (size_t i = 0; i < count; ++i) {
    documents.request.documents.push_back(
        {.id = absl::StrCat("d", i), .embeddings = {{.values = documents.vectors[i]}}});
    edit(i, documents.request.documents.back());
  }
  return documents;
}

std::string Padded(const std::string& text, size_t bytes) { return text + std::string(bytes - text.size(), 'x'); }

}  // namespace bebr::testing
