#include "tests/unit/log/postgres_server.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace bebr::testing {
namespace {

// The newest that Debian's packages have put there.
std::string Programs() {
  std::string newest;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator("/usr/lib/postgresql", none)) {
    const std::string programs = entry.path().string() + "/bin";
    if (std::filesystem::exists(programs + "/initdb")) newest = std::max(newest, programs);
  }
  return newest;
}

[[noreturn]] void Fail(const std::string& what, const std::string& log) {
  std::ifstream in(log);
  std::stringstream text;
  text << in.rdbuf();
  std::fprintf(stderr, "%s\n%s\n", what.c_str(), text.str().c_str());
  std::abort();
}

// Null: this test is somebody who may not do much already.
const passwd* Nobody() { return geteuid() == 0 ? getpwnam("nobody") : nullptr; }

std::string MakeDirectory() {
  char name[] = "/tmp/bebr-pg-XXXXXX";  // short: a socket's path has 107 characters at most
  if (mkdtemp(name) == nullptr) Fail("no directory under /tmp", "");
  const passwd* nobody = Nobody();
  if (nobody != nullptr && chown(name, nobody->pw_uid, nobody->pw_gid) != 0) Fail("chown failed", "");
  return name;
}

// Begins a program, which writes to `log`, as somebody who may not do much.
pid_t Begin(const std::vector<std::string>& command, const std::string& log) {
  std::vector<char*> arguments;
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const passwd* nobody = Nobody();
  const pid_t child = fork();
  if (child != 0) return child;
  const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
  dup2(out, 1);
  dup2(out, 2);
  setpgid(0, 0);
  if (nobody != nullptr && (setgroups(0, nullptr) != 0 || setgid(nobody->pw_gid) != 0 || setuid(nobody->pw_uid) != 0))
    _exit(126);
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // with the test, even if that is killed
  if (chdir("/") != 0) _exit(126);
  execv(arguments[0], arguments.data());
  _exit(127);
}

}  // namespace

bool PostgresIsInstalled() { return !Programs().empty(); }

PostgresServer::PostgresServer() {
  directory_ = MakeDirectory();
  Run({Programs() + "/initdb", "-D", directory_ + "/data", "-U", "bebr", "-A", "trust", "-E", "UTF8", "--locale=C",
       "-N"});
  Set("shared_buffers = 16MB\nmax_connections = 40\nautovacuum_naptime = 10s");
}

PostgresServer::PostgresServer(const PostgresServer& primary, const std::string& name) {
  directory_ = MakeDirectory();
  const std::string source = absl::StrCat("host=", primary.directory_, " user=bebr application_name=", name);
  Run({Programs() + "/pg_basebackup", "-D", directory_ + "/data", "-d", source, "-R", "-X", "stream", "-c", "fast",
       "-N"});
}

PostgresServer::~PostgresServer() {
  if (server_ != 0) Kill();
  std::filesystem::remove_all(directory_);
}

void PostgresServer::Run(const std::vector<std::string>& command) const {
  int status = 0;
  waitpid(Begin(command, directory_ + "/log"), &status, 0);
  if (status != 0) Fail(absl::StrJoin(command, " "), directory_ + "/log");
}

void PostgresServer::Set(const std::string& settings) {
  std::ofstream out(directory_ + "/data/postgresql.auto.conf", std::ios::app);
  out << settings << "\n";
}

void PostgresServer::Start() {
  const std::vector<std::string> command = {
      Programs() + "/postgres", "-D", directory_ + "/data", "-k", directory_, "-c", "listen_addresses="};
  server_ = Begin(command, directory_ + "/log");
  for (int tries = 0; tries < 1200; ++tries) {
    if (Answers()) return;
    int status = 0;
    if (waitpid(server_, &status, WNOHANG) == server_) {
      // Those that a killed one has left hold its memory for a moment.
      absl::SleepFor(absl::Milliseconds(100));
      server_ =
          Begin({Programs() + "/postgres", "-D", directory_ + "/data", "-k", directory_, "-c", "listen_addresses="},
                directory_ + "/log");
    }
    absl::SleepFor(absl::Milliseconds(50));
  }
  Fail("PostgreSQL does not begin", directory_ + "/log");
}

bool PostgresServer::Answers() const {
  int status = 0;
  waitpid(Begin({Programs() + "/pg_isready", "-q", "-h", directory_, "-U", "bebr", "-d", "postgres"}, "/dev/null"),
          &status, 0);
  return status == 0;
}

void PostgresServer::Kill() {
  kill(server_, SIGKILL);
  waitpid(server_, nullptr, 0);
  server_ = 0;
}

void PostgresServer::Reload() { Run({Programs() + "/pg_ctl", "reload", "-D", directory_ + "/data"}); }
void PostgresServer::Promote() { Run({Programs() + "/pg_ctl", "promote", "-w", "-D", directory_ + "/data"}); }

std::string PostgresServer::Sql(const std::string& statement) const {
  const std::string command =
      absl::StrCat(Programs(), "/psql -h ", directory_, " -U bebr -d postgres -X -A -t -v ON_ERROR_STOP=1");
  static std::atomic<int> statements{0};
  const std::string input = absl::StrCat(directory_, "/statement-", ++statements);
  std::ofstream(input) << statement;
  FILE* out = popen(absl::StrCat(command, " -f ", input, " 2>&1").c_str(), "r");
  std::string text;
  char buffer[4096];
  while (const size_t read = std::fread(buffer, 1, sizeof(buffer), out)) text.append(buffer, read);
  if (pclose(out) != 0) Fail(statement + ": " + text, directory_ + "/log");
  return text;
}

}  // namespace bebr::testing
