// What a repair of a collection has done.
#ifndef BEBR_INDEX_TYPES_REPAIR_H_
#define BEBR_INDEX_TYPES_REPAIR_H_

#include <cstdint>
#include <string>
#include <vector>

namespace bebr {

// What was damaged, and what became of it. Counts are of documents times spaces or embeddings.
struct RepairReport {
  std::vector<std::string> damages;  // each names its file; none: none was found
  uint64_t documents = 0;            // of the collection
  uint64_t rebuilt_codes = 0;        // encoded again of stored floats
  uint64_t lost_codes = 0;           // without floats to encode: searches do not find these documents
  uint64_t lost_floats = 0;          // documents that are searched without rerank
  std::vector<std::string> lost;     // the first of these, each with its document
  std::string kept;                  // where the damaged files are now; empty: nothing was changed
  std::string text;                  // all of this in lines to print; empty if nothing was done
  // Of a repair that an earlier run completed, and that this one put into its place: it says the same of that in
  // `text`, and counts and lists are empty.
  bool resumed = false;
};

}  // namespace bebr

#endif  // BEBR_INDEX_TYPES_REPAIR_H_
