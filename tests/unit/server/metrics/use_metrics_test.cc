#include "server/metrics/use_metrics.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace bebr {
namespace {

// Samples by "family,label values"; of a histogram its count.
std::map<std::string, double> Samples(const UseMetrics& use) {
  std::map<std::string, double> samples;
  for (const auto& family : use.Collect()) {
    for (const auto& metric : family.metric) {
      std::string name = family.name;
      for (const auto& label : metric.label) name += "," + label.value;
      samples[name] = metric.counter.value + static_cast<double>(metric.histogram.sample_count);
    }
  }
  return samples;
}

// Calls that succeeded.
void Call(UseMetrics& use, const std::string& name, int times) {
  for (int i = 0; i < times; ++i) use.AddCall(name, {});
}

TEST(UseMetrics, CountsByName) {
  UseMetrics use("collection");
  use.AddRequestBytes("papers", 7);  // before anybody knows whether there is such a collection
  use.AddCall("papers", {.kind = CallKind::kSearch,
                         .duration = absl::Milliseconds(3),
                         .queries = 2,
                         .documents_scanned = 100,
                         .answer_bytes = 5});
  use.AddCall("papers", {.kind = CallKind::kSearch, .code = absl::StatusCode::kInvalidArgument});
  use.AddCall("papers", {.kind = CallKind::kWrite, .code = absl::StatusCode::kDataLoss, .duration = absl::Seconds(99)});
  use.AddCall("", {});
  use.AddRequestBytes("papers", 12);
  auto samples = Samples(use);
  EXPECT_EQ(samples["bebr_collection_calls_total,papers,search,ok"], 1);
  EXPECT_EQ(samples["bebr_collection_calls_total,papers,search,refused"], 1);
  EXPECT_EQ(samples["bebr_collection_calls_total,papers,write,failed"], 1);
  EXPECT_EQ(samples["bebr_collection_call_seconds,papers,search"], 1);
  EXPECT_EQ(samples["bebr_collection_call_seconds,papers,write"], 1);
  EXPECT_EQ(samples["bebr_collection_request_bytes_total,papers"], 12);
  EXPECT_EQ(samples["bebr_collection_request_bytes_total,_other"], 7);
  EXPECT_EQ(samples["bebr_collection_answer_bytes_total,papers"], 5);
  EXPECT_EQ(samples["bebr_collection_queries_total,papers"], 2);
  EXPECT_EQ(samples["bebr_collection_documents_scanned_total,papers"], 100);
}

TEST(UseMetrics, NamesAreBounded) {
  UseMetrics use("key");
  for (int i = 0; i < 1000; ++i) use.AddCall("no" + std::to_string(i), {.code = absl::StatusCode::kNotFound});
  EXPECT_EQ(Samples(use)["bebr_key_calls_total,_other,other,refused"], 1000);
  const size_t series_of_one = Samples(use).size();
  for (int i = 0; i < 1000; ++i) Call(use, std::to_string(i), 1);
  auto samples = Samples(use);
  EXPECT_EQ(samples["bebr_key_calls_total,0,other,ok"], 1);
  EXPECT_EQ(samples["bebr_key_calls_total,_other,other,ok"], 1000 - static_cast<double>(UseMetrics::kMostNames));
  EXPECT_EQ(samples.size(), (UseMetrics::kMostNames + 1) * series_of_one);
  use.Retain([](const std::string& name) { return name == "1"; });
  samples = Samples(use);
  EXPECT_EQ(samples.size(), 2 * series_of_one);
  EXPECT_EQ(samples.count("bebr_key_calls_total,0,other,ok"), 0u);
  Call(use, "new", 1);
  EXPECT_EQ(Samples(use)["bebr_key_calls_total,new,other,ok"], 1);
}

TEST(UseMetrics, TheBusiestHaveSeriesOfTheirOwn) {
  UseMetrics use("collection");
  for (size_t i = 0; i < UseMetrics::kMostNames; ++i) Call(use, std::to_string(i), 10 + static_cast<int>(i));
  Call(use, "busy", 25);    // over twice the 10 of "0", not of any other
  Call(use, "busier", 21);  // twice the 10, but that place is taken; the next has 11
  SteadyTime now = SteadyNow();
  use.Rank(now);
  Call(use, "busy", 3);
  Call(use, "0", 2);
  Call(use, "busier", 1);
  auto samples = Samples(use);
  EXPECT_EQ(samples["bebr_collection_calls_total,busy,other,ok"], 3);
  EXPECT_EQ(samples.count("bebr_collection_calls_total,0,other,ok"), 0u);
  EXPECT_EQ(samples.count("bebr_collection_calls_total,1,other,ok"), 1u);
  EXPECT_EQ(samples["bebr_collection_calls_total,_other,other,ok"], 25 + 21 + 2 + 1);
  // Not again so soon; then those that nobody calls any more go.
  use.Rank(now + UseMetrics::kRankInterval / 2);
  EXPECT_EQ(Samples(use).count("bebr_collection_calls_total,0,other,ok"), 0u);
  use.Rank(now + UseMetrics::kRankInterval);
  EXPECT_EQ(Samples(use).count("bebr_collection_calls_total,0,other,ok"), 1u);
}

}  // namespace
}  // namespace bebr
