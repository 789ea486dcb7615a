"""Distributed training: one process per GPU, started by torchrun, each with its share of every batch.

Gradients are averaged in a few large messages, so that every process takes the same step. Parameters need no
exchange: the seed makes them equal at the start.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

_BUCKET = 16 << 20  # elements per message


def begin(device: str) -> tuple[int, int, str]:
    """Join the process group if torchrun started one; return (rank, world size, this process's device)."""
    if "LOCAL_RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return 0, 1, device
    local = int(os.environ["LOCAL_RANK"])
    cuda = device.startswith("cuda")
    if cuda:
        device = f"cuda:{local}"
        torch.cuda.set_device(local)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if cuda else "gloo", timeout=timedelta(hours=2))
    return dist.get_rank(), dist.get_world_size(), device


def end() -> None:
    """Leave the process group."""
    if dist.is_initialized():
        dist.destroy_process_group()


@torch.no_grad()
def average(tensors: Sequence[Tensor]) -> None:
    """Average tensors over all processes, in place."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return
    bucket: list[Tensor] = []
    for i, tensor in enumerate(tensors):
        bucket.append(tensor)
        if i + 1 == len(tensors) or sum(t.numel() for t in bucket) >= _BUCKET:
            flat = torch.cat([t.flatten() for t in bucket])
            dist.all_reduce(flat)
            flat /= dist.get_world_size()
            parts = torch.split(flat, [t.numel() for t in bucket])
            for own, mean in zip(bucket, parts, strict=True):
                own.copy_(mean.view_as(own))
            bucket = []


def anyone(flag: bool, device: str) -> bool:
    """Return whether the flag is set in any process; all processes must call this together."""
    if not dist.is_initialized():
        return flag
    votes = torch.tensor([float(flag)], device=device)
    dist.all_reduce(votes, dist.ReduceOp.MAX)
    return bool(votes.item())
