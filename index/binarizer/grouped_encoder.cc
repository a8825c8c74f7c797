#include "index/binarizer/grouped_encoder.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "index/base/status_macros.h"
#include "index/binarizer/dot.h"

namespace bebr {
namespace {

constexpr size_t kQueriesAtOnce = 64;

// A basis by itself: a model of reduced values less the mean of their group. Its projection is taken from it.
absl::StatusOr<Model> BasisModel(const Model& model, BasisParameters& basis) {
  std::vector<Band> bands = model.spec.bands();
  for (size_t b = 0; b < bands.size(); ++b) bands[b].weight = basis.band_weights[b];
  Model of_basis;
  BEBR_ASSIGN_OR_RETURN(of_basis.spec, CodeSpec::Create(std::move(bands)));
  of_basis.metric = model.metric == Metric::kL2 ? Metric::kL2 : Metric::kInnerProduct;
  of_basis.input_dims = model.reduced_dims;
  of_basis.query_levels = model.query_levels;
  of_basis.quantizer = model.quantizer;
  of_basis.mean.assign(model.reduced_dims, 0.0f);
  if (model.fine.has_value()) of_basis.fine = FineRules{.levels = model.fine->levels};
  of_basis.project.linear.weight = std::move(basis.project);
  of_basis.project.linear.bias.assign(model.components(), 0.0f);
  return of_basis;
}

// What each component's products count for.
std::vector<float> ComponentWeights(const Model& model, const BasisParameters& basis) {
  std::vector<float> weights;
  size_t band = 0;
  const LevelPlan plan = model.levels();
  for (const LevelPlan::Run& run : plan.runs()) {
    weights.insert(weights.end(), run.dims, basis.band_weights[band]);
    band += run.bands();
  }
  return weights;
}

}  // namespace

absl::StatusOr<std::unique_ptr<const GroupedEncoder>> GroupedEncoder::Create(Model model, uint32_t checksum) {
  BEBR_RETURN_IF_ERROR(ValidateModel(model));
  std::unique_ptr<GroupedEncoder> encoder(new GroupedEncoder(model, checksum));
  if (model.fine.has_value()) encoder->tried_ = model.fine->tried_groups;
  encoder->reduce_ = DenseLayer(model.reduce, {}, model.input_dims, model.reduced_dims);
  model.reduce = {};
  encoder->AddGroups(model);
  for (BasisParameters& basis : model.bases) {
    if (!model.spread.empty())
      encoder->shapers_.emplace_back(basis.project, ComponentWeights(model, basis), model.spread);
    BEBR_ASSIGN_OR_RETURN(const Model of_basis, BasisModel(model, basis));
    BEBR_ASSIGN_OR_RETURN(encoder->bases_.emplace_back(), Encoder::Create(of_basis, 0));
  }
  return encoder;
}

void GroupedEncoder::AddGroups(const Model& model) {
  const size_t n = model.input_dims, r = model.reduced_dims;
  std::vector<float> nearness, bias;
  for (const GroupParameters& parameters : model.groups) {
    Group& group = groups_.emplace_back();
    group.mean = parameters.mean;
    group.basis = parameters.basis;
    group.query_offset = QueryOffset(metric_, group.mean.data(), n);
    std::vector<float> difference(n);
    std::vector<float>& reduced = group.reduced_mean;
    reduced.resize(r);
    for (size_t i = 0; i < n; ++i) difference[i] = Finite(static_cast<double>(group.mean[i]) - mean_[i]);
    reduce_.Apply(difference.data(), 1, reduced.data());
    for (float& value : reduced) value = Finite(value);
    nearness.insert(nearness.end(), reduced.begin(), reduced.end());
    bias.push_back(Finite(-0.5 * Dot(reduced.data(), reduced.data(), r)));
  }
  nearness_ = DenseLayer(nearness, bias, r, groups_.size());
}

size_t GroupedEncoder::memory_bytes() const {
  size_t bytes = sizeof(*this) + facts_bytes() + reduce_.memory_bytes() + nearness_.memory_bytes();
  for (const Group& group : groups_) bytes += (group.mean.size() + group.reduced_mean.size()) * sizeof(float);
  for (const auto& basis : bases_) bytes += basis->memory_bytes();
  for (const ErrorShaper& shaper : shapers_) bytes += shaper.memory_bytes();
  return bytes;
}

std::vector<float> GroupedEncoder::Reduce(const float* embeddings, size_t rows) const {
  const size_t n = input_dims_;
  std::vector<float> centred(rows * n), reduced(rows * reduce_.outputs());
  for (size_t row = 0; row < rows; ++row) {
    const float* x = embeddings + row * n;
    const double unit = UnitOf(metric_, x, n);
    for (size_t i = 0; i < n; ++i) centred[row * n + i] = Finite(x[i] * unit - mean_[i]);
  }
  reduce_.Apply(centred.data(), rows, reduced.data());
  return reduced;
}

std::vector<std::vector<size_t>> GroupedEncoder::RowsToTry(const std::vector<float>& reduced, size_t rows) const {
  const size_t count = groups_.size();
  std::vector<float> nearness(rows * count);
  nearness_.Apply(reduced.data(), rows, nearness.data());
  std::vector<std::vector<size_t>> rows_of(count);
  std::vector<uint32_t> order(count);
  for (size_t row = 0; row < rows; ++row) {
    float* of_row = nearness.data() + row * count;
    if (tried_ == 1) {
      rows_of[std::max_element(of_row, of_row + count) - of_row].push_back(row);
      continue;
    }
    for (size_t g = 0; g < count; ++g) of_row[g] = std::max(-std::numeric_limits<float>::max(), of_row[g]);  // no NaN
    std::iota(order.begin(), order.end(), 0u);
    std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(tried_), order.end(),
                      [&](uint32_t a, uint32_t b) { return of_row[a] != of_row[b] ? of_row[a] > of_row[b] : a < b; });
    for (size_t i = 0; i < tried_; ++i) rows_of[order[i]].push_back(row);
  }
  return rows_of;
}

