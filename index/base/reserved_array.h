#ifndef BEBR_INDEX_BASE_RESERVED_ARRAY_H_
#define BEBR_INDEX_BASE_RESERVED_ARRAY_H_

#include <sys/mman.h>

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

namespace bebr {

// A ReservedArray is a zero-filled array of fixed capacity whose pages take memory only once they are written. It never
// moves, so one thread may append while others read what was there before.
//
// Shapes. `capacity` values of a trivial type T, page-aligned. Thread safety: as a plain array: elements that are
// published by other means may be read while others are written. Errors: std::bad_alloc when the address space is not
// to be had.
template <typename T>
class ReservedArray {
  static_assert(std::is_trivial_v<T>);

 public:
  ReservedArray() = default;
  explicit ReservedArray(size_t capacity) : capacity_(capacity) {
    if (capacity == 0) return;
    void* memory =
        mmap(nullptr, capacity * sizeof(T), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    data_ = static_cast<T*>(memory);
  }
  ~ReservedArray() {
    if (data_ != nullptr) munmap(data_, capacity_ * sizeof(T));
  }
  ReservedArray(ReservedArray&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), capacity_(std::exchange(other.capacity_, 0)) {}
  ReservedArray& operator=(ReservedArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t capacity() const { return capacity_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }

 private:
  T* data_ = nullptr;
  size_t capacity_ = 0;
};

}  // namespace bebr

#endif  // BEBR_INDEX_BASE_RESERVED_ARRAY_H_
