#include "tests/integration/server_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <thread>

#include "tests/integration/programs.h"
#include "tests/support/until.h"

namespace bebr::testing {
namespace {

std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string TemporaryFile() {
  std::string name = (std::filesystem::temp_directory_path() / "bebr-out-XXXXXX").string();
  close(mkstemp(name.data()));
  return name;
}

// Starts a program with its output going to files.
pid_t Spawn(const std::string& name, const std::vector<std::string>& arguments, const Variables& variables,
            const std::string& out, const std::string& err, uint64_t open_files = 0) {
  const std::string path = (std::filesystem::path(BEBR_PROGRAMS) / name).string();
  std::vector<char*> argv = {const_cast<char*>(path.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = fork();
  if (pid != 0) return pid;
  signal(SIGXFSZ, SIG_IGN);  // a test may limit the size of its files: that is an error of a write, not the end
  const rlimit files{.rlim_cur = open_files, .rlim_max = open_files};
  if (open_files > 0) setrlimit(RLIMIT_NOFILE, &files);
  for (const auto& [key, value] : variables) setenv(key.c_str(), value.c_str(), 1);
  dup2(open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
  dup2(open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
  execv(path.c_str(), argv.data());
  _exit(127);
}

int ExitCode(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

// Whether all threads of a process stand still.
bool Stopped(pid_t pid) {
  for (const auto& thread : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
    std::string line;
    std::getline(std::ifstream(thread.path() / "stat"), line);
    if (line.find(") T") == std::string::npos) return false;
  }
  return true;
}

}  // namespace

int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  EXPECT_EQ(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)), 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  return ntohs(address.sin_port);
}

Outcome RunProgram(const std::string& name, const std::vector<std::string>& arguments, const Variables& variables) {
  const std::string out = TemporaryFile();
  const std::string err = TemporaryFile();
  const pid_t pid = Spawn(name, arguments, variables, out, err);
  int status = 0;
  waitpid(pid, &status, 0);
  Outcome outcome{.exit_code = ExitCode(status), .out = ReadText(out), .err = ReadText(err)};
  std::filesystem::remove(out);
  std::filesystem::remove(err);
  return outcome;
}

ServerProcess::ServerProcess(const std::string& data_dir, const std::vector<std::string>& flags,
                             const Variables& variables, uint64_t open_files)
    : log_file_(TemporaryFile()) {
  std::vector<std::string> arguments = {"--data_dir",  data_dir,           "--listen",
                                        "127.0.0.1:0", "--metrics_listen", "127.0.0.1:0"};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  pid_ = Spawn("bebr-server", arguments, variables, "/dev/null", log_file_, open_files);
  WaitUntilServing();
}

ServerProcess::~ServerProcess() {
  if (Running()) {
    Signal(SIGKILL);
    Wait();
  }
  std::filesystem::remove(log_file_);
}

void ServerProcess::WaitUntilServing() {
  const std::regex serving("serving: grpc=(\\S+) metrics=\\S+:(\\d+)");
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < deadline) {
    const std::string log = Log();
    std::smatch match;
    if (std::regex_search(log, match, serving)) {
      address_ = match[1];
      http_port_ = std::stoi(match[2]);
      return;
    }
    if (!Running()) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ADD_FAILURE() << "the server does not serve:\n" << Log();
}

std::string ServerProcess::Log() const { return ReadText(log_file_); }

std::string ServerProcess::AwaitLog(const std::string& part) const {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  std::string log = Log();
  for (; log.find(part) == std::string::npos && std::chrono::steady_clock::now() < deadline; log = Log())
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return log;
}

bool ServerProcess::Running() {
  if (pid_ < 0) return false;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return true;
  exit_code_ = ExitCode(status);
  pid_ = -1;
  return false;
}

void ServerProcess::Signal(int number) {
  if (pid_ <= 0) return;
  kill(pid_, number);
  // On a busy machine its threads go on for a while.
  for (int i = 0; number == SIGSTOP && i < 2000 && !Stopped(pid_); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

int ServerProcess::Wait() {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (Running() && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_LT(pid_, 0) << "the server does not end:\n" << Log();
  return exit_code_;
}

std::string ServerProcess::HttpGet(const std::string& path) const {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(http_port_));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    const std::string request = "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    char buffer[4096];
    ssize_t got = send(fd, request.data(), request.size(), MSG_NOSIGNAL);
    while (got > 0 && (got = recv(fd, buffer, sizeof(buffer), 0)) > 0) answer.append(buffer, static_cast<size_t>(got));
  }
  close(fd);
  return answer;
}

}  // namespace bebr::testing
