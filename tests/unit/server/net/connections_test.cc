#include "server/net/connections.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "server/net/sockets.h"

namespace bebr {
namespace {

sockaddr_storage Address(const char* host, int port) {
  sockaddr_storage address{};
  auto& v4 = reinterpret_cast<sockaddr_in&>(address);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(address);
  if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(static_cast<uint16_t>(port));
  } else {
    EXPECT_EQ(inet_pton(AF_INET6, host, &v6.sin6_addr), 1) << host;
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(static_cast<uint16_t>(port));
  }
  return address;
}

TEST(PeerName, IsGrpcsOwn) {
  EXPECT_EQ(PeerName(Address("10.0.0.1", 4711)), "ipv4:10.0.0.1:4711");
  EXPECT_EQ(PeerName(Address("::ffff:10.0.0.1", 4711)), "ipv4:10.0.0.1:4711");
  EXPECT_EQ(PeerName(Address("2001:db8::1", 80)), "ipv6:%5B2001:db8::1%5D:80");
  sockaddr_storage local = Address("fe80::1", 80);
  reinterpret_cast<sockaddr_in6&>(local).sin6_scope_id = 2;
  EXPECT_EQ(PeerName(local), "ipv6:%5Bfe80::1%252%5D:80");
}

// Real connections over loopback; the test holds both ends.
class ConnectionsTest : public ::testing::Test {
 protected:
  struct Pair {
    std::unique_ptr<Descriptor> client, server;
    std::string peer;
  };

