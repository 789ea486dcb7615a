// The cone of a box: what every step of a plan must compute for a part of the result, backwards.
#include "box.h"

#include <algorithm>

#include "error.h"
#include "plan.h"

namespace e4s {

Box join(const Box& a, const Box& b) {
  if (a.empty() || b.empty()) return a.empty() ? b : a;
  return {std::min(a.top, b.top), std::min(a.left, b.left), std::max(a.bottom, b.bottom),
          std::max(a.right, b.right)};
}

Box on_grid(const Box& b, int grid, int height, int width) {
  const auto up = [grid](int side, int most) { return std::min((side + grid - 1) / grid * grid, most); };
  return {b.top / grid * grid, b.left / grid * grid, up(b.bottom, height), up(b.right, width)};
}

Box read_for(const Box& out, const Window& w, int height, int width) {
  if (w.whole) return {0, 0, height, width};
  const auto first = [&w](int side) { return std::max(side / w.up * w.stride - w.widen, 0); };
  const auto last = [&w](int side, int most) {
    return std::min((side - 1) / w.up * w.stride + w.widen + 1, most);
  };
  return {first(out.top), first(out.left), last(out.bottom, height), last(out.right, width)};
}

std::vector<Box> Plan::boxes(const Box* box) const {
  const auto spec = [this](int buffer) { return spec_.buffers[static_cast<std::size_t>(buffer)]; };
  std::vector<Box> needed(spec_.buffers.size()), computed(steps_.size());
  if (box != nullptr && std::count(outputs_.begin(), outputs_.end(), true) != 1)
    throw ArgumentError("plan: a box needs a plan with one result");
  for (std::size_t s = steps_.size(); s-- > 0;) {
    const Step& step = steps_[s];
    const int y = step.writes.front();
    const Box all = whole(layout(spec(y)));
    Box& out = computed[s];
    out = all;
    if (box != nullptr && step.grid > 0) {
      out = needed[static_cast<std::size_t>(y)];
      if (spec(y).external >= 0) out = *box;
      if (out.top < 0 || out.left < 0 || out.bottom > all.bottom || out.right > all.right)
        throw ArgumentError("plan: the box is not inside the result");
      out = on_grid(out, step.grid, all.bottom, all.right);
    }
    if (out.empty()) continue;
    for (std::size_t i = 0; i < step.reads.size(); ++i) {
      const Box input = whole(layout(spec(step.reads[i])));
      Box& need = needed[static_cast<std::size_t>(step.reads[i])];
      need = join(need, read_for(out, step.windows[i], input.bottom, input.right));
    }
  }
  return computed;
}

}  // namespace e4s
