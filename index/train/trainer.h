// Gradient descent from a start to a better model.
#ifndef BEBR_INDEX_TRAIN_TRAINER_H_
#define BEBR_INDEX_TRAIN_TRAINER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "index/binarizer/model.h"
#include "index/dataset/vector_file.h"
#include "index/fit/validation.h"
#include "index/train/compatible.h"
#include "index/train/options.h"
#include "index/train/pairs.h"

namespace bebr {

// One held-out measurement during training.
struct CurvePoint {
  int64_t step = 0;
  double loss = 0.0;  // mean since the last point
  double recall_at_10 = 0.0;
  double elapsed_s = 0.0;
};

// What a training has reached.
struct TrainingOutcome {
  Model model;           // the best checkpoint; the start where none was better
  HeldOutRecall recall;  // of `model`
  bool improved = false;
  int64_t steps = 0;  // run, in this call and those it resumed
  std::vector<CurvePoint> curve;
};

// Improves `start` by gradient descent on the order of neighbourhoods. A step draws 32 seed documents with 31 of the
// 100 nearest neighbours of each, and 512 random documents; every member of a neighbourhood is a query among all of
// them, and the loss is KL(softmax(similarity / tau) || softmax(score / tau)), the score as the server computes it. tau
// is set from the data. With pairs, the paper's contrastive loss is added: each query's document against its five
// hardest negatives of the batch and of a queue of earlier documents coded by the averaged model.
//
// What is kept is the averaged model with the best held-out recall, and only if it beats the start by more than the
// standard error of their difference. Stops early after three measurements in the second half that neither lead nor
// rise. Every step draws from a generator seeded by (seed, step), so an interrupted run resumes exactly from
// options.output + ".checkpoint", which stays until the caller, who has the model then, removes it.
//
// With an older version, the band weights stay as they are and every query is trained against the older version's
// codes, against a mixture of both versions' codes, and against the new ones. The documents' scales and offsets start
// as estimates of the older version's and are learned with the rest, as is the scores' temperature.
//
// Memory beside the documents: about 300 MiB at 768 dims. Training uses at most kTrainingDocuments evenly spaced
// documents.
//
// Thread safety: runs do not know of each other; one uses libtorch's threads. Errors: INTERNAL with what libtorch says;
// of a checkpoint UNAVAILABLE (not written), DATA_LOSS (not read), FAILED_PRECONDITION (another run's).
class Trainer {
 public:
  static constexpr size_t kTrainingDocuments = 200000;

  static absl::StatusOr<TrainingOutcome> Run(const TrainOptions& options, const Model& start,
                                             const HeldOutRecall& start_recall, const Matrix& documents,
                                             const QueryPairs& pairs, const Validator& validator,
                                             const OlderVersion* older = nullptr);
  // Steps that -1 stands for: as many as take about five minutes on two cores, 600 to 3,000.
  static int64_t DefaultSteps(const Model& model);
};

}  // namespace bebr

#endif  // BEBR_INDEX_TRAIN_TRAINER_H_
