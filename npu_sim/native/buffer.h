// Aligned memory with slack behind its end, so that kernels may read whole vectors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace furiosa {

constexpr size_t kAlignment = 64;
constexpr size_t kSlack = 256;

// Bytes aligned to 64, readable up to `kSlack` bytes past the end. Large ones lie in huge pages where the system has
// them: a network's weights span thousands of ordinary pages, more than a processor keeps translations for.
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
  void reserve(size_t size);

  template <class T = uint8_t>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  void release();

  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

// Zeroed memory, as aligned as a Buffer, for many things that live as long as the slab.
class Slab {
 public:
  template <class T = uint8_t>
  T* take(size_t count) {
    return reinterpret_cast<T*>(take_bytes(count * sizeof(T)));
  }

 private:
  uint8_t* take_bytes(size_t size);

  std::vector<Buffer> chunks_;
  size_t used_ = 0;  // of the last chunk
  size_t size_ = 0;  // of the last chunk
};

}  // namespace furiosa
