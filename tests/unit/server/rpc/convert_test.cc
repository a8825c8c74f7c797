#include "server/rpc/convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "index/base/float16.h"

namespace bebr {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Halves(const std::vector<float>& values) {
  std::string bytes;
  for (const float value : values) {
    const uint16_t half = FloatToHalf(value);
    bytes += static_cast<char>(half & 0xff);
    bytes += static_cast<char>(half >> 8);
  }
  return bytes;
}

TEST(VectorArena, PointsIntoTheMessage) {
  v1::Vector vector;
  vector.add_values(1.5f);
  VectorArena arena;
  const auto values = arena.Read("query", vector);
  ASSERT_TRUE(values.ok());
  EXPECT_EQ(values->data(), vector.values().data());
  EXPECT_THAT(*values, ElementsAre(1.5f));
}

TEST(VectorArena, ExpandsFloat16AndKeepsEarlierOnesInPlace) {
  VectorArena arena;
  std::vector<absl::Span<const float>> spans;
  for (int i = 0; i < 100; ++i) {
    v1::Vector vector;
    vector.set_float16(Halves({static_cast<float>(i), -0.5f}));
    const auto values = arena.Read("query", vector);
    ASSERT_TRUE(values.ok());
    spans.push_back(*values);
  }
  for (int i = 0; i < 100; ++i) EXPECT_THAT(spans[i], ElementsAre(static_cast<float>(i), -0.5f));
}

TEST(VectorArena, RefusesOddBytesAndBothForms) {
  VectorArena arena;
  v1::Vector vector;
  vector.set_float16("abc");
  EXPECT_THAT(std::string(arena.Read("query", vector).status().message()), HasSubstr("query.float16 has 3 bytes"));
  vector.set_float16("ab");
  vector.add_values(1);
  EXPECT_EQ(arena.Read("query", vector).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ToDocuments, ConvertsEverything) {
  google::protobuf::RepeatedPtrField<v1::Document> documents;
  v1::Document* document = documents.Add();
  document->set_id("a");
  (*document->mutable_attributes())["text"].set_string_value("t");
  (*document->mutable_attributes())["whole"].set_int_value(std::numeric_limits<int64_t>::min());
  (*document->mutable_attributes())["number"].set_double_value(0.25);
  (*document->mutable_attributes())["flag"].set_bool_value(true);
  v1::Embedding* embedding = document->add_embeddings();
  embedding->set_version("v2");
  embedding->mutable_vector()->add_values(3);
  VectorArena arena;
  const auto inputs = ToDocuments(documents, arena);
  ASSERT_TRUE(inputs.ok()) << inputs.status();
  ASSERT_EQ(inputs->size(), 1u);
  const DocumentInput& input = inputs->front();
  EXPECT_EQ(input.id, "a");
  EXPECT_EQ(std::get<std::string>(input.attributes.at("text")), "t");
  EXPECT_EQ(std::get<int64_t>(input.attributes.at("whole")), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(std::get<double>(input.attributes.at("number")), 0.25);
  EXPECT_TRUE(std::get<bool>(input.attributes.at("flag")));
  ASSERT_EQ(input.embeddings.size(), 1u);
  EXPECT_EQ(input.embeddings[0].version, "v2");
  EXPECT_THAT(input.embeddings[0].values, ElementsAre(3.0f));
}

TEST(ToDocuments, NamesWhatIsWrong) {
  google::protobuf::RepeatedPtrField<v1::Document> documents;
  VectorArena arena;
  EXPECT_THAT(std::string(ToDocuments(documents, arena).status().message()), HasSubstr("documents has 0 entries"));
  documents.Add()->set_id("a");
  documents.Add()->add_embeddings()->mutable_vector()->set_float16("x");
  EXPECT_THAT(std::string(ToDocuments(documents, arena).status().message()),
              HasSubstr("documents[1].embeddings[0].vector.float16 has 1 bytes"));
  (*documents[0].mutable_attributes())["unset"];
  EXPECT_THAT(std::string(ToDocuments(documents, arena).status().message()),
              HasSubstr("documents[0].attributes[\"unset\"] has no value"));
}

TEST(ToDocuments, BoundsTheNumber) {
  google::protobuf::RepeatedPtrField<v1::Document> documents;
  for (size_t i = 0; i <= kMaxDocumentsPerRequest; ++i) documents.Add();
  VectorArena arena;
  EXPECT_THAT(std::string(ToDocuments(documents, arena).status().message()),
              HasSubstr("documents has 10001 entries; a request has 1 to 10000"));
}

TEST(ToSearchRequest, TakesOptionsAndDefaults) {
  v1::SearchRequest message;
  message.set_collection("c");
  message.mutable_query()->add_values(1);
  VectorArena arena;
  auto request = ToSearchRequest(message, arena);
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(request->k, 10u);
  EXPECT_FALSE(request->min_score.has_value());
  EXPECT_EQ(request->deadline, absl::InfiniteDuration());
  message.mutable_options()->set_k(7);
  message.mutable_options()->set_min_score(0);
  message.mutable_options()->set_rerank(70);
  message.mutable_options()->set_filter("a = 1");
  request = ToSearchRequest(message, arena);
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(request->k, 7u);
  EXPECT_EQ(request->min_score, 0.0f);
  EXPECT_EQ(request->rerank, 70u);
  EXPECT_EQ(request->filter, "a = 1");
}

TEST(ToSearchRequest, BoundsABatch) {
  v1::BatchSearchRequest message;
  VectorArena arena;
  EXPECT_THAT(std::string(ToSearchRequest(message, arena).status().message()), HasSubstr("queries has 0 entries"));
  for (size_t i = 0; i <= kMaxQueriesPerRequest; ++i) message.add_queries()->add_values(1);
  EXPECT_THAT(std::string(ToSearchRequest(message, arena).status().message()),
              HasSubstr("queries has 1025 entries; a request has 1 to 1024"));
}

TEST(ToProto, LabelsItsByCuts) {
  const auto labels = [](const v1::SearchOptions& options, std::vector<float> of) {
    std::vector<SearchHit> hits(of.size());
    for (size_t i = 0; i < of.size(); ++i) hits[i].its = of[i];
    v1::SearchResponse response;
    ToProto(std::move(hits), options, response.mutable_hits());
    std::vector<int> labels;
    for (const v1::SearchHit& hit : response.hits()) labels.push_back(hit.its_label());
    return labels;
  };
  v1::SearchOptions options;
  EXPECT_THAT(labels(options, {1, 0.9f, 0.89f, 0.5f, 0.4f, 0.3f, 0.2f, 0.1f, 0.09f, 0}),
              ElementsAre(1, 1, 2, 3, 4, 5, 6, 6, 7, 7));
  for (const float cut : {0.9f, 0.8f, 0.7f, 0.6f, 0.5f, 0.f}) options.add_its_cuts(cut);
  EXPECT_THAT(labels(options, {1, 0.85f, 0.5f, 0.4f, 0}), ElementsAre(1, 2, 5, 6, 6));
  // Of a fusion: one that only a list from elsewhere has, and one that a query has too, whose code differs from it by
  // chance.
  std::vector<SearchHit> fused(2);
  for (SearchHit& hit : fused) hit.score_kind = ScoreKind::kFused;
  fused[1].its = 0;
  v1::SearchResponse response;
  ToProto(std::move(fused), options, response.mutable_hits());
  EXPECT_EQ(response.hits(0).its_label(), v1::ITS_LABEL_UNSPECIFIED);
  EXPECT_EQ(response.hits(1).its_label(), v1::ITS_LABEL_VERY_LOW);
  VectorArena arena;
  v1::SearchRequest request;
  request.mutable_query()->add_values(1);
  const auto refusal = [&](std::vector<float> cuts) {
    *request.mutable_options()->mutable_its_cuts() = {cuts.begin(), cuts.end()};
    return std::string(ToSearchRequest(request, arena).status().message());
  };
  EXPECT_EQ(refusal({0.9f, 0.8f, 0.7f, 0.6f, 0.5f, 0}), "");
  EXPECT_THAT(refusal({0.5f}), HasSubstr("its_cuts has 1 entries; there are 6"));
  EXPECT_THAT(refusal({0.9f, 0.8f, 0.7f, 0.7f, 0.5f, 0}), HasSubstr("its_cuts[3] is 0.7"));
  EXPECT_THAT(refusal({1.5f, 0.8f, 0.7f, 0.6f, 0.5f, 0}), HasSubstr("its_cuts[0] is 1.5"));
  EXPECT_THAT(refusal({NAN, 0.8f, 0.7f, 0.6f, 0.5f, 0}), HasSubstr("its_cuts[0] is nan"));
}

TEST(ToProto, KeepsHitsAndDocuments) {
  std::vector<SearchHit> hits(1);
  hits[0].id = "x";
  hits[0].score = 0.5f;
  hits[0].score_kind = ScoreKind::kExact;
  hits[0].its = 0.25f;
  hits[0].version = "v1";
  hits[0].attributes["n"] = int64_t{4};
  v1::SearchResponse response;
  ToProto(std::move(hits), v1::SearchOptions(), response.mutable_hits());
  ASSERT_EQ(response.hits_size(), 1);
  EXPECT_EQ(response.hits(0).id(), "x");
  EXPECT_EQ(response.hits(0).score(), 0.5f);
  EXPECT_EQ(response.hits(0).score_kind(), v1::SCORE_KIND_EXACT);
  EXPECT_EQ(response.hits(0).its(), 0.25f);
  EXPECT_EQ(response.hits(0).its_label(), v1::ITS_LABEL_LOW);
  EXPECT_EQ(response.hits(0).attributes().at("n").int_value(), 4);

  Document document{
      .id = "d", .attributes = {{"s", std::string("t")}}, .embeddings = {{.version = "v1", .values = {1, 2}}}};
  v1::Document out;
  ToProto(std::move(document), &out);
  EXPECT_EQ(out.id(), "d");
  EXPECT_EQ(out.attributes().at("s").string_value(), "t");
  EXPECT_THAT(out.embeddings(0).vector().values(), ElementsAre(1.0f, 2.0f));
}

}  // namespace
}  // namespace bebr
