#include "client/cli/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/command.h"

namespace bebr {
namespace {

constexpr double kTerminalSeconds = 0.1;
constexpr double kPlainSeconds = 10;
constexpr size_t kBarCells = 30;
constexpr size_t kLeastBarCells = 5;
constexpr size_t kUsualColumns = 80;

std::string TimeLeft(double seconds) {
  const auto whole = static_cast<uint64_t>(std::llround(seconds));
  return whole >= 60 ? absl::StrFormat("%d min %02d s", whole / 60, whole % 60) : absl::StrFormat("%d s", whole);
}

// Asked every time: the window may change.
size_t TerminalColumns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kUsualColumns;
}

}  // namespace

std::string ProgressLine(const std::string& title, const std::string& figures, double share, size_t columns) {
  const size_t beside = title.size() + figures.size() + 4;  // two spaces, two brackets
  if (columns < beside + kLeastBarCells) return absl::StrCat(title, " ", figures).substr(0, columns);
  const size_t cells = std::min(kBarCells, columns - beside);
  const auto filled = static_cast<size_t>(share * static_cast<double>(cells));
  return absl::StrCat(title, " [", std::string(filled, '#'), std::string(cells - filled, '.'), "] ", figures);
}

Progress::Progress(std::string title, std::string unit, uint64_t total, bool quiet)
    : title_(std::move(title)),
      unit_(std::move(unit)),
      total_(total),
      terminal_(isatty(STDERR_FILENO) == 1),
      quiet_(quiet) {}

Progress::~Progress() {
  if (on_line_) std::fputc('\n', stderr);
}

void Progress::Set(uint64_t done) {
  const double now = Seconds();
  if (now - shown_at_ < (terminal_ ? kTerminalSeconds : kPlainSeconds)) return;
  shown_at_ = now;
  Show(done);
}

double Progress::End(uint64_t done) {
  const double seconds = Seconds();
  Show(done);
  if (on_line_) std::fputc('\n', stderr);
  on_line_ = false;
  return seconds;
}

void Progress::Clear() {
  if (on_line_) std::fputs("\r\033[K", stderr);
  on_line_ = false;
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
  // One column stays free: some terminals begin a new line when the last one is written.
  std::fprintf(stderr, "\r%s\033[K", ProgressLine(title_, figures, share, TerminalColumns() - 1).c_str());
  std::fflush(stderr);
  on_line_ = true;
}

}  // namespace bebr
