#include "server/access/auth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "absl/strings/escaping.h"
#include "index/base/retry.h"

namespace bebr {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Entry(const std::string& name, const std::string& role, const std::string& more = "") {
  const Sha256 hash = HashKey(name + "-key");
  return R"({"name": ")" + name + R"(", "role": ")" + role + R"(", "sha256": ")" +
         absl::BytesToHexString(std::string(hash.begin(), hash.end())) + '"' + more + "}";
}

class AuthenticatorTest : public ::testing::Test {
 protected:
  AuthenticatorTest() : file_(::testing::TempDir() + "/keys-" + std::to_string(getpid()) + ".json") {
    Write(Entry("reader", "read", R"(, "collections": ["papers"])") + "," + Entry("admin", "admin") + "," +
          Entry("slow", "write", R"(, "requests_per_s": 1)"));
    authenticator_ = *Authenticator::Create(file_);
  }
  ~AuthenticatorTest() override { std::remove(file_.c_str()); }
  void Write(const std::string& entries) { std::ofstream(file_) << R"({"keys": [)" << entries << "]}"; }

  const std::string file_;
  std::unique_ptr<Authenticator> authenticator_;
};

TEST(Authenticator, NeedsAReadableKeysFile) {
  EXPECT_THAT(std::string(Authenticator::Create("/nonexistent/keys").status().message()),
              HasSubstr("/nonexistent/keys"));
}

TEST(Authenticator, WithoutKeysAnybodyMayDoEverything) {
  const auto authenticator = *Authenticator::Create("");
  const Identity anybody = *authenticator->Identify("");
  EXPECT_TRUE(anybody.MayDo(Role::kAdmin).ok());
  EXPECT_TRUE(anybody.MayUse("papers", "papers").ok());
  EXPECT_TRUE(anybody.Charge(1 << 30).ok());
  EXPECT_EQ(anybody.name(), "none");
}

TEST_F(AuthenticatorTest, TellsKeysApart) {
  EXPECT_EQ(authenticator_->Identify("").status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(authenticator_->Identify("other-key").status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(authenticator_->Identify("reader-key")->name(), "reader");
  EXPECT_EQ(authenticator_->Identify("admin-key")->name(), "admin");
}

TEST_F(AuthenticatorTest, RolesAndCollections) {
  const Identity reader = *authenticator_->Identify("reader-key");
  EXPECT_TRUE(reader.MayDo(Role::kRead).ok());
  EXPECT_EQ(reader.MayDo(Role::kWrite).code(), absl::StatusCode::kPermissionDenied);
  EXPECT_TRUE(reader.MayUse("papers", "an-alias").ok());
  EXPECT_TRUE(reader.MayUse("", "").ok());
  // What the alias stands for is not said.
  const absl::Status denied = reader.MayUse("secret", "an-alias");
  EXPECT_EQ(denied.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(denied.message()), HasSubstr("an-alias"));
  EXPECT_THAT(std::string(denied.message()), Not(HasSubstr("secret")));
  EXPECT_TRUE(authenticator_->Identify("admin-key")->MayUse("secret", "secret").ok());
}

TEST_F(AuthenticatorTest, ReadingTheFileAgainKeepsWhatIsLeftOfTheRates) {
  EXPECT_TRUE(authenticator_->Identify("slow-key")->Charge(1).ok());
  ASSERT_TRUE(authenticator_->Reload().ok());
  const absl::Status refused = authenticator_->Identify("slow-key")->Charge(1);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_GT(RetryDelayOf(refused), absl::ZeroDuration());
}

TEST_F(AuthenticatorTest, AFileThatIsNotValidChangesNothing) {
  std::ofstream(file_) << "{";
  EXPECT_EQ(authenticator_->Reload().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(authenticator_->Identify("admin-key").ok());
  Write(Entry("next", "admin"));
  EXPECT_TRUE(authenticator_->Reload().ok());
  EXPECT_EQ(authenticator_->Identify("admin-key").status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_TRUE(authenticator_->Identify("next-key").ok());
}

}  // namespace
}  // namespace bebr
