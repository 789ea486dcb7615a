// Layout of launches as memory and graph nodes. Nothing here needs a device.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace e4s::cuda {

// The kind of an argument: an offset into a block, an offset into a weight, or a number.
enum class Space { block, weight, value };

struct ArgumentSpec {
  Space space = Space::value;
  std::int64_t index = 0;   // index of the block in its part, of the weight, or the number itself
  std::int64_t offset = 0;  // in bytes
  bool written = false;
};

// A kernel call with its arguments in order.
struct LaunchSpec {
  int kernel = 0;
  std::array<std::int64_t, 3> grid{1, 1, 1};
  std::vector<ArgumentSpec> arguments;
};

// A block of a part: `slot` >= 0 is memory shared between parts, or with the caller.
struct BlockSpec {
  std::int64_t bytes = 0;
  int slot = -1;
};

// A recorded plan's launches. Each part has its own arena, so that only data passed through slots orders
// parts: two encodes run side by side.
struct PartSpec {
  std::vector<BlockSpec> blocks;
  std::vector<LaunchSpec> launches;
};

// The parts of a graph, and the slots they share.
struct GraphSpec {
  std::vector<std::int64_t> slots;  // bytes of each
  std::vector<PartSpec> parts;
};

// A placed argument: bytes from the start of the arena or of a weight, or the number.
struct Argument {
  Space space = Space::value;
  std::int64_t weight = -1;
  std::int64_t value = 0;
};

// A kernel call of the graph.
struct Node {
  int part = 0, launch = 0, kernel = 0;
  std::array<unsigned, 3> grid{1, 1, 1};
  std::vector<Argument> arguments;
  std::vector<int> dependencies;  // earlier nodes to wait for, none implied by another
};

// A laid-out graph.
struct Nodes {
  std::int64_t bytes = 0;           // size of the arena, which begins with the slots
  std::vector<std::int64_t> slots;  // offset of each slot
  std::vector<Node> nodes;
};

// Places blocks and slots, and orders launches by their accesses: a node waits for an earlier one if their
// memory overlaps and one of them writes it. kernels, weights: numbers of those that exist. Throws
// ArgumentError for an invalid graph.
Nodes lay_out(const GraphSpec& spec, int kernels, int weights);

}  // namespace e4s::cuda
