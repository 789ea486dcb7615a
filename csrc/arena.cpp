#include "arena.h"

#ifdef __linux__
#include <sys/mman.h>
#endif

#include <algorithm>
#include <iterator>
#include <new>
#include <numeric>
#include <set>

#include "parallel.h"

namespace e4s {
namespace {

constexpr std::size_t kMostIdle = 4;

// Asks for huge pages where memory is large: transforms write to more places at once than small pages have
// entries in the processor's tables. A refusal changes nothing but the speed.
#ifdef __linux__
void prefer_huge_pages(std::byte* data, std::int64_t bytes) {
  constexpr std::int64_t page = std::int64_t{2} << 20, least = 4 * page;
  const std::int64_t start = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(data)) % page;
  const std::int64_t before = (page - start) % page;
  if (bytes >= least)
    madvise(data + before, static_cast<std::size_t>((bytes - before) / page * page), MADV_HUGEPAGE);
}
#else
void prefer_huge_pages(std::byte*, std::int64_t) {}
#endif

// Guarded by runtime_mutex().
struct Idle {
  std::multiset<std::int64_t> needed;  // bytes of every plan
  std::vector<std::unique_ptr<Memory>> arenas;
};

Idle& idle() {
  static auto* const created = new Idle;  // never destroyed: daemon threads may still run at exit
  return *created;
}

}  // namespace

// Places the largest blocks first, each at the lowest offset that no placed block with an overlapping
// lifetime uses.
std::int64_t place(std::vector<Block>& blocks) {
  std::vector<std::size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return blocks[a].bytes > blocks[b].bytes; });
  std::vector<const Block*> placed;  // sorted by offset
  std::int64_t size = 0;
  for (const std::size_t index : order) {
    Block& block = blocks[index];
    std::int64_t offset = 0;
    for (const Block* other : placed) {
      if (other->last < block.first || block.last < other->first) continue;
      if (offset + block.bytes <= other->offset) break;
      offset = std::max(offset, aligned(other->offset + other->bytes));
    }
    block.offset = offset;
    size = std::max(size, aligned(offset + block.bytes));
    const auto after = std::upper_bound(placed.begin(), placed.end(), offset,
                                        [](std::int64_t at, const Block* b) { return at < b->offset; });
    placed.insert(after, &block);
  }
  return size;
}

Memory::Memory(std::int64_t bytes)
    : bytes_(bytes),
      data_(static_cast<std::byte*>(::operator new(static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1)),
                                                   std::align_val_t{static_cast<std::size_t>(kAlign)}))) {
  prefer_huge_pages(data(), bytes);
}

void Memory::Free::operator()(std::byte* p) const {
  ::operator delete(p, std::align_val_t{static_cast<std::size_t>(kAlign)});
}

Arenas::Arenas(std::int64_t bytes) : bytes_(bytes) {
  const std::lock_guard<std::mutex> lock(runtime_mutex());
  idle().needed.insert(bytes_);
}

Arenas::~Arenas() {
  std::vector<std::unique_ptr<Memory>> freed;  // without the mutex
  const std::lock_guard<std::mutex> lock(runtime_mutex());
  Idle& all = idle();
  all.needed.erase(all.needed.find(bytes_));
  const std::int64_t most = all.needed.empty() ? -1 : *all.needed.rbegin();
  const auto larger = std::partition(all.arenas.begin(), all.arenas.end(),
                                     [&](const auto& arena) { return arena->bytes() <= most; });
  std::move(larger, all.arenas.end(), std::back_inserter(freed));
  all.arenas.erase(larger, all.arenas.end());
}

// Takes the smallest arena that is large enough. If none is, the largest of the others makes room for a new
// one.
std::unique_ptr<Memory> Arenas::take() const {
  const auto smaller = [](const auto& a, const auto& b) { return a->bytes() < b->bytes(); };
  std::unique_ptr<Memory> found;
  {
    const std::lock_guard<std::mutex> lock(runtime_mutex());
    auto& arenas = idle().arenas;
    std::sort(arenas.begin(), arenas.end(), smaller);
    auto fits = std::find_if(arenas.begin(), arenas.end(),
                             [&](const auto& arena) { return arena->bytes() >= bytes_; });
    const bool new_one = fits == arenas.end();
    if (new_one && !arenas.empty()) --fits;
    if (fits != arenas.end()) {
      found = std::move(*fits);
      arenas.erase(fits);
    }
  }
  if (found == nullptr || found->bytes() < bytes_) {
    found.reset();  // before the new one, so that both are never there at once
    found = std::make_unique<Memory>(bytes_);
  }
  return found;
}

void Arenas::give(std::unique_ptr<Memory> arena) {
  const std::lock_guard<std::mutex> lock(runtime_mutex());
  const Idle& all = idle();
  const bool needed = !all.needed.empty() && arena->bytes() <= *all.needed.rbegin();
  if (needed && all.arenas.size() < kMostIdle) idle().arenas.push_back(std::move(arena));
}

}  // namespace e4s
