// Who may call what: every method of the API with every kind of key. The methods are those of the .proto files: one
// that is new and not told about here fails.
#include <google/protobuf/descriptor.h>

#include <functional>
#include <map>

#include "absl/time/clock.h"
#include "bebr/v1/admin.pb.h"
#include "bebr/v1/cluster.pb.h"
#include "bebr/v1/collections.pb.h"
#include "bebr/v1/documents.pb.h"
#include "bebr/v1/search.pb.h"
#include "tests/integration/raw_call.h"
#include "tests/integration/tls_fixture.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

enum Role { kRead, kWrite, kAdmin };
const char* const kRoles[] = {"read", "write", "admin"};

// What a method needs, and a request about a collection; one that names none has no such request.
struct Rule {
  Role role;
  std::function<std::string(const std::string& collection)> request = nullptr;
  // Of requests that name two: the collection is the second, the first one is "mine".
  std::function<std::string(const std::string& collection)> second = nullptr;
  bool of_all = false;  // not for keys that are for some collections alone
};

template <typename Request>
std::string OfCollection(const std::string& collection) {
  Request request;
  request.set_collection(collection);
  return request.SerializeAsString();
}
template <typename Request>
std::string OfName(const std::string& collection) {
  Request request;
  request.set_name(collection);
  return request.SerializeAsString();
}

std::string Creation(const std::string& collection) {
  v1::CreateCollectionRequest request;
  request.mutable_config()->set_name(collection);
  return request.SerializeAsString();
}
std::string Addition(const std::string& collection) {
  v1::AddVersionRequest request;
  request.mutable_config()->set_collection(collection);
  return request.SerializeAsString();
}
std::string AliasFor(const std::string& collection) {
  v1::SetAliasRequest request;
  request.mutable_alias()->set_name("mine");
  request.mutable_alias()->set_collection(collection);
  return request.SerializeAsString();
}
// Also a name that nothing has yet.
std::string AliasNamed(const std::string& name) {
  v1::SetAliasRequest request;
  request.mutable_alias()->set_name(name);
  request.mutable_alias()->set_collection("mine");
  return request.SerializeAsString();
}
std::string RestorationInto(const std::string& collection) {
  v1::RestoreSnapshotRequest request;
  request.set_collection("mine");
  request.set_name("s");
  request.set_new_collection(collection);
  return request.SerializeAsString();
}

