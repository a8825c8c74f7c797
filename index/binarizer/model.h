// What a model file holds, as plain parameters, and the way to and from its bytes (FORMAT.md).
#ifndef BEBR_INDEX_BINARIZER_MODEL_H_
#define BEBR_INDEX_BINARIZER_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/binarizer/level_plan.h"
#include "index/code/code_spec.h"
#include "index/types/document.h"

namespace bebr {

inline constexpr uint32_t kMaxInputDims = 8192;
inline constexpr uint32_t kMaxHiddenLayers = 4;
inline constexpr uint32_t kMaxHiddenDims = 16384;
// Components of a model with a spread, and their squares in all of its bases, each a float in memory: to make them
// ready takes seconds at most.
inline constexpr uint32_t kMostShapedComponents = 1024;
inline constexpr uint64_t kMostShapedValues = uint64_t{1} << 24;

// A dense layer: y = weight x + bias.
struct LayerParameters {
  std::vector<float> weight;  // outputs x inputs, row-major
  std::vector<float> bias;    // outputs
};

// A residual block: the sum of a linear path and, where it has hidden layers, an MLP path (ReLU between layers). The
// last of `mlp` is the output layer.
struct BlockParameters {
  LayerParameters linear;
  std::vector<LayerParameters> mlp;  // empty, or hidden layers + 1
};

// How a level's residual is formed from the code so far, b.
enum class ResidualForm {
  kCode,   // r = R u + c - gain * F b: in code coordinates; hidden layers only in the projection
  kInput,  // r = R(u - gain * B(b)): in input coordinates, as the paper has it but for its normalisation of B(b)
};

// How levels come from the projection y.
enum class Quantizer {
  kRecurrent,  // level after level, by the steps' residuals
  kFitted,     // documents: of a few scales of y the one whose code points most nearly where y does; queries: each band
               // to its own largest value
};

// What turns the code of levels 0..t-1 into level t.
struct StepParameters {
  float gain = 1.0f;
  BlockParameters residual;     // R; linear.weight empty: the project block's weight
  std::vector<float> feedback;  // F, dims x dims, kCode only; empty: the identity
  BlockParameters reconstruct;  // B, kInput only
};

// The factors of a version that writes into another version's space, as functions of the row x (scaled to norm 1 for
// cosine): so its documents compare with those that the other version coded. All of it estimates the other version's.
struct FactorParameters {
  std::vector<float> offset;        // n: <offset, x> + offset_bias is a document's offset
  std::vector<float> squared_norm;  // n: <squared_norm, x> + squared_norm_bias is |x - mean|^2
  float offset_bias = 0.0f;
  float squared_norm_bias = 0.0f;
  float query_offset = 0.0f;  // added to a query's offset: -|mean|^2
  float query_scale = 1.0f;   // of a query's factor: 1 / n
};

// How documents of a fitted quantizer are coded since format 4: components may have more levels than a band, a document
// may take the best of several groups, and its scale lies between the one that fits best and the one that is unbiased.
struct FineRules {
  LevelPlan levels;           // of the components; its bands are the spec's
  uint32_t tried_groups = 1;  // so many of the nearest groups, of which the one with the least error is taken
};

// How embeddings of another model than the one that a space was made for come into it: they are mapped to what that
// model's embeddings would be, which are then coded as its own are.
struct Translation {
  uint32_t input_dims = 0;             // k: of the embeddings
  std::vector<uint32_t> hidden;        // sizes of the hidden layers of `document`'s MLP path
  std::vector<uint32_t> query_hidden;  // the same of `query`
  float row_length = 0.0f;             // of inner product: root mean square of the rows' lengths; 0: not known
  float document_scale = 1.0f;         // of the documents' factors: the scale is multiplied with it,
  float document_offset = 0.0f;        // and this is added to the offset
  std::vector<float> mean;             // k: subtracted first
  BlockParameters document;            // k -> n
  BlockParameters query;               // k -> n; empty: queries are mapped as documents are
};

// What the runs of a basis's components span (spans.h).
struct SpanParameters {
  std::vector<float> leads;   // r: the run that each of the reduced values leads, or -1
  std::vector<float> bytes;   // of all components
  std::vector<float> scales;  // of each run
};

// Where documents fall into groups: the directions that those of a group, or of a few, are coded along. r =
// reduced_dims of them.
struct BasisParameters {
  std::vector<float> band_weights;  // those of the spec are 1
  std::vector<float> project;       // components x r
  SpanParameters spans;             // of a model with a rotation: what `project` is made of
};

// A group of documents, relative to whose mean they are coded.
struct GroupParameters {
  std::vector<float> mean;  // n: of the group's rows
  uint32_t basis = 0;       // which of the model's
};

// The contents of a model file (FORMAT.md): what the Encoder runs and what the trainer writes.
//
// Shapes: n = input_dims, which the embeddings have unless they are translated, m = components(), Q = query_levels.
// Ownership: a plain value. Thread safety: as a plain value.
struct Model {
  std::string architecture = "residual_mlp";  // or "median": thresholds at the medians, no training
  Metric metric = Metric::kCosine;
  uint32_t input_dims = 0;
  CodeSpec spec;  // with the bands' weights
  uint32_t query_levels = 0;
  std::vector<uint32_t> hidden;        // sizes of the MLP paths' hidden layers; empty: linear paths only
  std::vector<uint32_t> query_hidden;  // the same of `query`
  ResidualForm residual_form = ResidualForm::kCode;
  Quantizer quantizer = Quantizer::kRecurrent;
  std::string trained;  // how it was made, for people