  // Connects, and adds the server's end.
  Pair Connect(bool added = true) { return Connect(connections_, added); }
  Pair Connect(Connections& connections, bool added = true) {
    sockaddr_storage address = Address("127.0.0.1", listening_.port);
    Pair pair;
    pair.client = std::make_unique<Descriptor>(socket(AF_INET, SOCK_STREAM, 0));
    EXPECT_EQ(connect(pair.client->get(), reinterpret_cast<sockaddr*>(&address), sizeof(sockaddr_in)), 0);
    pollfd ready{.fd = listening_.sockets[0].get(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(poll(&ready, 1, 60000), 1);
    socklen_t size = sizeof(address);
    pair.server =
        std::make_unique<Descriptor>(accept(listening_.sockets[0].get(), reinterpret_cast<sockaddr*>(&address), &size));
    pair.peer = PeerName(address);
    EXPECT_EQ(connections.Add(pair.server->get(), address, now_), added);
    return pair;
  }

  // Sends it whole; the server's end reads it.
  static void Send(const Pair& pair, size_t bytes) {
    std::vector<char> buffer(64 << 10);
    while (bytes > 0) {
      const ssize_t sent = send(pair.client->get(), buffer.data(), std::min(bytes, buffer.size()), MSG_NOSIGNAL);
      ASSERT_GT(sent, 0);
      ASSERT_EQ(recv(pair.server->get(), buffer.data(), static_cast<size_t>(sent), MSG_WAITALL), sent);
      bytes -= static_cast<size_t>(sent);
    }
  }

  // Whether the client was cut off. One that was not would wait.
  static bool Closed(const Pair& pair) {
    char byte = 0;
    const ssize_t got = recv(pair.client->get(), &byte, 1, MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN);
  }

  double ClosedFor(const char* reason) { return metrics_.ClosedStranger(reason).Value(); }

  static constexpr size_t kMost = 11;  // of which strangers have 3
  static constexpr CallLimits kMostCalls{.known = 200, .stranger = 100};

  Metrics metrics_;
  Connections connections_{kMost, kMostCalls, &metrics_};
  const ListeningSockets listening_ = *ListenOn("listen", "127.0.0.1:0");
  SteadyTime now_ = absl::Hours(10);
};

TEST_F(ConnectionsTest, StrangersHaveAQuarterAndTheMostSilentGoesFirst) {
  std::vector<Pair> strangers;
  for (int i = 0; i < 3; ++i) strangers.push_back(Connect());
  connections_.Greeted(strangers[0].peer, now_ + absl::Seconds(1));  // no longer the most silent
  const Pair next = Connect();
  EXPECT_TRUE(Closed(strangers[1]));
  EXPECT_FALSE(Closed(strangers[0]) || Closed(strangers[2]) || Closed(next));
  EXPECT_EQ(connections_.size(), 4u);  // until gRPC closes its socket
  strangers[1].server.reset();
  connections_.Forget();
  EXPECT_EQ(connections_.size(), 3u);
  EXPECT_EQ(ClosedFor("room"), 1);
}

TEST_F(ConnectionsTest, KnownOnesMakeRoomForStrangersUntilThereAreTooMany) {
  std::vector<Pair> known;
  for (size_t i = 0; i < kMost; ++i) {
    known.push_back(Connect());
    connections_.Known(known.back().peer);
  }
  connections_.Look(now_);
  EXPECT_GT(connections_.look_interval(), absl::Milliseconds(100));  // there is no stranger to look at
  const Pair refused = Connect(/*added=*/false);
  EXPECT_EQ(connections_.size(), kMost);
  for (const Pair& open : known) EXPECT_FALSE(Closed(open));
  known[3].server.reset();
  known[3].client.reset();
  connections_.Forget();
  EXPECT_EQ(connections_.size(), kMost - 1);
  const Pair taken = Connect();
  EXPECT_EQ(connections_.size(), kMost);
}

TEST_F(ConnectionsTest, SilenceEndsAStrangerButNotAKnownOne) {
  const Pair silent = Connect(), greeted = Connect(), known = Connect();
  connections_.Known(known.peer);
  connections_.Greeted(greeted.peer, now_ + absl::Seconds(30));
  connections_.Look(now_ + Connections::kStrangerSilence);
  EXPECT_FALSE(Closed(silent));
  connections_.Look(now_ + Connections::kStrangerSilence + absl::Seconds(1));
  EXPECT_TRUE(Closed(silent));
  EXPECT_FALSE(Closed(greeted));
  connections_.Look(now_ + absl::Hours(1));
  EXPECT_TRUE(Closed(greeted));
  EXPECT_FALSE(Closed(known));
  EXPECT_EQ(ClosedFor("silence"), 2);
}

TEST_F(ConnectionsTest, TooManyBytesEndAStrangerAfterASecondOrAtOnceWhereItWasSoBefore) {
  const Pair first = Connect(), known = Connect();
  connections_.Known(known.peer);
  Send(first, Connections::kStrangerBytes + 1);
  Send(known, 2 * Connections::kMostStrangerBytes);
  connections_.Look(now_);
  EXPECT_FALSE(Closed(first));  // its first call may be on its way to the door
  connections_.Look(now_ + absl::Seconds(2));
  EXPECT_TRUE(Closed(first));
  EXPECT_FALSE(Closed(known));
  now_ += absl::Seconds(3);
  const Pair second = Connect();  // of the same host
  Send(second, Connections::kStrangerBytes + 1);
  connections_.Look(now_);
  EXPECT_TRUE(Closed(second));
  EXPECT_EQ(ClosedFor("bytes"), 2);
}

TEST_F(ConnectionsTest, AFloodEndsAtOnceAndAGreetingAllowsALittleMore) {
  const Pair flood = Connect(), greeted = Connect();
  Send(flood, Connections::kMostStrangerBytes + 1);
  Send(greeted, Connections::kStrangerBytes);
  connections_.Greeted(greeted.peer, now_);
  Send(greeted, Connections::kGreetingBytes);
  connections_.Look(now_);
  EXPECT_TRUE(Closed(flood));
  EXPECT_FALSE(Closed(greeted));
  Send(greeted, 1);
  connections_.Look(now_);  // strict by now: its host has sent a flood
  EXPECT_TRUE(Closed(greeted));
}

TEST_F(ConnectionsTest, FewStrangersAreHeavyAtATime) {
  Connections many(4 * (Connections::kMostHeavy + 4), kMostCalls, &metrics_);
  std::vector<Pair> strangers;
  for (size_t i = 0; i < Connections::kMostHeavy + 2; ++i) {
    strangers.push_back(Connect(many));
    // All but the first say more than a greeting, each more than the last.
    Send(strangers.back(), i == 0 ? Connections::kHeavyBytes : Connections::kHeavyBytes + i);
  }
  many.Look(now_);
  EXPECT_EQ(ClosedFor("bytes"), 0);  // their calls may be on their way to the door
  many.Look(now_ + Connections::kHeavyTime);
  for (size_t i = 0; i < strangers.size(); ++i) EXPECT_EQ(Closed(strangers[i]), i + 1 == strangers.size()) << i;
  EXPECT_EQ(ClosedFor("bytes"), 1);
  EXPECT_LE(many.look_interval(), absl::Milliseconds(10));
}

TEST_F(ConnectionsTest, IsCrowdedUntilWhatItClosedIsGone) {
  Connections many(1000, kMostCalls, &metrics_);
  std::vector<Pair> strangers;
  for (size_t i = 0; i < Connections::kMostClosing; ++i) strangers.push_back(Connect(many));
  EXPECT_FALSE(many.Crowded());
  many.Look(now_ + absl::Hours(1));
  EXPECT_EQ(ClosedFor("silence"), static_cast<double>(Connections::kMostClosing));
  EXPECT_TRUE(many.Crowded());
  EXPECT_EQ(many.size(), Connections::kMostClosing);  // as long as their sockets are open
  strangers.pop_back();
  EXPECT_FALSE(many.Crowded());
  many.Forget();
  EXPECT_EQ(many.size(), Connections::kMostClosing - 1);
}

TEST_F(ConnectionsTest, CallsThatDoNotEndEndTheirConnection) {
  const Pair stranger = Connect(), known = Connect();
  connections_.Known(known.peer);
  ASSERT_EQ(send(stranger.client->get(), "more calls", 10, MSG_NOSIGNAL), 10);
  for (int i = 0; i < 1000; ++i) {  // one after the other
    connections_.Begun(stranger.peer);
    connections_.Ended(stranger.peer);
  }
  for (size_t i = 0; i < kMostCalls.stranger; ++i) {
    connections_.Begun(stranger.peer);
    connections_.Begun(known.peer);
  }
  EXPECT_FALSE(Closed(stranger));
  connections_.Begun(stranger.peer);
  EXPECT_TRUE(Closed(stranger));
  char text[10];
  EXPECT_LE(recv(stranger.server->get(), text, sizeof(text), MSG_DONTWAIT), 0);  // nothing of it is read any more
  connections_.Ended(stranger.peer);                                             // of a connection that is gone
  for (size_t i = kMostCalls.stranger; i < kMostCalls.known; ++i) connections_.Begun(known.peer);
  EXPECT_FALSE(Closed(known));
  connections_.Begun(known.peer);
  EXPECT_TRUE(Closed(known));
  EXPECT_EQ(ClosedFor("calls"), 2);
}

TEST_F(ConnectionsTest, CallsThatAreReadAndDoNotBeginEndTheirConnection) {
  Connections others(kMost, kMostCalls, &metrics_);
  const Pair one = Connect(), other = Connect(), none = Connect(others);
  ASSERT_EQ(send(one.client->get(), "more calls", 10, MSG_NOSIGNAL), 10);
  connections_.ReadAhead(none.server->get());  // of another server in this process
  connections_.ReadAhead(-1);
  EXPECT_FALSE(Closed(none));
  connections_.ReadAhead(one.server->get());
  EXPECT_TRUE(Closed(one));
  EXPECT_FALSE(Closed(other));
  char text[10];
  EXPECT_LE(recv(one.server->get(), text, sizeof(text), MSG_DONTWAIT), 0);  // nothing of it is read any more
  connections_.ReadAhead(one.server->get());                                // of a connection that is gone
  EXPECT_EQ(ClosedFor("calls"), 1);
}

TEST_F(ConnectionsTest, CloseFreeLeavesThoseWithACallOrWithBytesToTake) {
  const Pair busy = Connect(), free = Connect();
  connections_.CloseFree([&](std::string_view peer) { return peer == busy.peer; });
  EXPECT_FALSE(Closed(busy));
  EXPECT_TRUE(Closed(free));
  // Until its peer has taken what was written to it.
  std::vector<char> much(1 << 20);
  ASSERT_EQ(fcntl(busy.server->get(), F_SETFL, O_NONBLOCK), 0);
  while (send(busy.server->get(), much.data(), much.size(), MSG_NOSIGNAL) > 0) {
  }
  connections_.CloseFree([](std::string_view) { return false; });
  pollfd writable{.fd = busy.client->get(), .events = POLLRDHUP, .revents = 0};
  EXPECT_EQ(poll(&writable, 1, 0), 0);
}

TEST_F(ConnectionsTest, CloseAllEndsThemOnceTheirPeersHaveWhatWasWritten) {
  const Pair pair = Connect();
  ASSERT_EQ(send(pair.server->get(), "bye", 3, MSG_NOSIGNAL), 3);
  connections_.CloseAll([] { return true; });
  char text[4] = {};
  ASSERT_EQ(recv(pair.client->get(), text, 3, MSG_WAITALL), 3);
  EXPECT_STREQ(text, "bye");
  EXPECT_EQ(recv(pair.client->get(), text, 1, 0), 0);  // an end, no reset
  // Or once nobody waits.
  const Pair slow = Connect();
  std::vector<char> much(1 << 20);
  ASSERT_EQ(fcntl(slow.server->get(), F_SETFL, O_NONBLOCK), 0);
  while (send(slow.server->get(), much.data(), much.size(), MSG_NOSIGNAL) > 0) {
  }
  int asked = 0;
  connections_.CloseAll([&] { return ++asked < 3; });
  EXPECT_EQ(asked, 3);
}

TEST_F(ConnectionsTest, ANumberThatBelongsToAnotherSocketNowIsLeftAlone) {
  Pair gone = Connect();
  const int fd = gone.server->get();
  Descriptor other(socket(AF_INET, SOCK_STREAM, 0));
  ASSERT_EQ(dup2(other.get(), fd), fd);  // the old one is closed, its number taken
  connections_.Look(now_ + absl::Hours(1));
  EXPECT_EQ(ClosedFor("silence"), 0);
  connections_.Forget();
  EXPECT_EQ(connections_.size(), 0u);
}

}  // namespace
}  // namespace bebr
