#pragma once
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <new>

namespace sluice::memory {

/// An array whose elements begin as zero octets, in memory that the system gives when it is touched, a huge page at a
/// time where the array has room for some: who looks around in a large one would wait for the page tables as long as
/// for the data. For plain data and atomics of it.
template <class T>
class zeroed_array {
 public:
  explicit zeroed_array(std::size_t count) : count_(count) {
    mapped_ = bytes() < huge_page ? bytes() : bytes() + huge_page;
    at_ = ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at_ == MAP_FAILED) throw std::bad_alloc();
    auto address = reinterpret_cast<std::uintptr_t>(at_);
    if (mapped_ != bytes()) {
      address = (address + huge_page - 1) / huge_page * huge_page;
      ::madvise(reinterpret_cast<void*>(address), bytes(), MADV_HUGEPAGE);
    }
    data_ = reinterpret_cast<T*>(address);
  }
  ~zeroed_array() { ::munmap(at_, mapped_); }
  zeroed_array(const zeroed_array&) = delete;
  zeroed_array& operator=(const zeroed_array&) = delete;

  std::size_t size() const { return count_; }
  std::size_t bytes() const { return count_ * sizeof(T) + 1; }
  T& operator[](std::size_t i) const { return data_[i]; }

 private:
  static constexpr std::size_t huge_page = std::size_t{2} << 20;
  std::size_t count_;
  std::size_t mapped_;
  void* at_;
  T* data_;
};

}  // namespace sluice::memory