  float row_length = 0.0f;                  // of inner product: root mean square of the rows' lengths; 0: not known
  std::vector<float> mean;                  // n
  BlockParameters project;                  // W: n -> m
  std::vector<StepParameters> steps;        // step_count()
  BlockParameters query;                    // n -> m; empty: queries are encoded as documents are
  std::optional<FactorParameters> factors;  // of a compatible version
  std::optional<FineRules> fine;            // of a fitted quantizer
  std::optional<Translation> translation;   // likewise; there are no factors then
  // With groups, as many as the spec says: from the embeddings to the r values that groups project, and the groups.
  // There is no `project` then, nor steps, hidden layers, `query` or factors.
  uint32_t reduced_dims = 0;
  std::vector<float> reduce;  // r x n
  std::vector<GroupParameters> groups;
  std::vector<BasisParameters> bases;  // one for each group, in their order, unless they are bytes
  // Since format 7, with FineRules: projections lie on the values of ByteRows, and groups may share a basis.
  bool byte_bases = false;
  // Since format 10, of bases of bytes that are told by spans: bytes, what turns each run. Empty: they are not. Whoever
  // changes a projection leaves it out.
  std::vector<float> rotation;
  // Since format 8, likewise: r, how far queries lie from the means of their documents' groups in each of the reduced
  // values, as squares that compare. Documents are coded with errors where that is little. Empty: they are not.
  std::vector<float> spread;

  // Values of the projection: those of all bands, unless some bands go on with the values of others.
  uint32_t components() const { return fine.has_value() ? fine->levels.dims() : spec.dims(); }
  LevelPlan levels() const { return fine.has_value() ? fine->levels : LevelPlan(spec); }
  // Of the rows that are encoded.
  uint32_t embedding_dims() const { return translation.has_value() ? translation->input_dims : input_dims; }
  bool has_query_projection() const { return !query.linear.weight.empty(); }
  // Levels after the first that `steps` computes: as many as documents store, or as queries have where they go the
  // documents' way; none where they are fitted.
  uint32_t step_count() const {
    if (quantizer == Quantizer::kFitted) return 0;
    return (has_query_projection() ? spec.max_levels() : query_levels) - 1;
  }
  uint32_t max_query_levels() const { return quantizer == Quantizer::kFitted ? kMaxQueryLevels : kMaxLevels; }
  // Hidden layers of the residual and reconstruction blocks.
  std::vector<uint32_t> step_hidden() const {
    return residual_form == ResidualForm::kInput ? hidden : std::vector<uint32_t>();
  }
};

// INVALID_ARGUMENT, naming the tensor or field, unless every size, limit and value is right.
absl::Status ValidateModel(const Model& model);

// Reads and checks a model file; `checksum`, where not null, receives the checksum of its contents.
absl::StatusOr<Model> ParseModel(std::string_view file, uint32_t* checksum = nullptr);
// The bytes of a model file, or ValidateModel's error.
absl::StatusOr<std::string> SerializeModel(const Model& model);

}  // namespace bebr

#endif  // BEBR_INDEX_BINARIZER_MODEL_H_
