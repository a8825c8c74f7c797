// Which documents are neighbours: what the loss compares with.
#ifndef BEBR_INDEX_TRAIN_NEIGHBORHOODS_H_
#define BEBR_INDEX_TRAIN_NEIGHBORHOODS_H_

#include <torch/torch.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "index/dataset/vector_file.h"
#include "index/types/document.h"

namespace bebr {

// Rows of embeddings as the loss sees them: of norm 1 for cosine.
torch::Tensor Rows(const Matrix& matrix, const torch::Tensor& index, Metric metric);

// The metric of every query with every document, both as Rows gives them; of l2 less what is the same for all
// documents.
torch::Tensor Similarities(const torch::Tensor& queries, const torch::Tensor& documents, Metric metric);

// The temperature at which a document's softmax over the corpus has this perplexity, on average: by bisection on a
// sample.
double Temperature(const Matrix& documents, Metric metric, double perplexity, std::mt19937_64& random);

// Seed documents and the nearest neighbours of each, without itself.
struct Neighborhoods {
  std::vector<int64_t> seeds;
  std::vector<uint32_t> neighbors;  // seeds x per_seed
  size_t per_seed = 0;
};

// At least 2,048 seeds where there are as many documents, more where their exact neighbours are found in some seconds.
Neighborhoods FindNeighborhoods(const Matrix& documents, Metric metric, size_t threads, std::mt19937_64& random);

// What a batch is drawn of: seeds, neighbours of each, and others.
inline constexpr int64_t kBatchSeeds = 32;
inline constexpr int64_t kBatchPositives = 31;
inline constexpr int64_t kBatchOthers = 512;

// The rows of one training step, each once and in their order: neighbourhoods, whose members are also its queries, and
// random other documents.
struct TrainingBatch {
  std::vector<int64_t> queries;
  std::vector<int64_t> documents;
};
TrainingBatch DrawBatch(const Neighborhoods& neighborhoods, size_t document_rows, std::mt19937_64& random);

}  // namespace bebr

#endif  // BEBR_INDEX_TRAIN_NEIGHBORHOODS_H_
