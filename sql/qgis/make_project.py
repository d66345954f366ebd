#!/usr/bin/env python3
"""The recipe of ar-supervisor.qgs: run with QGIS's Python where the service `ar-supervisor` leads to a database with data.

    PGSERVICEFILE=… QT_QPA_PLATFORM=offscreen /usr/bin/python3 sql/qgis/make_project.py

QGIS puts the writer's name, the time and random numbers into a project; here they are taken out, so that the same
recipe gives the same file.
"""

import os
import re
import sys

# Else Qt writes attributes in another order each time.
os.environ["QT_HASH_SEED"] = "0"

from qgis.core import (
    QgsApplication, QgsCategorizedSymbolRenderer, QgsCoordinateReferenceSystem, QgsDataSourceUri, QgsFillSymbol,
    QgsGraduatedSymbolRenderer, QgsMarkerSymbol, QgsProject, QgsProperty, QgsReferencedRectangle, QgsRectangle, QgsRendererCategory,
    QgsRendererRange, QgsSettings, QgsSingleSymbolRenderer, QgsSymbolLayer, QgsVectorLayer, QgsWkbTypes,
)
from qgis.PyQt.QtGui import QColor

SERVICE = "ar-supervisor"
FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ar-supervisor.qgs")

HEALTH = {"healthy": "#2e8b57", "degraded": "#e6a700", "offline": "#c0392b", "unknown": "#8a8f98"}
HEAT = ["#fde7c4", "#fbb973", "#f0803c", "#cf4a2c", "#8e1b2d"]
BLUES = ["#e3eef8", "#b3d1ea", "#74aed6", "#3581b8", "#10497e"]
NEWEST = "bucket_start = (SELECT max(bucket_start) FROM gis.device_density)"


def marker(color, size, **more):
    return QgsMarkerSymbol.createSimple({"name": "circle", "color": color, "size": str(size), "outline_color": "#ffffff", "outline_width": "0.2", **more})


def fill(color, opacity=1.0, outline="#ffffff", width=0.1):
    symbol = QgsFillSymbol.createSimple({"color": color, "outline_color": outline, "outline_width": str(width)})
    symbol.setOpacity(opacity)
    return symbol


def outline(color, width, style="solid"):
    return QgsFillSymbol.createSimple({"style": "no", "outline_color": color, "outline_width": str(width), "outline_style": style})


def by_health(symbol):
    categories = [QgsRendererCategory(word, symbol(color), word) for word, color in HEALTH.items()]
    return QgsCategorizedSymbolRenderer("health_status", categories)


def graduated(column, limits, colors, opacity):
    edges = [0, *limits, 1e12]
    ranges = []
    for (least, most), color in zip(zip(edges, edges[1:]), colors):
        words = f"over {least:g}" if most == 1e12 else f"up to {most:g}"
        ranges.append(QgsRendererRange(least, most, fill(color, opacity), words))
    return QgsGraduatedSymbolRenderer(column, ranges)


def sized(color, expression):
    symbol = marker(color, 2)
    symbol.symbolLayer(0).setDataDefinedProperty(QgsSymbolLayer.PropertySize, QgsProperty.fromExpression(expression))
    return QgsSingleSymbolRenderer(symbol)


POINT, MULTI_POINT, AREA = QgsWkbTypes.Point, QgsWkbTypes.MultiPoint, QgsWkbTypes.MultiPolygon
FAR = 2_000_000  # not drawn when zoomed out further than 1 : this

# Group, then layers from top to bottom: title, view, geometry column, type, filter, renderer, shown, least scale, field to label by.
LAYERS = [
    ("Edge servers", [
        ("Edge servers", "edges", "geom", POINT, "", by_health(lambda color: marker(color, 3.2)), True, 0, "name"),
        ("Waiting to be synchronised", "sync_state", "geom", POINT, "",
         sized("#6a3fb5", 'CASE WHEN "pending" + "outdated" + "failed" = 0 THEN 0 ELSE 2 + ln(1 + "pending" + "outdated" + "failed") END'), False, 0, ""),
        ("Load by edge server", "load_by_edge", "geom", POINT, "", sized("#10497e", '2 + 8 * "load"'), False, 0, ""),
        ("Load by region label", "load_by_region", "geom", MULTI_POINT, "", sized("#3581b8", '2 + 8 * coalesce("share_of_devices", 0)'), False, 0, ""),
        ("Health in the last day, by hour", "edge_health_history", "geom", POINT, "", by_health(lambda color: marker(color, 2.4)), False, 0, ""),
        ("Changes of health", "edge_health_changes", "geom", POINT, "", by_health(lambda color: marker(color, 2.4, name="diamond")), False, 0, ""),
        ("Missing at edge servers", "sync_faults", "geom", POINT, "", QgsSingleSymbolRenderer(marker("#c0392b", 1.6, name="cross2")), False, 0, ""),
        ("Service areas", "coverage", "geom", AREA, "", by_health(lambda color: fill(color, 0.25, color, 0.3)), True, 0, ""),
    ]),
    ("Coverage of decorations", [
        ("Gaps", "coverage_gaps", "boundary", AREA, "", graduated("uncovered", [1, 3, 10, 30], HEAT, 0.8), False, 10 * FAR, ""),
        ("Overlaps", "coverage_overlaps", "boundary", AREA, "", graduated("edges_most", [2, 3, 5, 8], BLUES, 0.8), False, 0, ""),
    ]),
    ("People", [
        ("Density, newest quarter-hour", "device_density_cells", "boundary", AREA, NEWEST, graduated("users", [20, 40, 80, 160], HEAT, 0.8), False, 0, ""),
        ("Density, newest quarter-hour, coarse", "device_density_sums", "boundary", AREA, f"resolution = 3 AND {NEWEST}",
         graduated("users", [50, 200, 1000, 5000], HEAT, 0.6), True, 0, ""),
        ("Answers to phones, by hour", "decoration_usage", "geom", POINT, "geom IS NOT NULL", sized("#cf4a2c", '1 + ln("answers")'), False, 0, ""),
    ]),
    ("Decorations", [
        ("Decorations", "decorations", "geom", POINT, "", QgsSingleSymbolRenderer(marker("#1f6f8b", 1.6)), True, FAR, "name"),
        ("Towns (H3 resolution 5)", "decoration_cells", "boundary", AREA, "resolution = 5", graduated("n", [1, 3, 10, 30], BLUES, 0.7), False, 5 * FAR, ""),
        ("Countries (H3 resolution 2)", "decoration_cells", "boundary", AREA, "resolution = 2", graduated("n", [3, 10, 100, 1000], BLUES, 0.7), True, 0, ""),
    ]),
    ("Regions", [
        ("Drawn areas", "regions", "border", AREA, "kind = 'custom'", QgsSingleSymbolRenderer(outline("#8e1b2d", 0.6, "dash")), True, 0, "name"),
        ("First-level divisions", "regions", "border", AREA, "kind = 'admin1'", QgsSingleSymbolRenderer(outline("#b9c0c9", 0.15)), True, 10 * FAR, ""),
        ("Decorations by country", "region_counts", "border", AREA, "kind = 'country'", graduated("decorations", [10, 100, 1000, 5000], BLUES, 1), False, 0, ""),
        ("Countries", "regions", "border", AREA, "kind = 'country'", QgsSingleSymbolRenderer(fill("#f4f1ea", 1, "#a7a294", 0.2)), True, 0, ""),
    ]),
]


