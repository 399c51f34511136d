"""Tables and pictures as people have them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pgcompile.training.images import ImageFolder
from pgcompile.training.tables import read_csv
from pgcompile.vocabulary.spaces import Space


def read(tmp_path: Path, text: bytes, wanted: list[str]) -> dict[str, np.ndarray]:
    (tmp_path / "t.csv").write_bytes(text)
    return read_csv(tmp_path / "t.csv", wanted)


@pytest.mark.parametrize(
    "text",
    [
        b"x_0,x_1,y\n1,2,3\n4,5,6\n",
        b"\xef\xbb\xbfx_0,x_1,y\r\n1,2,3\r\n4,5,6\r\n",
        b'"x_0";"x_1";"y"\n"1";"2";"3"\n"4";"5";"6"\n',
        b"name,x_0,x_1,y\n\"Smith, J. # 1\",1,2,3\n'none',4,5,6\n",
        b"x_1\tx_0\ty\n2\t1\t3\n\n5\t4\t6\n",
        b"x1,x2,y\n1,2,3\n4,5,6\n",
        b"x[0],x[1],y\n 1 , 2 , 3 \n4,5,6",
    ],
)
def test_tables_of_spreadsheets(text: bytes, tmp_path: Path) -> None:
    found = read(tmp_path, text, ["x", "y"])
    assert found["x"].tolist() == [[1, 2], [4, 5]]
    assert found["y"].tolist() == [3, 6]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"x_0,x_1,x0\n1,2,3\n", "x has two columns for its entry 0"),
        (b"x_0,x_1,x_1\n1,2,3\n", "two columns are called x_1"),
        (b"x_0,x_2\n1,2\n", "none for its entry 1"),
        (b"x_0,x_1\n1,2\n1,two\n", "`two` in line 3, column x_1, is not a number"),
        (b"x_0,x_1\n1,2\n1\n", "2 columns are named, and line 3 has 1"),
        (b"1,2\n3,4\n", "its first line has numbers"),
    ],
)
def test_tables_that_cannot_be_read(text: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        read(tmp_path, text, ["x"])


@pytest.mark.parametrize("shape", [(2, 2), (1, 2, 2), (3, 2, 2)])
def test_pictures_of_sixteen_bits_keep_their_greys(shape: tuple[int, ...], tmp_path: Path) -> None:
    pixels = np.array([[0, 257], [32896, 65535]], dtype=np.uint16)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    folder = ImageFolder(tmp_path, ["x"], {"x": Space("unit_interval", shape)})
    found = folder.rows([0])["x"][0]
    expected = np.broadcast_to(pixels / 65535, shape)
    np.testing.assert_allclose(found, expected, atol=1e-6)
