"""Draws the page's icons as PNG files, as icons/icon.svg has them: `python -m tests.support.icons`."""

from pathlib import Path

from PIL import Image, ImageDraw

from tests.conftest import REPOSITORY

ICONS = REPOSITORY / "web" / "icons"
GREEN, WHITE = (11, 107, 94, 255), (255, 255, 255, 255)
# Of icon.svg, whose side is 16: the bars' x, top and bottom, and their width.
SIDE = 16
BARS = ((5, 6.5, 9.5), (8, 4.5, 11.5), (11, 6.5, 9.5))
BAR_WIDTH = 1.6
RADIUS = 7
# Drawn so many times larger first, for smooth edges.
FINE = 4
COLOURS = 32


def draw_icon(side_px: int, *, is_maskable: bool = False) -> Image.Image:
    """An icon, RGBA.

    Args:
        side_px: Its width and height.
        is_maskable: Green up to its edges, its bars within the middle that every mask leaves.
    """
    unit = side_px * FINE / SIDE
    image = Image.new("RGBA", (side_px * FINE, side_px * FINE), GREEN if is_maskable else (*GREEN[:3], 0))
    pen = ImageDraw.Draw(image)
    if not is_maskable:
        edges = [(SIDE / 2 - RADIUS) * unit, (SIDE / 2 + RADIUS) * unit]
        pen.ellipse((edges[0], edges[0], edges[1], edges[1]), fill=GREEN)
    half = BAR_WIDTH / 2
    for x, top, bottom in BARS:
        box = ((x - half) * unit, (top - half) * unit, (x + half) * unit, (bottom + half) * unit)
        pen.rounded_rectangle(box, radius=half * unit, fill=WHITE)
    return image.resize((side_px, side_px), Image.Resampling.LANCZOS)


def draw_all() -> dict[str, Image.Image]:
    """Every PNG file of the manifest, by its name."""
    plain = {f"icon-{side_px}.png": draw_icon(side_px) for side_px in (192, 512)}
    return {**plain, "maskable-512.png": draw_icon(512, is_maskable=True)}


def main(folder: Path = ICONS) -> None:
    """Write them."""
    for name, image in draw_all().items():
        image.quantize(COLOURS, method=Image.Quantize.FASTOCTREE).save(folder / name, optimize=True)


if __name__ == "__main__":
    main()
