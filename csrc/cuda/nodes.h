// Launches -> memory and graph nodes. Nothing here needs a device.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace e4s::cuda {

// What an argument is: the start of a block plus bytes, of a weight plus bytes, or a number.
enum class Space { block, weight, value };

struct ArgumentSpec {
  Space space = Space::value;
  std::int64_t index = 0;   // of the block in its part, or of the weight; the number itself
  std::int64_t offset = 0;  // in bytes
  bool written = false;
};

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

// A recorded plan's launches. Parts have arenas of their own, so that only what they hand each other orders
// them: two encodes run side by side.
struct PartSpec {
  std::vector<BlockSpec> blocks;
  std::vector<LaunchSpec> launches;
};

struct GraphSpec {
  std::vector<std::int64_t> slots;  // bytes
  std::vector<PartSpec> parts;
};

// An argument with its place: bytes from the start of the arena, from a weight, or the number.
struct Argument {
  Space space = Space::value;
  std::int64_t weight = -1;
  std::int64_t value = 0;
};

struct Node {
  int part = 0, launch = 0, kernel = 0;
  std::array<unsigned, 3> grid{1, 1, 1};
  std::vector<Argument> arguments;
  std::vector<int> dependencies;  // earlier nodes, none of them implied by another
};

struct Nodes {
  std::int64_t bytes = 0;           // of the arena: slots first
  std::vector<std::int64_t> slots;  // where each starts
  std::vector<Node> nodes;
};

// Places blocks and slots, and orders launches by what they read and write: a node waits for an earlier one
// where their memory overlaps and one of them writes it. Throws ArgumentError for an impossible graph.
Nodes lay_out(const GraphSpec& spec, int kernels, int weights);

}  // namespace e4s::cuda
