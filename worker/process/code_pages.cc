// Halves the page faults that a worker takes up to its first answer. The code that a first call runs is then mapped in
// the worker from its start, and shared with the zygote and all other workers.
//
// How, in the zygote, before it forks:
// 1. Drop the page-table entries of all code and constants, run a call (`use`), and see in /proc/self/pagemap what it
//    touched.
// 2. Where at least a quarter of an aligned 2 MB is used, map a copy over it, in a huge page of a sealed memory file. A
//    child maps all of that with one page fault.
// 3. Make the kernel copy the page tables of the other mappings in each fork, if enough of a mapping is used.
#include "worker/process/code_pages.h"

#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "ipc/base/unique_fd.h"
#include "sandbox/loaded_segments.h"

#ifndef MADV_COLLAPSE  // Linux 6.1
#define MADV_COLLAPSE 25
#endif

namespace holdfast::worker {
namespace {

constexpr std::uintptr_t kHugePageBytes = std::uintptr_t{2} << 20;

// A huge page takes 2 MB of the zygote's own memory. It is worth that if at least a quarter (1 / kLeastUse) is used.
constexpr std::size_t kLeastUse = 4;

// To copy the entry of one page in a fork costs a fifth of what a page fault costs per page that it maps. So copying
// a page table pays if at most this many of its entries are copied for each page that is used.
constexpr std::size_t kMostCopied = 5;

// Bits of an entry of /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst).
constexpr std::uint64_t kPresent = std::uint64_t{1} << 63;
constexpr std::uint64_t kSwapped = std::uint64_t{1} << 62;
constexpr std::uint64_t kOfFile = std::uint64_t{1} << 61;

// The whole pages of a file's mapping, and which of them were in the page table.
struct Segment {
  std::uintptr_t begin, end;
  int protection;
  std::vector<std::uint64_t> before;  // before anything was changed
  std::vector<std::uint64_t> used;    // after `use`
};

// A piece of 2 MB, aligned so that a huge page can take its place.
struct Piece {
  std::uintptr_t begin;
  int protection;
};

std::uintptr_t page_bytes() {
  static const auto bytes = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

// All constant segments but those of the kernel's own object (vdso(7)), which is not mapped from a file.
std::vector<Segment> segments_of_files() {
  std::vector<Segment> segments;
  for (const sandbox::LoadedSegment& segment : sandbox::constant_segments()) {
    if (segment.object == ::getauxval(AT_SYSINFO_EHDR)) continue;
    const int protection = segment.is_executable ? PROT_READ | PROT_EXEC : PROT_READ;
    segments.push_back({segment.begin, segment.end, protection, {}, {}});
  }
  return segments;
}

void* at(std::uintptr_t address) { return reinterpret_cast<void*>(address); }

bool is_present(std::uint64_t entry) { return (entry & kPresent) != 0; }

// One pagemap entry for each page of the segment; empty if the kernel does not tell.
std::vector<std::uint64_t> page_entries(const UniqueFd& pagemap, const Segment& segment) {
  std::vector<std::uint64_t> entries((segment.end - segment.begin) / page_bytes());
  const auto bytes = entries.size() * sizeof entries[0];
  const auto place = static_cast<off_t>(segment.begin / page_bytes() * sizeof entries[0]);
  if (::pread(pagemap.get(), entries.data(), bytes, place) != static_cast<ssize_t>(bytes)) entries.clear();
  return entries;
}

// Whether all of the segment's pages are still the file's. Relocations and a debugger's breakpoints write to pages;
// MADV_DONTNEED would lose what they wrote.
bool is_as_in_file(const Segment& segment) {
  const auto is_own = [](auto entry) { return (entry & kSwapped) != 0 || (is_present(entry) && !(entry & kOfFile)); };
  return !segment.before.empty() && std::none_of(segment.before.begin(), segment.before.end(), is_own);
}

// How many of the segment's pages from `begin` to `end` are present in `entries`.
std::size_t count(const Segment& segment, const std::vector<std::uint64_t>& entries, std::uintptr_t begin,
                  std::uintptr_t end) {
  const auto at_page = [&](std::uintptr_t address) {
    return entries.begin() + static_cast<std::ptrdiff_t>((address - segment.begin) / page_bytes());
  };
  return entries.empty() ? 0 : static_cast<std::size_t>(std::count_if(at_page(begin), at_page(end), is_present));
}

// The aligned pieces of 2 MB that are used enough to be worth a huge page.
std::vector<Piece> worth_huge_pages(const std::vector<Segment>& segments) {
  std::vector<Piece> pieces;
  for (const Segment& segment : segments) {
    const std::uintptr_t first = (segment.begin + kHugePageBytes - 1) & ~(kHugePageBytes - 1);
    for (std::uintptr_t place = first; place + kHugePageBytes <= segment.end; place += kHugePageBytes) {
      const std::size_t used = count(segment, segment.used, place, place + kHugePageBytes);
      if (used >= kHugePageBytes / page_bytes() / kLeastUse) pieces.push_back({place, segment.protection});
    }
  }
  return pieces;
}

// Whether huge pages have 2 MB here, and a new mapping of code is as good as the program file's.
bool may_have_huge_pages() {
#ifdef HWCAP2_BTI
  if ((::getauxval(AT_HWCAP2) & HWCAP2_BTI) != 0) return false;  // only ld.so knows whether a library is built for BTI
#endif
  return page_bytes() == 4096;
}

bool write_all(const UniqueFd& file, std::uintptr_t from, std::size_t offset) {
  for (std::size_t done = 0; done < kHugePageBytes;) {
    const ssize_t count =
        ::pwrite(file.get(), at(from + done), kHugePageBytes - done, static_cast<off_t>(offset + done));
    if (count <= 0) return false;
    done += static_cast<std::size_t>(count);
  }
  return true;
}

// Fills the memory file with copies of the pieces, each in a huge page, and seals it against all writing. Returns the
// pieces that are in the file, in their order: as many as the kernel has huge pages for. Empty on failure.
std::vector<Piece> copy_to_huge_pages(const UniqueFd& file, const std::vector<Piece>& pieces) {
  const std::size_t bytes = pieces.size() * kHugePageBytes;
  rlimit longest{};
  if (::getrlimit(RLIMIT_FSIZE, &longest) != 0 || longest.rlim_cur < bytes) return {};  // SIGXFSZ would end the process
  if (!file || ::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) return {};
  // Reserve one huge page more of addresses than needed, so that the file can be mapped at a multiple of 2 MB.
  void* const room = ::mmap(nullptr, bytes + kHugePageBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) return {};
  const auto begin = (reinterpret_cast<std::uintptr_t>(room) + kHugePageBytes - 1) & ~(kHugePageBytes - 1);
  std::vector<Piece> copied;
  if (::mmap(at(begin), bytes, PROT_READ, MAP_SHARED | MAP_FIXED, file.get(), 0) != MAP_FAILED) {
    for (const Piece& piece : pieces) {
      const std::size_t offset = copied.size() * kHugePageBytes;
      if (!write_all(file, piece.begin, offset)) break;
      if (::madvise(at(begin + offset), kHugePageBytes, MADV_COLLAPSE) == 0) copied.push_back(piece);
    }
  }
  ::munmap(room, bytes + kHugePageBytes);
  constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  const auto length = static_cast<off_t>(copied.size() * kHugePageBytes);
  if (::ftruncate(file.get(), length) != 0 || ::fcntl(file.get(), F_ADD_SEALS, kSeals) != 0) return {};
  return copied;
}

// Maps copies of the pieces in huge pages over the pieces. The code that does this may be in one of them: it goes on
// in the copy. No memory is ever writable and executable. Returns the pieces that were replaced.
std::vector<Piece> move_to_huge_pages(const std::vector<Piece>& pieces) {
  if (pieces.empty() || !may_have_huge_pages()) return {};
  const UniqueFd file(::memfd_create("holdfast-code", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  const std::vector<Piece> copied = copy_to_huge_pages(file, pieces);
  std::vector<Piece> moved;
  for (std::size_t i = 0; i < copied.size(); ++i) {
    // MAP_POPULATE makes the zygote one of the processes that share the page.
    constexpr int kFlags = MAP_PRIVATE | MAP_FIXED | MAP_POPULATE;
    void* const place = at(copied[i].begin);
    const auto offset = static_cast<off_t>(i * kHugePageBytes);
    if (::mmap(place, kHugePageBytes, copied[i].protection, kFlags, file.get(), offset) == place) {
      moved.push_back(copied[i]);
    }
  }
  return moved;
}

// Makes forks copy the page table of this mapping. They do so for a mapping in which a page was written to
// (vma_needs_copy() in the kernel's mm/memory.c). Therefore writes the first byte over itself through /proc/self/mem,
// as debuggers write; the mapping itself is never writable.
bool have_page_table_copied(const UniqueFd& memory, std::uintptr_t mapping) {
  std::byte first;
  const auto place = static_cast<off_t>(mapping);
  return ::pread(memory.get(), &first, 1, place) == 1 && ::pwrite(memory.get(), &first, 1, place) == 1;
}

// Pre-faults a part of a segment that is a mapping of its own. First faults the pages back in that the zygote had in
// the beginning, so that workers share them with it instead of each being the only process that maps them. Returns
// how many page-table entries a fork copies from now on; 0 if copying does not pay.
std::size_t hand_down(const UniqueFd& memory, const Segment& segment, std::uintptr_t begin, std::uintptr_t end) {
  const std::size_t used = count(segment, segment.used, begin, end);
  const std::size_t all = count(segment, segment.before, begin, end);
  for (std::uintptr_t place = begin; place < end; place += page_bytes()) {
    if (is_present(segment.before[(place - segment.begin) / page_bytes()])) {
      (void)*static_cast<const volatile char*>(at(place));
    }
  }
  const bool is_worth_copying = used > 0 && all <= kMostCopied * used;
  return is_worth_copying && have_page_table_copied(memory, begin) ? std::max(used, all) : 0;
}

}  // namespace

CodePages prefault_code_pages(const std::function<void()>& use) {
  CodePages handed;
  const UniqueFd pagemap(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
  const UniqueFd memory(::open("/proc/self/mem", O_RDWR | O_CLOEXEC));
  if (!pagemap || !memory) return handed;
  std::vector<Segment> segments = segments_of_files();
  for (Segment& segment : segments) segment.before = page_entries(pagemap, segment);
  std::erase_if(segments, [](const Segment& segment) { return !is_as_in_file(segment); });

  // Drop the page-table entries (not the pages) of what was touched when the program started, so that only what `use`
  // touches is found in use.
  for (const Segment& segment : segments) ::madvise(at(segment.begin), segment.end - segment.begin, MADV_DONTNEED);
  use();
  for (Segment& segment : segments) segment.used = page_entries(pagemap, segment);

  const std::vector<Piece> moved = move_to_huge_pages(worth_huge_pages(segments));
  handed.huge = moved.size();
  for (const Segment& segment : segments) {
    std::uintptr_t begin = segment.begin;
    for (const Piece& piece : moved) {
      if (piece.begin < segment.begin || piece.begin >= segment.end) continue;
      if (begin < piece.begin) handed.small += hand_down(memory, segment, begin, piece.begin);
      begin = piece.begin + kHugePageBytes;
    }
    if (begin < segment.end) handed.small += hand_down(memory, segment, begin, segment.end);
  }
  return handed;
}

}  // namespace holdfast::worker
