"""Lets torchvision be imported where its operators do not fit the installed torch.

Its wheels on the package index are built for GPUs; beside a torch built for processors they load no
operators, and its import stops at the two that it describes to torch unasked.  Declared by name,
they are not missed: a segmentation network needs none of them.
"""

from __future__ import annotations

import torch

try:
    import torchvision
except RuntimeError:
    LIBRARY = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        LIBRARY.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision  # noqa: F401
