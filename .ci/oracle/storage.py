"""Google's own library against a gateway's storage endpoint: what Label Studio asks for, and what came of it, as JSON.

Usage: storage.py ENDPOINT KEY_FILE BUCKET
"""

import datetime
import json
import os
import sys
import urllib.request

endpoint, key_file, bucket_name = sys.argv[1:]
os.environ["STORAGE_EMULATOR_HOST"] = endpoint

from google.api_core import exceptions  # noqa: E402
from google.cloud import storage  # noqa: E402
from google.oauth2 import service_account  # noqa: E402

with open(key_file, encoding="utf-8") as file:
    credentials = service_account.Credentials.from_service_account_info(json.load(file))
client = storage.Client(project="whatever", credentials=credentials)
bucket = client.get_bucket(bucket_name)
said = {"bucket": bucket.name, "listed": [blob.name for blob in client.list_blobs(bucket_name, prefix="in/")]}
pages = client.list_blobs(bucket_name, page_size=1)
said["paged"] = [blob.name for page in pages.pages for blob in page]
folders = client.list_blobs(bucket_name, delimiter="/")
said["top"] = [blob.name for blob in folders]
said["folders"] = sorted(folders.prefixes)

blob = bucket.blob("in/ü +#%/a b.txt")
blob.reload()
said["stat"] = [blob.size, blob.content_type, blob.updated is not None, blob.etag != ""]
said["read"] = blob.download_as_bytes().decode()
said["part"] = blob.download_as_bytes(start=1, end=3).decode()
said["missing"] = bucket.get_blob("in/nothing")


def signed(**more):
    url = blob.generate_signed_url(version="v4", expiration=datetime.timedelta(minutes=1), method="GET", **more)
    return url


url = signed()
said["url"] = url.startswith(endpoint)
with urllib.request.urlopen(url) as answer:
    said["fetched"] = answer.read().decode()

note = bucket.blob("notes/1")
note.upload_from_string(json.dumps({"id": 1}))
said["note"] = [note.size, note.generation is not None, note.download_as_bytes().decode()]
note.upload_from_string(json.dumps({"id": 2}), if_generation_match=note.generation)
said["again"] = note.download_as_bytes().decode()
large = bucket.blob("notes/large")
large.upload_from_string(b"x" * (9 * 1024 * 1024), content_type="application/octet-stream")
said["large"] = [large.size, len(large.download_as_bytes())]


def refused(action):
    try:
        action()
    except exceptions.GoogleAPICallError as error:
        return error.code
    return None


said["refused"] = {
    "secret": refused(lambda: bucket.blob("secret.txt").download_as_bytes()),
    "bucket": refused(lambda: client.get_bucket("unknown-bucket")),
    "write": refused(lambda: bucket.blob("in/new").upload_from_string("x")),
    "stale": refused(lambda: note.upload_from_string("x", if_generation_match=7)),
    "exists": refused(lambda: note.upload_from_string("x", if_generation_match=0)),
    "copy": refused(lambda: bucket.copy_blob(note, bucket, "notes/copy")),
    "metadata": refused(note.patch),
}
large.delete()
said["deleted"] = large.exists()
json.dump(said, sys.stdout)
