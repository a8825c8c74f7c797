// The progress bar of long verbs.
#ifndef BEBR_CLIENT_CLI_PROGRESS_H_
#define BEBR_CLIENT_CLI_PROGRESS_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace bebr {

// A Progress shows on standard error how far a job is, with rate and time left: a bar that is redrawn on a terminal and
// keeps to its width, a plain line every ten seconds elsewhere. Thread safety: none.
class Progress {
 public:
  // `unit` is what is counted, e.g. "documents". A quiet one shows nothing off a terminal.
  Progress(std::string title, std::string unit, uint64_t total, bool quiet);
  // Leaves the bar of a job that did not end where it is.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void Set(uint64_t done);
  // Shows the end and returns the seconds since the construction.
  double End(uint64_t done);
  // Takes the bar away, for a job whose end is not worth a line.
  void Clear();

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
  bool on_line_ = false;  // the cursor stands behind a bar
};

// "title [###...] figures" in at most `columns` characters: the bar gets shorter first, then goes, then the text is
// cut.
std::string ProgressLine(const std::string& title, const std::string& figures, double share, size_t columns);

}  // namespace bebr

#endif  // BEBR_CLIENT_CLI_PROGRESS_H_
