// The checksum of model files and records.
#ifndef BEBR_INDEX_BASE_CHECKSUM_H_
#define BEBR_INDEX_BASE_CHECKSUM_H_

#include <cstdint>
#include <string_view>

namespace bebr {

// CRC-32 (ISO 3309, the polynomial of zlib and PNG) of `bytes`; `seed` is the checksum of what came before.
uint32_t Crc32(std::string_view bytes, uint32_t seed = 0);

// CRC-32C (Castagnoli, the polynomial of iSCSI and of RocksDB's files) of `bytes`; `seed` as above. With the
// processor's own instruction where it has one: several gigabytes a second.
uint32_t Crc32c(std::string_view bytes, uint32_t seed = 0);

}  // namespace bebr

#endif  // BEBR_INDEX_BASE_CHECKSUM_H_
