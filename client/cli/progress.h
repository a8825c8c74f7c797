#ifndef BEBR_CLIENT_CLI_PROGRESS_H_
#define BEBR_CLIENT_CLI_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <string>

namespace bebr {

// A Progress shows on standard error how far a job is, with rate and time left: a bar that is redrawn on a terminal, a
// plain line every ten seconds elsewhere. Thread safety: none.
class Progress {
 public:
  // `unit` is what is counted, e.g. "documents". A quiet one shows nothing off a terminal.
  Progress(std::string title, std::string unit, uint64_t total, bool quiet);
  void Set(uint64_t done);
  // Shows the end and returns the seconds since the construction.
  double End(uint64_t done);

 private:
  using Clock = std::chrono::steady_clock;
  double Seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  void Show(uint64_t done);

  const std::string title_;
  const std::string unit_;
  const uint64_t total_;
  const bool terminal_;
  const bool quiet_;
  const Clock::time_point start_ = Clock::now();
  double shown_at_ = 0;
};

}  // namespace bebr

#endif  // BEBR_CLIENT_CLI_PROGRESS_H_
