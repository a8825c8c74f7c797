#include "server/metrics/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/metric_family.h>

#include <set>
#include <string>

#include "server/metrics/metric_table.h"

namespace bebr {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Metrics, NamesAreUniqueAndCountersEndInTotal) {
  std::set<std::string> names;
  for (const MetricInfo& info : AllMetrics()) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    const std::string name = info.name;
    const bool total = name.size() > 6 && name.substr(name.size() - 6) == "_total";
    EXPECT_EQ(total, info.type == prometheus::MetricType::Counter) << name;
    EXPECT_STRNE(info.help, "") << name;
  }
}

TEST(Metrics, EveryMethodIsThereFromTheStart) {
  Metrics metrics;
  const std::string text = metrics.Serialize();
  for (const char* method :
       {"Search", "BatchSearch", "Upsert", "StreamUpsert", "Get", "Delete", "CreateCollection", "GetStats"}) {
    EXPECT_THAT(text, HasSubstr(std::string("grpc_method=\"") + method + "\""));
  }
  EXPECT_THAT(text, HasSubstr("bebr_build_info{"));
  EXPECT_THAT(text, Not(HasSubstr("bebr_queries_total")));  // no engine
}

TEST(Metrics, UnknownMethodsShareOneEntry) {
  Metrics metrics;
  EXPECT_EQ(&metrics.ForMethod("/a/b"), &metrics.ForMethod("/c/d"));
  EXPECT_NE(&metrics.ForMethod("/bebr.v1.SearchService/Search"), &metrics.ForMethod("/c/d"));
}

TEST(Metrics, CountsCallsAndSearchStages) {
  Metrics metrics;
  metrics.ForMethod("/bebr.v1.SearchService/Search").handled[3]->Increment();
  metrics.ObserveSearch({.queue_us = 10, .encode_us = 20, .scan_us = 2000000, .rerank_us = 0, .queries_in_scan = 3});
  const std::string text = metrics.Serialize();
  EXPECT_THAT(text, HasSubstr("bebr_search_stage_seconds_sum{stage=\"scan\"} 2"));
  EXPECT_THAT(text, HasSubstr("bebr_search_stage_seconds_count{stage=\"rerank\"} 0"));
  EXPECT_THAT(text, HasSubstr("bebr_search_queries_per_scan_sum 3"));
  EXPECT_THAT(text,
              ::testing::ContainsRegex("grpc_server_handled_total\\{[^}]*InvalidArgument[^}]*Search\"[^}]*\\} 1"));
}

}  // namespace
}  // namespace bebr
