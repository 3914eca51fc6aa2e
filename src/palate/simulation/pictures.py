"""Small pictures for the simulated shop; hue and proportions show the look, which no text does."""

import colorsys
import io

import numpy as np
from jaxtyping import Float, Int
from PIL import Image, ImageDraw

SIDE = 48


def draw_pictures(
    look: Float[np.ndarray, "items 2"],
    outline: Int[np.ndarray, " items"],
    rng: np.random.Generator,
) -> list[bytes]:
    """Return one PNG per item.

    Args:
        look: the first number is the hue, from red to violet, the second the proportions, from tall
            to wide.
        outline: 0 ellipse, 1 box, 2 triangle, 3 diamond; it depends on the kind of item.
        rng: draws the uninformative part: place and brightness.
    """
    # This approximates the normal distribution function: both numbers become about uniform.
    shares = 1 / (1 + np.exp(-1.7 * look))
    chance = rng.random((len(look), 4))
    return [
        _draw(tuple(share), int(form), tuple(noise))
        for share, form, noise in zip(shares.tolist(), outline, chance.tolist(), strict=True)
    ]


def _draw(share: tuple[float, ...], outline: int, noise: tuple[float, ...]) -> bytes:
    hue, proportion = share
    light = 215 + int(30 * noise[0])
    picture = Image.new("RGB", (SIDE, SIDE), (light, light, light))
    colour = colorsys.hsv_to_rgb(0.8 * hue, 0.75, 0.65 + 0.25 * noise[1])
    fill = tuple(int(255 * channel) for channel in colour)
    # Half width and half height have a constant product: the area is uninformative.
    stretch = 2.0 ** (1.6 * proportion - 0.8)
    width, height = 13 * stretch, 13 / stretch
    x, y = SIDE / 2 + 4 * noise[2] - 2, SIDE / 2 + 4 * noise[3] - 2
    _outline(ImageDraw.Draw(picture), outline, (x - width, y - height, x + width, y + height), fill)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def _outline(
    draw: ImageDraw.ImageDraw,
    outline: int,
    box: tuple[float, float, float, float],
    fill: tuple[int, ...],
) -> None:
    left, top, right, bottom = box
    middle, centre = (left + right) / 2, (top + bottom) / 2
    match outline % 4:
        case 0:
            draw.ellipse(box, fill=fill)
        case 1:
            draw.rectangle(box, fill=fill)
        case 2:
            draw.polygon([(middle, top), (right, bottom), (left, bottom)], fill=fill)
        case _:
            corners = [(middle, top), (right, centre), (middle, bottom), (left, centre)]
            draw.polygon(corners, fill=fill)
