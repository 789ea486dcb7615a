// Resizing of feature maps and labels, argmax, pooling, gates and sums.
#include <algorithm>
#include <cmath>

#include "ops/convolve.h"
#include "ops/makers.h"
#include "ops/value.h"

namespace e4s {
namespace {

enum Mode { kBilinear, kCorners, kNearest };

struct Place {
  int near, far;
  float fraction;
};

// Returns the position of output index i of `to` among `from` input samples.
Place place(int i, int from, int to, int mode) {
  if (mode == kNearest) {
    const int near = static_cast<int>(static_cast<std::int64_t>(i) * from / to);
    return {near, near, 0};
  }
  const double ratio = static_cast<double>(from) / to;
  const float at = mode == kCorners
                       ? static_cast<float>(to > 1 ? i * static_cast<double>(from - 1) / (to - 1) : 0)
                       : std::max(static_cast<float>((i + 0.5) * ratio - 0.5), 0.0f);
  const int near = std::min(static_cast<int>(at), from - 1);
  return {near, std::min(near + 1, from - 1), at - static_cast<float>(near)};
}

struct Columns {
  int *left, *right;
  float* fraction;
};

std::int64_t columns_bytes(std::int64_t width) { return aligned(width * 12); }

Columns fill_columns(std::byte* memory, int from, int to, int mode) {
  auto* left = reinterpret_cast<int*>(memory);
  const Columns columns{left, left + to, reinterpret_cast<float*>(left + 2 * to)};
  for (int i = 0; i < to; ++i) {
    const Place p = place(i, from, to, mode);
    columns.left[i] = p.near, columns.right[i] = p.far, columns.fraction[i] = p.fraction;
  }
  return columns;
}

void lerp(const Run& run, const Map& x, std::int64_t n, int row, int height, int width, int mode,
          const Columns& columns, void* out) {
  const Place p = place(row, x.h, height, mode);
  run.cpu.lerp_row({x.at(n, p.near, 0), x.at(n, p.far, 0), x.type, p.fraction, width,
                    static_cast<int>(x.pixel), x.pixel, columns.left, columns.right, columns.fraction, out,
                    x.pixel});
}

bool feature(const BufferSpec& spec) { return spec.type != Type::u8 && spec.external < 0 && spec.c != 3; }

}  // namespace

StepFn make_resize(Builder& b) {
  const int x = b.read("x"), y = b.write("y"), mode = b.integer("mode", 0, 2);
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  b.require(feature(in) && feature(out) && in.type == out.type && in.n == out.n && in.c == out.c,
            "x and y must be features of the same type");
  b.temporary(columns_bytes(out.w));
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    const Columns columns = fill_columns(run.temporary, source.w, target.w, mode);
    run.pool.each(static_cast<std::int64_t>(target.n) * target.h, [&](std::int64_t task, int) {
      const std::int64_t n = task / target.h, row = task % target.h;
      lerp(run, source, n, static_cast<int>(row), target.h, target.w, mode, columns, target.at(n, row, 0));
    });
    clear_halo(run, target);
  };
}

StepFn make_argmax(Builder& b) {
  const int x = b.read("x"), y = b.write("y"), mode = b.integer("mode", 0, 2);
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  b.require(feature(in) && in.type == Type::f32 && in.c <= 256 && in.n == out.n, "x must be float logits");
  b.require(out.type == Type::u8 && out.external >= 0 && out.c == 1 && out.limit == 0, "impossible y");
  b.temporary(columns_bytes(out.w));
  b.scratch(out.w * layout(in).pixel * 4);
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    const Columns columns = fill_columns(run.temporary, source.w, target.w, mode);
    run.pool.each(static_cast<std::int64_t>(target.n) * target.h, [&](std::int64_t task, int worker) {
      const std::int64_t n = task / target.h, row = task % target.h;
      auto* logits = reinterpret_cast<float*>(run.of_worker(worker));
      lerp(run, source, n, static_cast<int>(row), target.h, target.w, mode, columns, logits);
      auto* classes = reinterpret_cast<std::uint8_t*>(target.at(n, row, 0));
      for (int i = 0; i < target.w; ++i, logits += source.pixel)
        classes[i] = static_cast<std::uint8_t>(std::max_element(logits, logits + source.c) - logits);
    });
  };
}

StepFn make_resize_labels(Builder& b) {
  const int x = b.read("x"), y = b.write("y");
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  b.require(in.type == Type::u8 && out.type == Type::u8 && in.c == 1 && out.c == 1 && in.n == out.n &&
                in.halo == 0 && out.halo == 0 && out.external < 0,
            "x and y must be labels");
  b.require(in.limit >= 1 && in.limit == out.limit, "labels need a limit");
  // The caller's memory may change during the run: copied labels are clamped below the limit.
  const auto most = static_cast<std::uint8_t>(std::min(in.limit, 256) - 1);
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    run.pool.each(static_cast<std::int64_t>(target.n) * target.h, [&](std::int64_t task, int) {
      const std::int64_t n = task / target.h, row = task % target.h;
      const auto* from = reinterpret_cast<const std::uint8_t*>(source.at(n, row * source.h / target.h, 0));
      auto* to = reinterpret_cast<std::uint8_t*>(target.at(n, row, 0));
      for (std::int64_t i = 0; i < target.w; ++i) to[i] = std::min(from[i * source.w / target.w], most);
    });
  };
}

