"""What do defects, lamp and scanner make of the light?

1. `torn` and `doubled` act on the section: gaps are glass, folds take up dye twice.
2. `spoil` acts on the light: out of focus, through ink and dust, under an uneven lamp, then
   sharpened and bent by the camera's tone curve.
3. `halo_px` says how far around a block they must see, so that there are no seams.

Without defects every function gives back what it was given.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from wsi_pipeline.classes import BACKGROUND
from wsi_pipeline.geometry import Box
from wsi_pipeline.phantom.artefacts import INK_OD, NONE, Artefacts, Triple
from wsi_pipeline.phantom.frame import Frame
from wsi_pipeline.phantom.marks import Marks
from wsi_pipeline.phantom.noise import Bytes, Floats
from wsi_pipeline.phantom.stain import Dyes

# The upper layer of a fold shows what lies this far away, (down, right) µm.
FOLD_SHIFT_UM = (9.0, 13.0)
# Folds and bubbles are thicker than the depth of focus; blur where they are densest, µm.
THICK_BLUR_UM = {"fold": 0.7, "bubble": 0.5}
SHARPEN_PX = 1.2
TRUNCATE = 2.5
# Entries of the tone table per grey level, and the brightest level it knows.
TONE_STEPS, TONE_TOP = 8, 400
TONE_PIVOT = 0.75
GREY: Triple = (1.0, 1.0, 1.0)
LN10 = math.log(10.0)


def halo_px(marks: Marks, box: Box) -> int:
    """How many pixels around a box its defects need."""
    artefacts, mpp = marks.layout.spec.artefacts, marks.layout.spec.mpp
    halo = math.ceil(TRUNCATE * SHARPEN_PX) + 1 if artefacts.sharpening else 0
    if any(marks.touches(name, box.expanded(halo)) for name in ("blur", *THICK_BLUR_UM)):
        halo += sum(math.ceil(TRUNCATE * step) for step in _focus_steps_px(marks))
    if marks.touches("fold", box.expanded(halo)):
        halo += math.ceil(max(FOLD_SHIFT_UM) / mpp) + 1
    return halo


def torn(labels: Bytes, marks: Marks, *, box: Box) -> Bytes:
    """Labels with glass where the tissue is torn."""
    tear = marks.read("tear", box)
    return labels if tear is None else np.where(tear > 0, np.uint8(BACKGROUND), labels)


def doubled(dyes: Dyes, marks: Marks, *, box: Box) -> Dyes:
    """Dyes with a second layer of tissue where the section is folded."""
    fold = marks.read("fold", box)
    if fold is None:
        return dyes
    shift = [round(way / marks.layout.spec.mpp) for way in FOLD_SHIFT_UM]
    # What wraps around at the far edge of the block lies in its halo, which is cut off.
    first, second = (plane + fold * np.roll(plane, shift, axis=(0, 1)) for plane in dyes)
    return first, second


def spoil(light: Floats, marks: Marks, *, labels: Bytes, box: Box) -> Floats:
    """Take the light of a perfect slide through defects, lamp and camera.

    Parameters
    ----------
    light : float32 (3, Y, X)
        Red, green, blue on the scale 0..255.
    marks
        The local defects.
    labels : uint8 (Y, X)
        Ink of a margin sticks to tissue only.
    box
        Where on the slide the light comes from.

    Returns
    -------
    float32 (3, Y, X)
    """
    artefacts = marks.layout.spec.artefacts
    light = _defocus(light, marks, box=box)
    light = _absorb(_ink_margin(light, marks, labels=labels, box=box), marks, box=box)
    light = _illuminate(light, artefacts, frame=marks.layout.nodes.frame, box=box)
    if artefacts.sharpening:
        soft = _blurred(light, SHARPEN_PX)
        light = light + np.float32(artefacts.sharpening) * (light - soft)
    return _respond(light, artefacts)


def _focus_steps_px(marks: Marks) -> list[float]:
    """Blurs that, one after the other, give a quarter, a half and all of the strongest."""
    thick = [blur for name, blur in THICK_BLUR_UM.items() if name in marks.planes]
    own = [marks.layout.spec.artefacts.blur_um] if "blur" in marks.planes else []
    most_px = max([*thick, *own], default=0.0) / marks.layout.spec.mpp
    return [most_px * step for step in (0.25, math.sqrt(3) / 4, math.sqrt(3) / 2)]


def _defocus(light: Floats, marks: Marks, *, box: Box) -> Floats:
    """Blur as much as each place asks for, between four stages of blur."""
    blur_um = _blur_um(marks, box)
    if blur_um is None:
        return light
    steps = _focus_steps_px(marks)
    stage = blur_um * np.float32(1 / (4 * steps[0] * marks.layout.spec.mpp))
    result, softer = light, light
    for step, (start, stop) in zip(steps, ((0, 0.25), (0.25, 0.5), (0.5, 1.0)), strict=True):
        softer = _blurred(softer, step)
        share = np.clip((stage - start) * (1 / (stop - start)), 0, 1).astype(np.float32)
        result = result + share * (softer - result)
    return result


def _blur_um(marks: Marks, box: Box) -> Floats | None:
    """Blur at every pixel of a box, µm; None where all is sharp."""
    planes = [marks.read("blur", box)]
    for name, blur in THICK_BLUR_UM.items():
        plane = marks.read(name, box)
        planes.append(None if plane is None else np.minimum(plane * 10, 1) * np.float32(blur))
    found = [plane for plane in planes if plane is not None]
    return np.maximum.reduce(found) if found else None


def _blurred(light: Floats, sigma_px: float) -> Floats:
    """Gaussian blur of each channel."""
    sigmas = (0, sigma_px, sigma_px)
    return np.asarray(ndimage.gaussian_filter(light, sigmas, truncate=TRUNCATE), np.float32)


def _absorb(light: Floats, marks: Marks, *, box: Box) -> Floats:
    """Shade by everything that lies above the section."""
    pen = INK_OD[marks.layout.spec.artefacts.pen]
    for name, ink in (("pen", pen), ("coverslip", GREY), ("bubble", GREY), ("dust", GREY)):
        density = marks.read(name, box)
        if density is not None:
            light = light * _passing(density, ink)
    return light


def _ink_margin(light: Floats, marks: Marks, *, labels: Bytes, box: Box) -> Floats:
    """Shade by the ink that sticks to the edge of the tissue; the light is blurred already."""
    spec = marks.layout.spec
    density, ink = marks.read("margin_ink", box), spec.artefacts.margin_ink
    if density is None or ink is None:
        return light
    tissue = ndimage.gaussian_filter(
        (labels != BACKGROUND).astype(np.float32), spec.psf_um / spec.mpp, truncate=TRUNCATE
    )
    return np.asarray(light * (1 - tissue * (1 - _passing(density, INK_OD[ink]))), np.float32)


def _passing(density: Floats, ink: Triple) -> Floats:
    """Share of red, green and blue light that passes an ink."""
    rate = np.array(ink, np.float32)[:, None, None] * np.float32(-LN10)
    return np.asarray(np.exp(rate * density), np.float32)


def _illuminate(light: Floats, artefacts: Artefacts, *, frame: Frame, box: Box) -> Floats:
    """Dim corners by the vignette and one side by the gradient."""
    if not (artefacts.vignette or artefacts.gradient):
        return light
    half = np.array(frame.shape) / 2
    down = ((np.arange(box.top, box.bottom) + 0.5) / half[0] - 1)[:, None]
    right = ((np.arange(box.left, box.right) + 0.5) / half[1] - 1)[None, :]
    turn = np.random.default_rng([artefacts.seed, 49]).uniform(0, 2 * math.pi)
    slope = (down * math.sin(turn) + right * math.cos(turn)) / math.sqrt(2)
    loss = artefacts.vignette * (down**2 + right**2) / 2 + artefacts.gradient * (1 + slope) / 2
    return np.asarray(light * np.maximum(1 - loss, 0), np.float32)


def _respond(light: Floats, artefacts: Artefacts) -> Floats:
    """Cast and tone curve, read from a table of eighths of a grey level."""
    if artefacts.cast == artefacts.gamma == artefacts.contrast == NONE:
        return light
    index = np.clip(light * TONE_STEPS + 0.5, 0, TONE_TOP * TONE_STEPS - 1).astype(np.int16)
    level = np.arange(TONE_TOP * TONE_STEPS) / (255.0 * TONE_STEPS)
    return np.stack(
        [
            (255 * (TONE_PIVOT + slope * ((level * gain) ** power - TONE_PIVOT)))
            .astype(np.float32)
            .take(plane)
            for plane, gain, power, slope in zip(
                index, artefacts.cast, artefacts.gamma, artefacts.contrast, strict=True
            )
        ]
    )
