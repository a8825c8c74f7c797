#include <string>
#include <string_view>

#include "index/storage/collection_store.h"
#include "index/storage/format.h"
#include "index/storage/rocks.h"
#include "index/storage/store_meta.h"

namespace bebr {

CollectionStore::Batch::Batch() : Batch(0) {}
CollectionStore::Batch::Batch(size_t reserved_bytes) : rep_(std::make_unique<Rep>(reserved_bytes)) {}
CollectionStore::Batch::~Batch() = default;
CollectionStore::Batch::Batch(Batch&&) noexcept = default;
CollectionStore::Batch& CollectionStore::Batch::operator=(Batch&&) noexcept = default;

// A WriteBatch in memory refuses nothing but sizes beyond 4 GiB, which the limits on requests exclude.
void CollectionStore::Batch::PutDocument(uint32_t shard, std::string_view id, std::string_view attributes) {
  rep_->writes.Put(&rep_->documents, DocumentKey(shard, id), ToSlice(attributes)).PermitUncheckedError();
}
void CollectionStore::Batch::DeleteDocument(uint32_t shard, std::string_view id) {
  rep_->writes.Delete(&rep_->documents, DocumentKey(shard, id)).PermitUncheckedError();
}
void CollectionStore::Batch::PutCode(uint32_t space, uint32_t shard, std::string_view id, const StoredCode& code) {
  EncodeCode(code, &scratch_);
  rep_->writes.Put(&rep_->codes, NumberedKey(space, shard, id), scratch_).PermitUncheckedError();
}
void CollectionStore::Batch::DeleteCode(uint32_t space, uint32_t shard, std::string_view id) {
  rep_->writes.Delete(&rep_->codes, NumberedKey(space, shard, id)).PermitUncheckedError();
}
void CollectionStore::Batch::PutFloats(uint32_t embedding, uint32_t shard, std::string_view id,
                                       std::string_view bytes) {
  rep_->writes.Put(&rep_->floats, NumberedKey(embedding, shard, id), ToSlice(bytes)).PermitUncheckedError();
}
void CollectionStore::Batch::DeleteFloats(uint32_t embedding, uint32_t shard, std::string_view id) {
  rep_->writes.Delete(&rep_->floats, NumberedKey(embedding, shard, id)).PermitUncheckedError();
}
void CollectionStore::Batch::PutMark(uint32_t embedding, uint32_t shard, std::string_view id) {
  rep_->writes.Put(&rep_->codes, NumberedKey(kMarkBase + embedding, shard, id), rocksdb::Slice())
      .PermitUncheckedError();
}
void CollectionStore::Batch::DeleteMark(uint32_t embedding, uint32_t shard, std::string_view id) {
  rep_->writes.Delete(&rep_->codes, NumberedKey(kMarkBase + embedding, shard, id)).PermitUncheckedError();
}
void CollectionStore::Batch::DeleteAllCodes(uint32_t space) {
  rep_->writes.DeleteRange(&rep_->codes, NumberPrefix(space), NumberPrefix(space + 1)).PermitUncheckedError();
}
void CollectionStore::Batch::DeleteAllFloats(uint32_t embedding) {
  rep_->writes.DeleteRange(&rep_->floats, NumberPrefix(embedding), NumberPrefix(embedding + 1)).PermitUncheckedError();
  DeleteAllCodes(kMarkBase + embedding);
}
void CollectionStore::Batch::PutApplied(std::string_view place) {
  rep_->writes.Put(ToSlice(kAppliedKey), ToSlice(place)).PermitUncheckedError();
}
size_t CollectionStore::Batch::bytes() const { return rep_->writes.GetDataSize(); }

}  // namespace bebr
