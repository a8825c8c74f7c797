#include "server/net/micro_http.h"

#include <strings.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "absl/strings/ascii.h"
#include "index/base/logging.h"

namespace bebr {
namespace {

bool IsToken(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

bool IsText(std::string_view value) {
  return std::all_of(value.begin(), value.end(), [](char c) { return c == '\t' || !absl::ascii_iscntrl(c); });
}

}  // namespace

void LogHttp(void*, const char* format, va_list arguments) {
  char text[256];
  std::vsnprintf(text, sizeof(text), format, arguments);
  LogDebug("http: {}", text);
}

size_t UnescapeHttp(void*, MHD_Connection*, char* text) {
  return std::strstr(text, "%00") == nullptr ? MHD_http_unescape(text) : std::strlen(text);
}

const char* AmbiguityOf(MHD_Connection* connection) {
  struct Seen {
    int lengths = 0;
    bool bad_name = false, bad_value = false;
  } seen;
  const auto look = [](void* into, MHD_ValueKind, const char* name, size_t name_bytes, const char* value,
                       size_t value_bytes) {
    auto& all = *static_cast<Seen*>(into);
    const bool length = strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0;
    all.lengths += length || strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0 ? 1 : 0;
    all.bad_name |= !IsToken({name, name_bytes});
    all.bad_value |= value != nullptr && !IsText({value, value_bytes});
    return MHD_YES;
  };
  MHD_get_connection_values_n(connection, MHD_HEADER_KIND, look, &seen);
  if (seen.lengths > 1) return "there are several Content-Length, or one beside a Transfer-Encoding; send one of them";
  if (seen.bad_name) return "the name of a header is none: it has letters, digits and !#$%&'*+-.^_`|~ alone";
  if (seen.bad_value) return "the value of a header has control characters";
  return nullptr;
}

}  // namespace bebr
