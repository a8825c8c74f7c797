// What a request over HTTP must be, as its headers say.
#ifndef BEBR_SERVER_HTTP_REQUEST_RULES_H_
#define BEBR_SERVER_HTTP_REQUEST_RULES_H_

#include <microhttpd.h>

#include <string>
#include <vector>

#include "server/config/config.h"
#include "server/http/http_answer.h"
#include "server/http/http_call.h"

namespace bebr {

// Where these answer with bool, it is true, or false with the answer in `refusal`.

// Whether it is clear where the request ends.
bool CheckLength(MHD_Connection* connection, HttpAnswer& refusal);
// Who calls: peer and key.
HttpHeaders ReadCaller(MHD_Connection* connection);
// Takes what a call needs to know of the headers.
bool ReadHeaders(MHD_Connection* connection, HttpHeaders& headers, HttpAnswer& refusal);

// Which web pages may call. Thread safety: immutable.
class OriginRules {
 public:
  explicit OriginRules(const ServerConfig& config);

  // False, with the answer, if the request comes from a web page of a foreign origin; `allowed_origin` is one that may
  // read the answer.
  bool Check(MHD_Connection* connection, std::string& allowed_origin, HttpAnswer& refusal) const;
  // The answer to the question of a page of an allowed origin whether it may call.
  static HttpAnswer Preflight();

 private:
  const std::vector<std::string> origins_;
  const bool guards_host_;
};

}  // namespace bebr

#endif  // BEBR_SERVER_HTTP_REQUEST_RULES_H_
