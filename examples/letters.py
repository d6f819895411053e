"""Makes the image set `letters`: A to J of 247 fonts, 28 x 28, a third set beside digits and Fashion-MNIST.

    apt-get download PACKAGES               # those below; nothing is installed
    for deb in *.deb; do mkdir -p fonts/${deb%%_*} && dpkg-deb -x $deb fonts/${deb%%_*}; done
    pip install pillow==13.0.0              # whose FreeType draws the glyphs
    python3 examples/letters.py fonts letters && hebbian data add letters letters

Each glyph is drawn four times: turned, slanted, stretched and shifted a little, at random by a fixed seed. The fonts of every fourth
package are the test part, so no font is in both. The set was named, and this script committed, before any rule was tried on it.
"""

import random
import struct
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

PACKAGES = """
    fonts-breip fonts-cabin fonts-cantarell fonts-comfortaa fonts-crosextra-caladea fonts-crosextra-carlito fonts-dancingscript
    fonts-dejavu-core fonts-ebgaramond fonts-fantasque-sans fonts-freefont-ttf fonts-gfs-didot fonts-hack fonts-inconsolata
    fonts-jetbrains-mono fonts-junicode fonts-lato fonts-league-spartan fonts-liberation fonts-linuxlibertine fonts-oldstandard
    fonts-open-sans fonts-play fonts-quicksand fonts-rufscript fonts-sil-gentium-basic fonts-urw-base35 fonts-vollkorn
""".split()
# Symbols, keys and initials with ornaments.
NO_LETTERS = {"D050000L", "StandardSymbolsPS", "LinBiolinum_K", "LinLibertine_I"}
LETTERS = "ABCDEFGHIJ"
VARIANTS = 4
SIDE = 28
BOX = 20  # The glyph's longer side, before it is stretched.


def fonts(folder):
    """The files of a package, each font once."""
    by_name = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".otf", ".ttf") and not path.is_symlink() and path.stem not in NO_LETTERS:
            by_name.setdefault(path.stem, path)
    return [by_name[name] for name in sorted(by_name)]


def draw(font, letter, rng):
    """One image, as bytes row by row."""
    large = Image.new("L", (320, 320))
    ImageDraw.Draw(large).text((160, 160), letter, fill=255, font=font, anchor="mm")
    large = large.rotate(rng.uniform(-12, 12), Image.Resampling.BICUBIC)
    slant = rng.uniform(-0.15, 0.15)
    large = large.transform(large.size, Image.Transform.AFFINE, (1, slant, -160 * slant, 0, 1, 0), Image.Resampling.BICUBIC)
    glyph = large.crop(large.getbbox())
    scale = BOX / max(glyph.size)
    size = [max(2, min(SIDE, round(length * scale * rng.uniform(0.85, 1.15)))) for length in glyph.size]
    glyph = glyph.resize(size, Image.Resampling.BOX)
    place = [(SIDE - length) // 2 + rng.randint(-2, 2) for length in size]
    image = Image.new("L", (SIDE, SIDE))
    image.paste(glyph, [max(0, min(SIDE - length, start)) for start, length in zip(place, size)])
    return image.tobytes()


def write(folder, part, examples):
    """The two IDX files of a part."""
    count = len(examples)
    images = struct.pack(">4B3I", 0, 0, 8, 3, count, SIDE, SIDE) + b"".join(image for image, _ in examples)
    labels = struct.pack(">4BI", 0, 0, 8, 1, count) + bytes(label for _, label in examples)
    (folder / f"{part}-images-idx3-ubyte").write_bytes(images)
    (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)


def main(source, target):
    rng = random.Random(20261127)
    parts = {"train": [], "t10k": []}
    used = 0
    for place, package in enumerate(PACKAGES):
        files = fonts(source / package)
        if not files:
            sys.exit(f"{source / package}: has no fonts; see the first lines of this script")
        part = parts["t10k" if place % 4 == 3 else "train"]
        for path in files:
            font = ImageFont.truetype(path, 160, layout_engine=ImageFont.Layout.BASIC)
            used += 1
            for label, letter in enumerate(LETTERS):
                part.extend((draw(font, letter, rng), label) for _ in range(VARIANTS))
    target.mkdir(parents=True, exist_ok=True)
    for part, examples in parts.items():
        rng.shuffle(examples)
        write(target, part, examples)
    print(f"{used} fonts, {len(parts['train'])} + {len(parts['t10k'])} images in {target}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
