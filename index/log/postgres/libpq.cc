#include "index/log/postgres/libpq.h"

#include <dlfcn.h>

#include <string>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

constexpr const char* kLibrary = "libpq.so.5";

absl::StatusOr<Libpq> Load() {
  void* library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);  // stays for as long as the process
  if (library == nullptr) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "a log in PostgreSQL needs its client library: %s; install Debian's package libpq5", std::string(dlerror())));
  }
  Libpq libpq;
  const char* missing = nullptr;
  const auto find = [&](const char* name, auto& function) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
    if (function == nullptr) missing = name;
  };
#define BEBR_LIBPQ_FIND(name) find(#name, libpq.name);
  BEBR_LIBPQ_FUNCTIONS(BEBR_LIBPQ_FIND)
#undef BEBR_LIBPQ_FIND
  if (missing == nullptr) return libpq;
  return absl::FailedPreconditionError(
      absl::StrFormat("%s has no %s; install Debian's package libpq5", kLibrary, missing));
}

}  // namespace

absl::StatusOr<const Libpq*> LoadLibpq() {
  static const auto* const loaded = new absl::StatusOr<Libpq>(Load());
  BEBR_RETURN_IF_ERROR(loaded->status());
  return &**loaded;
}

}  // namespace bebr
