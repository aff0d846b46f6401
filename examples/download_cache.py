"""A cache of downloads that several machines share. Each page is stored as bytes, with a datetime of its download.

Prints:
    <h1>page 1</h1>
    <h1>page 1</h1>
    <h1>page 2</h1>
    3 pages read, 2 downloaded
"""

from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.request import urlopen

from playground import new_file

from s3dictionary import S3Dict

MAX_AGE = timedelta(hours=1)

downloads: list[str] = []


def fetch(cache: S3Dict, url: str) -> bytes:
    """A page, from the cache if it has a fresh copy."""
    now = datetime.now(timezone.utc)
    if url in cache and now - cache[url]["fetched"] < MAX_AGE:
        return cache[url]["body"]
    with urlopen(url) as answer:
        cache[url] = {"fetched": now, "body": answer.read()}
    return cache[url]["body"]


class Website(BaseHTTPRequestHandler):
    """Stands for a slow, distant website."""

    def do_GET(self) -> None:
        downloads.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"<h1>page {self.path[1:]}</h1>".encode())

    def log_message(self, *args: object) -> None:
        """Log nothing."""


if __name__ == "__main__":
    with new_file() as uri, ThreadingHTTPServer(("127.0.0.1", 0), Website) as website:
        Thread(target=website.serve_forever, daemon=True).start()
        for page in (1, 1, 2):  # as three runs of a program would
            # Of two that have fetched the same page, either will do
            with S3Dict.from_uri(uri, on_conflict=lambda key, base, ours, theirs: ours) as cache:
                print(fetch(cache, f"http://127.0.0.1:{website.server_port}/{page}").decode())
        website.shutdown()
        print(f"3 pages read, {len(downloads)} downloaded")
