#include "server/rpc/methods.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bebr/node/v1/node.pb.h"
#include "bebr/v1/admin.pb.h"
#include "bebr/v1/cluster.pb.h"
#include "bebr/v1/collections.pb.h"
#include "bebr/v1/documents.pb.h"
#include "bebr/v1/search.pb.h"
#include "grpc/health/v1/health.pb.h"
#include "grpc/reflection/v1/reflection.pb.h"

namespace bebr {
namespace {

// What the .proto files declare is what the table has, with the same messages and the same kinds of streams.
void ExpectDeclared(std::vector<Method> all, std::vector<const google::protobuf::FileDescriptor*> files) {
  std::map<std::string, Method> methods;
  for (Method& method : all) {
    const std::string path = method.path;
    EXPECT_TRUE(methods.emplace(path, std::move(method)).second) << path << " is there twice";
  }
  size_t declared = 0;
  files.insert(files.end(),
               {v1::GetStatsRequest::descriptor()->file(), v1::JoinNodeRequest::descriptor()->file(),
                v1::Collection::descriptor()->file(), v1::GetRequest::descriptor()->file(),
                v1::SearchRequest::descriptor()->file(), grpc::health::v1::HealthCheckRequest::descriptor()->file(),
                grpc::reflection::v1::ServerReflectionRequest::descriptor()->file()});
  for (const auto* file : files) {
    for (int i = 0; i < file->service_count(); ++i) {
      for (int j = 0; j < file->service(i)->method_count(); ++j) {
        const auto* descriptor = file->service(i)->method(j);
        const auto found = methods.find("/" + file->service(i)->full_name() + "/" + descriptor->name());
        ASSERT_NE(found, methods.end()) << descriptor->full_name() << " has no entry";
        const Method& method = found->second;
        EXPECT_EQ(method.request, descriptor->input_type()) << method.path;
        EXPECT_EQ(method.response, descriptor->output_type()) << method.path;
        EXPECT_EQ(method.client_streams, descriptor->client_streaming()) << method.path;
        EXPECT_EQ(method.server_streams, descriptor->server_streaming()) << method.path;
        EXPECT_TRUE(method.make) << method.path;
        ++declared;
      }
    }
  }
  EXPECT_EQ(methods.size(), declared + 1);  // and reflection under its older name
}

TEST(AllMethods, AreThoseOfTheServices) {
  HealthState health;
  const NodePlace node{.name = "a", .address = "here", .last_slot = kClusterSlots - 1};
  ExpectDeclared(AllMethods(&health), {});
  ExpectDeclared(AllMethods(&health, &node), {node::v1::GetStateRequest::descriptor()->file()});
}

TEST(AllMethods, OfNodesNeedAnAdministratorsKey) {
  HealthState health;
  const NodePlace node{.name = "a", .address = "here", .last_slot = kClusterSlots - 1};
  for (const Method& method : AllMethods(&health, &node)) {
    EXPECT_TRUE(method.path.rfind("/bebr.node.", 0) != 0 || method.role == Role::kAdmin) << method.path;
  }
}

TEST(AllMethods, OnlyHealthNeedsNoKey) {
  HealthState health;
  for (const Method& method : AllMethods(&health)) {
    EXPECT_EQ(method.role.has_value(), method.path.rfind("/grpc.health.", 0) != 0) << method.path;
    EXPECT_TRUE(method.role != Role::kAdmin || method.audited) << method.path;
  }
}

TEST(ApiLimits, AreOfFieldsThatExist) {
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  for (const auto& [name, limit] : ApiLimits()) {
    const auto* field = pool->FindFieldByName(name);
    ASSERT_NE(field, nullptr) << name;
    EXPECT_TRUE(field->is_repeated()) << name;
    EXPECT_GT(limit, 0u);
  }
}

}  // namespace
}  // namespace bebr
