// The API as JSON over HTTP, called with curl: the same answers, keys, limits and metrics as over gRPC.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "nlohmann/json.hpp"
#include "tests/integration/raw_connection.h"
#include "tests/integration/tls_fixture.h"
#include "tests/support/until.h"

namespace bebr::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kSearch = "/bebr.v1.SearchService/Search";
constexpr const char* kList = "/bebr.v1.CollectionService/ListCollections";
constexpr const char* kUpsert = "/bebr.v1.DocumentService/Upsert";

// What came back: the status line and headers as text, and the body.
struct Answer {
  int status = 0;
  std::string headers;
  std::string body;
  json parsed() const { return json::parse(body, nullptr, /*allow_exceptions=*/false); }
};

class HttpTest : public TlsTest {
 protected:
  void StartHttp(std::vector<std::string> flags = {}) {
    flags.insert(flags.end(), {"--http_listen", "127.0.0.1:0"});
    Start(flags);
    const std::regex listening("http=127.0.0.1:(\\d+)");
    std::smatch match;
    const std::string log = server_->Log();
    ASSERT_TRUE(std::regex_search(log, match, listening)) << log;
    port_ = match[1];
  }

  // Calls with curl. `arguments` come before the address.
  Answer Curl(const std::string& path, std::vector<std::string> arguments, const std::string& scheme = "http") {
    arguments.insert(arguments.begin(), {"-sS", "-m", "100", "-D", Path("headers"), "-o", Path("body")});
    arguments.insert(arguments.end(), {"-w", "%{http_code}", absl::StrCat(scheme, "://localhost:", port_, path)});
    WriteFile("body", "");
    const Outcome outcome = RunProgram("/usr/bin/curl", arguments);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return {std::atoi(outcome.out.c_str()), ReadBack("headers"), ReadBack("body")};
  }
  // A POST of JSON.
  Answer Post(const std::string& path, const std::string& body, std::vector<std::string> arguments = {}) {
    WriteFile("request", body);
    arguments.insert(arguments.begin(),
                     {"-H", "Content-Type: application/json", "--data-binary", "@" + Path("request")});
    return Curl(path, arguments);
  }
  std::string ReadBack(const std::string& name) const {
    std::ifstream file(Path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::string port_;
};

std::string SearchJson(const std::vector<float>& query, int k) {
  return json{{"collection", "c"}, {"query", {{"values", query}}}, {"options", {{"k", k}}}}.dump();
}

TEST_F(HttpTest, AnswersLikeGrpc) {
  StartHttp();
  CreateCollection();
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 50)).ok());
  const json document = {{"id", "over-http"},
                         {"attributes", {{"n", {{"intValue", "9007199254740993"}}}}},
                         {"embeddings", {{{"vector", {{"values", VectorOf(7)}}}}}}};
  const Answer upserted = Post(kUpsert, json{{"collection", "c"}, {"documents", {document}}}.dump());
  EXPECT_EQ(upserted.status, 200) << upserted.body;
  for (size_t number : {7, 30}) {
    const Answer answer = Post(kSearch, SearchJson(VectorOf(number), 10), {"-H", "X-Request-Id: order-7"});
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_THAT(answer.headers, HasSubstr("Content-Type: application/json"));
    EXPECT_THAT(answer.headers, HasSubstr("x-request-id: order-7"));
    const auto expected = client_->Search(MakeSearch("c", VectorOf(number), 10));
    ASSERT_TRUE(expected.ok());
    const json results = answer.parsed()["hits"];
    ASSERT_EQ(results.size(), 10u) << answer.body;
    for (int i = 0; i < 10; ++i) {
      EXPECT_EQ(results[i]["id"], expected->hits(i).id());
      EXPECT_EQ(results[i]["score"].get<float>(), expected->hits(i).score());
    }
  }
}

TEST_F(HttpTest, BinaryBodiesPassAsTheyAre) {
  StartHttp();
  CreateCollection();
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 20)).ok());
  WriteFile("request", MakeSearch("c", VectorOf(3), 5).SerializeAsString());
  const Answer answer =
      Curl(kSearch, {"-H", "Content-Type: application/proto", "--data-binary", "@" + Path("request")});
  EXPECT_EQ(answer.status, 200);
  v1::SearchResponse response;
  ASSERT_TRUE(response.ParseFromString(answer.body));
  EXPECT_EQ(response.hits(0).id(), "3");
}

