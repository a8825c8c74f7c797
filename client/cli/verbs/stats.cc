#include <memory>
#include <optional>

#include "absl/time/time.h"
#include "client/cli/attribute.h"
#include "client/cli/command.h"
#include "index/base/status_macros.h"
#include "index/types/collection.h"

namespace bebr {
namespace {

struct Options {
  std::string name;
  uint64_t documents = 0;
  double id_bytes = 0;
  std::optional<double> attributes;
  uint64_t distinct_texts = 0;
  double text_bytes = 0;
};

absl::Status ServerStats(const Command& command) {
  Client client = command.Connect();
  BEBR_ASSIGN_OR_RETURN(const auto stats, client.GetStats());
  const auto json = ToJson(stats);
  if (command.json) {
    PrintJson(json);
    return absl::OkStatus();
  }
  for (const auto& [name, value] : json.items()) {
    std::printf("%-20s %s\n", name.c_str(),
                value.is_string() ? value.get<std::string>().c_str() : value.dump().c_str());
  }
  return absl::OkStatus();
}

void PrintMemory(const v1::MemoryUse& memory) {
  std::printf("memory            %s: codes %s, ids %s, attributes %s, models %s\n", HumanBytes(memory.total()).c_str(),
              HumanBytes(memory.codes()).c_str(), HumanBytes(memory.ids()).c_str(),
              HumanBytes(memory.attributes()).c_str(), HumanBytes(memory.models()).c_str());
}

void PrintFarFromZero() {
  std::printf(
      "                  until the first fit its codes find little of data that lies far from 0: better search after "
      "it\n");
}

void PrintAuto(const v1::Collection& collection) {
  if (!collection.has_auto_status()) return;
  const v1::AutoStatus& status = collection.auto_status();
  std::printf("binarizers        the server's own: %s; %u fits, %u of them became the default\n",
              std::string(ToJson(status)["state"]).c_str(), status.fits(), status.promotions());
  if (status.fits() == 0 && status.config().metric() == v1::METRIC_L2) PrintFarFromZero();
  if (status.recall() > 0) {
    std::printf("recall@10         %.3f of the codes alone; below %.3f there is a new fit\n", status.recall(),
                status.recall_goal());
  }
  if (status.next_fit_documents() > 0 && status.next_fit_documents() <= collection.documents()) {
    if (status.state() == v1::AUTO_STATE_COLLECTING || status.state() == v1::AUTO_STATE_FITTED) {
      std::printf(
          "next fit          due since there were %s documents; it waits for its turn: the server fits one collection "
          "at a time\n",
          WithCommas(status.next_fit_documents()).c_str());
    }
  } else if (status.next_fit_documents() > 0) {
    std::printf("next fit          at %s documents, if not before\n", WithCommas(status.next_fit_documents()).c_str());
  }
  for (const v1::AutoEvent& event : status.events()) {
    std::printf(
        "  %s  %s\n",
        absl::FormatTime("%Y-%m-%d %H:%M:%S", absl::FromUnixMicros(event.unix_us()), absl::UTCTimeZone()).c_str(),
        event.text().c_str());
  }
  if (!status.error().empty()) std::printf("  last attempt failed: %s\n", status.error().c_str());
}

// As the monitor found it last, or else a check.
void PrintScoreError(const v1::Version& version) {
  const bool monitored = version.has_recall();
  const double mean = monitored ? version.recall().score_error() : version.check().score_error();
  const double p99 = monitored ? version.recall().score_error_p99() : version.check().score_error_p99();
  if (p99 > 0) std::printf("  score error     %.4f on average, %.4f in one of a hundred\n", mean, p99);
}

absl::Status CollectionStats(const Command& command, const Options& options) {
  Client client = command.Connect();
  BEBR_ASSIGN_OR_RETURN(const v1::Collection collection, client.GetCollection(options.name));
  if (command.json) {
    PrintJson(ToJson(collection));
    return absl::OkStatus();
  }
  std::printf("collection        %s\ndocuments         %s (%s deleted rows)\ndisk              %s\n",
              collection.name().c_str(), WithCommas(collection.documents()).c_str(),
              WithCommas(collection.deleted_rows()).c_str(), HumanBytes(collection.disk_bytes()).c_str());
  PrintMemory(collection.memory());
  for (const v1::Version& version : collection.versions()) {
    if (version.state() == v1::VERSION_STATE_RETIRED) continue;
    std::printf("version           %s%s: %u-d floats to %s (%u bits), space %u, %s documents\n", version.name().c_str(),
                version.name() == collection.default_version() ? " (default)" : "", version.input_dims(),
                version.code().c_str(), version.bits(), version.space(), WithCommas(version.documents()).c_str());
    PrintScoreError(version);
  }
  if (collection.default_rerank() > 0) {
    std::printf("rerank            %u candidates, where a search does not say\n", collection.default_rerank());
  }
  for (const v1::AttributeRule& rule : collection.attributes()) {
    std::printf("attribute         %s\n", WriteRule(rule).c_str());
  }
  PrintAuto(collection);
  return absl::OkStatus();
}

absl::Status Estimate(const Command& command, const Options& options) {
  v1::EstimateMemoryRequest request;
  request.set_collection(options.name);
  request.set_documents(options.documents);
  request.set_id_bytes(options.id_bytes);
  request.set_attributes(options.attributes.value_or(0));
  request.set_distinct_texts(options.distinct_texts);
  request.set_text_bytes(options.text_bytes);
  Client client = command.Connect();
  BEBR_ASSIGN_OR_RETURN(auto response, client.EstimateMemory(request));
  if (options.attributes == 0.0) {  // which a server takes for nothing said
    v1::MemoryUse& memory = *response.mutable_memory();
    memory.set_total(memory.total() - memory.attributes());
    memory.set_attributes(0);
  }
  if (command.json) {
    PrintJson(ToJson(response.memory()));
  } else {
    PrintMemory(response.memory());
  }
  return absl::OkStatus();
}

}  // namespace

void AddStats(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb =
      AddVerb(app, command, "stats", "figures of the server, or of one collection",
              "bebr stats papers --estimate 10000000", [&command, options] {
                if (options->name.empty()) return ServerStats(command);
                return options->documents > 0 ? Estimate(command, *options) : CollectionStats(command, *options);
              });
  CLI::Option* name = verb->add_option("name", options->name, "name of a collection");
  CLI::Option* documents =
      verb->add_option("--estimate", options->documents, "instead: the memory that so many documents would need")
          ->check(WholeNumber(0, kMaxExpectedDocuments))
          ->needs(name);
  verb->add_option("--id-bytes", options->id_bytes, "with --estimate: mean length of an id; 0: 16")->needs(documents);
  CLI::Option* attributes =
      verb->add_option(
              "--attributes", options->attributes,
              "with --estimate: attributes that a document has in the mean; without it they take as much as now")
          ->needs(documents);
  CLI::Option* texts = verb->add_option("--texts", options->distinct_texts,
                                        "with --attributes: different texts and lists that filters compare, in all")
                           ->check(WholeNumber())
                           ->needs(attributes);
  verb->add_option("--text-bytes", options->text_bytes, "with --texts: their mean length")->needs(texts);
}

}  // namespace bebr
