#include "index/train/trainable.h"

#include "index/train/torch_groups.h"
#include "index/train/torch_model.h"
#include "index/train/torch_translation.h"

namespace bebr {

std::unique_ptr<Trainable> MakeTrainable(const Model& start) {
  if (start.translation.has_value()) return std::make_unique<TorchTranslation>(start);
  if (start.spec.groups() > 1) return std::make_unique<TorchGroups>(start);
  return std::make_unique<TorchModel>(start);
}

}  // namespace bebr
