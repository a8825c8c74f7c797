#ifndef BEBR_INDEX_CATALOG_VERSION_CHECK_H_
#define BEBR_INDEX_CATALOG_VERSION_CHECK_H_

#include <cstdint>
#include <string>

namespace bebr {

// What a comparison of a version with another one found. Shares are of the k nearest documents, averaged over the
// queries.
struct VersionCheck {
  int64_t checked_unix_us = 0;
  std::string against;  // the other version
  uint32_t queries = 0;
  uint32_t k = 0;
  double recall = 0;          // of the version's exact float neighbours, found by its code search
  double against_recall = 0;  // the same of the other version
  double overlap = 0;         // of the two versions' answers
  uint64_t documents = 0;     // with floats of the version
  uint64_t against_documents = 0;
};

}  // namespace bebr

#endif  // BEBR_INDEX_CATALOG_VERSION_CHECK_H_
