"""Charts as SVG inside the page: drawn by pygal, coloured by the page's own style sheet.

So the strict policy holds (they have no script and no style of their own), dark is dark, and every mark is a link to
the receipts it stands on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import pygal
from markupsafe import Markup

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
DROPPED = ("style", "script", "title", "desc")


@dataclass(frozen=True, slots=True)
class Mark:
    """One value of a series; `says` is read out and shown when pointed at; `href` leads to its receipts."""

    value: float | None
    says: str = ""
    href: str = ""


def bars(title: str, labels: Sequence[str], series: dict[str, list[Mark]], **more: Any) -> Markup:
    return _draw(pygal.Bar, title, labels, series, **more)


def stacked(title: str, labels: Sequence[str], series: dict[str, list[Mark]], **more: Any) -> Markup:
    return _draw(pygal.StackedBar, title, labels, series, **more)


def lines(title: str, labels: Sequence[str], series: dict[str, list[Mark]], **more: Any) -> Markup:
    return _draw(pygal.Line, title, labels, series, **more)


def _draw(
    kind: type[Any],
    title: str,
    labels: Sequence[str],
    series: dict[str, list[Mark]],
    *,
    height: int = 260,
    width: int = 760,
    format: Callable[[float], str] = str,
    every: int = 1,
) -> Markup:
    """`title` is what a screen reader hears first; `every`: how many labels of the x axis are passed over."""
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
        max_scale=6,
        value_formatter=format,
        show_minor_x_labels=every <= 1,
        truncate_label=-1,
        include_x_axis=True,
        style=pygal.style.Style(label_font_size=13, major_label_font_size=13, legend_font_size=14),
    )
    chart.x_labels = list(labels)
    if every > 1:
        chart.x_labels_major = list(labels)[::every]
    for name, marks in series.items():
        chart.add(name, [_value(mark) for mark in marks])
    root = chart.render_tree()
    says = [mark for marks in series.values() for mark in marks if mark.value is not None]
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
