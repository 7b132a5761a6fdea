"""Charts as SVG inside the page: drawn by pygal, coloured by the page's own style sheet.

So the strict policy holds (they have no script and no style of their own), dark is dark, and every mark is a link to
the receipts it stands on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import pygal
from markupsafe import Markup

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
DROPPED = ("style", "script", "title", "desc")
PHONE = 340  # px that a chart has on a phone
LONG = 9  # letters of a name that does not fit below its bar there


@dataclass(frozen=True, slots=True)
class Mark:
    """One value of a series; `says` is read out and shown when pointed at; `href` leads to its receipts."""

    value: float | None
    says: str = ""
    href: str = ""


def bars(title: str, labels: Sequence[str], series: dict[str, list[Mark]], **more: Any) -> Markup:
    return _both(pygal.Bar, title, labels, series, **more)


def stacked(title: str, labels: Sequence[str], series: dict[str, list[Mark]], **more: Any) -> Markup:
    return _both(pygal.StackedBar, title, labels, series, **more)


def lines(title: str, labels: Sequence[str], series: dict[str, list[Mark]], **more: Any) -> Markup:
    return _both(pygal.Line, title, labels, series, **more)


def _both(kind: type[Any], title: str, labels: Sequence[str], series: dict[str, list[Mark]], **more: Any) -> Markup:
    """One drawing for a desk and one for a phone, whose letters would else be too small to read: the style sheet shows
    one of them. A phone has long names of bars at their side."""
    long = kind is pygal.Bar and max(map(len, labels), default=0) > LONG
    phone = {"width": PHONE, "height": 60 + 30 * len(labels) if long else 230, "letters": 12}
    desk = _draw(kind, title, labels, series, **more)
    small = _draw(pygal.HorizontalBar if long else kind, title, labels, series, **more | phone)
    return Markup('<div class="at-desk">{}</div><div class="at-phone">{}</div>').format(desk, small)


def _draw(
    kind: type[Any],
    title: str,
    labels: Sequence[str],
    series: dict[str, list[Mark]],
    *,
    height: int = 260,
    width: int = 700,
    letters: int = 13,
    format: Callable[[float], str] = str,
) -> Markup:
    """`title` is what a screen reader hears first; `letters`: their size. As many labels are written as have room."""
    flat = kind is pygal.HorizontalBar
    room = max(map(len, labels), default=1) * letters * 0.62 + letters
    every = 1 if flat else max(1, math.ceil(len(labels) * room / (width - 80)))
    chart = kind(
        width=width,
        height=height,
        css=[],
        js=[],
        no_prefix=True,
        show_legend=len(series) > 1,
        legend_at_bottom=True,
        margin=6,
        spacing=6,
        dots_size=3,
        print_values=False,
        max_scale=4 if width == PHONE else 6,
        value_formatter=format,
        show_minor_x_labels=every <= 1,
        truncate_label=-1,
        include_x_axis=True,
        style=pygal.style.Style(label_font_size=letters, major_label_font_size=letters, legend_font_size=letters + 1),
    )
    shown = {name: marks[::-1] if flat else marks for name, marks in series.items()}  # its first bar is the lowest
    chart.x_labels = list(labels)[::-1] if flat else list(labels)
    if every > 1:
        chart.x_labels_major = list(labels)[::every]
    for name, marks in shown.items():
        chart.add(name, [_value(mark) for mark in marks])
    root = chart.render_tree()
    says = [mark for marks in shown.values() for mark in marks if mark.value is not None]
    _clean(root, iter(says))
    root.attrib.pop("id", None)
    for element in root.iter():
        element.attrib.pop("style", None)
    root.attrib |= {"role": "group", "aria-label": title}
    return Markup(ElementTree.tostring(root, encoding="unicode", short_empty_elements=True))


def _value(mark: Mark) -> Any:
    if mark.value is None:
        return None
    return {"value": mark.value, "xlink": {"href": mark.href or "#", "target": "_self"}}


def _clean(root: Any, says: Any) -> None:
    """pygal's own styles, scripts and notes go; a link says what it shows; one that leads nowhere becomes a group."""
    for parent in list(root.iter()):
        for child in list(parent):
            if not isinstance(child.tag, str) or child.tag.removeprefix(SVG) in DROPPED:
                parent.remove(child)
    for link in [element for element in root.iter() if _name(element) == "a"]:
        mark = next(says, None)
        href = link.attrib.pop(LINK, link.attrib.pop("xlink:href", "#"))
        link.attrib.pop("target", None)
        if href == "#":
            link.tag = link.tag.removesuffix("a") + "g"
        else:
            link.attrib["href"] = href
        if mark is not None and mark.says:
            link.attrib["aria-label"] = mark.says
            title = ElementTree.SubElement(link, link.tag.removesuffix(_name(link)) + "title")
            title.text = mark.says
        if href == "#":
            link.attrib.pop("aria-label", None)


def _name(element: Any) -> str:
    return str(element.tag).rpartition("}")[2] if isinstance(element.tag, str) else ""
