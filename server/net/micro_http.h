// What both HTTP listeners tell libmicrohttpd alike.
#ifndef BEBR_SERVER_NET_MICRO_HTTP_H_
#define BEBR_SERVER_NET_MICRO_HTTP_H_

#include <microhttpd.h>

#include <cstdarg>
#include <cstddef>

namespace bebr {

// For MHD_OPTION_EXTERNAL_LOGGER: into the log, at level debug.
void LogHttp(void* context, const char* format, va_list arguments);

// For MHD_OPTION_UNESCAPE_CALLBACK: resolves %41 in place and returns the length. Text with a %00 stays as it is: a
// path would end there, and so be another one than was asked for.
size_t UnescapeHttp(void* context, MHD_Connection* connection, char* text);

// Null, or why it can be read in two ways where the request ends: several Content-Length, or one beside a
// Transfer-Encoding, or the name of a header that is none (with a space before its colon), or a value with a NUL. A
// proxy before the server may read it in the other way. Such a request is refused, and its connection closed.
const char* AmbiguityOf(MHD_Connection* connection);

}  // namespace bebr

#endif  // BEBR_SERVER_NET_MICRO_HTTP_H_
