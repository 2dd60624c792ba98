#include "fabrics/vhost/mapping.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>

namespace sluice::vhost {
namespace {

class system_mapping final : public mapping {
 public:
  system_mapping(void* at, std::uint64_t mapped, std::uint64_t offset, std::uint64_t size)
      : at_(static_cast<std::uint8_t*>(at)), mapped_(mapped), offset_(offset), size_(size) {}
  ~system_mapping() override { ::munmap(at_, mapped_); }
  bytes span() const override { return {at_ + offset_, size_}; }

 private:
  std::uint8_t* const at_;
  const std::uint64_t mapped_, offset_, size_;
};

result<std::shared_ptr<const mapping>> map(reactor::handle from, std::uint64_t offset, std::uint64_t size,
                                           bool sealed) {
  struct stat about;
  if (::fstat(from, &about) != 0) return fail_errno(errno, "look at shared memory");
  if (!S_ISREG(about.st_mode)) return fail(errc::invalid_argument, "shared memory is no file");
  const auto length = static_cast<std::uint64_t>(about.st_size);
  if (size == 0 || offset > length || size > length - offset)
    return fail(errc::invalid_argument, "shared memory is shorter than what is to lie in it");
  if (sealed) {
    const int seals = ::fcntl(from, F_GET_SEALS);
    if (seals < 0 || !(seals & F_SEAL_SHRINK))
      return fail(errc::invalid_argument, "shared memory is not sealed against becoming shorter");
  }
  // From the start of the file, in whole pages of its own, which may be huge: an offset need not be a multiple of them.
  const auto page = static_cast<std::uint64_t>(about.st_blksize);
  const std::uint64_t all = (offset + size + page - 1) / page * page;
  void* const at = ::mmap(nullptr, all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, from, 0);
  if (at == MAP_FAILED) return fail_errno(errno, "map shared memory");
  ::madvise(at, all, MADV_DONTDUMP);  // a guest's memory is none of our core dumps' business
  return std::make_shared<const system_mapping>(at, all, offset, size);
}

}  // namespace

mapper system_mapper() {
  return map;
}

}  // namespace sluice::vhost