TEST_F(HttpTest, ErrorsSayWhatToDo) {
  StartHttp();
  CreateCollection();
  const Answer unknown = Post("/bebr.v1.SearchService/Serch", "{}");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(unknown.parsed()["code"], "unimplemented");
  EXPECT_EQ(Curl(kSearch, {}).status, 405);
  EXPECT_EQ(Curl(kSearch, {"-H", "Content-Type: text/csv", "-d", "a,b"}).status, 415);
  EXPECT_EQ(Post("/bebr.v1.DocumentService/StreamUpsert", "{}").status, 501);
  EXPECT_EQ(Post(kSearch, "{}", {"-H", "Content-Encoding: gzip"}).status, 501);
  EXPECT_EQ(Post(kSearch, "{}", {"-H", "Connect-Timeout-Ms: soon"}).status, 400);

  const Answer misspelt = Post(kSearch, R"({"collecton": "c"})");
  EXPECT_EQ(misspelt.status, 400);
  EXPECT_EQ(misspelt.parsed()["code"], "invalid_argument");
  EXPECT_THAT(misspelt.body, HasSubstr("collecton"));
  EXPECT_EQ(Post(kSearch, "{").status, 400);
  EXPECT_EQ(Post(kSearch, std::string(100000, '[')).status, 400);
  EXPECT_EQ(Post(kSearch, SearchJson(VectorOf(1), 10) + "\xFF").status, 400);

  const Answer wrong = Post(kSearch, SearchJson({1.0F, 2.0F}, 10));
  EXPECT_EQ(wrong.status, 400) << wrong.body;
  const json detail = wrong.parsed()["details"][0];
  EXPECT_EQ(detail["type"], "google.rpc.BadRequest");
  std::string value = detail["value"];
  while (value.size() % 4 != 0) value += '=';
  std::string bytes;
  google::rpc::BadRequest bad;
  ASSERT_TRUE(absl::Base64Unescape(value, &bytes) && bad.ParseFromString(bytes));
  EXPECT_THAT(bad.field_violations(0).field(), HasSubstr("query"));

  const Answer missing = Post(kSearch, R"({"collection": "none", "query": {"values": [1]}, "options": {"k": 1}})");
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(missing.parsed()["code"], "not_found");
}

TEST_F(HttpTest, KeysLimitsAndAuditAreTheSame) {
  WriteKeys("the-admin-key");
  std::filesystem::create_directories(Path("console"));
  WriteFile("console/index.html", "<p>hello</p>");
  StartHttp({"--keys_file", Path("keys.json"), "--max_message_bytes", "1048576", "--console_dir", Path("console")});
  const std::string large = "{\"collection\": \"" + std::string(900000, 'a') + "\"}";
  EXPECT_EQ(Post(kList, "{}").status, 401);
  EXPECT_EQ(Post(kUpsert, large).status, 401);
  EXPECT_EQ(Post(kList, "{}", {"-H", "Authorization: Bearer guessed"}).status, 401);
  EXPECT_EQ(Post(kUpsert, "{}", {"-H", "Authorization: Bearer reader-key"}).status, 403);
  EXPECT_EQ(Post(kList, "{}", {"-H", "Authorization: Bearer reader-key"}).status, 200);
  EXPECT_EQ(Curl("/console/times", {}).status, 401);
  EXPECT_EQ(Curl("/console/times", {"-H", "Authorization: Bearer reader-key"}).status, 200);
  const Answer too_large = Post(kUpsert, large + large, {"-H", "Authorization: Bearer writer-key"});
  EXPECT_EQ(too_large.status, 429);
  EXPECT_THAT(too_large.body, HasSubstr("max_message_bytes"));
  const std::string log = server_->AwaitLog("method=Upsert");
  EXPECT_THAT(log, ::testing::ContainsRegex("audit method=Upsert .*key=unknown peer=.?ipv4:127.0.0.1:[0-9]+"));
  EXPECT_THAT(server_->HttpGet("/metrics"),
              ::testing::ContainsRegex("grpc_server_handled_total.*Unauthenticated.*ListCollections.* [1-9]"));
}

TEST_F(HttpTest, NobodyElseMaySayWhoCalls) {
  WriteKeys("the-admin-key");
  StartHttp({"--keys_file", Path("keys.json")});
  const Answer faked = Post(kList, "{}", {"-H", "bebr-peer: ipv4:192.0.2.66:1"});
  EXPECT_EQ(faked.status, 401);
  EXPECT_THAT(server_->AwaitLog("audit method=ListCollections"), Not(HasSubstr("192.0.2.66")));
}

