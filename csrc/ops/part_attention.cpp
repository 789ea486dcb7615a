// Attention within parts of a face: colours of a pixel as the mean of another picture's pixels of the same
// part, by the cosine of their features. A softmax that runs over blocks of keys keeps no score beyond a
// tile.
#include <algorithm>
#include <vector>

#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/value.h"

namespace e4s {
namespace {

constexpr int kQueries = 48;  // pixels of a task: a block of keys stays in the cache for all of them
constexpr int kKeys = AttendTile::kKeys;
constexpr int kColours = 3;

// Offsets of the temporaries of one sample, in floats: directions of the queries [pixels][wide], those of the
// keys [blocks][channels][64] in the order of their parts, and the keys' colours [blocks][3][64].
struct Layout {
  std::int64_t pixels, channels, wide, blocks, keys, colours, total;
  Layout(std::int64_t count, std::int64_t width, int parts)
      : pixels(count),
        channels(width),
        wide((width + kLanes - 1) / kLanes * kLanes),
        blocks(count / kKeys + parts),  // every part begins a block of its own
        keys(count * wide),
        colours(keys + blocks * width * kKeys),
        total(colours + blocks * kKeys * kColours) {}
};

struct Part {
  std::vector<std::int32_t> queries, keys;
  std::int64_t block = 0;  // first block of its keys
};

std::vector<Part> sort_pixels(const Map& x, const Map& keys, std::int64_t n, std::int64_t pixels, int limit) {
  std::vector<Part> parts(static_cast<std::size_t>(limit));
  for (std::int64_t p = 0; p < pixels; ++p) {
    const auto part_at = [&](const Map& m) {
      return static_cast<std::size_t>(static_cast<std::uint8_t>(*m.at(n, p / m.w, p % m.w)));
    };
    if (part_at(x) != 0) parts[part_at(x)].queries.push_back(static_cast<std::int32_t>(p));
    if (part_at(keys) != 0) parts[part_at(keys)].keys.push_back(static_cast<std::int32_t>(p));
  }
  std::int64_t block = 0;
  for (Part& part : parts) {
    part.block = block;
    block += (static_cast<std::int64_t>(part.keys.size()) + kKeys - 1) / kKeys;
  }
  return parts;
}

// Some queries of one part, or one block of its keys.
struct Task {
  const Part* part;
  std::int64_t first;
  int count;
};

// Returns the tasks of those pixels of all parts that are needed, so many at a time.
std::vector<Task> split(const std::vector<Part>& parts, std::vector<std::int32_t> Part::* pixels, int most) {
  std::vector<Task> tasks;
  for (const Part& part : parts) {
    if (part.keys.empty() || part.queries.empty()) continue;
    const auto size = static_cast<std::int64_t>((part.*pixels).size());
    for (std::int64_t first = 0; first < size; first += most)
      tasks.push_back({&part, first, static_cast<int>(std::min<std::int64_t>(most, size - first))});
  }
  return tasks;
}

// Where the inputs of a step lie.
struct Inputs {
  const Map &x, &keys, &x_parts, &key_parts, &colours;
  float least, temperature;
};

Direction direction_of(const Map& map, std::int64_t n, std::int64_t pixel, float least, float* out) {
  return {map.at(n, pixel / map.w, pixel % map.w), map.type, map.c, least, out};
}

// Gathers a block of keys and their colours, a key to a lane. rows: memory [64][wide].
void gather(const Run& run, const Inputs& in, const Layout& at, float* memory, const Task& task,
            std::int64_t n, float* rows) {
  const std::int64_t block = task.part->block + task.first / kKeys;
  float* keys = memory + at.keys + block * at.channels * kKeys;
  float* colours = memory + at.colours + block * kColours * kKeys;
  std::fill_n(colours, kColours * kKeys, 0.0f);
  std::fill_n(rows, kKeys * at.wide, 0.0f);
  for (int i = 0; i < task.count; ++i) {
    const std::int64_t p = task.part->keys[static_cast<std::size_t>(task.first + i)], row = p / in.keys.w,
                       column = p % in.keys.w;
    // As published: where the two pictures show different parts, a key has no features.
    if (*in.x_parts.at(n, row, column) == *in.key_parts.at(n, row, column))
      run.cpu.direction(direction_of(in.keys, n, p, in.least, rows + i * at.wide));
    for (int k = 0; k < kColours; ++k) colours[k * kKeys + i] = value_at(in.colours, n, row, column, k);
  }
  for (std::int64_t c = 0; c < at.channels; ++c)
    for (std::int64_t i = 0; i < kKeys; ++i) keys[c * kKeys + i] = rows[i * at.wide + c];
}

// Computes the colours of some queries, one block of keys after the other.
void attend(const Run& run, const Inputs& in, const Layout& at, const float* memory, const Task& task,
            const Map& y, std::int64_t n) {
  const int together = run.cpu.conv_pixels_f32[kGroup];
  const ConvTileFn multiply = run.cpu.conv_f32[kGroup];
  const Tap tap{0, 0};
  alignas(64) float scores[(kQueries + kTileMax) * kKeys], states[kQueries * AttendTile::kState];
  const void* rows[kQueries + kTileMax];  // the last tile repeats a query; its scores are not read
  float* sums[kQueries + kTileMax];
  const std::int32_t* queries = task.part->queries.data() + task.first;
  for (int i = 0; i < kQueries + kTileMax; ++i) {
    rows[i] = memory + queries[std::min(i, task.count - 1)] * at.wide;
    sums[i] = scores + i * kKeys;
  }
  float out[kQueries * kColours];
  const auto count = static_cast<std::int64_t>(task.part->keys.size());
  for (std::int64_t first = 0; first < count; first += kKeys) {
    const std::int64_t block = task.part->block + first / kKeys;
    const float* keys = memory + at.keys + block * at.channels * kKeys;
    for (int i = 0; i < task.count; i += together)
      multiply({std::min(together, task.count - i), rows + i, sums + i, &tap, 1, at.channels, keys, false});
    const bool last = first + kKeys >= count;
    run.cpu.attend_tile({scores, memory + at.colours + block * kColours * kKeys, task.count,
                         static_cast<int>(std::min<std::int64_t>(kKeys, count - first)), in.temperature,
                         first == 0, states, last ? out : nullptr});
  }
  for (int i = 0; i < task.count; ++i) {
    const std::int64_t p = queries[i];
    std::copy_n(out + i * kColours, kColours, reinterpret_cast<float*>(y.at(n, p / y.w, p % y.w)));
  }
}

}  // namespace

StepFn make_part_attention(Builder& b) {
  const int x = b.read("x"), keys = b.read("keys"), y = b.write("y");
  const int parts[2] = {b.read("x_parts"), b.read("key_parts")}, colours = b.read("colours");
  const BufferSpec &in = b.spec(x), &out = b.spec(y), &picture = b.spec(colours);
  require_same_features(b, in, b.spec(keys));
  for (const int index : parts) {
    const BufferSpec& map = b.spec(index);
    b.require(map.type == Type::u8 && map.c == 1 && map.n == in.n && map.h == in.h && map.w == in.w &&
                  map.limit >= 1 && map.limit <= 256,
              "parts must be a label map of the features' size");
  }
  for (const BufferSpec* map : {&picture, &out})
    b.require(map->type != Type::u8 && map->c == kColours && map->n == in.n && map->h == in.h &&
                  map->w == in.w && map->external < 0,
              "colours and y must be pictures of the features' size");
  b.require(out.type == Type::f32 && out.halo == 0 && in.h * in.w < (std::int64_t{1} << 31),
            "y must hold floats");
  const float* temperature = b.vector("temperature", 1)->data();
  const auto least = static_cast<float>(b.real("epsilon"));
  b.require(least > 0, "epsilon must be positive");
  const int limit = std::max(b.spec(parts[0]).limit, b.spec(parts[1]).limit);
  const Layout at(in.h * in.w, in.c, limit);
  b.temporary(at.total * 4);
  b.scratch(at.wide * kKeys * 4);
  const int own = parts[0], other = parts[1];
  return [=](const Run& run) {
    const Inputs inputs{run.map(x),       run.map(keys), run.map(own), run.map(other),
                        run.map(colours), least,         *temperature};
    const Map &source = inputs.x, &target = run.map(y);
    auto* memory = reinterpret_cast<float*>(run.temporary);
    for (std::int64_t n = 0; n < source.n; ++n) {
      const std::vector<Part> sorted = sort_pixels(inputs.x_parts, inputs.key_parts, n, at.pixels, limit);
      run.pool.each(source.h, [&](std::int64_t row, int) {
        std::fill_n(reinterpret_cast<float*>(target.at(n, row, 0)), target.w * target.pixel, 0.0f);
        for (std::int64_t p = row * source.w; p < (row + 1) * source.w; ++p)
          run.cpu.direction(direction_of(source, n, p, least, memory + p * at.wide));
      });
      const std::vector<Task> blocks = split(sorted, &Part::keys, kKeys);
      run.pool.each(static_cast<std::int64_t>(blocks.size()), [&](std::int64_t task, int worker) {
        gather(run, inputs, at, memory, blocks[static_cast<std::size_t>(task)], n,
               reinterpret_cast<float*>(run.of_worker(worker)));
      });
      const std::vector<Task> tasks = split(sorted, &Part::queries, kQueries);
      run.pool.each(static_cast<std::int64_t>(tasks.size()), [&](std::int64_t task, int) {
        attend(run, inputs, at, memory, tasks[static_cast<std::size_t>(task)], target, n);
      });
    }
  };
}

}  // namespace e4s
