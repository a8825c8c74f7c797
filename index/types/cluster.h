// How a collection's documents are spread over nodes.
#ifndef BEBR_INDEX_TYPES_CLUSTER_H_
#define BEBR_INDEX_TYPES_CLUSTER_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace bebr {

// A document is in slot StableHash(id) % kClusterSlots (index/base/stable_hash.h), and on the node that holds the slot:
// for ever, as data lie on nodes by it.
inline constexpr uint32_t kClusterSlots = 1024;
inline constexpr size_t kMaxClusterNodes = 64;
inline constexpr size_t kMaxNodeNameBytes = 64;  // [a-zA-Z0-9_.-], starting with a letter or digit

// A node, and what it holds.
struct NodePlace {
  std::string name;
  std::string address;                     // HOST:PORT
  uint32_t first_slot = 0, last_slot = 0;  // both included
};

}  // namespace bebr

#endif  // BEBR_INDEX_TYPES_CLUSTER_H_
