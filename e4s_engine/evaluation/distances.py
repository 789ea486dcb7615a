"""Distances between two sets of pictures by the features of a network: FID and KID.

Heusel et al., "GANs Trained by a Two Time-Scale Update Rule", 2017; Binkowski et al., "Demystifying MMD
GANs", 2018.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.float64]  # [N, D]

_BLOCK = 1000  # pictures of a set whose kernel is computed at once: KID is the mean over such blocks


def fid(a: Features, b: Features) -> float:
    """Return the Frechet distance of the normal distributions that fit two sets of features [N, D].

    It is biased upwards for few pictures: only values of equally large sets can be compared.
    """
    offset = a.mean(0) - b.mean(0)
    first, second = (np.atleast_2d(np.cov(features, rowvar=False)) for features in (a, b))
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    # The square root of a product of covariances has the trace of that of this symmetric matrix.
    shared = np.sqrt(np.linalg.eigvalsh(root @ second @ root).clip(0)).sum()
    return float(offset @ offset + np.trace(first) + np.trace(second) - 2 * shared)


def kid(a: Features, b: Features) -> float:
    """Return the kernel distance of two sets of features [N, D], without bias: it may be below 0."""
    count = max(1, min(len(a), len(b)) // _BLOCK)
    blocks = zip(np.array_split(a, count), np.array_split(b, count), strict=True)
    return float(np.mean([_mmd(x, y) for x, y in blocks]))


def _mmd(a: Features, b: Features) -> float:
    n, m = len(a), len(b)

    def kernel(x: Features, y: Features) -> Features:
        return np.asarray((x @ y.T / x.shape[1] + 1) ** 3)

    own, other = kernel(a, a), kernel(b, b)
    within = (own.sum() - np.trace(own)) / (n * (n - 1)) + (other.sum() - np.trace(other)) / (m * (m - 1))
    return float(within - 2 * kernel(a, b).mean())
