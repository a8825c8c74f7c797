#include "index/binarizer/spans.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>
#include <vector>

#include "index/base/checksum.h"

namespace bebr {
namespace {

using Rows = std::vector<std::vector<double>>;

double Dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0.0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// The obvious way: each row less its part along those before, twice, and scaled to length 1.
Rows Orthonormal(Rows rows) {
  for (size_t i = 0; i < rows.size(); ++i) {
    for (int again = 0; again < 2; ++again) {
      for (size_t k = 0; k < i; ++k) {
        const double along = Dot(rows[i], rows[k]);
        for (size_t j = 0; j < rows[i].size(); ++j) rows[i][j] -= along * rows[k][j];
      }
    }
    const double length = std::sqrt(Dot(rows[i], rows[i]));
    for (double& value : rows[i]) value /= length;
  }
  return rows;
}

Rows RandomRows(size_t count, size_t dims, std::mt19937_64& random) {
  std::normal_distribution<double> normal;
  Rows rows(count, std::vector<double>(dims));
  for (auto& row : rows) {
    for (double& value : row) value = normal(random);
  }
  return rows;
}

std::vector<float> Flat(const Rows& rows) {
  std::vector<float> values;
  for (const auto& row : rows) values.insert(values.end(), row.begin(), row.end());
  return values;
}

Rows Cut(const std::vector<float>& values, size_t dims) {
  Rows rows;
  for (size_t at = 0; at < values.size(); at += dims)
    rows.emplace_back(values.begin() + at, values.begin() + at + dims);
  return rows;
}

struct Case {
  LevelPlan plan;
  size_t reduced = 0;
  std::vector<float> rotation, weights;
  Rows directions;
};

Case RandomCase(const char* levels, size_t reduced, uint64_t seed) {
  std::mt19937_64 random(seed);
  Case c{.plan = *LevelPlan::Parse(levels), .reduced = reduced};
  std::vector<float> rotations, run_weights;
  for (const LevelPlan::Run& run : c.plan.runs()) {
    const std::vector<float> of_run = Flat(Orthonormal(RandomRows(run.dims, run.dims, random)));
    rotations.insert(rotations.end(), of_run.begin(), of_run.end());
    run_weights.push_back(0.25f + static_cast<float>(run_weights.size()));
  }
  c.rotation = ToRotationBytes(c.plan, rotations);
  for (const Band& band : c.plan.Bands(run_weights)) c.weights.push_back(band.weight);
  c.directions = Orthonormal(RandomRows(c.plan.dims(), reduced, random));
  return c;
}

// What FORMAT.md says, plainly.
Rows Reference(const Case& c, const SpanParameters& spans) {
  const size_t r = c.reduced;
  Rows rows;
  size_t at = 0;
  for (size_t run = 0; run < c.plan.runs().size(); ++run) {
    for (size_t lead = 0; lead < r; ++lead) {
      if (spans.leads[lead] != static_cast<float>(run)) continue;
      std::vector<double>& row = rows.emplace_back(r, 0.0);
      for (size_t j = 0; j < r; ++j) {
        const bool free = spans.leads[j] == -1.0f || spans.leads[j] > static_cast<float>(run);
        row[j] = j == lead ? 1.0 : free ? spans.scales[run] * (spans.bytes[at++] + 0.5) : 0.0;
      }
    }
  }
  EXPECT_EQ(at, spans.bytes.size());
  rows = Orthonormal(rows);
  Rows turned;
  size_t first = 0, turn = 0, band = 0;
  for (const LevelPlan::Run& run : c.plan.runs()) {
    std::vector<float> of_run(c.rotation.begin() + turn, c.rotation.begin() + turn + run.dims * run.dims);
    for (float& value : of_run) value += 0.5f;
    for (const auto& turns : Orthonormal(Cut(of_run, run.dims))) {
      std::vector<double>& row = turned.emplace_back(r, 0.0);
      for (size_t k = 0; k < run.dims; ++k) {
        for (size_t j = 0; j < r; ++j) row[j] += turns[k] * rows[first + k][j] / std::sqrt(double{c.weights[band]});
      }
    }
    first += run.dims;
    turn += run.dims * run.dims;
    band += run.bands();
  }
  return turned;
}

TEST(SpansTest, AreWhatTheReferenceMakesOfThem) {
  for (const char* levels : {"8x4t+16x2t+9x1", "3x7+5x1", "40x2", "39x2", "1x1+8x1"}) {
    for (const uint64_t seed : {1, 2, 3}) {
      const Case c = RandomCase(levels, 40, seed);
      const SpanParameters spans = ToSpans(c.plan, c.reduced, Flat(c.directions));
      ASSERT_EQ(spans.bytes.size(), SpanBytes(c.plan, c.reduced));
      const Rows expected = Reference(c, spans);
      const Rows project = Cut(FromSpans(c.plan, c.reduced, RunTurns(c.plan, c.rotation), spans, c.weights), c.reduced);
      ASSERT_EQ(project.size(), expected.size());
      for (size_t i = 0; i < project.size(); ++i) {
        for (size_t j = 0; j < c.reduced; ++j) EXPECT_NEAR(project[i][j], expected[i][j], 2e-4) << levels;
      }
    }
  }
}

// Each run spans, with those before, what its directions do.
TEST(SpansTest, SpanWhatTheyAreMadeOf) {
  for (const char* levels : {"8x4t+16x2t+9x1", "3x7+5x1", "40x2", "32x2"}) {
    const Case c = RandomCase(levels, 40, 4);
    const SpanParameters spans = ToSpans(c.plan, c.reduced, Flat(c.directions));
    const Rows project = Cut(FromSpans(c.plan, c.reduced, RunTurns(c.plan, c.rotation), spans, c.weights), c.reduced);
    size_t end = 0, band = 0;
    for (const LevelPlan::Run& run : c.plan.runs()) {
      const size_t first = std::exchange(end, end + run.dims);
      for (size_t i = first; i < end; ++i) {
        double inside = 0.0;
        for (size_t k = 0; k < end; ++k) inside += std::pow(Dot(project[i], c.directions[k]), 2.0);
        EXPECT_NEAR(inside * c.weights[band], 1.0, 5e-3);
        for (size_t k = 0; k < i; ++k) EXPECT_NEAR(Dot(project[i], project[k]), 0.0, 1e-3);
        EXPECT_NEAR(Dot(project[i], project[i]) * c.weights[band], 1.0, 1e-3);
      }
      band += run.bands();
    }
  }
}

// The bits are part of the format: codes of every document depend on them.
TEST(SpansTest, GiveTheBitsThatTheyAlwaysGave) {
  const LevelPlan plan = *LevelPlan::Parse("16x4t+24x2t+9x1");
  SpanParameters spans{.leads = std::vector<float>(64, -1.0f), .scales = {0.01f, 0.02f, 0.0078125f}};
  size_t at = 0;
  for (size_t run = 0; run < 3; ++run) {
    for (uint32_t i = 0; i < plan.runs()[run].dims; ++i) spans.leads[at++ * 5 % 64] = static_cast<float>(run);
  }
  uint32_t state = 1;
  const auto byte = [&] {
    return static_cast<float>(static_cast<int32_t>((state = state * 1664525 + 1013904223) >> 24) - 128);
  };
  for (size_t i = 0; i < SpanBytes(plan, 64); ++i) spans.bytes.push_back(byte());
  std::vector<float> rotation;
  for (size_t i = 0; i < RotationBytes(plan); ++i) rotation.push_back(byte());
  const std::vector<float> project = FromSpans(plan, 64, RunTurns(plan, rotation), spans, {0.5f, 0.125f, 2.0f, 1.0f});
  EXPECT_EQ(Crc32c({reinterpret_cast<const char*>(project.data()), project.size() * sizeof(float)}), 3170103035u);
}

// Of directions that are values themselves nothing is left over, and the smallest scale does.
TEST(SpansTest, OfTheAxes) {
  const LevelPlan plan = *LevelPlan::Parse("4x2+4x1");
  Rows axes(8, std::vector<double>(10, 0.0));
  const size_t places[] = {4, 1, 9, 3, 0, 5, 8, 2};
  for (size_t i = 0; i < 8; ++i) axes[i][places[i]] = 1.0;
  const SpanParameters spans = ToSpans(plan, 10, Flat(axes));
  EXPECT_EQ(spans.leads, (std::vector<float>{1, 0, 1, 0, 0, 1, -1, -1, 1, 0}));
  std::vector<float> none(32, 0.0f);
  for (size_t i = 0; i < 8; ++i) none[i * 4 + i % 4] = 1.0f;
  for (const float value : FromSpans(plan, 10, RunTurns(plan, ToRotationBytes(plan, none)), spans, {1, 1}))
    EXPECT_TRUE(std::isfinite(value));
}

}  // namespace
}  // namespace bebr
