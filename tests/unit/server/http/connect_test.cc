#include "server/http/connect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "nlohmann/json.hpp"

namespace bebr {
namespace {

TEST(ConnectContentType, IsJsonOrProtoWhateverItsCaseAndParameters) {
  for (const char* json :
       {"application/json", "Application/JSON", "application/json; charset=utf-8", " application/json "})
    EXPECT_EQ(ParseContentType(json), BodyFormat::kJson) << json;
  EXPECT_EQ(ParseContentType("application/proto"), BodyFormat::kBinary);
  for (const char* other : {"", ";", "application/grpc", "application/connect+json", "text/json", "application/jsonx"})
    EXPECT_EQ(ParseContentType(other), std::nullopt) << other;
  for (const BodyFormat format : {BodyFormat::kJson, BodyFormat::kBinary})
    EXPECT_EQ(ParseContentType(ContentTypeOf(format)), format);
}

TEST(ConnectTimeout, IsAtMostTenDigitsAndNothingElse) {
  EXPECT_EQ(ParseTimeout("0"), absl::ZeroDuration());
  EXPECT_EQ(ParseTimeout("0001500"), absl::Milliseconds(1500));
  EXPECT_EQ(ParseTimeout("9999999999"), absl::Milliseconds(9999999999));
  for (const char* bad : {"", "-1", "+1", " 1", "1 ", "1.5", "1e3", "0x10", "10000000000", "99999999999999999999"})
    EXPECT_EQ(ParseTimeout(bad), std::nullopt) << bad;
}

TEST(ConnectError, NamesEveryCodeAsTheProtocolDoes) {
  const std::map<grpc::StatusCode, std::pair<std::string, unsigned>> names = {
      {grpc::StatusCode::CANCELLED, {"canceled", 499}},
      {grpc::StatusCode::UNKNOWN, {"unknown", 500}},
      {grpc::StatusCode::INVALID_ARGUMENT, {"invalid_argument", 400}},
      {grpc::StatusCode::DEADLINE_EXCEEDED, {"deadline_exceeded", 504}},
      {grpc::StatusCode::NOT_FOUND, {"not_found", 404}},
      {grpc::StatusCode::ALREADY_EXISTS, {"already_exists", 409}},
      {grpc::StatusCode::PERMISSION_DENIED, {"permission_denied", 403}},
      {grpc::StatusCode::RESOURCE_EXHAUSTED, {"resource_exhausted", 429}},
      {grpc::StatusCode::FAILED_PRECONDITION, {"failed_precondition", 400}},
      {grpc::StatusCode::ABORTED, {"aborted", 409}},
      {grpc::StatusCode::OUT_OF_RANGE, {"out_of_range", 400}},
      {grpc::StatusCode::UNIMPLEMENTED, {"unimplemented", 501}},
      {grpc::StatusCode::INTERNAL, {"internal", 500}},
      {grpc::StatusCode::UNAVAILABLE, {"unavailable", 503}},
      {grpc::StatusCode::DATA_LOSS, {"data_loss", 500}},
      {grpc::StatusCode::UNAUTHENTICATED, {"unauthenticated", 401}}};
  for (const auto& [code, expected] : names) {
    const ConnectError error = MakeConnectError(grpc::Status(code, "why"));
    const auto body = nlohmann::json::parse(error.body);
    EXPECT_EQ(body["code"], expected.first);
    EXPECT_EQ(body["message"], "why");
    EXPECT_FALSE(body.contains("details"));
    EXPECT_EQ(error.http_status, expected.second) << expected.first;
    EXPECT_EQ(error.retry_after_s, 0);
  }
  const ConnectError strange = MakeConnectError(grpc::Status(static_cast<grpc::StatusCode>(31), ""));
  EXPECT_EQ(nlohmann::json::parse(strange.body)["code"], "unknown");
}

TEST(ConnectError, CarriesDetailsAndWhenToTryAgain) {
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(3);
  google::rpc::Status packed;
  packed.add_details()->PackFrom(retry);
  const ConnectError error =
      MakeConnectError(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "later", packed.SerializeAsString()));
  EXPECT_EQ(error.retry_after_s, 4);  // a whole second that is surely over
  const auto detail = nlohmann::json::parse(error.body)["details"][0];
  EXPECT_EQ(detail["type"], "google.rpc.RetryInfo");
  std::string value = detail["value"];
  EXPECT_EQ(value.find('='), std::string::npos);  // base64 without padding
  while (value.size() % 4 != 0) value += '=';
  std::string bytes;
  ASSERT_TRUE(absl::Base64Unescape(value, &bytes));
  EXPECT_EQ(bytes, retry.SerializeAsString());
}

TEST(ConnectError, IsJsonWhateverBytesTheMessageHolds) {
  const ConnectError error = MakeConnectError(grpc::Status(grpc::StatusCode::INTERNAL, "\xff\"\n\\"));
  EXPECT_TRUE(nlohmann::json::accept(error.body)) << error.body;
}

}  // namespace
}  // namespace bebr
