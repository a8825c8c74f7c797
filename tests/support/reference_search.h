// The slow, obvious search that the engine must agree with, bit for bit.
#ifndef BEBR_TESTS_SUPPORT_REFERENCE_SEARCH_H_
#define BEBR_TESTS_SUPPORT_REFERENCE_SEARCH_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "index/binarizer/binarizer.h"
#include "index/types/document.h"

namespace bebr::testing {

// A collection as a map, searched by decoding every code to integers and sorting all scores.
class ReferenceCollection {
 public:
  // `half`: floats are stored, and so encoded, as f16.
  explicit ReferenceCollection(std::string_view model_file, bool half = false);

  struct Entry {
    std::vector<float> embedding;
    Attributes attributes;
    std::vector<uint32_t> code;
    CodeFactors factors;
  };
  struct Hit {
    std::string id;
    float score;
    friend bool operator==(const Hit&, const Hit&) = default;
  };

  void Upsert(const std::string& id, std::vector<float> embedding, Attributes attributes);
  // A document whose code the binarizer of `writer` wrote, which maps into the same space.
  void UpsertBy(const ReferenceCollection& writer, const std::string& id, std::vector<float> embedding);
  bool Delete(const std::string& id) { return documents_.erase(id) > 0; }
  const std::map<std::string, Entry>& documents() const { return documents_; }
  // The best k of the documents of some groups that `accept` (if any), by score, then id.
  std::vector<Hit> Search(const std::vector<float>& query, size_t k,
                          const std::function<bool(const Attributes&)>& accept = {},
                          GroupSet groups = kAllGroups) const;
  // The best k by all levels of the best `candidates` by the first `first_levels` levels.
  std::vector<Hit> SearchProgressive(const std::vector<float>& query, size_t k, uint32_t first_levels,
                                     size_t candidates, GroupSet groups = kAllGroups) const;
  // The groups that a probe of a share of the documents scores, and the share of the documents that they have.
  std::pair<GroupSet, double> Probe(const std::vector<float>& query, float share) const;
  // The same as Search by the exact metric of the floats as they are stored.
  std::vector<Hit> SearchExact(const std::vector<float>& query, size_t k) const;

 private:
  // Scores of all documents of these groups that `accept` (if any), by the first `levels` levels of their codes.
  std::vector<Hit> Scores(const std::vector<float>& query, uint32_t levels,
                          const std::function<bool(const Attributes&)>& accept, GroupSet groups) const;

  std::unique_ptr<const Binarizer> binarizer_;
  const bool half_;
  std::map<std::string, Entry> documents_;
};

}  // namespace bebr::testing

#endif  // BEBR_TESTS_SUPPORT_REFERENCE_SEARCH_H_
