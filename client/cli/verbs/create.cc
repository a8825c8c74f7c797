#include <memory>
#include <string>
#include <vector>

#include "client/cli/attribute.h"
#include "client/cli/command.h"
#include "index/base/status_macros.h"
#include "index/types/collection.h"
#include "index/types/search.h"

namespace bebr {
namespace {

struct Options {
  std::string name;
  std::string model_file;
  uint32_t dims = 0;
  uint32_t bits = 0;
  double recall = 0;
  std::string metric = "cosine";
  std::string version = "v1";
  std::string store_floats;  // empty: f16 without a model file, else none
  uint32_t default_rerank = 0;
  uint32_t shards = 0;
  uint64_t expected_documents = 0;
  std::vector<std::string> attributes;  // rules
};

// What the codes of bench/results/recall-debian.json and recall-fashion.json reach.
constexpr char kGuide[] =
    "how many bits: recall@10 of the codes alone, and with a rerank of 100 (59,980 texts of 256 floats; 60,000 images "
    "of "
    "784)\n"
    "    1/2 a float   0.55; 0.76   0.909; 0.998\n"
    "    1   a float   0.73; 0.84   0.993; 1.000\n"
    "    2   a float   0.87; 0.90   1.000; 1.000\n";

v1::FloatStorage StorageOf(const std::string& name) {
  return name == "f16"    ? v1::FLOAT_STORAGE_F16
         : name == "f32"  ? v1::FLOAT_STORAGE_F32
         : name == "none" ? v1::FLOAT_STORAGE_NONE
                          : v1::FLOAT_STORAGE_UNSPECIFIED;  // the server's choice
}

absl::StatusOr<v1::CollectionConfig> ToConfig(const Options& options) {
  v1::CollectionConfig config;
  for (const std::string& rule : options.attributes) {
    BEBR_RETURN_IF_ERROR(ReadRule(rule, config.add_attributes()));
  }
  config.set_name(options.name);
  config.set_shards(options.shards);
  config.set_expected_documents(options.expected_documents);
  config.set_store_floats(StorageOf(options.store_floats));
  config.set_default_rerank(options.default_rerank);
  if (options.dims == 0) {
    config.set_version(options.version);
    return config;
  }
  v1::AutoBinarizer* binarizer = config.mutable_auto_binarizer();
  binarizer->set_dims(options.dims);
  binarizer->set_bits(options.bits);
  binarizer->set_recall(options.recall);
  binarizer->set_metric(options.metric == "ip" || options.metric == "inner_product" ? v1::METRIC_INNER_PRODUCT
                        : options.metric == "l2"                                    ? v1::METRIC_L2
                                                                                    : v1::METRIC_COSINE);
  return config;
}

absl::Status PrintEstimate(Client& client, const Options& options) {
  v1::EstimateMemoryRequest estimate;
  estimate.set_collection(options.name);
  estimate.set_documents(options.expected_documents);
  BEBR_ASSIGN_OR_RETURN(const auto response, client.EstimateMemory(estimate));
  std::printf("%s documents will take %s of memory, and more for their attributes\n",
              WithCommas(options.expected_documents).c_str(), HumanBytes(response.memory().total()).c_str());
  return absl::OkStatus();
}

absl::Status Run(const Command& command, const Options& options) {
  std::string model;
  if (options.dims == 0) {
    BEBR_ASSIGN_OR_RETURN(model, ReadWholeFile("model file", options.model_file));
  }
  BEBR_ASSIGN_OR_RETURN(const v1::CollectionConfig config, ToConfig(options));
  Client client = command.Connect();
  BEBR_ASSIGN_OR_RETURN(const v1::Collection collection, client.CreateCollection(config, model));
  if (command.json) {
    PrintJson(ToJson(collection));
    return absl::OkStatus();
  }
  BEBR_ASSIGN_OR_RETURN(const v1::Version version, FindVersion(collection, ""));
  const std::string stored = ToJson(collection)["store_floats"];
  std::printf("created %s: %u-d floats (stored: %s) to %u bits a document, %u shards\n", collection.name().c_str(),
              version.input_dims(), stored.c_str(), version.bits(), collection.shards());
  if (collection.has_auto_status()) {
    std::printf(
        "the server fits binarizers to its documents: the first when %s are there%s; `bebr stats %s` says what it "
        "did\n",
        WithCommas(collection.auto_status().next_fit_documents()).c_str(),
        stored == "none" ? ", which is the only one, since no floats are stored" : "", collection.name().c_str());
    if (stored != "none") {
      std::printf("searches rerank as many candidates as a recall@10 of 0.99 takes, %u for now\n",
                  collection.default_rerank());
    }
    if (options.metric == "l2") {
      std::printf(
          "until the first fit the codes find little of data that lies far from 0 (a recall@10 of 0.24 was "
          "measured)\n");
    }
    if (options.bits == 0 && options.recall == 0) std::fputs(kGuide, stdout);
  }
  return options.expected_documents == 0 ? absl::OkStatus() : PrintEstimate(client, options);
}

// Where the codes come from: a model file, or the server.
void AddCodes(CLI::App* verb, Options* options) {
  CLI::Option* model = verb->add_option("--model", options->model_file,
                                        "the binarizer: a safetensors file of bebr-train; or --dims without one");
  CLI::Option* dims =
      verb->add_option("--dims", options->dims,
                       "floats of an embedding, 2 to 4,096: the server fits binarizers to the documents it gets")
          ->check(WholeNumber(2, kMaxAutoDims))
          ->excludes(model);
  CLI::Option* bits =
      verb->add_option("--bits", options->bits,
                       "with --dims: bits of a document's code, a multiple of 32; without it 2 a float, "
                       "at least 256 and at most 1,024")
          ->check(WholeNumber(32, kMaxAutoBits))
          ->needs(dims);
  verb->add_option("--recall", options->recall,
                   "with --dims: instead of --bits the recall@10 that the codes alone are to reach, such as 0.9")
      ->needs(dims)
      ->excludes(bits);
  verb->add_option("--metric", options->metric,
                   "with --dims: cosine, ip, the inner product (also inner_product), or l2, the Euclidean distance; "
                   "without it cosine")
      ->check(CLI::IsMember({"cosine", "ip", "inner_product", "l2"}))
      ->needs(dims);
  verb->add_option("--version", options->version, "with --model: name of the first embedding version; without it v1")
      ->needs(model);
}

}  // namespace

void AddCreate(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = AddVerb(app, command, "create", "create a collection, with a binarizer or without a model file",
                           "bebr create papers --dims 1536", [&command, options] { return Run(command, *options); });
  verb->add_option("name", options->name, "name of the collection")->required();
  AddCodes(verb, options.get());
  verb->add_option(
          "--store-floats", options->store_floats,
          "keep the floats, for rerank and for re-encoding: none, f16 or f32; without it f16 with --dims, none "
          "with --model")
      ->check(CLI::IsMember({"none", "f16", "f32"}));
  verb->add_option("--default-rerank", options->default_rerank,
                   "candidates that a search reranks which does not say itself; without it none with --model, and with "
                   "--dims as many as a recall@10 of 0.99 takes")
      ->check(WholeNumber(0, kMaxRerank));
  verb->add_option(
          "--attribute", options->attributes,
          "what an attribute is, as created:timestamp or body:string:stored; may be given several times. Kinds: "
          "string, int, double, bool, timestamp; storage: indexed (in memory, for filters) or stored (on disk "
          "alone); without it texts of more than 256 bytes are stored")
      ->check([](const std::string& text) {
        v1::AttributeRule rule;
        return std::string(ReadRule(text, &rule).message());
      });
  verb->add_option("--shards", options->shards, "1 to 256; 0: one per processor, at most 8")
      ->check(WholeNumber(0, kMaxShards))
      ->capture_default_str();
  verb->add_option("--expect-documents,--expected-documents", options->expected_documents,
                   "documents that it will hold: refused now if they would not fit in memory")
      ->check(WholeNumber(0, kMaxExpectedDocuments));
  verb->parse_complete_callback([options] {
    if (options->dims == 0 && options->model_file.empty()) throw CLI::RequiredError("--dims or --model");
  });
}

}  // namespace bebr
