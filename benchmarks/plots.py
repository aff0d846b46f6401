"""Drawings as SVG: lines over two logarithmic axes, and bars. They are plain text, so they need no library."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape

OURS = "S3Dict"
OUR_COLOUR = "#0b5fa5"
OTHER_COLOURS = ("#d1495b", "#3a7d44", "#8d6a9f", "#c77f1a", "#555555")
PALE = "#9aa5b1"
WIDTH = 760
LINE = 22
TEXT = 'font-family="system-ui, sans-serif" font-size="13" fill="#222"'


def lines(
    series: Mapping[str, Mapping[int, float]], *, title: str, x_label: str, y_text: Callable[[float], str]
) -> str:
    """A line for each series, with a point for each x."""
    left, right, top, bottom = 80, WIDTH - 45, 40, 340
    colours = _colours(series)
    xs = sorted({x for points in series.values() for x in points})
    ys = [y for points in series.values() for y in points.values()]
    low, high = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)))
    x_low, x_high = math.log10(xs[0]), math.log10(xs[-1])

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            left + (math.log10(x) - x_low) / ((x_high - x_low) or 1) * (right - left),
            bottom - (math.log10(y) - low) / ((high - low) or 1) * (bottom - top),
        )

    drawn = [_text(left, 22, title, weight="bold")]
    for power in range(low, high + 1):
        _, y = place(xs[0], 10.0**power)
        drawn.append(f'<path d="M{left} {y:.1f}H{right}" stroke="#ddd"/>')
        drawn.append(_text(left - 8, y + 4, y_text(10.0**power), anchor="end"))
    for x in xs:
        across, _ = place(x, 10.0**low)
        drawn.append(_text(across, bottom + 20, f"{x:,}", anchor="middle"))
    drawn.append(_text((left + right) / 2, bottom + 42, x_label, anchor="middle"))
    for name, points in series.items():
        colour = colours[name]
        spots = [place(x, y) for x, y in sorted(points.items())]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in spots)
        drawn.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in spots]
    drawn += _legend(colours, left, bottom + 62)
    return _svg(drawn, bottom + 70 + LINE * len(series))


def _colours(names: Iterable[str]) -> dict[str, str]:
    """Gives each contender the same colour in all drawings."""
    others = iter(OTHER_COLOURS)
    return {name: OUR_COLOUR if name == OURS else next(others) for name in names}


def _legend(colours: Mapping[str, str], x: float, y: float) -> list[str]:
    drawn = []
    for row, (name, colour) in enumerate(colours.items()):
        middle = y + row * LINE
        drawn.append(f'<circle cx="{x + 6}" cy="{middle}" r="5" fill="{colour}"/>')
        drawn.append(_text(x + 20, middle + 5, name))
    return drawn


def bars(values: Mapping[str, float], *, title: str, text: Callable[[float], str]) -> str:
    """A bar for each value, from 0 on."""
    left, right, top, height = 250, WIDTH - 110, 40, 20
    largest = max(values.values())
    drawn = [_text(10, 22, title, weight="bold")]
    for row, (name, value) in enumerate(values.items()):
        y = top + row * (height + 10)
        length = max(1.0, value / largest * (right - left))
        drawn.append(_text(left - 10, y + 15, name, anchor="end"))
        colour = OUR_COLOUR if name == OURS else PALE
        drawn.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{height}" fill="{colour}"/>')
        drawn.append(_text(left + length + 8, y + 15, text(value)))
    return _svg(drawn, top + len(values) * (height + 10) + 10)


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}"'
    return f"<text {place} {TEXT}>{escape(text)}</text>"


def _svg(drawn: Sequence[str], height: float) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *drawn, "</svg>"]) + "\n"
