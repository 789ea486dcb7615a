// GELU of a vector, for the kernels that apply it.
#pragma once

#include "cpu/rows.h"

namespace e4s {
namespace E4S_NAMESPACE {

// Returns the error function, to 4e-7: a quotient of polynomials of degree 5 in x^2, fitted on -4..4.
E4S_INLINE Vec error_function(Vec x) {
  const Vec limit = splat(4.0f);
  x = x > limit ? limit : x;
  x = x < -limit ? -limit : x;
  const Vec t = x * x;
  Vec above = splat(1.9748563317989465e-06f), below = splat(3.748079325305298e-05f);
  above = above * t + splat(0.0002880349347833544f), below = below * t + splat(0.001216300530359149f);
  above = above * t + splat(0.004003411624580622f), below = below * t + splat(0.015443958342075348f);
  above = above * t + splat(0.053466763347387314f), below = below * t + splat(0.1164742112159729f);
  above = above * t + splat(0.19624365866184235f), below = below * t + splat(0.5072475671768188f);
  above = above * t + splat(1.128378987312317f), below = below * t + splat(1.0f);
  return x * above / below;
}

E4S_INLINE Vec gelu(Vec x) {
  return splat(0.5f) * x * (splat(1.0f) + error_function(x * splat(0.70710678118654752f)));
}

}  // namespace E4S_NAMESPACE
}  // namespace e4s