void GroupedEncoder::EncodeByGroup(uint32_t g, const std::vector<float>& reduced, const std::vector<size_t>& members,
                                   bool shaped, GroupCodes& out) const {
  const size_t r = reduce_.outputs(), basis = groups_[g].basis;
  std::vector<float> inputs(members.size() * r);
  out.codes.resize(members.size() * spec_.code_words());
  out.factors.resize(members.size());
  out.errors.resize(members.size());
  for (size_t i = 0; i < members.size(); ++i)
    groups_[g].Centre(reduced.data() + members[i] * r, r, inputs.data() + i * r);
  bases_[basis]->EncodeDocuments(inputs.data(), members.size(), out.codes.data(), out.factors.data(), out.errors.data(),
                                 shaped ? &shapers_[basis] : nullptr);
}

void GroupedEncoder::EncodeDocuments(const float* embeddings, size_t rows, uint32_t* codes,
                                     CodeFactors* factors) const {
  const size_t n = input_dims_, words = spec_.code_words();
  const bool shaped = !shapers_.empty();
  const std::vector<float> reduced = Reduce(embeddings, rows);
  const std::vector<std::vector<size_t>> rows_of = RowsToTry(reduced, rows);
  std::vector<double> least(rows, std::numeric_limits<double>::infinity());
  GroupCodes of_group;
  const auto take = [&](size_t row, size_t i, uint32_t g) {
    std::copy_n(of_group.codes.data() + i * words, words, codes + row * words);
    factors[row] = {of_group.factors[i].scale, factors[row].offset, g};
  };
  for (uint32_t g = 0; g < groups_.size(); ++g) {
    const std::vector<size_t>& members = rows_of[g];
    if (members.empty()) continue;
    EncodeByGroup(g, reduced, members, shaped && tried_ == 1, of_group);
    for (size_t i = 0; i < members.size(); ++i) {
      const double error = of_group.errors[i];
      // The first group that a row is tried with takes it, even if its error is no number.
      if (std::isfinite(least[members[i]]) && !(error < least[members[i]])) continue;
      least[members[i]] = std::isfinite(error) ? error : std::numeric_limits<double>::max();
      take(members[i], i, g);
    }
  }
  std::vector<size_t> members;
  for (uint32_t g = 0; g < groups_.size(); ++g) {
    members.clear();
    for (size_t row = 0; row < rows; ++row) {
      if (factors[row].group != g) continue;
      members.push_back(row);
      const float* x = embeddings + row * n;
      factors[row].offset = Finite(RowOffset(metric_, groups_[g].mean.data(), x, UnitOf(metric_, x, n), n));
    }
    if (!shaped || tried_ == 1 || members.empty()) continue;
    EncodeByGroup(g, reduced, members, true, of_group);
    for (size_t i = 0; i < members.size(); ++i) take(members[i], i, g);
  }
}

void GroupedEncoder::EncodeQueries(const float* embeddings, size_t rows, uint32_t* planes, float* weights,
                                   float* offsets) const {
  EncodeQueriesOf(std::vector<GroupSet>(rows, kAllGroups), embeddings, planes, weights, offsets);
}

void GroupedEncoder::EncodeQueriesOf(absl::Span<const GroupSet> wanted, const float* embeddings, uint32_t* planes,
                                     float* weights, float* offsets) const {
  const size_t n = input_dims_, r = reduce_.outputs(), words = spec_.QueryWords(query_levels_);
  const size_t bands = spec_.bands().size(), count = groups_.size();
  std::vector<uint32_t> group_planes(kQueriesAtOnce * words);
  std::vector<float> inputs(kQueriesAtOnce * r), group_weights(kQueriesAtOnce * bands), group_offsets(kQueriesAtOnce);
  std::vector<size_t> members;
  for (size_t start = 0; start < wanted.size(); start += kQueriesAtOnce) {
    const size_t batch = std::min(kQueriesAtOnce, wanted.size() - start);
    const std::vector<float> reduced = Reduce(embeddings + start * n, batch);
    for (uint32_t g = 0; g < count; ++g) {
      members.clear();
      for (size_t q = 0; q < batch; ++q) {
        if ((wanted[start + q] & OneGroup(g)) == 0) continue;
        groups_[g].Centre(reduced.data() + q * r, r, inputs.data() + members.size() * r);
        members.push_back(start + q);
      }
      if (members.empty()) continue;
      bases_[groups_[g].basis]->EncodeQueries(inputs.data(), members.size(), group_planes.data(), group_weights.data(),
                                              group_offsets.data());
      for (size_t i = 0; i < members.size(); ++i) {
        const size_t at = members[i] * count + g;
        const float* x = embeddings + members[i] * n;
        std::copy_n(group_planes.data() + i * words, words, planes + at * words);
        std::copy_n(group_weights.data() + i * bands, bands, weights + at * bands);
        const double offset = RowOffset(metric_, groups_[g].mean.data(), x, UnitOf(metric_, x, n), n);
        offsets[at] = Finite(offset + groups_[g].query_offset);
      }
    }
  }
}

void GroupedEncoder::RankGroups(const float* embeddings, size_t rows, float* nearness) const {
  nearness_.Apply(Reduce(embeddings, rows).data(), rows, nearness);
  float* const end = nearness + rows * groups_.size();
  for (float* value = nearness; value != end; ++value) *value = std::max(-std::numeric_limits<float>::max(), *value);
}

}  // namespace bebr
