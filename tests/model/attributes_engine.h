// An engine with a collection whose attributes are under test.
#ifndef BEBR_TESTS_MODEL_ATTRIBUTES_ENGINE_H_
#define BEBR_TESTS_MODEL_ATTRIBUTES_ENGINE_H_

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "index/engine.h"
#include "tests/support/engine_calls.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_models.h"

namespace bebr::testing {

// The collection "c" of two shards, with the schema that the test gives.
class AttributesEngineTest : public ::testing::Test {
 protected:
  explicit AttributesEngineTest(AttributeSchema schema) : schema_(std::move(schema)) {}

  void SetUp() override {
    Open();
    ASSERT_TRUE(engine_
                    ->CreateCollection({.name = "c", .shards = 2, .attributes = schema_},
                                       RandomModelFile(4, *ParseCodeSpec("32x1"), 1, 1))
                    .ok());
  }
  // (Re)opens it.
  void Open() {
    engine_.reset();
    auto engine = Engine::Open({.data_dir = directory_.path(), .threads = 2});
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }
  absl::Status Put(std::vector<std::pair<std::string, Attributes>> documents) {
    UpsertRequest request{.collection = "c"};
    for (auto& [id, attributes] : documents) {
      request.documents.push_back({.id = id, .attributes = std::move(attributes), .embeddings = {{.values = query_}}});
    }
    return UpsertAndWait(*engine_, std::move(request)).status();
  }
  absl::StatusOr<ChangeResult> Update(AttributeUpdate update) {
    update.collection = "c";
    auto outcome = std::make_shared<std::promise<absl::StatusOr<ChangeResult>>>();  // shared: set_value may outlast get
    engine_->UpdateAttributes(std::move(update), [outcome](auto result) { outcome->set_value(std::move(result)); });
    return outcome->get_future().get();
  }
  uint64_t Count(const std::string& filter) {
    const auto count = engine_->Count("c", filter);
    EXPECT_TRUE(count.ok()) << count.status();
    return count.value_or(0);
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
  const std::vector<float> query_ = {1, 1, 1, 1};

 private:
  const AttributeSchema schema_;
};

}  // namespace bebr::testing

#endif  // BEBR_TESTS_MODEL_ATTRIBUTES_ENGINE_H_
