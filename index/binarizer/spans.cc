#include "index/binarizer/spans.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "index/binarizer/byte_rows.h"
#include "index/binarizer/residual_block.h"

namespace bebr {
namespace {

constexpr float kLargest = 127.5f;  // in units of a scale
constexpr float kSmallestSpanScale = 1e-30f;
constexpr double kLeastShare = 1e-6;  // of a row's squared length that is its own
constexpr uint64_t kMostSteps = uint64_t{1} << 33;

std::vector<float> Transposed(const float* rows, size_t count, size_t dims) {
  std::vector<float> columns(count * dims);
  for (size_t i = 0; i < count; ++i) {
    for (size_t j = 0; j < dims; ++j) columns[j * count + i] = rows[i * dims + j];
  }
  return columns;
}

// count x inner times inner x dims.
std::vector<float> Product(const std::vector<float>& a, size_t count, const float* b, size_t inner, size_t dims) {
  std::vector<float> product(count * dims);
  DenseLayer(Transposed(b, inner, dims), {}, inner, dims).Apply(a.data(), count, product.data());
  return product;
}

// row[j] less shares[i] * rows[i][j] for one i after the other, for each j of a range: some at a time, so that what is
// left of them stays in registers. `lower`: rows[i][j] is 0 where j > i.
void TakeShares(const std::vector<double>& shares, const std::vector<double>& rows, size_t dims, size_t begin,
                size_t end, bool lower, double* row) {
  constexpr size_t kAtOnce = 8;
  for (; begin + kAtOnce <= end; begin += kAtOnce) {
    double left[kAtOnce];
    std::copy_n(row + begin, kAtOnce, left);
    for (size_t i = lower ? begin : 0; i < shares.size(); ++i) {
      const double* other = rows.data() + i * dims + begin;
      for (size_t j = 0; j < kAtOnce; ++j) left[j] -= shares[i] * other[j];
    }
    std::copy_n(left, kAtOnce, row + begin);
  }
  for (; begin < end; ++begin) {
    for (size_t i = lower ? begin : 0; i < shares.size(); ++i) row[begin] -= shares[i] * rows[i * dims + begin];
  }
}

// The lower triangular matrix that rows are multiplied with to be orthonormal: each loses its part along those before.
std::vector<float> Orthonormalizer(const std::vector<float>& rows, size_t count, size_t dims) {
  std::vector<float> products(count * count);
  DenseLayer(rows, {}, dims, count).Apply(rows.data(), count, products.data());
  std::vector<double> left(products.begin(), products.end()), inverse(count * count, 0.0), shares;
  for (size_t i = 0; i < count; ++i) {
    double* of_row = left.data() + i * count;
    double* own = inverse.data() + i * count;
    shares.clear();
    for (size_t k = 0; k < i; ++k) shares.push_back(left[k * count + i]);
    TakeShares(shares, left, count, i, count, /*lower=*/false, of_row);
    TakeShares(shares, inverse, count, 0, i, /*lower=*/true, own);
    own[i] = 1.0;
    const double root = std::sqrt(std::max(of_row[i], kLeastShare * products[i * count + i]));
    for (size_t j = i; j < count; ++j) of_row[j] /= root;
    for (size_t j = 0; j <= i; ++j) own[j] /= root;
  }
  return {inverse.begin(), inverse.end()};
}

float Unpacked(float byte) { return byte + 0.5f; }

// The columns that lead a run, and those that its rows have values in: which lead neither it nor one before.
struct Columns {
  std::vector<size_t> leads, others;
};

Columns ColumnsOf(const std::vector<float>& leads, size_t run) {
  Columns columns;
  for (size_t j = 0; j < leads.size(); ++j) {
    if (leads[j] == static_cast<float>(run)) columns.leads.push_back(j);
    if (leads[j] < 0.0f || leads[j] > static_cast<float>(run)) columns.others.push_back(j);
  }
  return columns;
}

// Makes `row` nothing in all columns that `rows` lead.
class Elimination {
 public:
  Elimination(const LevelPlan& plan, size_t reduced, const std::vector<float>& directions)
      : r_(reduced),
        count_(plan.dims()),
        rows_(directions.begin(), directions.begin() + static_cast<ptrdiff_t>(count_ * r_)),
        leads_(r_, -1.0f),
        lead_of_(count_) {}

  // Rows `first` to `end` get a column each in which they are 1, and all other rows from `first` on 0.
  void Lead(size_t run, size_t first, size_t end) {
    for (size_t at = first; at < end; ++at) {
      size_t column = 0;
      std::swap_ranges(Row(at), Row(at) + r_, Row(LargestAt(at, end, column)));
      leads_[column] = static_cast<float>(run);
      lead_of_[at] = column;
      const double pivot = Row(at)[column];
      for (size_t j = 0; j < r_; ++j) Row(at)[j] = pivot != 0.0 ? Row(at)[j] / pivot : 0.0;
      Row(at)[column] = 1.0;
      for (size_t i = first; i < count_; ++i) {
        const double share = i == at ? 0.0 : Row(i)[column];
        for (size_t j = 0; share != 0.0 && j < r_; ++j) Row(i)[j] -= share * Row(at)[j];
      }
    }
  }

  // The row of a run's that has this lead.
  const double* RowOf(size_t column) const {
    const size_t row = std::find(lead_of_.begin(), lead_of_.end(), column) - lead_of_.begin();
    return rows_.data() + row * r_;
  }
  const std::vector<float>& leads() const { return leads_; }

