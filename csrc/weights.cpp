#include "weights.h"

#include <algorithm>
#include <cstring>

#include "error.h"
#include "parallel.h"

namespace e4s {
namespace {

std::uint32_t bf16_bits(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
}

std::uint32_t word_of(float first, float second, Type type) {
  if (type == Type::bf16) return bf16_bits(first) | (bf16_bits(second) << 16);
  std::uint32_t bits;
  std::memcpy(&bits, &first, 4);
  return bits;
}

// Computes G g G^T: a 3 x 3 kernel in Winograd's form [4][4].
void transform(const float* kernel, float* out) {
  const auto spread = [](float a, float b, float c, float* to, int step) {
    to[0] = a, to[step] = (a + b + c) / 2, to[2 * step] = (a - b + c) / 2, to[3 * step] = c;
  };
  float columns[12];  // [4][3]
  for (int i = 0; i < 3; ++i) spread(kernel[i], kernel[3 + i], kernel[6 + i], columns + i, 3);
  for (int i = 0; i < 4; ++i) spread(columns[3 * i], columns[3 * i + 1], columns[3 * i + 2], out + 4 * i, 1);
}

}  // namespace

int PackedConv::vectors(int group) const {
  return std::min(kGroup, (outputs - group * kGroup * kLanes + kLanes - 1) / kLanes);
}

std::int64_t PackedConv::chunk(int group, std::int64_t word, std::int64_t count) const {
  return (static_cast<std::int64_t>(group) * kGroup * words() + word * vectors(group)) * count * kLanes;
}

std::int64_t PackedConv::size(std::int64_t count) const {
  const std::int64_t all = (outputs + kLanes - 1) / kLanes;
  return all * kLanes * count * words();
}

PackedConv pack_conv(const float* source, int outputs, int inputs, int kernel, const float* out_scale,
                     const float* in_scale, Type type, Form form) {
  PackedConv conv;
  conv.outputs = outputs, conv.inputs = inputs, conv.kernel = kernel, conv.type = type;
  conv.form = form;
  conv.memory = Memory(conv.size() * 4);
  auto* out = reinterpret_cast<std::uint32_t*>(conv.memory.data());
  const int per_word = type == Type::bf16 ? 2 : 1;
  const std::int64_t given = conv.rows() ? kernel : kernel * kernel;  // source taps per value
  const std::int64_t taps = conv.taps(), words = conv.words();
  const auto read = [&](std::int64_t o, std::int64_t value, float* values) {
    std::fill(values, values + taps, 0.0f);
    if (o >= outputs || value >= conv.depth()) return;
    // Packed by rows, `value` indexes (column of the kernel, channel) and a tap is a row.
    const std::int64_t i = value % inputs, column = value / inputs, apart = conv.rows() ? kernel : 1;
    const float* from = source + (o * inputs + i) * kernel * kernel + column;
    const float scale = out_scale ? out_scale[o] : 1.0f;
    float scaled[kMostTaps];
    for (std::int64_t tap = 0; tap < given; ++tap) {
      scaled[tap] = from[tap * apart] * scale;
      if (in_scale) scaled[tap] *= in_scale[i];
    }
    if (conv.winograd())
      transform(scaled, values);
    else
      std::copy(scaled, scaled + given, values);
  };
  const Pool::Lease lease(shared_pool(), 0);
  const std::int64_t chunks = (words + kDepth - 1) / kDepth;
  lease.each(conv.groups() * chunks, [&](std::int64_t task, int) {
    const int group = static_cast<int>(task / chunks), width = conv.vectors(group) * kLanes;
    const std::int64_t first = task % chunks * kDepth, depth = std::min(kDepth, words - first);
    std::uint32_t* row = out + conv.chunk(group, first);
    for (int lane = 0; lane < width; ++lane) {  // sequential reads, strided writes
      const std::int64_t o = static_cast<std::int64_t>(group) * kGroup * kLanes + lane;
      for (std::int64_t word = 0; word < depth; ++word) {
        float values[2][kMostTaps];
        for (int i = 0; i < per_word; ++i) read(o, (first + word) * per_word + i, values[i]);
        for (std::int64_t tap = 0; tap < taps; ++tap)
          row[(tap * depth + word) * width + lane] =
              word_of(values[0][tap], per_word == 2 ? values[1][tap] : 0.0f, type);
      }
    }
  });
  return conv;
}

Vector pack_vector(const float* source, std::int64_t count) {
  Vector vector;
  const std::int64_t padded = (count + kLanes - 1) / kLanes * kLanes;
  vector.count = count;
  vector.memory = Memory(padded * 4);
  auto* out = reinterpret_cast<float*>(vector.memory.data());
  std::copy(source, source + count, out);
  std::fill(out + count, out + padded, 0.0f);
  return vector;
}

int Weights::add(PackedConv conv) {
  const std::lock_guard<std::mutex> lock(runtime_mutex());
  bytes_ += conv.size() * 4;
  convs_.push_back(std::make_unique<const PackedConv>(std::move(conv)));
  slots_.push_back({true, convs_.size() - 1});
  return static_cast<int>(slots_.size()) - 1;
}

int Weights::add(Vector vector) {
  const std::lock_guard<std::mutex> lock(runtime_mutex());
  bytes_ += vector.count * 4;
  vectors_.push_back(std::make_unique<const Vector>(std::move(vector)));
  slots_.push_back({false, vectors_.size() - 1});
  return static_cast<int>(slots_.size()) - 1;
}

std::size_t Weights::place_of(int index, bool is_conv) const {
  if (index < 0 || index >= static_cast<int>(slots_.size()) ||
      slots_[static_cast<std::size_t>(index)].is_conv != is_conv)
    throw ArgumentError("plan: no " + std::string(is_conv ? "convolution" : "vector") +
                        " of weights has number " + std::to_string(index));
  return slots_[static_cast<std::size_t>(index)].index;
}

const PackedConv& Weights::conv(int index) const {
  const std::lock_guard<std::mutex> lock(runtime_mutex());
  return *convs_[place_of(index, true)];
}

const Vector& Weights::vector(int index) const {
  const std::lock_guard<std::mutex> lock(runtime_mutex());
  return *vectors_[place_of(index, false)];
}

std::int64_t Weights::bytes() const {
  const std::lock_guard<std::mutex> lock(runtime_mutex());
  return bytes_;
}

}  // namespace e4s
