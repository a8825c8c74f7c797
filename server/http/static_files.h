// Files that are served as they are.
#ifndef BEBR_SERVER_HTTP_STATIC_FILES_H_
#define BEBR_SERVER_HTTP_STATIC_FILES_H_

#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/http/http_answer.h"

namespace bebr {

// The files of one directory and of those in it, read at once: what is served later comes from memory, and no path of a
// request ever reaches the disk. Thread safety: immutable.
class StaticFiles {
 public:
  struct File {
    std::string content_type;
    std::string bytes;
  };

  StaticFiles() = default;  // none
  // INVALID_ARGUMENT, naming `option`, if the directory cannot be read or holds more than 32 MiB.
  static absl::StatusOr<StaticFiles> Read(const std::string& option, const std::string& directory);

  // The file at a path below the directory, "assets/main.js"; for the empty path index.html. Null if there is none.
  const File* Find(std::string_view path) const;

 private:
  std::map<std::string, File, std::less<>> files_;
};

// The file of the console at a path behind "/console", with the headers that a web page needs. Asks for no key: the
// files hold no data.
HttpAnswer ConsoleAnswer(const StaticFiles& files, std::string_view path, std::string_view verb);

}  // namespace bebr

#endif  // BEBR_SERVER_HTTP_STATIC_FILES_H_
