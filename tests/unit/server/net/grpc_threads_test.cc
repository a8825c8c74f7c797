#include "server/net/grpc_threads.h"

#include <grpcpp/generic/async_generic_service.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>
#include <vector>

namespace bebr {
namespace {

struct Pair {
  Pair() { EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0); }
  ~Pair() {
    for (const int end : ends) close(end);
  }
  int socket() const { return ends[0]; }
  // As gRPC does.
  void Read() const {
    char text[1];
    iovec part{.iov_base = text, .iov_len = sizeof(text)};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    EXPECT_EQ(write(ends[1], "x", 1), 1);
    EXPECT_EQ(recvmsg(ends[0], &message, 0), 1);
  }
  int ends[2];
};

TEST(ReadAhead, TellsFromWhereMoreIsReadThanBegun) {
  EXPECT_TRUE(KeepWorkOnItsThread());
  const Pair one, other;
  std::vector<int> exceeded;
  ReadAhead ahead(3, [&](int socket) { exceeded.push_back(socket); });
  std::vector<grpc::GenericCallbackServerContext*> waiting;  // given back as gRPC does, by their base
  const auto calls = [&](int number) {
    for (int i = 0; i < number; ++i) waiting.push_back(ahead.NewGenericCallbackServerContext());
  };
  const auto begin = [&] {
    for (auto* call : waiting) ReadAhead::Begun(call);
    for (grpc::CallbackServerContext* call : waiting) ahead.Release(call);
    waiting.clear();
  };
  std::thread([&] {
    std::thread([&] { one.Read(); }).join();
    calls(10);
    EXPECT_TRUE(exceeded.empty()) << "this thread has read nothing: they are calls within the process";
  }).join();
  // Whoever reads, and whoever begins.
  std::thread([&] {
    one.Read();
    calls(3);
    other.Read();
    calls(3);
  }).join();
  begin();
  std::thread([&] {
    one.Read();
    calls(2);
    other.Read();
    calls(3);
  }).join();
  EXPECT_TRUE(exceeded.empty());
  std::thread([&] {
    one.Read();
    calls(3);
  }).join();
  EXPECT_EQ(exceeded, std::vector<int>({one.socket(), one.socket()}));
  for (grpc::CallbackServerContext* call : waiting) ahead.Release(call);  // they never begin
  exceeded.clear();
  waiting.clear();
  one.Read();
  calls(3);
  EXPECT_TRUE(exceeded.empty());
  begin();
}

}  // namespace
}  // namespace bebr
