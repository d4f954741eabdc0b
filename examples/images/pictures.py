"""Pictures drawn with whole numbers only, so that every machine draws the same; PNG written by hand with zlib."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"
DEPTH = 48  # steps after which a point counts as caught
ONE = 1 << 12  # 1.0 in our fixed-point numbers

# The weight of a shade in red, green and blue.
COLOURS = {"fire": (5, 2, 1), "ice": (1, 3, 6), "forest": (2, 5, 2)}


class Image(NamedTuple):
    """Red, green and blue of every pixel, row by row."""

    width: int
    height: int
    pixels: bytes


def draw(shape: str, colours: str, folder: str, width: int, height: int) -> str:
    """Draw one picture and give its file."""
    shade_at = SHAPES[shape]
    weights = COLOURS[colours]
    tints = [bytes(min(255, shade * weight) for weight in weights) for shade in range(DEPTH + 1)]
    pixels = b"".join(tints[shade_at(x, y, width, height)] for y in range(height) for x in range(width))
    return write_png(Path(folder) / f"{shape}-{colours}.png", Image(width, height, pixels))


def escape(zx: int, zy: int, cx: int, cy: int) -> int:
    """After how many steps z·z + c leaves the circle of radius 2."""
    for step in range(DEPTH):
        xx, yy = zx * zx // ONE, zy * zy // ONE
        if xx + yy > 4 * ONE:
            return step
        zx, zy = xx - yy + cx, 2 * zx * zy // ONE + cy
    return DEPTH


def mandelbrot(x: int, y: int, width: int, height: int) -> int:
    return escape(0, 0, 3 * ONE * x // width - 2 * ONE, 2 * ONE * y // height - ONE)


def julia(x: int, y: int, width: int, height: int) -> int:
    return escape(3 * ONE * x // width - 3 * ONE // 2, 2 * ONE * y // height - ONE, -4 * ONE // 5, 5 * ONE // 32)


def rings(x: int, y: int, width: int, height: int) -> int:
    return ((2 * x - width) ** 2 + (2 * y - height) ** 2) // 256 % (DEPTH + 1)


def carpet(x: int, y: int, width: int, height: int) -> int:
    """Sierpiński's: a hole wherever x and y, written in base 3, both have a 1 at one place."""
    depth = 0
    while x or y:
        if x % 3 == 1 and y % 3 == 1:
            return DEPTH - 8 * depth
        x, y, depth = x // 3, y // 3, depth + 1
    return 0


SHAPES: dict[str, Callable[[int, int, int, int], int]] = {
    "mandelbrot": mandelbrot,
    "julia": julia,
    "rings": rings,
    "carpet": carpet,
}


def thumbnail(file: str, shrink: int) -> str:
    """A smaller copy beside the picture: each pixel is the mean of shrink × shrink."""
    image = read_png(file)
    width, height = image.width // shrink, image.height // shrink
    small = bytearray()
    for y in range(height):
        rows = [(y * shrink + dy) * image.width * 3 for dy in range(shrink)]
        for x in range(width):
            for colour in range(3):
                starts = (row + x * shrink * 3 + colour for row in rows)
                values = [image.pixels[start + 3 * dx] for start in starts for dx in range(shrink)]
                small.append(sum(values) // len(values))
    path = Path(file)
    return write_png(path.with_name(f"{path.stem}-small.png"), Image(width, height, bytes(small)))


def histogram(file: str, bins: int) -> dict[str, object]:
    """How many pixels are how bright, from dark to light."""
    pixels = read_png(file).pixels
    counts = [0] * bins
    for red, green, blue in zip(pixels[::3], pixels[1::3], pixels[2::3], strict=True):
        counts[(red + green + blue) * bins // (3 * 256)] += 1
    return {"picture": Path(file).name, "pixels": counts}


def contact_sheet(files: Sequence[str], columns: int, file: str) -> dict[str, object]:
    """All pictures, of one size, side by side in one; with a checksum of its pixels."""
    images = [read_png(name) for name in files]
    width, height = images[0].width, images[0].height
    blank = Image(width, height, bytes(width * height * 3))
    images += [blank] * (-len(images) % columns)
    pixels = b"".join(
        image.pixels[y * width * 3 : (y + 1) * width * 3]
        for start in range(0, len(images), columns)
        for y in range(height)
        for image in images[start : start + columns]
    )
    sheet = Image(width * columns, height * len(images) // columns, pixels)
    write_png(Path(file), sheet)
    return {"file": file, "size": [sheet.width, sheet.height], "crc32": f"{zlib.crc32(pixels):08x}"}


def write_png(path: Path, image: Image) -> str:
    """Write a PNG with no filters."""
    stride = image.width * 3
    rows = b"".join(b"\0" + image.pixels[start : start + stride] for start in range(0, len(image.pixels), stride))
    header = struct.pack(">IIBBBBB", image.width, image.height, 8, 2, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(SIGNATURE + block(b"IHDR", header) + block(b"IDAT", zlib.compress(rows)) + block(b"IEND", b""))
    return str(path)


def block(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def read_png(file: str) -> Image:
    """Read a PNG that write_png wrote."""
    data = Path(file).read_bytes()
    at, width, height, packed = len(SIGNATURE), 0, 0, b""
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height = struct.unpack_from(">II", body)
        elif kind == b"IDAT":
            packed += body
        at += length + 12
    rows = zlib.decompress(packed)
    stride = width * 3 + 1
    return Image(width, height, b"".join(rows[start + 1 : start + stride] for start in range(0, len(rows), stride)))
