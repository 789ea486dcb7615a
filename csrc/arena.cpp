#include "arena.h"

#include <algorithm>
#include <new>
#include <numeric>

namespace e4s {

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
    : data_(static_cast<std::byte*>(::operator new(static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1)),
                                                   std::align_val_t{static_cast<std::size_t>(kAlign)}))) {}

void Memory::Free::operator()(std::byte* p) const {
  ::operator delete(p, std::align_val_t{static_cast<std::size_t>(kAlign)});
}

}  // namespace e4s
