#include "index/binarizer/open_binarizer.h"

#include <cstdint>
#include <utility>

#include "index/base/status_macros.h"
#include "index/binarizer/encoder.h"
#include "index/binarizer/model_parts.h"

namespace bebr {

absl::StatusOr<std::unique_ptr<const Binarizer>> OpenBinarizer(std::string file) {
  uint32_t checksum = 0;
  BEBR_ASSIGN_OR_RETURN(Model model, TakeModel(std::move(file), &checksum));
  return MakeBinarizer(std::move(model), checksum);
}

}  // namespace bebr
