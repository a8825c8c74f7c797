// Files of ids and of relevance judgements.
#include "index/dataset/evaluation.h"
#include "tests/fuzz/fuzzer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bebr;
  static const fuzz::Scratch scratch;
  const std::string path = scratch.Write("list.tsv", fuzz::ToView(data, size));
  if (const auto ids = ReadIds(path); ids.ok()) {
    for (const std::string& id : *ids) FUZZ_REQUIRE(!id.empty() && id.size() <= kMaxIdBytes);
  }
  if (const auto qrels = ReadQrels(path); qrels.ok()) {
    for (const auto& [query, judgements] : *qrels) {
      FUZZ_REQUIRE(!query.empty() && !judgements.empty());
      Ndcg(judgements, {judgements.begin()->first, "another"}, 10);
    }
  }
  return 0;
}
