// The methods of the server, as the door takes them: one list a service, in the file of its handlers. Handlers only
// validate, convert and dispatch: who calls them may do so, and what they are given is within the limits of its size.
#ifndef BEBR_SERVER_RPC_METHODS_H_
#define BEBR_SERVER_RPC_METHODS_H_

#include <string>
#include <vector>

#include "index/types/cluster.h"
#include "server/call/method.h"
#include "server/call/wire_schema.h"
#include "server/rpc/health.h"

namespace bebr {

std::vector<Method> AdminMethods();
std::vector<Method> AliasMethods();
std::vector<Method> BrowseMethods();
std::vector<Method> ClusterMethods();
std::vector<Method> MemberMethods();
std::vector<Method> CollectionMethods();
std::vector<Method> DocumentMethods();
std::vector<Method> SearchMethods();
std::vector<Method> SnapshotMethods();
std::vector<Method> VersionMethods();
std::vector<Method> HealthMethods(HealthState* health);
// `services` are the names of the others.
std::vector<Method> ReflectionMethods(std::vector<std::string> services);

// All of them, of a node of a cluster too (null: it is none). `health` must outlive the calls.
std::vector<Method> AllMethods(HealthState* health, const NodePlace* node = nullptr);
// How many entries the fields of the API's messages may have, as the .proto files say.
FieldLimits ApiLimits();

}  // namespace bebr

#endif  // BEBR_SERVER_RPC_METHODS_H_
