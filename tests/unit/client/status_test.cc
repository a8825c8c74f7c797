#include "client/status.h"

#include <gtest/gtest.h>

#include "client/client.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace bebr {
namespace {

TEST(FromGrpc, KeepsCodeMessageAndDetails) {
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(2);
  google::rpc::Status details;
  details.add_details()->PackFrom(retry);
  const absl::Status status =
      FromGrpc(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "full", details.SerializeAsString()));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "full");
  google::rpc::RetryInfo got;
  ASSERT_TRUE(got.ParseFromString(std::string(*status.GetPayload("type.googleapis.com/google.rpc.RetryInfo"))));
  EXPECT_EQ(got.retry_delay().seconds(), 2);
  EXPECT_TRUE(MayPassLater(status));

  EXPECT_TRUE(FromGrpc(grpc::Status::OK).ok());
  EXPECT_EQ(FromGrpc(grpc::Status(grpc::StatusCode::NOT_FOUND, "no", "\xFF no details")).message(), "no");
}

TEST(MayPassLater, TellsWhatWaitingHelps) {
  EXPECT_TRUE(MayPassLater(absl::UnavailableError("")));
  EXPECT_TRUE(MayPassLater(absl::DeadlineExceededError("")));
  EXPECT_FALSE(MayPassLater(absl::ResourceExhaustedError("memory")));
  EXPECT_FALSE(MayPassLater(absl::NotFoundError("")));
  EXPECT_FALSE(MayPassLater(absl::OkStatus()));
}

}  // namespace
}  // namespace bebr
