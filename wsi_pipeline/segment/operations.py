"""Which operations may a bring-your-own network use?

1. Tensors: the ``aten`` operations that segmentation networks are made of, named one by one.
   Not all of ``aten``: ``aten.save`` and ``aten.from_file``, for two, write and map files.
2. Sizes: plain arithmetic of Python's ``operator`` module and torch's symbolic counterparts.

The list grows by a word when a network needs one; an operation belongs here if it computes
its outputs from its inputs and does nothing else.
"""

from __future__ import annotations

import re

import torch

from wsi_pipeline.errors import ModelMismatchError

_LAYERS = """
    addmm baddbmm bmm conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d
    convolution einsum embedding linear matmul mm scaled_dot_product_attention
    batch_norm group_norm instance_norm layer_norm rms_norm native_batch_norm native_group_norm
    native_layer_norm _native_batch_norm_legit _native_batch_norm_legit_no_training
    dropout dropout_ feature_dropout
    adaptive_avg_pool1d adaptive_avg_pool2d _adaptive_avg_pool2d adaptive_max_pool2d avg_pool1d
    avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool2d_with_indices max_pool3d max_unpool2d
    affine_grid_generator grid_sampler grid_sampler_2d pixel_shuffle pixel_unshuffle
    upsample_bicubic2d upsample_bilinear2d upsample_linear1d upsample_nearest1d
    upsample_nearest2d upsample_nearest3d upsample_trilinear3d _upsample_bicubic2d_aa
    _upsample_bilinear2d_aa _upsample_nearest_exact2d
    constant_pad_nd pad reflection_pad2d replication_pad2d
"""
_POINTWISE = """
    celu celu_ elu elu_ gelu gelu_ glu hardsigmoid hardsigmoid_ hardswish hardswish_ hardtanh
    hardtanh_ leaky_relu leaky_relu_ log_sigmoid log_softmax _log_softmax mish mish_ prelu
    _prelu_kernel relu relu6 relu6_ relu_ selu selu_ sigmoid sigmoid_ silu silu_ softmax
    _softmax softplus tanh tanh_
    abs add add_ addcdiv addcmul ceil clamp clamp_ clamp_max clamp_min cos div div_ erf exp
    expm1 floor floor_divide fmod lerp log log10 log1p log2 maximum minimum mul mul_ neg pow
    reciprocal remainder round rsqrt rsub sign sin sqrt square sub sub_ trunc
    bitwise_and bitwise_not bitwise_or eq ge gt isfinite isinf isnan le logical_and logical_not
    logical_or lt masked_fill masked_fill_ nan_to_num ne where
"""
_SHAPES = """
    alias cat chunk clone concat contiguous detach detach_ expand expand_as flatten flip gather
    index index_select lift_fresh_copy meshgrid movedim narrow permute repeat repeat_interleave
    reshape roll select select_scatter slice slice_scatter split split_with_sizes squeeze stack
    swapaxes t transpose tril triu unbind unflatten unfold unsqueeze _unsafe_view view view_as
    im2col col2im copy copy_ fill_ to _to_copy type_as zero_
    arange empty eye full full_like linspace new_full new_ones new_zeros ones ones_like
    scalar_tensor zeros zeros_like
"""
_SUMMARIES = """
    all amax amin any argmax argmin cumsum linalg_vector_norm max mean min norm prod std sum
    topk var var_mean
    sym_constrain_range sym_constrain_range_for_size sym_numel sym_size sym_storage_offset
    sym_stride _assert_scalar _assert_tensor_metadata
"""
_ATEN = frozenset(f"{_LAYERS} {_POINTWISE} {_SHAPES} {_SUMMARIES}".split())
_OF_SIZES = frozenset(
    [
        f"_operator.{name}"
        for name in [
            "add",
            "and_",
            "eq",
            "floordiv",
            "ge",
            "gt",
            "le",
            "lt",
            "mod",
            "mul",
            "ne",
            "neg",
        ]
    ]
    + [f"_operator.{name}" for name in ["or_", "pos", "pow", "sub", "truediv"]]
    + [f"torch.sym_{name}" for name in ["float", "int", "ite", "max", "min", "not", "sqrt"]]
    + ["math.trunc"]
)
_ATEN_TARGET = re.compile(r"torch\.ops\.aten\.(\w+)\.(\w+)", re.ASCII)


def check_operation(target: str) -> None:
    """Refuse an operation that is not on the list.

    Parameters
    ----------
    target
        As ``torch.export`` writes it, such as ``torch.ops.aten.conv2d.default``.

    Raises
    ------
    ModelMismatchError
        If a network may not use it.
    """
    if target in _OF_SIZES:
        return
    parts = _ATEN_TARGET.fullmatch(target)
    # An attribute of the operation that is no overload of it could be any Python callable.
    if not parts or parts[1] not in _ATEN or parts[2] not in _overloads(parts[1]):
        raise ModelMismatchError(
            f"it uses the operation '{target[:80]}', which is not among those a network may use"
        )


def _overloads(name: str) -> list[str]:
    overloads: list[str] = getattr(torch.ops.aten, name).overloads()
    return overloads
