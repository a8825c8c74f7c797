// Whether the options go together.
#ifndef BEBR_SERVER_CONFIG_CONFIG_CHECK_H_
#define BEBR_SERVER_CONFIG_CONFIG_CHECK_H_

#include <string>
#include <vector>

#include "server/config/config.h"

namespace bebr {

// Adds what is wrong with settings that are each within their limits: addresses that are none or that anybody reaches,
// words that are not known, and settings that do not go together. A sentence each.
void CheckTogether(const ServerConfig& config, std::vector<std::string>& errors);

}  // namespace bebr

#endif  // BEBR_SERVER_CONFIG_CONFIG_CHECK_H_
