"""Sends what this node's containers log to the collector. Where it is in each file stands in /state, so nothing is sent anew.

A file is /var/log/pods/NAMESPACE_POD_UID/CONTAINER/RESTART.log with lines of "TIME STREAM F|P TEXT".
"""

import json
import os
import time
import urllib.request
from pathlib import Path

LOGS, STATE, COLLECTOR = Path("/var/log/pods"), Path("/state/offsets.json"), os.environ["COLLECTOR"]
MAX_READ = 1024 * 1024


def fresh(file, offset):
    """Whole lines after an offset, and the offset behind them; a file that became shorter begins anew."""
    with file.open("rb") as opened:
        if opened.seek(0, os.SEEK_END) < offset:
            offset = 0
        opened.seek(offset)
        data = opened.read(MAX_READ)
    whole = data[: data.rfind(b"\n") + 1]
    return whole.decode(errors="replace").splitlines(), offset + len(whole)


def told(file, line):
    """A line of a log as the collector takes it."""
    namespace, pod, _uid = file.parent.parent.name.split("_", 2)
    when, stream, _tag, text = [*line.split(" ", 3), "", "", ""][:4]
    return {
        "node": os.environ["NODE_NAME"],
        "namespace": namespace,
        "pod": pod,
        "container": file.parent.name,
        "stream": stream,
        "time": when,
        "text": text,
    }


def look(offsets):
    """What is new in all files: the lines, and the offsets behind them."""
    lines, after = [], {}
    for file in sorted(LOGS.glob("*/*/*.log")):
        if file.parent.parent.name.startswith(os.environ["MYSELF"]):
            continue
        try:
            found, after[str(file)] = fresh(file, offsets.get(str(file), 0))
        except FileNotFoundError:
            continue
        lines += [told(file, line) for line in found]
    return lines, after


def main():
    offsets = json.loads(STATE.read_text()) if STATE.exists() else {}
    while True:
        lines, after = look(offsets)
        if lines:
            body = "".join(json.dumps(line) + "\n" for line in lines).encode()
            try:
                urllib.request.urlopen(urllib.request.Request(COLLECTOR, body), timeout=5).close()
            except OSError as error:
                print(f"the collector doesn't answer: {error}")
                time.sleep(1)
                continue
            print(f"sent {len(lines)} lines")
        if after != offsets:
            offsets = after
            STATE.with_suffix(".new").write_text(json.dumps(offsets))
            STATE.with_suffix(".new").rename(STATE)
        time.sleep(0.5)


main()
