#include <memory>

#include "client/cli/command.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

struct Options {
  std::string name;
  std::string model_file;
  std::string version = "v1";
  std::string store_floats = "none";
  uint32_t shards = 0;
  uint64_t expected_documents = 0;
};

absl::Status Run(const Command& command, const Options& options) {
  BEBR_ASSIGN_OR_RETURN(const std::string model, ReadWholeFile("model file", options.model_file));
  v1::CollectionConfig config;
  config.set_name(options.name);
  config.set_version(options.version);
  config.set_shards(options.shards);
  config.set_expected_documents(options.expected_documents);
  config.set_store_floats(options.store_floats == "f16"   ? v1::FLOAT_STORAGE_F16
                          : options.store_floats == "f32" ? v1::FLOAT_STORAGE_F32
                                                          : v1::FLOAT_STORAGE_NONE);
  Client client = command.Connect();
  BEBR_ASSIGN_OR_RETURN(const v1::Collection collection, client.CreateCollection(config, model));
  if (command.json) {
    PrintJson(ToJson(collection));
    return absl::OkStatus();
  }
  BEBR_ASSIGN_OR_RETURN(const v1::Version version, FindVersion(collection, options.version));
  std::printf("created %s: %u-d floats (stored: %s) to %u bits a document, %u shards\n", collection.name().c_str(),
              version.input_dims(), options.store_floats.c_str(), version.bits(), collection.shards());
  if (options.expected_documents == 0) return absl::OkStatus();
  v1::EstimateMemoryRequest estimate;
  estimate.set_collection(options.name);
  estimate.set_documents(options.expected_documents);
  BEBR_ASSIGN_OR_RETURN(const auto response, client.EstimateMemory(estimate));
  std::printf("%s documents will take %s of memory, and more for their attributes\n",
              WithCommas(options.expected_documents).c_str(), HumanBytes(response.memory().total()).c_str());
  return absl::OkStatus();
}

}  // namespace

void AddCreate(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = AddVerb(app, command, "create", "create a collection with a binarizer",
                           "bebr create papers --model model.safetensors --store-floats f16",
                           [&command, options] { return Run(command, *options); });
  verb->add_option("name", options->name, "name of the collection")->required();
  verb->add_option("--model", options->model_file, "the binarizer: a safetensors file of bebr-train")->required();
  verb->add_option("--version", options->version, "name of the first embedding version")->capture_default_str();
  verb->add_option("--store-floats", options->store_floats, "keep the floats, for --rerank and for re-encoding")
      ->check(CLI::IsMember({"none", "f16", "f32"}))
      ->capture_default_str();
  verb->add_option("--shards", options->shards, "1 to 256; 0: one per processor, at most 8")
      ->check(WholeNumber())
      ->capture_default_str();
  verb->add_option("--expect-documents", options->expected_documents,
                   "documents that it will hold: refused now if they would not fit in memory")
      ->check(WholeNumber());
}

}  // namespace bebr
