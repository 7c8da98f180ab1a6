#!/usr/bin/env python3
"""Listing speed: `gsgate tasks` against the Python client, page after page, on the same emulator in one run.

    pip install google-cloud-storage
    cargo build --release
    benches/listing.py [--objects 1000000] [--gsgate target/release/gsgate] [--rounds 1] [--latency 40ms]

Both list the same objects of the same embedded GCS on this machine, so that both share its processors with it.
Prints objects a second, the peak of gsgate's resident memory, and the ratio.
"""

import argparse
import contextlib
import os
import pathlib
import re
import subprocess
import tempfile
import time

BUCKET = "demo-many"
CONFIG = """
[server]
public_url = "https://media.example.com"
[access]
allow = "anyone"
[gcs]
endpoint = "{storage}"
[credentials.default]
source = "anonymous"
[connections.many]
uri = "gs://{bucket}/"
"""


@contextlib.contextmanager
def emulator(gsgate, objects, latency):
    """Starts the demo with so many objects, so far away; gives the URL of its storage."""
    anywhere = "127.0.0.1:0"
    command = [gsgate, "demo", "--objects", str(objects), "--listen", anywhere, "--page-listen", anywhere,
               "--admin-listen", anywhere, "--latency", latency]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        try:
            for line in demo.stdout:
                if found := re.match(r"storage (http://\S+)", line):
                    yield found[1]
                    return
            raise SystemExit("the demo told no storage")
        finally:
            demo.terminate()


def with_gsgate(gsgate, storage, folder):
    """Seconds, lines and peak KiB of one run."""
    config, manifest = folder / "gsgate.toml", folder / "manifest.txt"
    config.write_text(CONFIG.format(storage=storage, bucket=BUCKET))
    began = time.monotonic()
    process = subprocess.Popen([gsgate, "tasks", "many", "--config", config, "--format", "txt", "--output", manifest])
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    assert status == 0, status
    with open(manifest, "rb") as lines:
        return seconds, sum(1 for _ in lines), usage.ru_maxrss


def with_python(storage):
    """Seconds and objects of one listing, page after page."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage as gcs

    client = gcs.Client(project="p", credentials=AnonymousCredentials(), client_options={"api_endpoint": storage})
    began = time.monotonic()
    count = sum(1 for _ in client.list_blobs(BUCKET))
    return time.monotonic() - began, count


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--latency", default="0ms", help="how far away the storage is, such as 40ms")
    parser.add_argument("--gsgate", default="target/release/gsgate")
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    with emulator(arguments.gsgate, arguments.objects, arguments.latency) as storage, tempfile.TemporaryDirectory() as folder:
        # The emulator makes checksums when an object is first listed.
        with_gsgate(arguments.gsgate, storage, pathlib.Path(folder))
        with_python(storage)
        for _ in range(arguments.rounds):
            ours, count, peak = with_gsgate(arguments.gsgate, storage, pathlib.Path(folder))
            assert count == arguments.objects, count
            theirs, count = with_python(storage)
            assert count == arguments.objects, count
            print(f"gsgate tasks  {ours:8.2f} s  {arguments.objects / ours:10.0f} objects/s  peak {peak / 1024:.1f} MiB")
            print(f"python client {theirs:8.2f} s  {arguments.objects / theirs:10.0f} objects/s")
            print(f"ratio         {theirs / ours:8.2f}", flush=True)


if __name__ == "__main__":
    main()
