#pragma once
#include <sys/mman.h>

#include <cstddef>
#include <new>

namespace sluice::memory {

/// An array whose elements begin as zero octets, in memory that the system gives when it is touched. For plain data and
/// atomics of it.
template <class T>
class zeroed_array {
 public:
  explicit zeroed_array(std::size_t count) : count_(count) {
    void* at = ::mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) throw std::bad_alloc();
    data_ = static_cast<T*>(at);
  }
  ~zeroed_array() { ::munmap(data_, bytes()); }
  zeroed_array(const zeroed_array&) = delete;
  zeroed_array& operator=(const zeroed_array&) = delete;

  std::size_t size() const { return count_; }
  std::size_t bytes() const { return count_ * sizeof(T) + 1; }
  T& operator[](std::size_t i) const { return data_[i]; }

 private:
  std::size_t count_;
  T* data_;
};

}  // namespace sluice::memory
