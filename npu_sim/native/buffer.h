// Aligned memory with slack behind its end, so that kernels may read whole vectors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <utility>

namespace furiosa {

constexpr size_t kAlignment = 64;
constexpr size_t kSlack = 256;

// Bytes aligned to 64, readable up to `kSlack` bytes past the end.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t size) { reserve(size); }
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Buffer() { release(); }

  // Makes room for `size` bytes. What was there is lost when the buffer grows; fresh memory is zero.
  void reserve(size_t size) {
    if (data_ != nullptr && size <= size_) return;
    release();
    data_ = static_cast<uint8_t*>(::operator new(size + kSlack, std::align_val_t(kAlignment)));
    std::memset(data_, 0, size + kSlack);
    size_ = size;
  }

  template <class T = uint8_t>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  void release() {
    if (data_ != nullptr) ::operator delete(data_, std::align_val_t(kAlignment));
    data_ = nullptr;
  }

  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace furiosa
