#include "worker/code_pages.h"

#include <fcntl.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "ipc/unique_fd.h"

#ifndef MADV_COLLAPSE  // Linux 6.1
#define MADV_COLLAPSE 25
#endif

namespace holdfast::worker {
namespace {

constexpr std::uintptr_t kHugePageBytes = std::uintptr_t{2} << 20;

// A huge page is memory of the zygote's own: used to less than a quarter, it is not worth that.
constexpr std::size_t kLeastUse = 4;

// In an entry of /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst).
constexpr std::uint64_t kPresent = std::uint64_t{1} << 63;

struct Segment {
  std::uintptr_t begin, end;  // whole pages
  int protection;
};

std::uintptr_t page_bytes() {
  static const auto bytes = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

int add_segments(dl_phdr_info* object, std::size_t, void* segments) {
  if (object->dlpi_addr == ::getauxval(AT_SYSINFO_EHDR)) return 0;  // the kernel's own, of no file
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = object->dlpi_phdr[i];
    // Relocations and variables are in pages that are no file's any more, and are inherited.
    if (header.p_type != PT_LOAD || (header.p_flags & PF_W) != 0) continue;
    const std::uintptr_t begin = object->dlpi_addr + header.p_vaddr;
    const std::uintptr_t end = begin + header.p_memsz + page_bytes() - 1;
    static_cast<std::vector<Segment>*>(segments)->push_back(
        {begin & ~(page_bytes() - 1), end & ~(page_bytes() - 1),
         (header.p_flags & PF_X) != 0 ? PROT_READ | PROT_EXEC : PROT_READ});
  }
  return 0;
}

void* at(std::uintptr_t address) { return reinterpret_cast<void*>(address); }

// One bit for each page of the segment: whether the page table has it. Empty if the kernel does not tell.
std::vector<bool> pages_present(const UniqueFd& pagemap, const Segment& segment) {
  std::vector<std::uint64_t> entries((segment.end - segment.begin) / page_bytes());
  const auto bytes = entries.size() * sizeof entries[0];
  const auto place = static_cast<off_t>(segment.begin / page_bytes() * sizeof entries[0]);
  if (::pread(pagemap.get(), entries.data(), bytes, place) != static_cast<ssize_t>(bytes)) return {};
  std::vector<bool> present(entries.size());
  std::transform(entries.begin(), entries.end(), present.begin(), [](auto entry) { return (entry & kPresent) != 0; });
  return present;
}

// Puts a copy in the place of what is there, which may be the code that does so: the kernel moves the copy over it at
// once. Never both writable and executable.
bool copy_to_huge_page(std::uintptr_t place, int protection) {
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS;
  void* room = ::mmap(nullptr, 2 * kHugePageBytes, PROT_READ | PROT_WRITE, kFlags, -1, 0);
  if (room == MAP_FAILED) return false;
  const auto begin = reinterpret_cast<std::uintptr_t>(room);
  const std::uintptr_t copy = (begin + kHugePageBytes - 1) & ~(kHugePageBytes - 1);
  bool done = ::madvise(at(copy), kHugePageBytes, MADV_HUGEPAGE) == 0;
  if (done) std::memcpy(at(copy), at(place), kHugePageBytes);
  // As small pages it would only make each fork slower. This has nothing to do if it is a huge one already.
  done = done && ::madvise(at(copy), kHugePageBytes, MADV_COLLAPSE) == 0 &&
         ::mprotect(at(copy), kHugePageBytes, protection) == 0 &&
         ::mremap(at(copy), kHugePageBytes, kHugePageBytes, MREMAP_MAYMOVE | MREMAP_FIXED, at(place)) != MAP_FAILED;
  ::munmap(room, copy - begin);
  if (!done) ::munmap(at(copy), kHugePageBytes);
  ::munmap(at(copy + kHugePageBytes), begin + kHugePageBytes - copy);
  return done;
}

// Of a mapping in which a page was written to, a fork copies the page table (vma_needs_copy() in the kernel's
// mm/memory.c). Its first byte is written over with itself, by the way that debuggers take, without the mapping ever
// being writable.
bool have_page_table_copied(const UniqueFd& memory, const Segment& segment) {
  std::byte first;
  const auto place = static_cast<off_t>(segment.begin);
  return ::pread(memory.get(), &first, 1, place) == 1 && ::pwrite(memory.get(), &first, 1, place) == 1;
}

}  // namespace

CodePages hand_down_code_pages(const std::function<void()>& use) {
  CodePages handed;
  const UniqueFd pagemap(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
  const UniqueFd memory(::open("/proc/self/mem", O_RDWR | O_CLOEXEC));
  if (!pagemap || !memory) return handed;
  std::vector<Segment> segments;
  ::dl_iterate_phdr(add_segments, &segments);

  // What was touched once, when the program started, is forgotten: only the page tables, not the pages.
  for (const Segment& segment : segments) ::madvise(at(segment.begin), segment.end - segment.begin, MADV_DONTNEED);
  use();

  std::vector<Segment> worth_a_huge_page;
  for (const Segment& segment : segments) {
    const auto present = pages_present(pagemap, segment);
    if (present.empty()) continue;
    const auto count = [&](std::uintptr_t begin, std::uintptr_t end) {
      const auto page = [&](std::uintptr_t address) {
        return present.begin() + static_cast<std::ptrdiff_t>((address - segment.begin) / page_bytes());
      };
      return static_cast<std::size_t>(std::count(page(begin), page(end), true));
    };
    std::size_t small = count(segment.begin, segment.end);
    const std::uintptr_t first = (segment.begin + kHugePageBytes - 1) & ~(kHugePageBytes - 1);
    for (std::uintptr_t place = first; place + kHugePageBytes <= segment.end; place += kHugePageBytes) {
      const std::size_t used = count(place, place + kHugePageBytes);
      if (used < kHugePageBytes / page_bytes() / kLeastUse) continue;
      worth_a_huge_page.push_back({place, place + kHugePageBytes, segment.protection});
      small -= used;
    }
    if (small > 0 && have_page_table_copied(memory, segment)) handed.shared += small;
  }
  for (const Segment& page : worth_a_huge_page) {
    if (copy_to_huge_page(page.begin, page.protection)) ++handed.huge;
  }
  return handed;
}

}  // namespace holdfast::worker
