// What the catalogue of a data directory knows of its other files: catalog.json (FORMAT.md).
#ifndef BEBR_INDEX_CATALOG_CATALOG_RECORD_H_
#define BEBR_INDEX_CATALOG_CATALOG_RECORD_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace bebr {

// What stands in it.
struct CatalogRecord {
  uint64_t aliases_generation = 0;  // the aliases were changed so often, at least; 0: not known
  // The collections that must be there. None: not known, as where an earlier server wrote the file.
  std::optional<std::set<std::string, std::less<>>> collections;
  // Of them: which collection each is (StoreMark::identity). None: not known.
  std::map<std::string, std::string, std::less<>> identities;
};

// One that knows nothing if the file is missing. DATA_LOSS if it is damaged: nothing is lost with it but the
// comparison, so a new one may take its place. FAILED_PRECONDITION if it is one of a newer release; other errors of the
// disk say nothing of what stands in it, and it must stay.
absl::StatusOr<CatalogRecord> ReadCatalogRecord(const std::string& data_dir);
absl::Status WriteCatalogRecord(const std::string& data_dir, const CatalogRecord& record);

}  // namespace bebr

#endif  // BEBR_INDEX_CATALOG_CATALOG_RECORD_H_
