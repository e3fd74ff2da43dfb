// Aligned memory: see buffer.h.
#include "buffer.h"

#include <algorithm>
#include <cstring>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace furiosa {
namespace {

constexpr size_t kHugePage = 2 << 20;
constexpr size_t kFirstChunk = 64 << 10, kLargestChunk = 16 << 20;

#ifdef __linux__
bool is_large(size_t size) { return size >= kHugePage / 2; }

// What is mapped for a large buffer, counted from its start.
size_t mapped(size_t size) { return (size + kSlack + kHugePage - 1) / kHugePage * kHugePage; }

// Mapped memory is zero from the start.
uint8_t* map_large(size_t size) {
  const size_t whole = mapped(size) + kHugePage;
  void* memory = mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  uint8_t* begin = static_cast<uint8_t*>(memory);
  uint8_t* data = begin + (kHugePage - reinterpret_cast<uintptr_t>(begin) % kHugePage) % kHugePage;
  if (data > begin) munmap(begin, size_t(data - begin));
  if (begin + whole > data + mapped(size)) munmap(data + mapped(size), size_t(begin + whole - data - mapped(size)));
  madvise(data, mapped(size), MADV_HUGEPAGE);
  return data;
}

void unmap_large(uint8_t* data, size_t size) { munmap(data, mapped(size)); }
#else
bool is_large(size_t) { return false; }
uint8_t* map_large(size_t) { return nullptr; }
void unmap_large(uint8_t*, size_t) {}
#endif

}  // namespace

void Buffer::reserve(size_t size) {
  if (data_ != nullptr && size <= size_) return;
  release();
  if (is_large(size)) {
    data_ = map_large(size);
  } else {
    data_ = static_cast<uint8_t*>(::operator new(size + kSlack, std::align_val_t(kAlignment)));
    std::memset(data_, 0, size + kSlack);
  }
  size_ = size;
}

void Buffer::release() {
  if (data_ == nullptr) return;
  if (is_large(size_)) unmap_large(data_, size_);
  else ::operator delete(data_, std::align_val_t(kAlignment));
  data_ = nullptr;
}

uint8_t* Slab::take_bytes(size_t size) {
  size = (size + kAlignment - 1) / kAlignment * kAlignment;
  if (chunks_.empty() || size > size_ - used_) {
    size_ = std::max(size, std::min(kLargestChunk, std::max(kFirstChunk, 2 * size_)));
    chunks_.emplace_back(size_);
    used_ = 0;
  }
  uint8_t* taken = chunks_.back().as() + used_;
  used_ += size;
  return taken;
}

}  // namespace furiosa
