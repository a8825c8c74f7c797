// Real processes: the server on a free loopback port, and the command.
#ifndef BEBR_TESTS_INTEGRATION_SERVER_PROCESS_H_
#define BEBR_TESTS_INTEGRATION_SERVER_PROCESS_H_

#include <sys/types.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace bebr::testing {

// What a program printed and how it ended.
struct Outcome {
  int exit_code = -1;  // 128 + the signal if one ended it
  std::string out;
  std::string err;
};

using Variables = std::map<std::string, std::string>;

// Runs a program of the build directory, or one with an absolute path, to its end. Its environment is this process's
// with `variables`.
Outcome RunProgram(const std::string& name, const std::vector<std::string>& arguments, const Variables& variables = {});

// How many times the memory that is expected a server may take: AddressSanitizer keeps a shadow, red zones and what was
// freed.
#ifdef __SANITIZE_ADDRESS__
inline constexpr uint64_t kSanitizerMemory = 5;
#else
inline constexpr uint64_t kSanitizerMemory = 1;
#endif

// A port that nobody listens on, and that no connection and nobody else who asks for a free one is given while this
// process lives: a socket stays bound to it that does not listen, beside which a server may (SO_REUSEADDR), again and
// again.
int FreePort();

// A ServerProcess is a running bebr-server. Ownership: killed with this object if it still runs. Thread safety: none.
class ServerProcess {
 public:
  // Starts it over `data_dir` and waits until it serves; the test fails, and valid() is false, if it does not.
  // It may have `open_files` files open; 0: as many as this process.
  explicit ServerProcess(const std::string& data_dir, const std::vector<std::string>& flags = {},
                         const Variables& variables = {}, uint64_t open_files = 0);
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  bool valid() const { return !address_.empty(); }
  const std::string& address() const { return address_; }
  pid_t pid() const { return pid_; }

  void Signal(int number);
  // Waits for the end, at most two minutes; the exit code, or 128 + the signal that ended it.
  int Wait();
  std::string Log() const;
  // Waits until the log has `part`; it is written a moment after what it tells of. The log, for messages.
  std::string AwaitLog(const std::string& part) const;
  bool Running();
  // HOST:PORT of the HTTP port.
  std::string http_address() const { return "127.0.0.1:" + std::to_string(http_port_); }
  // GET `path` of the HTTP port: status line and body.
  std::string HttpGet(const std::string& path) const;

 private:
  void WaitUntilServing();

  pid_t pid_ = -1;
  int exit_code_ = -1;
  std::string log_file_;
  std::string address_;
  int http_port_ = 0;
};

}  // namespace bebr::testing

#endif  // BEBR_TESTS_INTEGRATION_SERVER_PROCESS_H_
