#include "index/storage/store_reader.h"

#include <memory>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/storage/format.h"

namespace bebr {
namespace {

rocksdb::ReadOptions ForVisit(const rocksdb::Snapshot* view) {
  rocksdb::ReadOptions options;
  options.snapshot = view;
  options.fill_cache = false;
  options.readahead_size = 4 << 20;
  return options;
}

// Walks the keys of one number and shard beside the documents. Keys without a document are passed over.
class NumberCursor {
 public:
  NumberCursor(uint32_t number, uint32_t shard, std::unique_ptr<rocksdb::Iterator> iterator)
      : number_(number), shard_(shard), iterator_(std::move(iterator)) {
    iterator_->Seek(NumberedKey(number, shard, ""));
  }
  // Whether there is a key for `id`; ids must grow from call to call.
  bool MoveTo(std::string_view id) {
    const std::string wanted = NumberedKey(number_, shard_, id);
    while (iterator_->Valid() && ToView(iterator_->key()) < wanted) iterator_->Next();
    return iterator_->Valid() && ToView(iterator_->key()) == wanted;
  }
  std::string_view value() const { return ToView(iterator_->value()); }
  rocksdb::Status status() const { return iterator_->status(); }

 private:
  uint32_t number_;
  uint32_t shard_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

}  // namespace

absl::StatusOr<std::vector<uint32_t>> StoreReader::Numbers(ColumnFamily family, uint32_t limit) const {
  const std::unique_ptr<rocksdb::Iterator> cursor(db_->NewIterator({}, families_[family]));
  std::vector<uint32_t> numbers;
  for (cursor->SeekToFirst(); cursor->Valid(); cursor->Seek(NumberPrefix(numbers.back() + 1))) {
    const auto key = SplitNumberedKey(ToView(cursor->key()));
    if (!key.has_value()) return absl::DataLossError(absl::StrFormat("storage at %s: a key without a number", path_));
    if (key->number >= limit) break;
    numbers.push_back(key->number);
  }
  BEBR_RETURN_IF_ERROR(Error(cursor->status()));
  return numbers;
}

absl::StatusOr<std::vector<std::optional<std::string>>> StoreReader::Get(const rocksdb::Snapshot* view,
                                                                         ColumnFamily family,
                                                                         const std::vector<std::string>& keys,
                                                                         bool fill_cache) const {
  rocksdb::ReadOptions options;
  options.fill_cache = fill_cache;
  options.snapshot = view;
  const std::vector<rocksdb::Slice> slices(keys.begin(), keys.end());
  std::vector<rocksdb::PinnableSlice> values(keys.size());
  std::vector<rocksdb::Status> statuses(keys.size());
  db_->MultiGet(options, families_[family], slices.size(), slices.data(), values.data(), statuses.data());
  std::vector<std::optional<std::string>> results(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    if (statuses[i].IsNotFound()) continue;
    BEBR_RETURN_IF_ERROR(Error(statuses[i]));
    results[i].emplace(ToView(values[i]));
  }
  return results;
}

absl::Status StoreReader::VisitDocuments(const rocksdb::Snapshot* view, uint32_t shard,
                                         absl::Span<const uint32_t> spaces, absl::Span<const uint32_t> embeddings,
                                         const CollectionStore::Visitor& visit) const {
  const std::string end = DocumentKey(shard + 1, "");
  const rocksdb::Slice end_slice = end;
  rocksdb::ReadOptions of_shard = ForVisit(view);
  of_shard.iterate_upper_bound = &end_slice;
  const std::unique_ptr<rocksdb::Iterator> documents(db_->NewIterator(of_shard, families_[kDocuments]));
  std::vector<NumberCursor> cursors;  // of the spaces, then of the marks
  const auto add = [&](uint32_t number) {
    cursors.emplace_back(number, shard,
                         std::unique_ptr<rocksdb::Iterator>(db_->NewIterator(ForVisit(view), families_[kCodes])));
  };
  for (const uint32_t space : spaces) add(space);
  for (const uint32_t embedding : embeddings) add(kMarkBase + embedding);
  std::vector<std::string> buffers(spaces.size());
  std::vector<std::optional<StoredCode>> codes(spaces.size());
  std::vector<uint32_t> marks;
  for (documents->Seek(DocumentKey(shard, "")); documents->Valid(); documents->Next()) {
    const std::string_view id =
        SplitDocumentKey(ToView(documents->key()))->id;  // it lies between two that have a shard
    for (size_t s = 0; s < spaces.size(); ++s) {
      codes[s].reset();
      if (!cursors[s].MoveTo(id)) continue;
      BEBR_ASSIGN_OR_RETURN(codes[s], DecodeCode(cursors[s].value(), &buffers[s]));
    }
    marks.clear();
    for (size_t e = 0; e < embeddings.size(); ++e) {
      if (cursors[spaces.size() + e].MoveTo(id)) marks.push_back(embeddings[e]);
    }
    BEBR_RETURN_IF_ERROR(visit(id, ToView(documents->value()), codes, marks));
  }
  BEBR_RETURN_IF_ERROR(Error(documents->status()));
  for (const NumberCursor& cursor : cursors) BEBR_RETURN_IF_ERROR(Error(cursor.status()));
  return absl::OkStatus();
}

absl::Status StoreReader::VisitFloats(const rocksdb::Snapshot* view, uint32_t embedding, uint32_t shard,
                                      const CollectionStore::FloatVisitor& visit) const {
  rocksdb::ReadOptions options = ForVisit(view);
  const std::string end = NumberedKey(embedding, shard + 1, "");
  const rocksdb::Slice end_slice = end;
  options.iterate_upper_bound = &end_slice;
  const std::unique_ptr<rocksdb::Iterator> cursor(db_->NewIterator(options, families_[kFloats]));
  for (cursor->Seek(NumberedKey(embedding, shard, "")); cursor->Valid(); cursor->Next()) {
    const auto key = SplitNumberedKey(ToView(cursor->key()));  // has a number: it lies between two that have
    BEBR_RETURN_IF_ERROR(visit(key->document.id, ToView(cursor->value())));
  }
  return Error(cursor->status());
}

}  // namespace bebr