const std::map<std::string, Rule>& Rules() {
  static const auto* const rules = new std::map<std::string, Rule>{
      {"/bebr.v1.AdminService/GetStats", {kRead}},
      {"/bebr.v1.AdminService/GetCluster", {kAdmin}},
      {"/bebr.v1.AdminService/VerifyCluster", {kAdmin, OfCollection<v1::VerifyClusterRequest>}},
      {"/bebr.v1.AdminService/EstimateMemory", {kRead, OfCollection<v1::EstimateMemoryRequest>}},
      {"/bebr.v1.AdminService/CreateSnapshot", {kAdmin, OfCollection<v1::CreateSnapshotRequest>}},
      {"/bebr.v1.AdminService/ListSnapshots", {kRead, OfCollection<v1::ListSnapshotsRequest>}},
      {"/bebr.v1.AdminService/RestoreSnapshot", {kAdmin, OfCollection<v1::RestoreSnapshotRequest>, RestorationInto}},
      {"/bebr.v1.AdminService/DeleteSnapshot", {kAdmin, OfCollection<v1::DeleteSnapshotRequest>}},
      {"/bebr.v1.ClusterService/JoinNode", {kAdmin, nullptr, nullptr, true}},
      {"/bebr.v1.ClusterService/DrainNode", {kAdmin, nullptr, nullptr, true}},
      {"/bebr.v1.CollectionService/CreateCollection", {kAdmin, Creation}},
      {"/bebr.v1.CollectionService/GetCollection", {kRead, OfName<v1::GetCollectionRequest>}},
      {"/bebr.v1.CollectionService/ListCollections", {kRead}},
      {"/bebr.v1.CollectionService/DeleteCollection", {kAdmin, OfName<v1::DeleteCollectionRequest>}},
      {"/bebr.v1.CollectionService/AddVersion", {kAdmin, Addition}},
      {"/bebr.v1.CollectionService/PromoteVersion", {kAdmin, OfCollection<v1::PromoteVersionRequest>}},
      {"/bebr.v1.CollectionService/RetireVersion", {kAdmin, OfCollection<v1::RetireVersionRequest>}},
      {"/bebr.v1.CollectionService/BackfillVersion", {kAdmin, OfCollection<v1::BackfillVersionRequest>}},
      {"/bebr.v1.CollectionService/CheckVersion", {kAdmin, OfCollection<v1::CheckVersionRequest>}},
      {"/bebr.v1.CollectionService/SetAlias", {kAdmin, AliasFor, AliasNamed}},
      {"/bebr.v1.CollectionService/ListAliases", {kRead}},
      {"/bebr.v1.CollectionService/DeleteAlias", {kAdmin, OfName<v1::DeleteAliasRequest>}},
      {"/bebr.v1.DocumentService/Upsert", {kWrite, OfCollection<v1::UpsertRequest>}},
      {"/bebr.v1.DocumentService/StreamUpsert", {kWrite, OfCollection<v1::StreamUpsertRequest>}},
      {"/bebr.v1.DocumentService/Get", {kRead, OfCollection<v1::GetRequest>}},
      {"/bebr.v1.DocumentService/StreamGet", {kRead, OfCollection<v1::StreamGetRequest>}},
      {"/bebr.v1.DocumentService/Scroll", {kRead, OfCollection<v1::ScrollRequest>}},
      {"/bebr.v1.DocumentService/Count", {kRead, OfCollection<v1::CountRequest>}},
      {"/bebr.v1.DocumentService/Facets", {kRead, OfCollection<v1::FacetRequest>}},
      {"/bebr.v1.DocumentService/Delete", {kWrite, OfCollection<v1::DeleteRequest>}},
      {"/bebr.v1.DocumentService/UpdateAttributes", {kWrite, OfCollection<v1::UpdateAttributesRequest>}},
      {"/bebr.v1.SearchService/Search", {kRead, OfCollection<v1::SearchRequest>}},
      {"/bebr.v1.SearchService/BatchSearch", {kRead, OfCollection<v1::BatchSearchRequest>}}};
  return *rules;
}

class AccessTest : public TlsTest {
 protected:
  void StartServer() {
    std::string more;
    for (const char* role : kRoles) {
      // "mine" does not exist: what is allowed changes nothing.
      more += R"(,{"name": "limited-)" + std::string(role) + R"(", "role": ")" + role +
              R"(", "collections": ["mine"], "sha256": ")" + Sha256Of("limited-" + std::string(role)) + "\"}";
    }
    WriteKeys("admin-key", more);
    Start({"--keys_file", Path("keys.json")});
    channel_ = OwnConnection(server_->address());
    v1::CollectionConfig config;
    config.set_name("secret");
    Client admin({.server = server_->address(), .deadline = absl::Seconds(60), .api_key = "admin-key"});
    ASSERT_TRUE(admin.CreateCollection(config, ModelFile()).ok());
    v1::SetAliasRequest alias;
    alias.mutable_alias()->set_name("door");
    alias.mutable_alias()->set_collection("secret");
    ASSERT_TRUE(admin.SetAlias(alias).ok());
  }

  // The call's status; of a stream of upserts that ends well, that of its message.
  grpc::Status Call(const std::string& path, const std::string& request, const std::string& key) {
    const RawAnswer answer = CallRaw(channel_, path, {request}, key);
    v1::StreamUpsertResponse response;
    if (path != "/bebr.v1.DocumentService/StreamUpsert" || answer.messages.empty() ||
        !response.ParseFromString(answer.messages[0])) {
      return answer.status;
    }
    return grpc::Status(static_cast<grpc::StatusCode>(response.error_code()), response.error_message());
  }
  static bool IsDenied(const grpc::Status& status) {
    return status.error_code() == grpc::StatusCode::UNAUTHENTICATED ||
           status.error_code() == grpc::StatusCode::PERMISSION_DENIED;
  }
  // A key for "mine" alone, and a request about something else.
  void ExpectClosed(const std::string& path, const Rule& rule, const std::string& request, const std::string& named) {
    for (int role = rule.role; role <= kAdmin; ++role) {
      const grpc::Status status = Call(path, request, std::string("limited-") + kRoles[role]);
      EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED) << path << " " << named;
      EXPECT_THAT(status.error_message(), HasSubstr("is not for collection \"" + named + "\"")) << path;
      // What an alias stands for is not told.
      if (named != "secret") {
        EXPECT_THAT(status.error_message(), Not(HasSubstr("secret"))) << path;
      }
    }
  }

  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(AccessTest, EveryMethodOfTheApiHasARule) {
  size_t methods = 0;
  for (const auto* file : {v1::GetStatsRequest::descriptor()->file(), v1::JoinNodeRequest::descriptor()->file(),
                           v1::Collection::descriptor()->file(), v1::GetRequest::descriptor()->file(),
                           v1::SearchRequest::descriptor()->file()}) {
    for (int i = 0; i < file->service_count(); ++i) {
      for (int j = 0; j < file->service(i)->method_count(); ++j) {
        const auto* method = file->service(i)->method(j);
        const std::string path = "/" + file->service(i)->full_name() + "/" + method->name();
        const auto rule = Rules().find(path);
        EXPECT_NE(rule, Rules().end()) << path << " has no rule in this test";
        ++methods;
        if (rule == Rules().end() || rule->second.request != nullptr || rule->second.of_all) continue;
        EXPECT_EQ(method->input_type()->field_count(), 0) << path << " has fields; does one name a collection?";
      }
    }
  }
  EXPECT_EQ(methods, Rules().size());
}

