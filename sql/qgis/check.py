#!/usr/bin/env python3
"""Opens the project as an analyst does and asks every layer for its features.

    PGSERVICEFILE=… QT_QPA_PLATFORM=offscreen /usr/bin/python3 sql/qgis/check.py [--picture map.png] [--may-be-empty LAYER]…
"""

import argparse
import os
import sys
import time

from qgis.core import QgsApplication, QgsFeatureRequest, QgsMapRendererParallelJob, QgsMapSettings, QgsProject, QgsRectangle
from qgis.PyQt.QtCore import QSize

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ar-supervisor.qgs")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--picture", help="also draw the map into this file")
    arguments.add_argument("--may-be-empty", action="append", default=[], metavar="LAYER", help="title of a layer that needs traffic first")
    given = arguments.parse_args()
    application = QgsApplication([], False)
    application.initQgis()
    project = QgsProject.instance()
    if not project.read(FILE):
        sys.exit(f"the project cannot be read: {project.error()}")
    layers = sorted(project.mapLayers().values(), key=lambda layer: layer.name())
    faults = [] if layers else ["there are no layers"]
    for layer in layers:
        began = time.monotonic()
        features, drawn, key = 0, 0, None
        if not layer.isValid():
            faults.append(f"{layer.name()}: {layer.dataProvider().error().message() if layer.dataProvider() else 'no provider'}")
            continue
        for feature in layer.getFeatures():
            features += 1
            drawn += feature.hasGeometry()
            key = feature.id()
        key_columns = [layer.fields().at(n).name() for n in layer.primaryKeyAttributes()]
        if key_columns != ["gid"]:
            faults.append(f"{layer.name()}: its key is {key_columns}")
        if drawn == 0 and layer.name() not in given.may_be_empty:
            faults.append(f"{layer.name()}: no feature")
        # What a click on the map asks, and what a row of the attribute table does.
        list(layer.getFeatures(QgsFeatureRequest().setFilterRect(QgsRectangle(5, 45, 11, 48))))
        if key is not None and not layer.getFeature(key).isValid():
            faults.append(f"{layer.name()}: feature {key} is not found again")
        print(f"{layer.name():40} {features:7} features {time.monotonic() - began:6.2f} s")
    if given.picture:
        draw(project, given.picture)
    for fault in faults:
        print(f"FAULT {fault}", file=sys.stderr)
    print(f"{len(layers)} layers, {len(faults)} faults")
    application.exitQgis()
    sys.exit(1 if faults else 0)


def draw(project, path):
    settings = QgsMapSettings()
    settings.setLayers([node.layer() for node in project.layerTreeRoot().findLayers() if node.isVisible()])
    settings.setDestinationCrs(project.crs())
    settings.setBackgroundColor(project.backgroundColor())
    settings.setExtent(project.viewSettings().defaultViewExtent())
    settings.setOutputSize(QSize(1400, 700))
    settings.setOutputDpi(96)
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    if job.errors():
        sys.exit("; ".join(error.message for error in job.errors()))
    job.renderedImage().save(path)


main()
