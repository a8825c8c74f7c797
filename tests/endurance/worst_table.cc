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

// Seconds of processors that the process has had: in its user's mode and in the system's, fields 14 and 15.
double ProcessorSeconds(pid_t pid) {
  std::ifstream in(absl::StrCat("/proc/", pid, "/stat"));
  std::string field;
  double ticks = 0;
  for (int i = 1; i <= 15 && in >> field; ++i) {
    if (i >= 14) ticks += std::stod(field);
  }
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
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
  std::printf("%-60s %8s %8s %8s %8s %8s %8s\n", "input", "s", "cpu s", "MB", "start s", "cpu s", "MB");
}

void Table::Run(const std::string& what, Subject& subject, const Call& call, bool restarts) {
  const auto checked = [&] { return subject.status().ok() ? call() : subject.status(); };
  Measure(what, getpid, checked, [&] { return restarts ? subject.Open() : absl::OkStatus(); });
}

bool Table::IsSlow(const Cost& cost) const {
  return most_seconds_ > 0 && (cost.processor_seconds > most_seconds_ || cost.seconds > 10 * most_seconds_);
}

void Table::Measure(const std::string& what, const std::function<pid_t()>& pid, const Call& call, const Call& restart,
                    const MostMegabytes& most) {
  const pid_t first = pid();
  std::ofstream(absl::StrCat("/proc/", first, "/clear_refs")) << "5";  // the peak begins anew
  const double before = StatusMb(first, "VmRSS");
  double processors = ProcessorSeconds(first);
  SteadyTime begin = SteadyNow();
  const absl::Status status = call();
  const Cost cost{Seconds(begin), ProcessorSeconds(first) - processors, StatusMb(first, "VmHWM") - before};
  processors = ProcessorSeconds(first);
  begin = SteadyNow();
  const absl::Status opened = status.ok() ? restart() : absl::OkStatus();
  Cost start{.seconds = Seconds(begin)};
  const bool fresh = pid() != first;
  start.processor_seconds = ProcessorSeconds(pid()) - (fresh ? 0 : processors);
  start.megabytes = fresh ? StatusMb(pid(), "VmHWM") : 0;
  const bool good = status.ok() && opened.ok() && !IsSlow(cost) && !IsSlow(start) && cost.megabytes <= most.call &&
                    start.megabytes <= most.start;
  good_ = good_ && good;
  std::printf("%-60s %8.2f %8.2f %8.0f %8.2f %8.2f %8.0f %s%s%s\n", what.c_str(), cost.seconds, cost.processor_seconds,
              cost.megabytes, start.seconds, start.processor_seconds, start.megabytes, good ? "" : "FAIL ",
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