TEST_F(AccessTest, EveryMethodWithEveryKey) {
  StartServer();
  for (const auto& [path, rule] : Rules()) {
    const std::string request = rule.request == nullptr ? "" : rule.request("mine");
    for (const char* key : {"", "guess"}) {
      grpc::Status status = Call(path, request, key);
      // A host may be told so only so often a second.
      for (int i = 0; i < 100 && status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED; ++i) {
        absl::SleepFor(absl::Milliseconds(100));
        status = Call(path, request, key);
      }
      EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << path;
    }
    for (int role = kRead; role <= kAdmin; ++role) {
      const grpc::Status status = Call(path, request, std::string("limited-") + kRoles[role]);
      if (role < rule.role) {
        EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED) << path << " " << kRoles[role];
        EXPECT_THAT(status.error_message(), HasSubstr(std::string("needs ") + kRoles[rule.role])) << path;
      } else {
        EXPECT_EQ(IsDenied(status), rule.of_all) << path << " " << kRoles[role] << ": " << status.error_message();
      }
    }
    EXPECT_FALSE(IsDenied(Call(path, request, "admin-key"))) << path;
  }
}

TEST_F(AccessTest, EveryMethodWithAKeyForAnotherCollection) {
  StartServer();
  for (const auto& [path, rule] : Rules()) {
    for (const auto& request : {rule.request, rule.second}) {
      if (request == nullptr) continue;
      ExpectClosed(path, rule, request("secret"), "secret");
      ExpectClosed(path, rule, request("door"), "door");
      ExpectClosed(path, rule, request("nobody-has-this-name"), "nobody-has-this-name");
    }
  }
  EXPECT_TRUE(server_->Running());
}

TEST_F(AccessTest, ListsShowWhatAKeyMaySee) {
  StartServer();
  v1::ListCollectionsResponse collections;
  v1::ListAliasesResponse aliases;
  for (const auto& [key, count] : {std::pair("limited-admin", 0), std::pair("admin-key", 1)}) {
    const RawAnswer all = CallRaw(channel_, "/bebr.v1.CollectionService/ListCollections", {""}, key);
    ASSERT_TRUE(all.status.ok() && collections.ParseFromString(all.messages.at(0)));
    EXPECT_EQ(collections.collections_size(), count);
    const RawAnswer names = CallRaw(channel_, "/bebr.v1.CollectionService/ListAliases", {""}, key);
    ASSERT_TRUE(names.status.ok() && aliases.ParseFromString(names.messages.at(0)));
    EXPECT_EQ(aliases.aliases_size(), count);
  }
}

}  // namespace
}  // namespace bebr::testing
