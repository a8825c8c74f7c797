#include "server/net/sockets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <string>
#include <utility>

#include "absl/strings/str_format.h"

namespace bebr {
namespace {

using ::testing::HasSubstr;

TEST(ListenOn, TakesAFreePortAndNoPortTwice) {
  const auto first = ListenOn("listen", "127.0.0.1:0");
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_EQ(first->sockets.size(), 1u);
  EXPECT_GT(first->port, 0);
  const auto second = ListenOn("listen", absl::StrFormat("127.0.0.1:%d", first->port));
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(second.status().message(), HasSubstr(absl::StrFormat("listen \"127.0.0.1:%d\"", first->port)));
}

TEST(ListenOn, ClosesWhatItListenedOn) {
  int port = 0;
  {
    const auto listening = ListenOn("listen", "127.0.0.1:0");
    ASSERT_TRUE(listening.ok()) << listening.status();
    port = listening->port;
  }
  EXPECT_TRUE(ListenOn("listen", absl::StrFormat("127.0.0.1:%d", port)).ok());
}

TEST(ListenOn, AnAddressThatThereIsNotIsNamed) {
  for (const char* address : {"no-such-host.invalid:0", "[::zz]:0", "127.0.0.1:no-service", "192.0.2.1:0"}) {
    const auto listening = ListenOn("metrics_listen", address);
    EXPECT_EQ(listening.status().code(), absl::StatusCode::kUnavailable) << address;
    EXPECT_THAT(listening.status().message(), HasSubstr(absl::StrFormat("metrics_listen \"%s\"", address)));
  }
}

TEST(Descriptor, IsClosedOnceByItsLastOwner) {
  int fd = -1;
  {
    Descriptor first(socket(AF_INET, SOCK_STREAM, 0));
    fd = first.get();
    const Descriptor second = std::move(first);
    EXPECT_EQ(first.get(), -1);  // NOLINT: moved from
    EXPECT_EQ(second.get(), fd);
  }
  int type = 0;
  socklen_t size = sizeof(type);
  EXPECT_NE(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size), 0);
}

}  // namespace
}  // namespace bebr
