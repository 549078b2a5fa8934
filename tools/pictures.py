#!/usr/bin/env python3
"""Makes the pictures of README.md and docs/ from real files: tools/pictures.py [NAME ...].

It takes a minute and needs Chromium. The shipped digits net is exported,
evaluated and explained; Chromium takes pictures of the pages that these commands wrote. A picture has at
most 150 kB. Look at them before you commit them, on white and on dark.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageChops

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
MOST = 150_000  # bytes
_COLOURS = 64
_MARGIN = 24  # pixels
NET = ("--model", "resnet8", "--weights", "digits")
_FILES = ("tflite:float32", "tflite:float16", "tflite:int8", "onnx:float32", "onnx:int8")
# Name, command, page that it writes, height in pixels that is shown.
ROWS: dict[str, tuple[tuple[str, ...], str, int]] = {
    "export": (
        ("export", "all", *NET, "-o", "out", *(word for name in _FILES for word in ("--artifact", name))),
        "out/report.html",
        580,
    ),
    "evaluation": (
        ("evaluate", *NET, "--data", "digits", "--per-class", "--report", "evaluation.html"),
        "evaluation.html",
        890,
    ),
    "layers": (("debug", "out/resnet8-int8.tflite", *NET, "-o", "layers.html"), "layers.html", 505),
    "explain": (
        ("explain", *NET, str(ROOT / "examples" / "digit.png"), "-o", "explain.png"),
        "explain.png",
        0,
    ),
}


def chromium() -> str:
    """The browser."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        raise SystemExit("error: no Chromium here; on Debian: apt-get install chromium (or set CHROMIUM to a Chrome)")
    return found


def shoot(page: Path, picture: Path, height: int, width: int = 1280) -> None:
    """Takes a picture of the upper part of a page."""
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},{height}")
    subprocess.run(
        [chromium(), *flags, f"--screenshot={picture}", page.resolve().as_uri()],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip


def pack(picture: Path, target: Path) -> None:
    """Cuts the empty margin off, and stores few colours."""
    image = Image.open(picture).convert("RGB")
    box = ImageChops.difference(image, Image.new("RGB", image.size, "white")).getbbox() or (0, 0, *image.size)
    right, bottom = min(box[2] + _MARGIN, image.width), min(box[3] + _MARGIN, image.height)
    image.crop((0, 0, right, bottom)).quantize(_COLOURS).save(target, optimize=True)
    size = target.stat().st_size
    print(f"{target.relative_to(ROOT)}: {right} x {bottom}, {size / 1000:.0f} kB")
    if size > MOST:
        raise SystemExit(f"error: {target.name} has {size} bytes, more than {MOST}")


def main(names: list[str]) -> int:
    """Makes the pictures that are named, or all."""
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        print(f"error: unknown picture {unknown[0]}: expected {', '.join(ROWS)}", file=sys.stderr)
        return 2
    PICTURES.mkdir(exist_ok=True)
    program = Path(sys.executable).with_name("keras-resnet")
    with tempfile.TemporaryDirectory() as temporary:
        for name, (command, page, height) in ROWS.items():
            if names and name not in names and name != "export":  # whose files the others look at
                continue
            subprocess.run([program, *command], cwd=temporary, check=True, capture_output=True)
            made = Path(temporary, page)
            if made.suffix == ".html":
                # Folders of this machine are nobody's business.
                text = re.sub(re.escape(f"{temporary}/"), "", made.read_text(encoding="utf-8"))
                made.write_text(text, encoding="utf-8")
                shoot(made, Path(temporary, "picture.png"), height)
                made = Path(temporary, "picture.png")
            if not names or name in names:
                pack(made, PICTURES / f"{name}.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
