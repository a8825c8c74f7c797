#include "server/net/micro_http.h"

#include <strings.h>

#include <cstdio>
#include <cstring>

#include "index/base/logging.h"

namespace bebr {

void LogHttp(void*, const char* format, va_list arguments) {
  char text[256];
  std::vsnprintf(text, sizeof(text), format, arguments);
  LogDebug("http: {}", text);
}

size_t UnescapeHttp(void*, MHD_Connection*, char* text) {
  return std::strstr(text, "%00") == nullptr ? MHD_http_unescape(text) : std::strlen(text);
}

bool HasTwoLengths(MHD_Connection* connection) {
  int lengths = 0;
  const auto count = [](void* total, MHD_ValueKind, const char* name, const char*) {
    const bool length = strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0;
    *static_cast<int*>(total) += length || strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0 ? 1 : 0;
    return MHD_YES;
  };
  MHD_get_connection_values(connection, MHD_HEADER_KIND, count, &lengths);
  return lengths > 1;
}

}  // namespace bebr
