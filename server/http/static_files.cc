#include "server/http/static_files.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/file.h"

namespace bebr {
namespace {

constexpr uint64_t kMaxBytes = uint64_t{32} << 20;

std::string ContentTypeOf(const std::filesystem::path& path) {
  static const std::map<std::string, std::string> types = {{".html", "text/html; charset=utf-8"},
                                                           {".js", "text/javascript; charset=utf-8"},
                                                           {".css", "text/css; charset=utf-8"},
                                                           {".svg", "image/svg+xml"},
                                                           {".json", "application/json"},
                                                           {".txt", "text/plain; charset=utf-8"},
                                                           {".png", "image/png"},
                                                           {".woff2", "font/woff2"}};
  const auto found = types.find(path.extension().string());
  return found == types.end() ? "application/octet-stream" : found->second;
}

}  // namespace

absl::StatusOr<StaticFiles> StaticFiles::Read(const std::string& option, const std::string& directory) {
  namespace fs = std::filesystem;
  auto refuse = [&](std::string_view why) {
    return absl::InvalidArgumentError(absl::StrFormat("%s \"%s\": %s", option, directory, why));
  };
  StaticFiles files;
  uint64_t bytes = 0;
  std::error_code error;
  fs::recursive_directory_iterator entry(directory, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    std::error_code failed;
    if (!entry->is_regular_file(failed)) continue;
    absl::StatusOr<std::string> text = ReadFile(entry->path().string());
    if (!text.ok()) return refuse({text.status().message().data(), text.status().message().size()});
    bytes += text->size();
    if (bytes > kMaxBytes) return refuse(absl::StrFormat("holds more than %d bytes", kMaxBytes));
    files.files_[entry->path().lexically_relative(directory).generic_string()] = {ContentTypeOf(entry->path()),
                                                                                  *std::move(text)};
  }
  if (error) return refuse(error.message());
  if (files.Find("") == nullptr) return refuse("holds no index.html");
  return files;
}

const StaticFiles::File* StaticFiles::Find(std::string_view path) const {
  const auto found = files_.find(path.empty() ? "index.html" : path);
  return found == files_.end() ? nullptr : &found->second;
}

HttpAnswer ConsoleAnswer(const StaticFiles& files, std::string_view path, std::string_view verb) {
  if (verb != "GET" && verb != "HEAD") return {405, "GET only\n", "text/plain", {{"Allow", "GET, HEAD"}}};
  if (path.empty()) return {301, "", "", {{"Location", "/console/"}}};
  const StaticFiles::File* file = path[0] == '/' ? files.Find(path.substr(1)) : nullptr;
  if (file == nullptr) return {404, "the console has no such file\n", "text/plain", {}};
  return {200,
          file->bytes,
          file->content_type,
          {{"Cache-Control", "no-cache"},
           {"Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'"},
           {"Referrer-Policy", "no-referrer"}}};
}

}  // namespace bebr
