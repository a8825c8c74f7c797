#include "client/cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/str_format.h"
#include "client/cli/command.h"

namespace bebr {
namespace {

constexpr double kTerminalInterval_s = 0.1;
constexpr double kPlainInterval_s = 10;
constexpr size_t kBarCells = 30;

std::string TimeLeft(double seconds) {
  const auto whole = static_cast<uint64_t>(seconds + 0.5);
  return whole >= 60 ? absl::StrFormat("%d min %02d s", whole / 60, whole % 60) : absl::StrFormat("%d s", whole);
}

}  // namespace

Progress::Progress(std::string title, std::string unit, uint64_t total, bool quiet)
    : title_(std::move(title)),
      unit_(std::move(unit)),
      total_(total),
      terminal_(isatty(STDERR_FILENO) == 1),
      quiet_(quiet) {}

void Progress::Set(uint64_t done) {
  const double now = Seconds();
  if (now - shown_at_ < (terminal_ ? kTerminalInterval_s : kPlainInterval_s)) return;
  shown_at_ = now;
  Show(done);
}

double Progress::End(uint64_t done) {
  const double seconds = Seconds();
  Show(done);
  if (terminal_) std::fputc('\n', stderr);
  return seconds;
}

void Progress::Show(uint64_t done) {
  if (!terminal_ && quiet_) return;
  const double seconds = std::max(Seconds(), 1e-9);
  const double rate = static_cast<double>(done) / seconds;
  const double share = total_ == 0 ? 1 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total_));
  const std::string left = done >= total_ ? absl::StrFormat("done in %s", TimeLeft(seconds))
                           : done == 0    ? std::string("-")
                                          : TimeLeft(static_cast<double>(total_ - done) / rate) + " left";
  const std::string figures = absl::StrFormat("%3.0f%% %s of %s %s, %s/s, %s", 100 * share, WithCommas(done),
                                              WithCommas(total_), unit_, WithCommas(static_cast<uint64_t>(rate)), left);
  if (!terminal_) {
    std::fprintf(stderr, "%s %s\n", title_.c_str(), figures.c_str());
    return;
  }
  const auto filled = static_cast<size_t>(share * kBarCells);
  std::fprintf(stderr, "\r%s [%s%s] %s\033[K", title_.c_str(), std::string(filled, '#').c_str(),
               std::string(kBarCells - filled, '.').c_str(), figures.c_str());
  std::fflush(stderr);
}

}  // namespace bebr
