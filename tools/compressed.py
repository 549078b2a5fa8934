"""Tables of compressed nets: chosen on held-out images, measured on the test's; and rows of before."""

from __future__ import annotations

from typing import Any

from results import KEPT, RESULTS, content, found, markdown, source


def compression() -> str:
    """Chosen on held-out images, measured on the test's; and rows of before that were not measured anew."""
    parts, anew = [], set()
    if (RESULTS / "compression.json").is_file():
        file = found("compression")
        parts += [source("compression"), _tried(file["tried"]), _measured(file["rows"], file["originals"])]
        anew = {(row["net"], row["what"], row["engine"]) for row in file["rows"]}
    kept = [row for row in content("compression-kept")["rows"] if (row["net"], row["what"], row["engine"]) not in anew]
    parts += [f"Not measured anew, {KEPT}".format(name="compression-kept"), _kept(kept)]
    return "\n\n".join(parts)


def _setting(row: dict[str, Any]) -> str:
    taught = f", taught by {row['teacher']}" if row["teacher"] else ""
    return f"{row['epochs']} epochs{taught}"


def _bold(text: str, is_best: bool) -> str:
    return f"**{text}**" if is_best else text


def _tried(rows: list[dict[str, Any]]) -> str:
    best = {row["what"]: max(r["top1"] for r in rows if r["what"] == row["what"]) for row in rows}
    cells = [
        (row["what"], _setting(row), _bold(f"{row['top1']:.2%}", row["top1"] == best[row["what"]]),
         f"{row['drop']:+.2f}")
        for row in rows
    ]  # fmt: skip
    net, engine = rows[0]["net"], rows[0]["engine"]
    return markdown((f"tried with {net} by {engine}", "setting", "5,000 held-out images", "lost, points"), cells)


def _measured(rows: list[dict[str, Any]], originals: list[dict[str, Any]]) -> str:
    cells = []
    for each in originals:
        for what, title in (("float32", "original"), ("int8", "quantized after training")):
            both = (
                f"{each[f'{part} {what}']:.2%}" if f"{part} {what}" in each else "" for part in ("validation", "test")
            )
            cells.append((each["net"], title, "–", "", what, *both, "", "", "", ""))
    for row in rows:
        for number, file in enumerate(row["files"]):
            first = (row["net"], row["what"], row["engine"], _setting(row)) if not number else ("", "", "", "")
            deviation = f" ± {file['deviation']:.2f}" if file["deviation"] is not None else ""
            validation = f"{file['validation']:.2%}" if file["validation"] is not None else ""
            seeds = f", mean of {row['seeds']}" if row["seeds"] > 1 else ", one seed"
            cells.append(
                (*first, file["precision"].replace("weight_only_", ""), validation, f"{file['top1']:.2%}{seeds}",
                 f"{file['drop']:+.2f}{deviation}", f"{file['gzip_ratio']:.2f}", f"{file['latency_ratio']:.2f}",
                 f"{row['seconds'] / 60:.0f} min" if not number else "")
            )  # fmt: skip
    header = ("net", "", "engine", "setting", "file", "5,000 held-out images, trained on 45,000")
    header += (
        "10,000 test images, trained on 50,000",
        "lost on the test, points",
        "gzip ratio",
        "latency ratio",
        "training",
    )
    return markdown(header, cells)


def _kept(rows: list[dict[str, Any]]) -> str:
    cells, shown = [], None
    for row in rows:
        key = (row["net"], row["epochs"], row["what"], row["engine"] or "–", row["processor"])
        setting = _setting(row) if row["engine"] else ""
        begin = (row["net"], row["what"], *key[3:], setting) if key != shown else ("", "", "", "", "")
        size = f"{row['bytes'] / 1000:.1f}", f"{row['gzip_ratio']:.2f}", f"{row['latency_ratio']:.2f}"
        words = "tuned on test images, kept" if row["engine"] else "kept"
        file = row["precision"].replace("weight_only_", "")
        cells.append((*begin, file, words, f"{row['top1']:.2%}", f"{row['drop']:+.2f}", *size))
        shown = key
    header = ("net", "", "engine", "processor", "setting", "file", "chosen on", "10,000 test images", "lost, points")
    return markdown((*header, "kB", "gzip ratio", "latency ratio"), cells)
