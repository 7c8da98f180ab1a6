"""Signs an object's URL with Google's own library, at a fixed time.

Usage: sign.py KEY_FILE BUCKET METHOD SECONDS YYYYMMDDTHHMMSSZ < names
The object names come as a JSON list on standard input; the URLs leave as a JSON list on standard output.
"""

import json
import sys

from google.cloud.storage import Client, _signing
from google.oauth2 import service_account


def main() -> None:
    key_file, bucket_name, method, seconds, stamp = sys.argv[1:]
    # The library has no public way to fix the signing time.
    _signing.get_v4_now_dtstamps = lambda: (stamp, stamp[:8])
    credentials = service_account.Credentials.from_service_account_file(key_file)
    bucket = Client(project="unused", credentials=credentials).bucket(bucket_name)
    urls = [
        bucket.blob(name).generate_signed_url(version="v4", expiration=int(seconds), method=method)
        for name in json.load(sys.stdin)
    ]
    json.dump(urls, sys.stdout)


if __name__ == "__main__":
    main()