TEST_F(HttpTest, ACollectionWithoutAModelIsCreatedWithOneMessage) {
  StartHttp();
  const Answer created = Post("/bebr.v1.CollectionService/CreateCollection",
                              R"({"config": {"name": "own", "autoBinarizer": {"dims": 8}}})");
  EXPECT_EQ(created.status, 200) << created.body;
  EXPECT_THAT(created.body, HasSubstr("\"name\":\"own\""));
  EXPECT_EQ(Post("/bebr.v1.DocumentService/StreamUpsert", "{}").status, 501);
}

TEST_F(HttpTest, DeadlinesArePassedOn) {
  StartHttp();
  CreateCollection();
  EXPECT_EQ(Post(kSearch, SearchJson(VectorOf(1), 10), {"-H", "Connect-Timeout-Ms: 0"}).status, 504);
}

TEST_F(HttpTest, WebPagesOfOtherOriginsAreRefused) {
  StartHttp();
  EXPECT_EQ(Post(kList, "{}", {"-H", "Origin: https://evil.example"}).status, 403);
  EXPECT_EQ(Post(kList, "{}", {"-H", absl::StrCat("Origin: http://localhost:", port_)}).status, 200);
  // A name that was made to stand for this machine.
  EXPECT_EQ(Post(kList, "{}", {"-H", "Host: evil.example:7702"}).status, 403);

  StartHttp({"--http_allowed_origins", "https://search.example,http://localhost:3000"});
  EXPECT_EQ(Post(kList, "{}", {"-H", "Origin: https://evil.example"}).status, 403);
  const Answer preflight = Curl(
      kList, {"-X", "OPTIONS", "-H", "Origin: https://search.example", "-H", "Access-Control-Request-Method: POST"});
  EXPECT_EQ(preflight.status, 204);
  EXPECT_THAT(preflight.headers, HasSubstr("Access-Control-Allow-Origin: https://search.example"));
  EXPECT_THAT(preflight.headers, HasSubstr("content-type"));
  const Answer answer = Post(kList, "{}", {"-H", "Origin: https://search.example"});
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(answer.headers, HasSubstr("Access-Control-Allow-Origin: https://search.example"));
}

TEST_F(HttpTest, TlsWithFilesThatChange) {
  MakeAuthority("other");
  StartHttp(TlsFlags());
  const std::vector<std::string> call = {"-H", "Content-Type: application/json", "-d", "{}", "--cacert"};
  auto with = [&](const std::string& ca) {
    std::vector<std::string> arguments = call;
    arguments.push_back(Path(ca));
    return arguments;
  };
  EXPECT_EQ(Curl(kList, with("ca.pem"), "https").status, 200);
  MakeCertificate("server", "other");
  int status = 0;
  std::vector<std::string> arguments = with("other.pem");
  arguments.insert(arguments.end(),
                   {"-sS", "-o", "/dev/null", "-w", "%{http_code}", absl::StrCat("https://localhost:", port_, kList)});
  Until([&] { return (status = std::atoi(RunProgram("/usr/bin/curl", arguments).out.c_str())) == 200; },
        std::chrono::milliseconds(50));
  EXPECT_EQ(status, 200);
}

TEST_F(HttpTest, ServesTheFilesOfTheConsoleAndNoOthers) {
  std::filesystem::create_directories(Path("console/assets"));
  WriteFile("console/index.html", "<p>hello</p>");
  WriteFile("console/assets/main.js", "1;");
  WriteFile("secret", "secret");
  StartHttp({"--console_dir", Path("console")});
  const Answer page = Curl("/console/", {});
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.body, "<p>hello</p>");
  EXPECT_THAT(page.headers, HasSubstr("Content-Security-Policy: default-src 'self'"));
  EXPECT_EQ(Curl("/console", {}).status, 301);
  EXPECT_THAT(Curl("/console/assets/main.js", {}).headers, HasSubstr("text/javascript"));
  EXPECT_EQ(Curl("/console/../secret", {"--path-as-is"}).status, 404);
  EXPECT_EQ(Curl("/console/%2e%2e/secret", {"--path-as-is"}).status, 404);
  EXPECT_EQ(Curl("/console/none", {}).status, 404);
  Post(kList, "{}");
  const Answer times = Curl("/console/times", {});
  EXPECT_EQ(times.status, 200);
  EXPECT_THAT(times.body, HasSubstr("grpc_server_handling_seconds_count{grpc_method=\"ListCollections\","
                                    "grpc_service=\"bebr.v1.CollectionService\",grpc_type=\"unary\"} "));
  EXPECT_THAT(times.body, HasSubstr("bebr_search_stage_seconds_bucket{stage=\"scan\",le=\"0.001\"} 0\n"));
  EXPECT_THAT(times.body, Not(HasSubstr("bebr_collection")));
  EXPECT_EQ(Curl("/consolation", {}).status, 404);
  for (const char* path : {"/console/%00", "/console%00/", "/console/assets/main.js%00.css"})
    EXPECT_EQ(Curl(path, {}).status, 404) << path;
  EXPECT_THAT(server_->HttpGet("/healthz%00"), HasSubstr("404"));
}

