// Names of options that are spelled nearly right.
#ifndef BEBR_SERVER_CONFIG_NAMES_H_
#define BEBR_SERVER_CONFIG_NAMES_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace bebr {

// "; did you mean NAME?" with the one of `known` that is nearest to `name`, or nothing if none is near.
std::string DidYouMean(std::string_view name, const std::vector<std::string>& known);

// One message for each variable of `environment` that begins with BEBR_ and means nothing to anybody: neither one of
// `options` nor one of the programs around the server, nor one with which Kubernetes and Docker describe a service that
// is called bebr.
std::vector<std::string> UnknownVariables(const std::map<std::string, std::string>& environment,
                                          const std::vector<std::string>& options);

}  // namespace bebr

#endif  // BEBR_SERVER_CONFIG_NAMES_H_
