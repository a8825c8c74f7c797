// Binarizers of model files that nobody needs any more.
#ifndef BEBR_INDEX_BINARIZER_OPEN_BINARIZER_H_
#define BEBR_INDEX_BINARIZER_OPEN_BINARIZER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "index/binarizer/binarizer.h"

namespace bebr {

// As Binarizer::Parse, but that the file's memory is given back while it is read: so opening one whose values are
// halves takes twice the file at most, which is what the binarizer keeps, and not three times and more.
absl::StatusOr<std::unique_ptr<const Binarizer>> OpenBinarizer(std::string file);

}  // namespace bebr

#endif  // BEBR_INDEX_BINARIZER_OPEN_BINARIZER_H_
