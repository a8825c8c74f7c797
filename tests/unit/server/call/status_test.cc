#include "server/call/status.h"

#include <gtest/gtest.h>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "index/base/retry.h"
#include "server/call/hidden_paths.h"

namespace bebr {
namespace {

google::rpc::Status DetailsOf(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  return details;
}

TEST(ToGrpcStatus, KeepsEveryCodeAndMessage) {
  for (int code = 1; code <= 16; ++code) {
    const grpc::Status status = ToGrpcStatus(absl::Status(static_cast<absl::StatusCode>(code), "what is wrong"));
    EXPECT_EQ(status.error_code(), code);
    EXPECT_EQ(status.error_message(), "what is wrong");
    EXPECT_EQ(DetailsOf(status).code(), code);
  }
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
}

TEST(ToGrpcStatus, NamesTheFieldOfABadRequest) {
  const std::string message = "documents[3].id has 600 bytes; the limit is 512";
  const auto details = DetailsOf(ToGrpcStatus(absl::InvalidArgumentError(message)));
  ASSERT_EQ(details.details_size(), 1);
  google::rpc::BadRequest bad;
  ASSERT_TRUE(details.details(0).UnpackTo(&bad));
  ASSERT_EQ(bad.field_violations_size(), 1);
  EXPECT_EQ(bad.field_violations(0).field(), "documents[3].id");
  EXPECT_EQ(bad.field_violations(0).description(), message);
}

TEST(ToGrpcStatus, NamesOnlyFieldsOfTheApi) {
  EXPECT_EQ(LeadingField("filter, position 7: a value is missing"), "filter");
  EXPECT_EQ(LeadingField("queries[2].embedding[0] is nan"), "queries[2].embedding[0]");
  EXPECT_EQ(LeadingField("auto_binarizer.recall is 2; it is less than 1"), "auto_binarizer.recall");
  EXPECT_EQ(LeadingField("the request has query and like; set one of them"), "");
  EXPECT_EQ(LeadingField("band 3 has 9 levels; a band has 1 to 8"), "");
  EXPECT_EQ(LeadingField("filter"), "");
}

TEST(ToGrpcStatus, SaysWhenToTryAgain) {
  const auto details = DetailsOf(ToGrpcStatus(TryAgainLater("the queue is full")));
  ASSERT_EQ(details.details_size(), 1);
  google::rpc::RetryInfo retry;
  ASSERT_TRUE(details.details(0).UnpackTo(&retry));
  EXPECT_GT(retry.retry_delay().nanos(), 0);
}

TEST(ToGrpcStatus, SaysNothingOfTryingAgainWhereWaitingDoesNotHelp) {
  EXPECT_EQ(DetailsOf(ToGrpcStatus(absl::ResourceExhaustedError("k is too large"))).details_size(), 0);
}

TEST(ToGrpcStatus, PassesTheTimeToWaitOn) {
  const absl::Status status = TryAgainLater("slow down", absl::Milliseconds(2750));
  EXPECT_EQ(RetryDelayOf(status), absl::Milliseconds(2750));
  EXPECT_EQ(RetryDelayOf(absl::ResourceExhaustedError("the queue is full")), absl::ZeroDuration());
  google::rpc::RetryInfo retry;
  ASSERT_TRUE(DetailsOf(ToGrpcStatus(status)).details(0).UnpackTo(&retry));
  EXPECT_EQ(retry.retry_delay().seconds(), 2);
  EXPECT_EQ(retry.retry_delay().nanos(), 750'000'000);
}

TEST(ToGrpcStatus, BoundsTheMessage) {
  const auto status = ToGrpcStatus(absl::InvalidArgumentError("filter " + std::string(100000, 'x')));
  EXPECT_LE(status.error_message().size(), 1024u);
  EXPECT_LE(status.error_details().size(), 8192u);
}

TEST(ToGrpcStatus, CutsBetweenCharacters) {
  for (const size_t shift : {0, 1}) {
    std::string text(shift, 'x');
    for (int i = 0; i < 600; ++i) text += "é";
    const auto status = ToGrpcStatus(absl::InvalidArgumentError(text));
    EXPECT_EQ(status.error_message().size(), 1024u - shift);
    EXPECT_EQ(DetailsOf(status).message(), status.error_message());
  }
}

TEST(ToGrpcStatus, NamesNoPathOfThisMachine) {
  HidePaths({"/var/lib/bebr/", "/var/lib/bebr/snapshots", "data", "/"});
  const auto shown = [](const char* text) { return ToGrpcStatus(absl::UnavailableError(text)).error_message(); };
  EXPECT_EQ(shown("storage at /var/lib/bebr/collections/c: cannot open /var/lib/bebr/collections/c/000012.sst"),
            "storage at collections/c: cannot open collections/c/000012.sst");
  EXPECT_EQ(shown("/var/lib/bebr/snapshots/c/first is damaged"), "c/first is damaged");
  EXPECT_EQ(shown("the disk of /var/lib/bebr is full"), "the disk of the data directory is full");
  EXPECT_EQ(shown("metadata/x of 1/2 is as it was"), "metadata/x of 1/2 is as it was");
  HidePaths({});
}

TEST(LeadingField, IsAPathFollowedByText) {
  EXPECT_EQ(LeadingField("k is 0; the limits are 1 and 10000"), "k");
  EXPECT_EQ(LeadingField("query.float16 has 3 bytes"), "query.float16");
  EXPECT_EQ(LeadingField("documents[0].attributes[\"a\"] is NaN"), "");
  EXPECT_EQ(LeadingField("filter: unexpected end"), "filter");
  EXPECT_EQ(LeadingField("Something else"), "");
  EXPECT_EQ(LeadingField("word"), "");
  EXPECT_EQ(LeadingField(""), "");
}

}  // namespace
}  // namespace bebr
