"""Draws the logs of training runs that are kept in runs/, one picture each: `python docs/curves.py`."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from geoseg.evaluation.report.chart import Chart
from geoseg.evaluation.report.curves import history_charts

RUNS = Path(__file__).with_name("runs")
COLUMNS = ("step", "loss", "iou")
COLOURS = ("#0b6e99", "#c2410c", "#4d7c0f", "#7e22ce")
FONT = "font-family='system-ui, sans-serif' font-size='12' fill='#333'"


def picture(charts: Sequence[Chart]) -> str:
    """The charts side by side, as one SVG."""
    width, height = charts[0].size["width"], charts[0].size["height"] + 24
    parts = [
        f"<g transform='translate({number * width} 24)'>{''.join(_drawn(one))}</g>" for number, one in enumerate(charts)
    ]
    box = f"0 0 {width * len(charts)} {height}"
    return f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='{box}' {FONT}>{''.join(parts)}</svg>\n"


def _drawn(chart: Chart) -> Iterator[str]:
    size, frame = chart.size, chart.frame
    middle, bottom = (size["left"] + size["right"]) / 2, size["bottom"]
    yield f"<text x='{size['left']}' y='-4' font-weight='600'>{escape(frame.title)}</text>"
    for tick in chart.y_ticks:
        yield f"<path d='M{size['left']} {tick.at}H{size['right']}' stroke='#ddd'/>"
        yield f"<text x='{size['left'] - 6}' y='{tick.at + 4}' text-anchor='end'>{tick.text}</text>"
    for tick in chart.x_ticks:
        yield f"<text x='{tick.at}' y='{bottom + 16}' text-anchor='middle'>{tick.text}</text>"
    yield f"<text x='{middle}' y='{bottom + 36}' text-anchor='middle'>{escape(frame.x_label)}</text>"
    for stroke in chart.strokes:
        colour = COLOURS[stroke.style % len(COLOURS)]
        yield f"<path d='{stroke.path}' fill='none' stroke='{colour}' stroke-width='1.6'/>"
        yield f"<text x='{size['right'] - 4}' y='{size['top'] + 14 + 16 * stroke.style}' text-anchor='end' "
        yield f"fill='{colour}'>{escape(stroke.name)}</text>"


def main() -> None:
    """Draw every log."""
    for log in sorted(RUNS.glob("*.csv")):
        with log.open(newline="") as lines:
            rows = [{name: row[name] for name in COLUMNS} for row in csv.DictReader(lines)]
        charts = history_charts(rows)
        log.with_suffix(".svg").write_text(picture(charts), encoding="utf-8")


if __name__ == "__main__":
    main()
