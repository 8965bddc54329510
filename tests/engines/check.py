"""Checks that recorded/ and its table agree. Standard library only."""

import collections
import json
import pathlib
import sys

RECORDED = pathlib.Path(__file__).resolve().parent / "recorded"
FIELDS = {"file", "engine", "family", "attempt", "main_container", "why", "made_by"}
SECRETS = ("eyJhbGci", "BEGIN RSA", "BEGIN PRIVATE")
PLACES = (f"{pathlib.Path.home()}/", f"{pathlib.Path(__file__).resolve().parents[2]}/")


def faults():
    """Every disagreement, one line each."""
    rows = json.loads((RECORDED / "expectations.json").read_text())
    files = {str(p.relative_to(RECORDED)) for p in RECORDED.rglob("*.json")} - {"expectations.json"}
    named = [row["file"] for row in rows]
    yield from (f"{f}: recorded but not in expectations.json" for f in sorted(files - set(named)))
    yield from (f"{f}: in expectations.json but not recorded" for f in sorted(set(named) - files))
    yield from (f"{f}: {n} rows" for f, n in collections.Counter(named).items() if n > 1)
    names = collections.defaultdict(dict)
    for row in rows:
        if row["file"] not in files:
            continue
        text = (RECORDED / row["file"]).read_text()
        pod = json.loads(text)
        if not FIELDS <= set(row) <= FIELDS | {"reuses_name"}:
            yield f"{row['file']}: a row needs {sorted(FIELDS)}, and reuses_name where it is so"
        if pod.get("kind") != "Pod" or not pod["metadata"].get("namespace"):
            yield f"{row['file']}: not a Pod with a namespace"
        if row["main_container"] not in [c["name"] for c in pod["spec"]["containers"]]:
            yield f"{row['file']}: no container {row['main_container']}"
        yield from (f"{row['file']}: holds {w!r}" for w in SECRETS + PLACES if w in text)
        name = pod["metadata"].get("name")
        other = names[row["family"]].setdefault(name, row["file"])
        if other != row["file"] and not row.get("reuses_name"):
            yield f"{row['file']}: same pod name as {other}, of the same family"


found = list(faults())
print("\n".join(found) or "recorded/ and expectations.json agree", file=sys.stderr if found else sys.stdout)
sys.exit(1 if found else 0)
