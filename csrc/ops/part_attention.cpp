// Attention within parts of a face: colours of a pixel as the mean of another picture's pixels of the same
// part, by the cosine of their features. A softmax that runs over tiles of keys keeps no score beyond a tile.
#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/value.h"

namespace e4s {
namespace {

constexpr int kQueries = AttendTile::kRows;  // pixels whose scores are computed together
constexpr int kColours = 3;

// Offsets of the temporaries of one sample, in floats: directions of the queries [pixels][channels], those of
// the keys [blocks][channels][16] in the order of their parts, and the keys' colours [blocks][3][16].
struct Layout {
  std::int64_t pixels, channels, blocks, keys, colours, total;
  Layout(std::int64_t count, std::int64_t width, int parts)
      : pixels(count),
        channels(width),
        blocks(count / kLanes + parts),  // every part begins a block of its own
        keys(count * width),
        colours(keys + blocks * width * kLanes),
        total(colours + blocks * kLanes * kColours) {}
};

struct Part {
  std::vector<std::int32_t> queries, keys;
  std::int64_t block = 0;  // first block of its keys
};

// Writes a pixel's features less their mean, divided by their length, `step` floats apart.
void direction(const Map& map, std::int64_t n, std::int64_t pixel, double least, float* out,
               std::int64_t step) {
  const std::int64_t row = pixel / map.w, column = pixel % map.w;
  double sum = 0, square = 0;
  if (map.type == Type::f32) {
    const auto* values = reinterpret_cast<const float*>(map.at(n, row, column));
    for (int c = 0; c < map.c; ++c) sum += out[c * step] = values[c];
  } else {
    for (int c = 0; c < map.c; ++c) sum += out[c * step] = value_at(map, n, row, column, c);
  }
  const double mean = sum / map.c;
  for (int c = 0; c < map.c; ++c) {
    const double centred = out[c * step] - mean;
    square += centred * centred;
  }
  const double length = std::max(std::sqrt(square), least);
  const double share = 1 / length;
  for (int c = 0; c < map.c; ++c) out[c * step] = static_cast<float>((out[c * step] - mean) * share);
}

// Returns the mean colour that a query's lanes have summed up.
void merge(const float* state, float* out) {
  double most = -HUGE_VAL, total = 0, colours[kColours] = {};
  for (int lane = 0; lane < kLanes; ++lane)
    if (state[kLanes + lane] > 0) most = std::max(most, static_cast<double>(state[lane]));
  for (int lane = 0; lane < kLanes; ++lane) {
    if (state[kLanes + lane] <= 0) continue;
    const double weight = std::exp(state[lane] - most);
    total += weight * state[kLanes + lane];
    for (int k = 0; k < kColours; ++k) colours[k] += weight * state[(2 + k) * kLanes + lane];
  }
  for (int k = 0; k < kColours; ++k) out[k] = static_cast<float>(colours[k] / total);
}

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
    block += (static_cast<std::int64_t>(part.keys.size()) + kLanes - 1) / kLanes;
  }
  return parts;
}

// The work of some queries of one part.
struct Task {
  const Part* part;
  std::size_t first;
};

std::vector<Task> split(const std::vector<Part>& parts) {
  std::vector<Task> tasks;
  for (const Part& part : parts)
    if (!part.keys.empty())
      for (std::size_t first = 0; first < part.queries.size(); first += kQueries)
        tasks.push_back({&part, first});
  return tasks;
}

void attend(const Run& run, const Layout& at, const float* memory, const Task& task, float temperature,
            const Map& y, std::int64_t n) {
  const std::vector<std::int32_t>& queries = task.part->queries;
  const int count = static_cast<int>(std::min<std::size_t>(kQueries, queries.size() - task.first));
  const float* rows[kQueries];
  for (int i = 0; i < kQueries; ++i)
    rows[i] = memory + queries[task.first + static_cast<std::size_t>(std::min(i, count - 1))] * at.channels;
  float states[kQueries * AttendTile::kState * kLanes];
  run.cpu.attend_tile({rows, memory + at.keys + task.part->block * at.channels * kLanes,
                       memory + at.colours + task.part->block * kLanes * kColours,
                       static_cast<std::int64_t>(task.part->keys.size()), static_cast<int>(at.channels),
                       temperature, states});
  for (int i = 0; i < count; ++i) {
    const std::int64_t p = queries[task.first + static_cast<std::size_t>(i)];
    merge(states + i * AttendTile::kState * kLanes, reinterpret_cast<float*>(y.at(n, p / y.w, p % y.w)));
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
  const double least = b.real("epsilon");
  const int limit = std::max(b.spec(parts[0]).limit, b.spec(parts[1]).limit);
  const Layout at(in.h * in.w, in.c, limit);
  b.temporary(at.total * 4);
  const int own = parts[0], other = parts[1];
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y), &compared = run.map(keys);
    auto* memory = reinterpret_cast<float*>(run.temporary);
    for (std::int64_t n = 0; n < source.n; ++n) {
      const std::vector<Part> sorted = sort_pixels(run.map(own), run.map(other), n, at.pixels, limit);
      each_row_of(run, target, [&](std::int64_t sample, std::int64_t row, int) {
        if (sample != n) return;
        std::fill_n(reinterpret_cast<float*>(target.at(n, row, 0)), target.w * target.pixel, 0.0f);
        for (std::int64_t p = row * source.w; p < (row + 1) * source.w; ++p)
          direction(source, n, p, least, memory + p * at.channels, 1);
      });
      run.pool.each(limit, [&](std::int64_t number, int) {
        const Part& part = sorted[static_cast<std::size_t>(number)];
        const auto count = static_cast<std::int64_t>(part.keys.size());
        float* first = memory + at.keys + part.block * at.channels * kLanes;
        float* colour = memory + at.colours + part.block * kLanes * kColours;
        if (const std::int64_t last = count / kLanes; count % kLanes != 0) {
          std::fill_n(first + last * at.channels * kLanes, at.channels * kLanes, 0.0f);
          std::fill_n(colour + last * kColours * kLanes, kColours * kLanes, 0.0f);
        }
        for (std::int64_t i = 0; i < count; ++i) {
          const std::int64_t p = part.keys[static_cast<std::size_t>(i)], block = i / kLanes,
                             lane = i % kLanes;
          float* key = first + block * at.channels * kLanes + lane;
          // As published: where the two pictures show different parts, a key has no features.
          if (*run.map(own).at(n, p / source.w, p % source.w) == static_cast<std::byte>(number))
            direction(compared, n, p, least, key, kLanes);
          else
            for (std::int64_t c = 0; c < at.channels; ++c) key[c * kLanes] = 0;
          for (int k = 0; k < kColours; ++k)
            colour[(block * kColours + k) * kLanes + lane] =
                value_at(run.map(colours), n, p / source.w, p % source.w, k);
        }
      });
      const std::vector<Task> tasks = split(sorted);
      run.pool.each(static_cast<std::int64_t>(tasks.size()), [&](std::int64_t task, int) {
        attend(run, at, memory, tasks[static_cast<std::size_t>(task)], *temperature, target, n);
      });
    }
  };
}

}  // namespace e4s
