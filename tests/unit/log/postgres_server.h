// A PostgreSQL of a test's own.
#ifndef BEBR_TESTS_UNIT_LOG_POSTGRES_SERVER_H_
#define BEBR_TESTS_UNIT_LOG_POSTGRES_SERVER_H_

#include <sys/types.h>

#include <string>
#include <vector>

namespace bebr::testing {

// Whether there is one to start.
bool PostgresIsInstalled();

// A PostgreSQL in a directory of its own under /tmp, which listens on a Unix socket there alone; nothing of it stays.
// It runs as nobody where the test runs as root, since it refuses to run as root. Everything fails by a message and
// abort().
class PostgresServer {
 public:
  // A new one; or a standby of `primary`, by the name `name`, which is at the same port in another directory.
  PostgresServer();
  PostgresServer(const PostgresServer& primary, const std::string& name);
  ~PostgresServer();
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;

  // Settings, as in postgresql.conf, for the next Start.
  void Set(const std::string& settings);
  // Returns when it answers; a Kill before has ended all of its processes.
  void Start();
  // kill -9 of the postmaster; its other processes end when they notice.
  void Kill();
  void Reload();
  void Promote();

  // For libpq: where it listens. What psql prints for a statement, from any thread.
  const std::string& socket_directory() const { return directory_; }
  std::string Sql(const std::string& statement) const;

 private:
  void Run(const std::vector<std::string>& command) const;
  bool Answers() const;

  std::string directory_;
  pid_t server_ = 0;
};

}  // namespace bebr::testing

#endif  // BEBR_TESTS_UNIT_LOG_POSTGRES_SERVER_H_
