"""Folders of images, and of images in a folder a class."""

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pgcompile.diagnostics import DataError
from pgcompile.vocabulary.spaces import Space

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
# What readers of pictures raise for damaged ones; one that is of no known format is an OSError too.
_UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)


def is_image_folder(path: Path) -> bool:
    """True if a path is a folder with images in it or in its folders."""
    return path.is_dir() and any(file.suffix.lower() in ENDINGS for file in path.rglob("*"))


class ImageFolder:
    """Images read when they are needed; the names of folders, sorted, are classes.

    Args:
        path: the folder.
        wanted: the variables: one of a picture's shape, and perhaps a category for the classes.
        spaces: their spaces.
        levels: of the picture variable, its pixels are whole numbers below 256 instead of shares of one.

    Raises:
        DataError: the variables do not fit pictures.
    """

    def __init__(
        self, path: Path, wanted: list[str], spaces: Mapping[str, Space], levels: frozenset[str] = frozenset()
    ) -> None:
        self.files = sorted(file for file in path.rglob("*") if file.suffix.lower() in ENDINGS)
        self.source = path.name
        labels = [name for name in wanted if spaces[name].kind == "category"]
        pictures = [name for name in wanted if name not in labels]
        if len(pictures) != 1 or len(labels) > 1:
            raise DataError(f"{path.name} holds images: it gives one variable, and a category, not {', '.join(wanted)}")
        self.picture, self.label = pictures[0], labels[0] if labels else None
        self.space = spaces[self.picture]
        self.whole = self.picture in levels
        self.size = _size(self.space.shape)
        if self.size is None:
            raise DataError(
                f"`{self.picture} : {self.space}` has not the shape of a picture: [C, H, W], [H, W] or [H W]"
            )
        classes = sorted({file.parent.name for file in self.files})
        if self.label is not None:
            count = spaces[self.label].categories or 0
            if len(classes) > count or len(classes) < 2:
                raise DataError(
                    f"{path.name} has {len(classes)} folders of images, and {self.label} has {count} values"
                )
        self.classes = {name: i for i, name in enumerate(classes)}
        self._read(self.files[0])  # a size that does not fit is told before anything is trained

    def __len__(self) -> int:
        return len(self.files)

    def rows(self, index: list[int]) -> dict[str, np.ndarray]:
        """Some images and their classes.

        Raises:
            DataError: a file cannot be read, or has another size.
        """
        found = {self.picture: np.stack([self._read(self.files[i]) for i in index])}
        if self.label is not None:
            found[self.label] = np.array([self.classes[self.files[i].parent.name] for i in index])
        return found

    def _deep(self, pixels: np.ndarray, name: str) -> np.ndarray:
        """Grey pixels of 16 bits on the scale of 8, for every channel.

        Raises:
            DataError: they are wanted as whole numbers below 256.
        """
        assert self.size is not None
        if self.whole:
            raise DataError(f"{name} has 16 bits a pixel, and dequantisation takes 8")
        scaled = pixels * (255 / 65535)
        return scaled if self.size[0] == 1 else np.repeat(scaled[..., None], 3, axis=-1)

    def _read(self, file: Path) -> np.ndarray:
        from PIL import Image

        assert self.size is not None
        channels, height, width = self.size
        try:
            with Image.open(file) as image:
                if image.size != (width, height):  # before it is unpacked: a small file may hold a huge picture
                    raise DataError(f"{file.name} has {image.height}x{image.width} pixels, not {height}x{width}")
                if image.mode.startswith("I"):  # 16 bits a pixel, which a conversion would cut off at 255
                    pixels = self._deep(np.asarray(image, dtype=np.float32), file.name)
                else:
                    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"), dtype=np.float32)
        except Image.DecompressionBombError:
            raise DataError(f"{file.name} claims far more pixels than {height}x{width}") from None
        except _UNREADABLE as error:
            raise DataError(f"{file.name} cannot be read as an image: {error}") from None
        moved = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        return (moved if self.whole else moved / 255).reshape(self.space.shape)


def _size(shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """Channels, height and width of an event."""
    match shape:
        case (1 | 3 as channels, height, width):
            return channels, height, width
        case (height, width):
            return 1, height, width
        case (size,) if int(size**0.5) ** 2 == size:
            return 1, int(size**0.5), int(size**0.5)
        case (size,) if size % 3 == 0 and int((size // 3) ** 0.5) ** 2 == size // 3:
            return 3, int((size // 3) ** 0.5), int((size // 3) ** 0.5)
        case _:
            return None
