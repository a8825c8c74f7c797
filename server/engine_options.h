// What the engine needs of the configuration.
#ifndef BEBR_SERVER_ENGINE_OPTIONS_H_
#define BEBR_SERVER_ENGINE_OPTIONS_H_

#include "index/engine.h"
#include "server/config/config.h"

namespace bebr {

EngineOptions EngineOptionsOf(const ServerConfig& config);

}  // namespace bebr

#endif  // BEBR_SERVER_ENGINE_OPTIONS_H_
