#include <string>
#include <string_view>

#include "index/storage/format.h"
#include "index/storage/rocks.h"
#include "index/storage/shard_store.h"

namespace bebr {

ShardStore::Batch::Batch() : rep_(std::make_unique<Rep>()) {}
ShardStore::Batch::~Batch() = default;
ShardStore::Batch::Batch(Batch&&) noexcept = default;
ShardStore::Batch& ShardStore::Batch::operator=(Batch&&) noexcept = default;

// A WriteBatch in memory refuses nothing but sizes beyond 4 GiB, which the limits on requests exclude.
void ShardStore::Batch::PutDocument(std::string_view id, std::string_view attributes) {
  rep_->writes.Put(&rep_->documents, ToSlice(id), ToSlice(attributes)).PermitUncheckedError();
}
void ShardStore::Batch::DeleteDocument(std::string_view id) {
  rep_->writes.Delete(&rep_->documents, ToSlice(id)).PermitUncheckedError();
}
void ShardStore::Batch::PutCode(uint32_t space, std::string_view id, const StoredCode& code) {
  EncodeCode(code, &scratch_);
  rep_->writes.Put(&rep_->codes, NumberedKey(space, id), scratch_).PermitUncheckedError();
}
void ShardStore::Batch::DeleteCode(uint32_t space, std::string_view id) {
  rep_->writes.Delete(&rep_->codes, NumberedKey(space, id)).PermitUncheckedError();
}
void ShardStore::Batch::PutFloats(uint32_t embedding, std::string_view id, std::string_view bytes) {
  rep_->writes.Put(&rep_->floats, NumberedKey(embedding, id), ToSlice(bytes)).PermitUncheckedError();
}
void ShardStore::Batch::DeleteFloats(uint32_t embedding, std::string_view id) {
  rep_->writes.Delete(&rep_->floats, NumberedKey(embedding, id)).PermitUncheckedError();
}
void ShardStore::Batch::PutMark(uint32_t embedding, std::string_view id) {
  rep_->writes.Put(&rep_->codes, NumberedKey(kMarkBase + embedding, id), rocksdb::Slice()).PermitUncheckedError();
}
void ShardStore::Batch::DeleteMark(uint32_t embedding, std::string_view id) {
  rep_->writes.Delete(&rep_->codes, NumberedKey(kMarkBase + embedding, id)).PermitUncheckedError();
}
void ShardStore::Batch::DeleteAllCodes(uint32_t space) {
  rep_->writes.DeleteRange(&rep_->codes, NumberedKey(space, ""), NumberedKey(space + 1, "")).PermitUncheckedError();
}
void ShardStore::Batch::DeleteAllFloats(uint32_t embedding) {
  rep_->writes.DeleteRange(&rep_->floats, NumberedKey(embedding, ""), NumberedKey(embedding + 1, ""))
      .PermitUncheckedError();
  DeleteAllCodes(kMarkBase + embedding);
}
size_t ShardStore::Batch::bytes() const { return rep_->writes.GetDataSize(); }

}  // namespace bebr