def layer(title, view, column, kind, condition, renderer, least_scale, label):
    uri = QgsDataSourceUri()
    uri.setConnection(SERVICE, "", "", "")
    uri.setDataSource("gis", view, column, condition, "gid")
    uri.setSrid("4326")
    uri.setWkbType(kind)
    uri.setParam("checkPrimaryKeyUnicity", "0")
    made = QgsVectorLayer(uri.uri(False), title, "postgres")
    if not made.isValid():
        sys.exit(f"{title}: {made.error().message()}")
    made.setRenderer(renderer)
    made.setReadOnly(True)
    if least_scale:
        made.setScaleBasedVisibility(True)
        made.setMinimumScale(least_scale)
        made.setMaximumScale(0)
    # What is told now is believed when the project is opened, also of what comes later.
    made.setExtent(QgsRectangle(-180, -90, 180, 90))
    if label:
        made.setDisplayExpression(f'"{label}"')
    return made


def main():
    application = QgsApplication([], False)
    application.initQgis()
    QgsSettings().setValue("projects/anonymize_saved_projects", True)
    project = QgsProject.instance()
    project.setTitle("AR supervisor")
    project.setCrs(QgsCoordinateReferenceSystem("EPSG:4326"))
    # What a view covers is not worth reading all of it when the project is opened.
    project.setTrustLayerMetadata(True)
    project.setBackgroundColor(QColor("#dfeaf2"))
    ids = {}
    for group_title, layers in LAYERS:
        group = project.layerTreeRoot().addGroup(group_title)
        for title, view, column, kind, condition, renderer, shown, least_scale, label in layers:
            made = layer(title, view, column, kind, condition, renderer, least_scale, label)
            # QGIS takes names of ten letters or fewer for none.
            ids[made.id()] = "ar_supervisor_" + re.sub(r"\W+", "_", title).strip("_").lower()
            project.addMapLayer(made, False)
            node = group.addLayer(made)
            node.setItemVisibilityChecked(shown)
            node.setExpanded(False)
    project.viewSettings().setDefaultViewExtent(QgsReferencedRectangle(QgsRectangle(-180, -75, 180, 85), project.crs()))
    if not project.write(FILE):
        sys.exit(project.error())
    tidy(FILE, ids)
    application.exitQgis()


def tidy(path, ids):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for made, name in ids.items():
        text = text.replace(made, name)
    text = re.sub(r' (saveUser|saveUserFull|saveDateTime)="[^"]*"', "", text)
    text = re.sub(r"<(author|creation|created)>[^<]*</\1>", r"<\1></\1>", text)
    text = re.sub(r'<date [^>]*/>', "", text)
    text = re.sub(r"Annotations_[0-9a-f_]{36}", "annotations", text)
    # Random names of symbol layers and rules, and nothing refers to them.
    text = re.sub(r'(<layer [^>]*) id="\{[0-9a-f-]+\}"', r"\1", text)
    # In an order of its own each time; nobody edits these layers.
    text = re.sub(r"<individual-layer-settings>.*?</individual-layer-settings>", "<individual-layer-settings/>", text, flags=re.DOTALL)
    if os.path.exists(path + "~"):
        os.remove(path + "~")
    # And layers in the order of their names: the tree says what lies above what.
    found = re.search(r"(<projectlayers>\n)(.*)( *</projectlayers>)", text, flags=re.DOTALL)
    layers = re.findall(r" *<maplayer .*?</maplayer>\n", found[2], flags=re.DOTALL)
    layers.sort(key=lambda layer: re.search(r"<id>(.*?)</id>", layer)[1])
    text = text[: found.start()] + found[1] + "".join(layers) + found[3] + text[found.end() :]
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


main()