StepFn make_max_pool(Builder& b) {
  const int x = b.read("x"), y = b.write("y");
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  b.require(feature(in) && feature(out) && in.type == out.type && in.n == out.n && in.c == out.c &&
                out.h == (in.h + 1) / 2 && out.w == (in.w + 1) / 2,
            "y must have half the size of x");
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    run.pool.each(static_cast<std::int64_t>(target.n) * target.h, [&](std::int64_t task, int) {
      const std::int64_t n = task / target.h, row = task % target.h;
      MaxRow r{};
      for (int d = 0; d < 3; ++d) {
        const std::int64_t from = 2 * row + d - 1;
        if (from >= 0 && from < source.h) r.rows[d] = source.at(n, from, 0);
      }
      r.out = target.at(n, row, 0), r.type = source.type, r.count = target.w, r.width = source.w;
      r.channels = static_cast<int>(source.pixel), r.pixel = source.pixel;
      run.cpu.max_row(r);
    });
    clear_halo(run, target);
  };
}

// Computes the mean per region, or of all pixels without labels. Regions without a pixel give zeros.
StepFn make_pool(Builder& b) {
  const int x = b.read("x"), y = b.write("y"), labels = b.has("labels") ? b.read("labels") : -1;
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  b.require(feature(in) && feature(out) && out.n == in.n && out.h == 1 && out.c == in.c, "y must be [N,R,C]");
  b.require(labels >= 0 || out.w == 1, "labels are needed to tell regions apart");
  if (labels >= 0) {
    const BufferSpec& l = b.spec(labels);
    b.require(l.type == Type::u8 && l.external < 0 && l.c == 1 && l.n == in.n && l.h == in.h && l.w == in.w &&
                  l.limit >= 1 && l.limit <= out.w,
              "labels do not fit");
  }
  constexpr std::int64_t chunks = 8;  // fixed: sums do not depend on the number of threads
  const std::int64_t regions = out.w, channels = layout(in).pixel, size = regions * channels;
  b.temporary(in.n * chunks * size * 4);
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    auto* sums = reinterpret_cast<float*>(run.temporary);
    run.pool.each(source.n * chunks, [&](std::int64_t task, int) {
      const std::int64_t n = task / chunks, chunk = task % chunks;
      std::fill(sums + task * size, sums + (task + 1) * size, 0.0f);
      for (std::int64_t row = chunk * source.h / chunks; row < (chunk + 1) * source.h / chunks; ++row) {
        const std::uint8_t* line =
            labels < 0 ? nullptr : reinterpret_cast<const std::uint8_t*>(run.map(labels).at(n, row, 0));
        run.cpu.pool_row({source.at(n, row, 0), source.type, source.w, static_cast<int>(channels),
                          source.pixel, line, sums + task * size});
      }
    });
    for (std::int64_t n = 0; n < source.n; ++n) {
      std::vector<std::int64_t> counts(static_cast<std::size_t>(regions), 0);
      for (std::int64_t row = 0; row < source.h; ++row)
        for (std::int64_t column = 0; column < source.w; ++column)
          ++counts[labels < 0 ? 0 : static_cast<std::size_t>(*run.map(labels).at(n, row, column))];
      for (std::int64_t r = 0; r < regions; ++r)
        for (std::int64_t c = 0; c < channels; ++c) {
          double total = 0;
          for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
            total += sums[(n * chunks + chunk) * size + r * channels + c];
          const auto count = std::max<std::int64_t>(counts[static_cast<std::size_t>(r)], 1);
          set_value(target, n, 0, r, c, static_cast<float>(total / static_cast<double>(count)));
        }
    }
    clear_halo(run, target);
  };
}

// Computes x * sigmoid(gate) (+ x), or x + other, then ReLU; the gate is one pixel, other may be.
StepFn make_combine(Builder& b) {
  const int x = b.read("x"), y = b.write("y"), other = b.has("other") ? b.read("other") : -1;
  const int gate = b.has("gate") ? b.read("gate") : -1;
  const bool residual = b.flag("residual"), relu = b.flag("relu");
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  b.require(feature(in) && feature(out) && in.type == out.type && in.n == out.n && in.h == out.h &&
                in.w == out.w && in.c == out.c,
            "x and y must have the same shape");
  bool broadcast = false;
  if (other >= 0) {
    const BufferSpec& o = b.spec(other);
    broadcast = o.h == 1 && o.w == 1;
    b.require(feature(o) && o.type == in.type && o.n == in.n && o.c == in.c &&
                  (broadcast || (o.h == in.h && o.w == in.w)),
              "the operands do not fit");
  }
  if (gate >= 0) {
    const BufferSpec& g = b.spec(gate);
    b.require(feature(g) && g.n == in.n && g.h == 1 && g.w == 1 && g.c == in.c, "the gate does not fit");
  }
  const std::int64_t channels = layout(in).pixel;
  b.temporary(in.n * channels * 4);
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    auto* gates = reinterpret_cast<float*>(run.temporary);
    for (std::int64_t i = 0; gate >= 0 && i < source.n * channels; ++i)
      gates[i] = 1 / (1 + std::exp(-value_at(run.map(gate), i / channels, 0, 0, i % channels)));
    run.pool.each(static_cast<std::int64_t>(target.n) * target.h, [&](std::int64_t task, int) {
      const std::int64_t n = task / target.h, row = task % target.h;
      GateRow r{};
      r.x = source.at(n, row, 0), r.out = target.at(n, row, 0), r.type = source.type, r.count = source.w;
      r.channels = static_cast<int>(channels), r.pixel = source.pixel;
      if (other >= 0) {
        r.y = run.map(other).at(n, broadcast ? 0 : row, 0), r.y_pixel = broadcast ? 0 : source.pixel;
      }
      if (gate >= 0) r.gate = gates + n * channels;
      r.residual = residual, r.relu = relu;
      run.cpu.gate_row(r);
    });
    clear_halo(run, target);
  };
}

}  // namespace e4s
