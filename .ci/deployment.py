"""Reads a compose file strictly, as the Compose specification has it, and looks that what it names is there."""

import pathlib
import re
import sys

from compose_spec import PyCompose, PyOptions

file = pathlib.Path(sys.argv[1])
text = file.read_text()
# Variables as they are with nothing set but the folder of secrets.
text = re.sub(r"\$\{(\w+):-([^}]*)\}", r"\2", text)
text = re.sub(r"\$\{(\w+):\?[^}]*\}", "/srv/secrets", text)
compose = PyOptions(apply_merge=True).from_yaml(text)
compose.validate()

faults = []
services = compose.to_dict()["services"]
for name, service in services.items():
    for volume in service.get("volumes") or []:
        source = volume.split(":")[0] if isinstance(volume, str) else volume.get("source")
        if source and source.startswith(".") and not (file.parent / source).exists():
            faults.append(f"{name} mounts {source}, which is not there")
for fault in faults:
    print("FAULT", fault, file=sys.stderr)
print(f"{len(services)} services: " + ", ".join(services))
sys.exit(1 if faults else 0)
