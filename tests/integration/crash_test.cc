// kill -9 while documents stream in: what was acknowledged is all there, and nothing is there by half.
#include <signal.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "tests/integration/fixture.h"

namespace bebr::testing {
namespace {

constexpr size_t kBatch = 20;

class CrashTest : public ServerTest {
 protected:
  // Streams batches of new documents until the server dies; returns how many batches were acknowledged, in their order.
  size_t StreamUntilDeath(size_t first_batch, std::chrono::milliseconds kill_after) {
    auto stub =
        v1::DocumentService::NewStub(grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    auto stream = stub->StreamUpsert(&context);
    std::atomic<size_t> acknowledged{0};
    std::thread reader([&] {
      v1::StreamUpsertResponse response;
      while (stream->Read(&response)) {
        EXPECT_EQ(response.error_code(), 0) << response.error_message();
        EXPECT_EQ(response.sequence(), first_batch + acknowledged);
        ++acknowledged;
      }
    });
    std::thread killer([&] {
      // Not before something was acknowledged: a machine may be slow.
      while (acknowledged == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      std::this_thread::sleep_for(kill_after);
      server_->Signal(SIGKILL);
    });
    for (size_t batch = first_batch;; ++batch) {
      v1::StreamUpsertRequest message;
      message.set_collection("c");
      message.set_sequence(batch);
      *message.mutable_documents() = MakeDocuments(batch * kBatch, kBatch);
      if (!stream->Write(message)) break;
    }
    killer.join();
    reader.join();
    (void)stream->Finish();
    EXPECT_EQ(server_->Wait(), 128 + SIGKILL);
    return acknowledged;
  }

  // Every document of the acknowledged batches must be there as it was sent; other batches may be, but then wholly.
  void CheckAfterRestart(size_t batches) {
    Start();
    const uint64_t count = client_->GetCollection("c")->documents();
    EXPECT_GE(count, batches * kBatch);
    size_t present = 0;
    for (size_t number = 0; number < batches * kBatch + 100 * kBatch; number += kBatch) {
      v1::GetRequest get;
      get.set_collection("c");
      get.set_with_embeddings(true);
      for (size_t i = 0; i < kBatch; ++i) get.add_ids(std::to_string(number + i));
      const auto got = client_->Get(get);
      ASSERT_TRUE(got.ok()) << got.status();
      present += got->documents_size();
      if (number < batches * kBatch || got->documents_size() > 0) {
        EXPECT_EQ(got->documents_size(), static_cast<int>(kBatch)) << "half a request is there: " << number;
      }
      for (const v1::Document& document : got->documents()) {
        const size_t id = std::stoul(document.id());
        EXPECT_EQ(document.attributes().at("n").int_value(), static_cast<int64_t>(id));
        ASSERT_EQ(document.embeddings_size(), 1) << id;
        const auto& values = document.embeddings(0).vector().values();
        EXPECT_EQ(std::vector<float>(values.begin(), values.end()), VectorOf(id));
      }
    }
    EXPECT_EQ(present, count);
    for (size_t number = 0; number < batches * kBatch; number += 37) {
      v1::SearchRequest request = MakeSearch("c", VectorOf(number), 1);
      request.mutable_options()->set_rerank(2000);
      const auto found = client_->Search(request);
      ASSERT_TRUE(found.ok()) << found.status();
      EXPECT_EQ(found->hits(0).id(), std::to_string(number));
    }
  }
};

TEST_F(CrashTest, AcknowledgedDocumentsSurviveKill9) {
  Start();
  CreateCollection();
  size_t batches = 0;
  for (const int kill_after_ms : {5, 60, 200}) {
    // Numbers go on behind what may have been written without an acknowledgement.
    batches += StreamUntilDeath(batches, std::chrono::milliseconds(kill_after_ms));
    ASSERT_GT(batches, 0u);
    CheckAfterRestart(batches);
  }
}

}  // namespace
}  // namespace bebr::testing