 private:
  double* Row(size_t i) { return rows_.data() + i * r_; }

  size_t LargestAt(size_t first, size_t end, size_t& column) {
    size_t row = first;
    double largest = -1.0;
    for (size_t i = first; i < end; ++i) {
      for (size_t j = 0; j < r_; ++j) {
        if (leads_[j] >= 0.0f || std::fabs(Row(i)[j]) <= largest) continue;
        largest = std::fabs(Row(i)[j]);
        row = i;
        column = j;
      }
    }
    return row;
  }

  const size_t r_, count_;
  std::vector<double> rows_;
  std::vector<float> leads_;
  std::vector<size_t> lead_of_;
};

}  // namespace

size_t SpanBytes(const LevelPlan& plan, size_t reduced) {
  size_t bytes = 0, end = 0;
  for (const LevelPlan::Run& run : plan.runs()) {
    end += run.dims;
    bytes += run.dims * (reduced - end);
  }
  return bytes;
}

size_t RotationBytes(const LevelPlan& plan) {
  size_t bytes = 0;
  for (const LevelPlan::Run& run : plan.runs()) bytes += size_t{run.dims} * run.dims;
  return bytes;
}

bool SpansAreSmall(const LevelPlan& plan, size_t reduced, size_t bases) {
  const uint64_t c = plan.dims();
  return c <= reduced && c <= kMostShapedComponents && c * c * bases <= kMostShapedValues &&
         c * c * bases * reduced <= kMostSteps;
}

SpanParameters ToSpans(const LevelPlan& plan, size_t reduced, const std::vector<float>& directions) {
  Elimination elimination(plan, reduced, directions);
  size_t end = 0;
  for (size_t run = 0; run < plan.runs().size(); ++run) {
    const size_t first = std::exchange(end, end + plan.runs()[run].dims);
    elimination.Lead(run, first, end);
  }
  SpanParameters spans;
  spans.leads = elimination.leads();
  for (size_t run = 0; run < plan.runs().size(); ++run) {
    const Columns columns = ColumnsOf(spans.leads, run);
    double largest = 0.0;
    for (const size_t lead : columns.leads) {
      for (const size_t j : columns.others) largest = std::max(largest, std::fabs(elimination.RowOf(lead)[j]));
    }
    const float scale = std::max(static_cast<float>(largest / kLargest), kSmallestSpanScale);
    spans.scales.push_back(scale);
    for (const size_t lead : columns.leads) {
      for (const size_t j : columns.others)
        spans.bytes.push_back(
            std::clamp(std::floor(static_cast<float>(elimination.RowOf(lead)[j]) / scale), -128.0f, 127.0f));
    }
  }
  return spans;
}

std::vector<RunTurn> RunTurns(const LevelPlan& plan, const std::vector<float>& rotation) {
  std::vector<RunTurn> turns;
  size_t at = 0;
  for (const LevelPlan::Run& run : plan.runs()) {
    const size_t d = run.dims;
    std::vector<float> rows;
    for (size_t i = 0; i < d * d; ++i) rows.push_back(Unpacked(rotation[at++]));
    turns.push_back(Product(Orthonormalizer(rows, d, d), d, rows.data(), d, d));
  }
  return turns;
}

std::vector<float> FromSpans(const LevelPlan& plan, size_t reduced, const std::vector<RunTurn>& turns,
                             const SpanParameters& spans, const std::vector<float>& band_weights) {
  const size_t c = plan.dims();
  std::vector<float> rows(c * reduced, 0.0f);
  size_t row = 0, at = 0;
  for (size_t run = 0; run < plan.runs().size(); ++run) {
    const Columns columns = ColumnsOf(spans.leads, run);
    for (const size_t lead : columns.leads) {
      float* of_row = rows.data() + row++ * reduced;
      of_row[lead] = 1.0f;
      for (const size_t j : columns.others) of_row[j] = spans.scales[run] * Unpacked(spans.bytes[at++]);
    }
  }
  const std::vector<float> orthonormal = Orthonormalizer(rows, c, reduced);
  std::vector<float> turned;
  size_t first = 0, band = 0;
  for (size_t i = 0; i < turns.size(); ++i) {
    const LevelPlan::Run& run = plan.runs()[i];
    RunTurn turn = turns[i];
    const auto length = static_cast<float>(1.0 / std::sqrt(static_cast<double>(band_weights[band])));
    for (float& value : turn) value *= length;
    const std::vector<float> of_run = Product(turn, run.dims, orthonormal.data() + first * c, run.dims, c);
    turned.insert(turned.end(), of_run.begin(), of_run.end());
    first += run.dims;
    band += run.bands();
  }
  return Product(turned, c, rows.data(), c, reduced);
}

std::vector<float> ToRotationBytes(const LevelPlan& plan, const std::vector<float>& rotations) {
  std::vector<float> bytes;
  const float* at = rotations.data();
  for (const LevelPlan::Run& run : plan.runs()) {
    const std::vector<float> of_run(at, at + size_t{run.dims} * run.dims);
    const ByteRows rows = ToByteRows(of_run, run.dims);
    bytes.insert(bytes.end(), rows.bytes.begin(), rows.bytes.end());
    at += of_run.size();
  }
  return bytes;
}

}  // namespace bebr
