#include "index/train/torch_groups.h"

#include <cmath>
#include <utility>

#include "index/base/float16.h"
#include "index/binarizer/byte_rows.h"
#include "index/train/torch_model.h"

namespace bebr {
namespace {

using torch::Tensor;

constexpr double kScales[] = {1.0, 0.8, 0.9, 1.12, 1.25};  // FORMAT.md
constexpr double kSmall = 1e-12;

Tensor FromValues(const std::vector<float>& values, std::vector<int64_t> shape) {
  return torch::from_blob(const_cast<float*>(values.data()), shape, torch::kFloat32).clone();
}

// The values of the levels of y, components scaled by `times` of the row; the gradient passes where a level could
// follow.
Tensor Levels(const Tensor& y, const Tensor& times, const Tensor& halves) {
  const Tensor scaled = y * times.unsqueeze(1);
  Tensor code;
  {
    torch::NoGradGuard no_grad;
    const Tensor number = torch::minimum(torch::maximum((scaled * halves * 0.5).floor(), -halves), halves - 1.0);
    code = (number + 0.5) * 2.0 / halves;
  }
  const Tensor passing = scaled.clamp(-2.0, 2.0);
  return passing + (code - passing).detach();
}

}  // namespace

TorchGroups::TorchGroups(const Model& start) : start_(start) {
  const auto n = static_cast<int64_t>(start.input_dims), m = static_cast<int64_t>(start.components()),
             r = static_cast<int64_t>(start.reduced_dims), groups = static_cast<int64_t>(start.groups.size());
  if (start.translation.has_value()) {
    document_scale_ = start.translation->document_scale;
    document_offset_ = start.translation->document_offset;
  }
  tempered_ = start.fine.has_value();
  if (tempered_) tried_ = start.fine->tried_groups;
  mean_ = FromValues(start.mean, {n});
  reduce_ = FromValues(start.reduce, {r, n});
  const LevelPlan plan = start.levels();
  std::vector<int64_t> run_of;
  std::vector<float> halves;
  for (size_t i = 0; i < plan.runs().size(); ++i) {
    run_of.insert(run_of.end(), plan.runs()[i].dims, static_cast<int64_t>(i));
    halves.insert(halves.end(), plan.runs()[i].dims, std::ldexp(1.0f, static_cast<int>(plan.runs()[i].levels) - 1));
  }
  run_of_ = torch::tensor(run_of);
  halves_ = torch::tensor(halves);
  std::vector<float> weights, means, projections;
  for (const GroupParameters& group : start.groups) {
    means.insert(means.end(), group.mean.begin(), group.mean.end());
    basis_of_.push_back(group.basis);
  }
  for (const BasisParameters& basis : start.bases) {
    size_t band = 0;
    for (const LevelPlan::Run& run : plan.runs()) {
      weights.push_back(std::log(basis.band_weights[band]));
      band += run.bands();
    }
    projections.insert(projections.end(), basis.project.begin(), basis.project.end());
  }
  const auto bases = static_cast<int64_t>(start.bases.size());
  log_weights_ = FromValues(weights, {bases, static_cast<int64_t>(plan.runs().size())}).set_requires_grad(true);
  means_ = FromValues(means, {groups, n}).set_requires_grad(true);
  projections_ = FromValues(projections, {bases, m, r}).set_requires_grad(true);
}

Tensor TorchGroups::Weights(int64_t group) const {
  return log_weights_[basis_of_[group]].exp().index_select(0, run_of_);
}

TorchGroups::Part TorchGroups::Code(const Tensor& reduced, int64_t group, const Tensor& times) const {
  const auto r = static_cast<double>(start_.reduced_dims);
  const Tensor reduced_mean = MultiplyTransposed((means_[group] - mean_).unsqueeze(0), reduce_);
  const Tensor rest = reduced - reduced_mean;
  const Tensor norm = rest.square().sum(1).clamp_min(kSmall * kSmall).sqrt();
  const Tensor y = MultiplyTransposed(rest * (std::sqrt(r) / norm).unsqueeze(1), projections_[basis_of_[group]]);
  const Tensor weights = Weights(group);
  Part part;
  Tensor code, agreement, energy;
  const auto code_by = [&](const Tensor& of_rows) {
    code = Levels(y, of_rows, halves_);
    agreement = (code * y * weights).sum(1).clamp_min(kSmall);
    energy = (code.square() * weights).sum(1).clamp_min(kSmall);
  };
  if (times.defined()) {
    part.times = times;
  } else {
    torch::NoGradGuard no_grad;
    Tensor best;
    for (const double scale : kScales) {
      const Tensor of_rows = torch::full({y.size(0)}, scale);
      code_by(of_rows);
      const Tensor cosine = agreement / energy.sqrt();
      part.times = best.defined() ? torch::where(cosine > best, of_rows, part.times) : of_rows;
      best = best.defined() ? torch::maximum(best, cosine) : cosine;
    }
  }
  code_by(part.times);
  const Tensor unbiased = (y.square() * weights).sum(1) / agreement, fitting = agreement / energy;
  const Tensor factor = tempered_ ? fitting * (unbiased / fitting).clamp_min(kSmall).pow(0.75) : unbiased;
  const Tensor scale = norm * factor * (document_scale_ / std::sqrt(r));
  part.vectors =
      MultiplyTransposed(code * weights * scale.unsqueeze(1), projections_[basis_of_[group]].t().contiguous());
  part.left_out = norm.square() * (1.0 - agreement.square() / energy / r);
  return part;
}

TorchGroups::Choice TorchGroups::Choose(const Tensor& reduced) const {
  torch::NoGradGuard no_grad;
  const Tensor reduced_means = MultiplyTransposed(means_ - mean_, reduce_);
  const Tensor nearness = MultiplyTransposed(reduced, reduced_means) - 0.5 * reduced_means.square().sum(1);
  const Tensor tried = std::get<1>(nearness.topk(tried_, 1));
  Tensor least = torch::full({reduced.size(0)}, std::numeric_limits<float>::infinity());
  Choice choice{tried.select(1, 0).clone(), torch::ones({reduced.size(0)})};
  for (int64_t g = 0; g < means_.size(0); ++g) {
    const Tensor rows = (tried == g).any(1).nonzero().squeeze(1);
    if (rows.numel() == 0) continue;
    const Part part = Code(reduced.index_select(0, rows), g, {});
    const Tensor better = (part.left_out < least.index_select(0, rows)).nonzero().squeeze(1);
    const Tensor taken = rows.index_select(0, better);
    least.index_put_({taken}, part.left_out.index_select(0, better));
    choice.group.index_fill_(0, taken, g);
    choice.times.index_put_({taken}, part.times.index_select(0, better));
  }
  return choice;
}

TorchCodes TorchGroups::EncodeDocuments(const Tensor& x, int64_t, Estimator, double) const {
  const Tensor reduced = MultiplyTransposed(x - mean_, reduce_);
  const Choice choice = Choose(reduced.detach());
  std::vector<Tensor> vectors, constants, order;
  const double factor = start_.metric == Metric::kL2 ? 2.0 : 1.0;
  for (int64_t g = 0; g < means_.size(0); ++g) {
    const Tensor rows = (choice.group == g).nonzero().squeeze(1);
    if (rows.numel() == 0) continue;
    const Part part = Code(reduced.index_select(0, rows), g, choice.times.index_select(0, rows));
    const Tensor mean = means_[g], of_rows = x.index_select(0, rows);
    // <q - mean_g, d - mean_g> of what is reduced, and what the means say beside it.
    vectors.push_back(factor * (MultiplyTransposed(part.vectors, reduce_.t().contiguous()) + mean));
    const Tensor at_mean = factor * MultiplyTransposed(part.vectors, MultiplyTransposed(mean.unsqueeze(0), reduce_));
    const Tensor offset = start_.metric == Metric::kL2 ? -(of_rows - mean).square().sum(1) : (of_rows * mean).sum(1);
    constants.push_back(offset + document_offset_ - mean.square().sum() - at_mean.squeeze(1));
    order.push_back(rows);
  }
  const Tensor places = torch::cat(order).argsort();
  return {torch::cat(vectors).index_select(0, places), torch::ones({x.size(0)}),
          torch::cat(constants).index_select(0, places)};
}

TorchCodes TorchGroups::EncodeQueries(const Tensor& x, Estimator, double) const {
  return {x, torch::ones({x.size(0)}), torch::zeros({x.size(0)})};
}

Tensor TorchGroups::Scores(const TorchCodes& queries, const TorchCodes& documents) const {
  return MultiplyTransposed(queries.code, documents.code) + documents.offset.unsqueeze(0);
}

Model TorchGroups::ToModel(const std::vector<Tensor>& parameters) const {
  Model model = start_;
  model.rotation.clear();  // what projections are trained to, no span says
  const LevelPlan plan = model.levels();
  for (size_t g = 0; g < model.groups.size(); ++g) {
    model.groups[g].mean = ToVector(parameters[1][static_cast<int64_t>(g)]);
  }
  for (size_t b = 0; b < model.bases.size(); ++b) {
    const auto at = static_cast<int64_t>(b);
    BasisParameters& basis = model.bases[b];
    const std::vector<float> weights = ToVector(parameters[0][at].exp());
    basis.spans = {};
    basis.band_weights.clear();
    for (const Band& band : plan.Bands(weights)) basis.band_weights.push_back(band.weight);
    basis.project = ToVector(parameters[2][at]);
    if (model.byte_bases) RoundToByteRows(basis.project, model.reduced_dims);
    for (float& value : basis.project) value = model.byte_bases ? value : HalfToFloat(FloatToHalf(value));
  }
  return model;
}

}  // namespace bebr
