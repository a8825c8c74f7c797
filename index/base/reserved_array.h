// Memory that grows in place, so that readers are never disturbed.
#ifndef BEBR_INDEX_BASE_RESERVED_ARRAY_H_
#define BEBR_INDEX_BASE_RESERVED_ARRAY_H_

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>

namespace bebr {

// A ReservedArray is a zero-filled array of fixed capacity whose pages take memory only once they are written. It never
// moves, so one thread may append while others read what was there before.
//
// Shapes. `capacity` values of a trivial type T; page-aligned, large arrays aligned to huge pages. Thread safety: as a
// plain array: elements that are published by other means may be read while others are written. Errors: std::bad_alloc
// when the address space is not to be had.
template <typename T>
class ReservedArray {
  static_assert(std::is_trivial_v<T>);

 public:
  static constexpr size_t kHugePage = size_t{2} << 20;

  ReservedArray() = default;
  explicit ReservedArray(size_t capacity) : capacity_(capacity) {
    if (capacity == 0) return;
    const size_t bytes = capacity * sizeof(T);
    mapped_bytes_ = bytes >= kHugePage ? bytes + kHugePage : bytes;
    mapped_ = mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped_ == MAP_FAILED) throw std::bad_alloc();
    uintptr_t begin = reinterpret_cast<uintptr_t>(mapped_);
    if (bytes >= kHugePage) begin = (begin + kHugePage - 1) / kHugePage * kHugePage;
    data_ = reinterpret_cast<T*>(begin);
  }
  ~ReservedArray() {
    if (data_ != nullptr) munmap(mapped_, mapped_bytes_);
  }
  ReservedArray(ReservedArray&& other) noexcept { *this = std::move(other); }
  ReservedArray& operator=(ReservedArray&& other) noexcept {
    std::swap(mapped_, other.mapped_);
    std::swap(mapped_bytes_, other.mapped_bytes_);
    std::swap(data_, other.data_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t capacity() const { return capacity_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }

  // Asks the kernel to back the whole huge pages of an array that is written to its end by such pages, now (Linux 6.1;
  // elsewhere, or where there are none, nothing happens). Contents and concurrent readers are not disturbed. Costs a
  // copy of the array.
  void UseHugePages() {
    const size_t bytes = capacity_ * sizeof(T) / kHugePage * kHugePage;
    if (bytes == 0) return;
    constexpr int kCollapse = 25;  // MADV_COLLAPSE, which older headers lack
    if (madvise(data_, bytes, MADV_HUGEPAGE) == 0) madvise(data_, bytes, kCollapse);
  }

 private:
  void* mapped_ = nullptr;
  size_t mapped_bytes_ = 0;
  T* data_ = nullptr;
  size_t capacity_ = 0;
};

}  // namespace bebr

#endif  // BEBR_INDEX_BASE_RESERVED_ARRAY_H_