TEST_F(HttpTest, WhereARequestEndsIsClear) {
  StartHttp();
  const auto status_of = [&](const std::string& address, const std::string& headers) {
    const RawConnection connection(address);
    EXPECT_TRUE(connection.Send("POST " + std::string(kList) +
                                " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + headers +
                                "\r\n{}"));
    return connection.ReadUntil("\r\n", 60000).substr(0, 12);
  };
  const std::string address = "127.0.0.1:" + port_;
  EXPECT_EQ(status_of(address, "Content-Length: 2\r\n"), "HTTP/1.1 200");
  for (const char* headers :
       {"Content-Length: 2\r\nContent-Length: 2\r\n", "Content-Length: 2\r\ncontent-length: 1\r\n",
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n"}) {
    EXPECT_EQ(status_of(address, headers), "HTTP/1.1 400") << headers;
    EXPECT_EQ(status_of(server_->http_address(), headers), "HTTP/1.1 400") << headers;
  }
}

TEST_F(HttpTest, AnswersThatAreOnTheirWayArriveBeforeItStops) {
  StartHttp();
  CreateCollection();
  v1::UpsertRequest upsert = MakeUpsert("c", 0, 500);
  for (v1::Document& document : *upsert.mutable_documents())
    (*document.mutable_attributes())["text"].set_string_value(std::string(14000, 'x'));
  ASSERT_TRUE(client_->Upsert(upsert).ok());
  json search = json::parse(SearchJson(VectorOf(1), 500));
  search["options"]["withAttributes"] = true;
  const std::string body = search.dump();
  // More than sockets hold, of which nothing is read until the server stops.
  const RawConnection reader("127.0.0.1:" + port_);
  ASSERT_TRUE(
      reader.Send(absl::StrCat("POST ", kSearch, " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n",
                               "Content-Length: ", body.size(), "\r\n\r\n", body)));
  const std::string handled = "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Search\"";
  for (int i = 0; i < 6000; ++i) {
    const std::string metrics = server_->HttpGet("/metrics");
    const size_t at = metrics.find(handled);
    if (at != std::string::npos && metrics.substr(metrics.find("} ", at), 4) == "} 1\n") break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  server_->Signal(SIGTERM);
  server_->AwaitLog("draining");
  const std::string answer = reader.ReadUntil("nothing that is in it", 60000);
  EXPECT_EQ(server_->Wait(), 0) << server_->Log();
  const size_t end = answer.find("\r\n\r\n");
  ASSERT_NE(end, std::string::npos);
  EXPECT_EQ(json::parse(answer.substr(end + 4), nullptr, /*allow_exceptions=*/false)["hits"].size(), 500u)
      << answer.substr(0, 1000);
}

TEST_F(HttpTest, StopsWithCallsInProgress) {
  StartHttp();
  CreateCollection();
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 2000)).ok());
  WriteFile("request", SearchJson(VectorOf(1), 1000));
  const std::string curl =
      absl::StrCat("for i in $(seq 40); do curl -sS -o /dev/null -H 'Content-Type: application/json'",
                   " --data-binary @", Path("request"), " http://localhost:", port_, kSearch,
                   " 2>/dev/null & done; sleep 0.1; kill -TERM ", server_->pid(), "; wait");
  RunProgram("/bin/sh", {"-c", curl});
  EXPECT_EQ(server_->Wait(), 0) << server_->Log();
}

}  // namespace
}  // namespace bebr::testing
