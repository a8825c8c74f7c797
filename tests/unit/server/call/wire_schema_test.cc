#include "server/call/wire_schema.h"

#include <gmock/gmock.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "absl/strings/escaping.h"
#include "bebr/v1/documents.pb.h"
#include "bebr/v1/search.pb.h"

namespace bebr {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<uint64_t> Measure(const google::protobuf::Descriptor* type, const std::string& bytes,
                                 const FieldLimits& limits = {}, int piece = -1) {
  google::protobuf::io::ArrayInputStream stream(bytes.data(), static_cast<int>(bytes.size()), piece);
  return WireSchema(type, limits).Measure(stream, bytes.size());
}

std::string Repeat(const std::string& text, size_t times) {
  std::string all;
  for (size_t i = 0; i < times; ++i) all += text;
  return all;
}

v1::UpsertRequest SomeUpsert(size_t documents) {
  v1::UpsertRequest request;
  request.set_collection("papers");
  for (size_t i = 0; i < documents; ++i) {
    v1::Document* document = request.add_documents();
    document->set_id("document-" + std::to_string(i));
    (*document->mutable_attributes())["section"].set_string_value("a text of some length");
    (*document->mutable_attributes())["year"].set_int_value(1999);
    for (int j = 0; j < 32; ++j) document->add_embeddings()->mutable_vector()->add_values(0.5f * static_cast<float>(j));
  }
  return request;
}

TEST(WireSchema, BoundsWhatAMessageTakes) {
  const v1::UpsertRequest request = SomeUpsert(300);
  const std::string bytes = request.SerializeAsString();
  v1::UpsertRequest parsed;
  ASSERT_TRUE(parsed.ParseFromString(bytes));
  for (const int piece : {-1, 1, 7, 4096}) {  // however the bytes are cut into slices
    const auto measured = Measure(v1::UpsertRequest::descriptor(), bytes, {}, piece);
    ASSERT_TRUE(measured.ok()) << measured.status();
    EXPECT_GE(*measured, parsed.SpaceUsedLong());
    EXPECT_LE(*measured, 4 * parsed.SpaceUsedLong());
  }
}

TEST(WireSchema, RefusesWhatGrowsTooMuch) {
  // Two bytes on the wire for an empty document, an empty query, an empty id, an unknown field.
  const struct {
    const google::protobuf::Descriptor* type;
    std::string entry;
  } floods[] = {{v1::UpsertRequest::descriptor(), std::string("\x12\x00", 2)},
                {v1::BatchSearchRequest::descriptor(), std::string("\x12\x00", 2)},
                {v1::DeleteRequest::descriptor(), std::string("\x12\x00", 2)},
                {v1::DeleteRequest::descriptor(), std::string("\x7a\x00", 2)}};
  for (const auto& flood : floods) {
    EXPECT_TRUE(Measure(flood.type, Repeat(flood.entry, 1000)).ok());
    const absl::Status refused = Measure(flood.type, Repeat(flood.entry, 1 << 20)).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted) << refused;
    EXPECT_THAT(std::string(refused.message()), HasSubstr("2097152 bytes"));
  }
}

// As many ids as there may be, all different and as short as that lets them be: what is refused for its size repeats
// ids.
TEST(WireSchema, TakesAMillionDifferentIds) {
  v1::StreamGetRequest request, repeated;
  for (size_t i = 0; i < 1000000; ++i) {
    std::string id;
    for (size_t rest = i; id.empty() || rest > 0; rest /= 128) id += static_cast<char>(rest % 128);
    request.add_ids(id);
    repeated.add_ids("x");
  }
  const auto* type = v1::StreamGetRequest::descriptor();
  EXPECT_TRUE(Measure(type, request.SerializeAsString()).ok());
  const absl::Status refused = Measure(type, repeated.SerializeAsString()).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("Send fewer of them at a time"));
}

TEST(WireSchema, CountsEntries) {
  const FieldLimits limits = {{"bebr.v1.UpsertRequest.documents", 3}, {"bebr.v1.Document.attributes", 2}};
  const auto measure = [&](const v1::UpsertRequest& request) {
    return Measure(v1::UpsertRequest::descriptor(), request.SerializeAsString(), limits).status();
  };
  EXPECT_TRUE(measure(SomeUpsert(3)).ok());
  EXPECT_EQ(measure(SomeUpsert(4)).message(), "documents has more than 3 entries, the limit");
  v1::UpsertRequest request = SomeUpsert(2);
  (*request.mutable_documents(1)->mutable_attributes())["third"].set_bool_value(true);
  EXPECT_EQ(measure(request).message(), "documents[1].attributes has more than 2 entries, the limit");
}

TEST(WireSchema, TextIsUtf8) {
  v1::UpsertRequest request = SomeUpsert(3);
  const auto measure = [&](int piece) {
    return Measure(v1::UpsertRequest::descriptor(), request.SerializePartialAsString(), {}, piece).status();
  };
  request.mutable_documents(2)->set_id("\xff\xfe");
  for (const int piece : {-1, 1}) {
    EXPECT_EQ(measure(piece).code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(measure(piece).message(), "documents[2].id is not UTF-8");
  }
  request.mutable_documents(2)->set_id("\xc3\xa4\xe2\x82\xac");
  EXPECT_TRUE(measure(-1).ok());
  // Bytes are bytes.
  request.mutable_documents(0)->mutable_embeddings(0)->mutable_vector()->set_float16("\xff\xfe");
  EXPECT_TRUE(measure(-1).ok());
}

TEST(WireSchema, GarbledBytesAreRefused) {
  const std::string good = SomeUpsert(2).SerializeAsString();
  for (const std::string& bad :
       {std::string("\xff\xff\xff\xff\xff", 5), good + '\x12', good + std::string("\x12\x7f", 2),
        good.substr(0, good.size() - 1), std::string("\x12\x02\x0a\x05", 4), std::string("\x00", 1),
        std::string("\x0b\x0c", 2), std::string("\x12\xff\xff\xff\xff\x0f", 6)}) {
    EXPECT_EQ(Measure(v1::UpsertRequest::descriptor(), bad).status().code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_THAT(
      std::string(Measure(v1::UpsertRequest::descriptor(), std::string("\x12\x02\x0a\x05", 4)).status().message()),
      HasSubstr("garbled in documents[0].id"));
}

// What Measure lets pass protobuf can parse, and takes no more than was said.
TEST(WireSchema, AgreesWithTheParser) {
  std::mt19937 random(7);
  const std::string good = SomeUpsert(5).SerializeAsString();
  size_t passed = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = good.substr(0, random() % 2 == 0 ? good.size() : random() % good.size());
    for (size_t changes = random() % 4; changes > 0 && !bytes.empty(); --changes)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    const auto measured = Measure(v1::UpsertRequest::descriptor(), bytes);
    v1::UpsertRequest parsed;
    const bool parses = parsed.ParseFromString(bytes);
    if (!measured.ok()) continue;
    ++passed;
    EXPECT_TRUE(parses) << absl::BytesToHexString(bytes);
    EXPECT_GE(*measured, parsed.SpaceUsedLong());
  }
  EXPECT_GT(passed, 100u);
}

}  // namespace
}  // namespace bebr
