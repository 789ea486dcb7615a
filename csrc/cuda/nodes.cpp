#include "cuda/nodes.h"

#include <algorithm>

#include "arena.h"
#include "error.h"

namespace e4s::cuda {
namespace {

constexpr std::int64_t kPart = 256;  // alignment of slots and arenas
// Small blocks stay reserved for kKept launches after their last use: a launch that reused their memory would
// have to wait for that use, although neither depends on the other.
constexpr std::int64_t kSmall = 8 << 20;
constexpr int kKept = 8;
constexpr std::int64_t kMostBytes = std::int64_t{1} << 40;
constexpr std::int64_t kMostInAll = std::int64_t{1} << 50;  // sums of sizes below it do not overflow
constexpr std::int64_t kMostGrid[3] = {0x7fffffff, 65535, 65535};

struct Access {
  std::int64_t start, end;
  bool written;
};

void require(bool holds, const std::string& what) {
  if (!holds) throw ArgumentError("graph: " + what);
}

void check_launch(const LaunchSpec& launch, const PartSpec& part, int kernels, int weights) {
  require(launch.kernel >= 0 && launch.kernel < kernels, "a launch names no kernel");
  for (std::size_t i = 0; i < 3; ++i)
    require(launch.grid[i] >= 1 && launch.grid[i] <= kMostGrid[i], "a grid is impossible");
  for (const ArgumentSpec& a : launch.arguments) {
    if (a.space == Space::value) continue;
    const auto count =
        a.space == Space::block ? static_cast<std::int64_t>(part.blocks.size()) : std::int64_t{weights};
    require(a.index >= 0 && a.index < count, "an argument names nothing");
    require(a.space == Space::block || !a.written, "weights are not written");
    require(a.offset >= 0, "an argument lies before its block");
    require(a.offset <= kMostBytes, "an argument lies behind its weight");
    if (a.space == Space::block)
      require(a.offset < part.blocks[static_cast<std::size_t>(a.index)].bytes,
              "an argument lies behind its block");
  }
}

void check(const GraphSpec& spec, int kernels, int weights) {
  std::int64_t total = 0;
  const auto add = [&](std::int64_t bytes) {
    total += bytes + kPart;  // padding included
    require(total <= kMostInAll, "slots and blocks are too large together");
  };
  for (const std::int64_t bytes : spec.slots) {
    require(bytes >= 1 && bytes <= kMostBytes, "a slot has an impossible size");
    add(bytes);
  }
  for (const PartSpec& part : spec.parts) {
    for (const BlockSpec& b : part.blocks) {
      require(b.bytes >= 1 && b.bytes <= kMostBytes, "a block has an impossible size");
      add(b.bytes);
      require(b.slot < static_cast<int>(spec.slots.size()), "a block names no slot");
      require(b.slot < 0 || b.bytes <= spec.slots[static_cast<std::size_t>(b.slot)],
              "a block is larger than its slot");
    }
    for (const LaunchSpec& launch : part.launches) check_launch(launch, part, kernels, weights);
  }
}

// Sets the offsets of a part's blocks from the part's start; slots are skipped. Returns the part's size.
std::int64_t place_part(const PartSpec& part, std::vector<Block>& blocks) {
  blocks.assign(part.blocks.size(), Block{});
  for (Block& b : blocks) b.first = static_cast<int>(part.launches.size()), b.last = -1;
  for (std::size_t i = 0; i < part.launches.size(); ++i)
    for (const ArgumentSpec& a : part.launches[i].arguments) {
      if (a.space != Space::block) continue;
      Block& block = blocks[static_cast<std::size_t>(a.index)];
      block.first = std::min(block.first, static_cast<int>(i));
      block.last = std::max(block.last, static_cast<int>(i));
    }
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    if (part.blocks[b].slot >= 0 || blocks[b].last < 0) continue;
    blocks[b].bytes = aligned(part.blocks[b].bytes);
    if (blocks[b].bytes <= kSmall) blocks[b].last += kKept;
  }
  return place(blocks);
}

bool conflicts(const std::vector<Access>& mine, const std::vector<Access>& other) {
  for (const Access& a : mine)
    for (const Access& b : other)
      if ((a.written || b.written) && a.start < b.end && b.start < a.end) return true;
  return false;
}

// Adds each node's dependencies: conflicting earlier nodes, except those that another dependency waits for.
void order(Nodes& nodes, const std::vector<std::vector<Access>>& accesses) {
  std::vector<std::vector<bool>> before(accesses.size(), std::vector<bool>(accesses.size(), false));
  for (std::size_t i = 0; i < accesses.size(); ++i)
    for (std::size_t j = i; j-- > 0;) {
      if (before[i][j] || !conflicts(accesses[i], accesses[j])) continue;
      nodes.nodes[i].dependencies.push_back(static_cast<int>(j));
      before[i][j] = true;
      for (std::size_t k = 0; k < j; ++k)
        if (before[j][k]) before[i][k] = true;
    }
}

}  // namespace

Nodes lay_out(const GraphSpec& spec, int kernels, int weights) {
  check(spec, kernels, weights);
  Nodes result;
  const auto take = [&](std::int64_t bytes) {
    const std::int64_t start = (result.bytes + kPart - 1) / kPart * kPart;
    result.bytes = start + bytes;
    return start;
  };
  for (const std::int64_t bytes : spec.slots) result.slots.push_back(take(bytes));
  std::vector<std::vector<Access>> accesses;
  for (std::size_t p = 0; p < spec.parts.size(); ++p) {
    const PartSpec& part = spec.parts[p];
    std::vector<Block> blocks;
    const std::int64_t size = place_part(part, blocks), start = take(size);
    const auto start_of = [&](std::size_t b) {
      const int slot = part.blocks[b].slot;
      return slot >= 0 ? result.slots[static_cast<std::size_t>(slot)] : start + blocks[b].offset;
    };
    for (std::size_t l = 0; l < part.launches.size(); ++l) {
      const LaunchSpec& launch = part.launches[l];
      Node node;
      node.part = static_cast<int>(p), node.launch = static_cast<int>(l), node.kernel = launch.kernel;
      for (std::size_t i = 0; i < 3; ++i) node.grid[i] = static_cast<unsigned>(launch.grid[i]);
      std::vector<Access> used;
      for (const ArgumentSpec& a : launch.arguments) {
        if (a.space == Space::value) {
          node.arguments.push_back({a.space, -1, a.index});
        } else if (a.space == Space::weight) {
          node.arguments.push_back({a.space, a.index, a.offset});
        } else {
          const auto b = static_cast<std::size_t>(a.index);
          node.arguments.push_back({a.space, -1, start_of(b) + a.offset});
          used.push_back({start_of(b), start_of(b) + part.blocks[b].bytes, a.written});
        }
      }
      result.nodes.push_back(std::move(node));
      accesses.push_back(std::move(used));
    }
  }
  order(result, accesses);
  return result;
}

}  // namespace e4s::cuda
