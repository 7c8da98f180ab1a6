"""Who is compared: how each peer is configured, started, watched and ended."""

import contextlib
import os
import pathlib
import socket
import subprocess
import time

NGINX = """
{user}
worker_processes {threads};
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log warn;
events {{ worker_connections 16384; multi_accept on; }}
http {{
    access_log off;
    sendfile on;
    # With it, answers out of the cache wait for 40 ms.
    tcp_nopush off;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_temp_path {folder}/proxy;
    ssl_certificate {keys}/tls.crt;
    ssl_certificate_key {keys}/tls.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384;
    ssl_session_cache shared:tls:10m;
    ssl_buffer_size 16k;
    http2_chunk_size 16k;
    upstream origin {{
        server {origin};
        keepalive 1024;
        keepalive_requests 1000000000;
    }}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_ssl_verify on;
    proxy_ssl_trusted_certificate {keys}/tls.crt;
    proxy_ssl_name localhost;
    proxy_ssl_server_name on;
    proxy_ssl_session_reuse on;
    proxy_ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384;
    proxy_buffering {buffering};
    proxy_buffer_size {buffer};
    proxy_buffers {buffers};
    proxy_busy_buffers_size {busy};
    proxy_max_temp_file_size 0;
    proxy_cache_path {cache} levels=1:2 keys_zone=hot:16m max_size=1g inactive=1h use_temp_path=off;
    server {{
        listen {listen}{tls} backlog=4096{reuseport};
        location /media/ {{ proxy_pass {scheme}://origin/storage/v1/b/bench-media/o/; }}
        location /far/ {{ proxy_pass {scheme}://origin/storage/v1/b/bench-far/o/; }}
        location /hot/ {{
            proxy_pass {scheme}://origin/storage/v1/b/bench-hot/o/;
            proxy_buffering on;
            proxy_cache hot;
            proxy_cache_lock on;
            proxy_cache_valid 200 60s;
            proxy_ignore_headers Cache-Control Expires;
        }}
        location /signed/ {{ return 302 "{url}"; }}
    }}
}}
"""

# As long as a signed URL is.
URL = "https://storage.googleapis.com/bench-signed/100000-1?X-Goog-Algorithm=GOOG4-RSA-SHA256&" + "X" * 750

GSGATE = """
[server]
listen = "{listen}"
{tls}
[server.limits]
max_connections = 20000
[admin]
listen = "127.0.0.1:0"
[access]
allow = "anyone"
[gcs]
endpoint = "{endpoint}"
ca_file = "{keys}/tls.crt"
[credentials.default]
source = "file"
path = "{keys}/account.json"
token = "self-signed"
[connections.media]
uri = "gs://bench-media/"
delivery = "proxy"
[connections.far]
uri = "gs://bench-far/"
delivery = "proxy"
[connections.hot]
uri = "gs://bench-hot/"
delivery = "proxy"
[connections.signed]
uri = "gs://bench-signed/"
delivery = "signed-url"
[log]
format = "json"
level = "{level}"
"""


def free_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return "127.0.0.1:%d" % probe.getsockname()[1]


def until_listening(address, process):
    host, port = address.split(":")
    for _ in range(500):
        if process.poll() is not None:
            raise SystemExit(f"{process.args[-1]} ended with {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
            return
        time.sleep(0.02)
    raise SystemExit(f"nothing listens on {address}")


def workers(process, peer, count):
    """The processes that move bytes: nginx's workers, which come a little after it listens."""
    if not peer.startswith("nginx"):
        return [process]
    for _ in range(500):
        with open(f"/proc/{process}/task/{process}/children") as listed:
            found = [child for child in listed.read().split() if "worker" in command_line(child)]
        if len(found) == count:
            return [int(child) for child in found]
        time.sleep(0.02)
    raise SystemExit("nginx has no workers")


def command_line(process):
    with contextlib.suppress(OSError), open(f"/proc/{process}/cmdline") as line:
        return line.read()
    return ""


class Origin:
    """The origin, for as long as the comparison runs."""

    def __init__(self, load, keys, pin):
        self.process = subprocess.Popen([*pin, load, "origin", "--keys", keys], stdout=subprocess.PIPE, text=True)
        self.plain, self.tls = self.process.stdout.readline().split()

    def address(self, scheme):
        return self.tls if scheme == "s" else self.plain

    def end(self):
        self.process.kill()
        self.process.wait()


class Bench:
    """What all peers share: where things are, and how many threads a proxy has."""

    def __init__(self, arguments, folder, keys, load, origin, pin):
        self.arguments, self.folder, self.keys, self.load = arguments, folder, keys, load
        self.origin, self.pin = origin, pin


@contextlib.contextmanager
def running(bench, peer, upstream, downstream):
    """Starts a peer; gives its address and the processes that do its work."""
    if peer == "direct":
        yield bench.origin.address(upstream), [bench.origin.process.pid]
        return
    with scratch(bench.folder) as folder:
        listen = free_address()
        command, environment = prepare(bench, folder, peer, (upstream, downstream, listen))
        with open(folder / "log", "w") as log:
            # gsgate's log is written as it always is, and read by nobody.
            output = subprocess.DEVNULL if peer.startswith("gsgate") else log
            process = subprocess.Popen([*bench.pin, *command], env=environment, stdout=output, stderr=output)
        try:
            until_listening(listen, process)
            yield listen, workers(process.pid, peer, bench.arguments.threads)
        except SystemExit:
            for log in folder.glob("*log"):
                print(log.read_text()[-2000:])
            raise
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def scratch(parent):
    """An empty folder on tmpfs, for caches too."""
    import tempfile

    with tempfile.TemporaryDirectory(dir=parent) as folder:
        yield pathlib.Path(folder)


def prepare(bench, folder, peer, where):
    upstream, downstream, listen = where
    threads, environment = bench.arguments.threads, dict(os.environ)
    if peer.startswith("nginx"):
        buffers = bench.arguments.nginx_buffers.split("/")
        text = NGINX.format(
            # Who started it may read the cache; where that is root, workers would change to somebody else.
            user="user root;" if os.geteuid() == 0 else "", threads=threads, folder=folder, keys=bench.keys, cache=folder / "cache", listen=listen,
            origin=bench.origin.address(upstream), scheme="https" if upstream == "s" else "http",
            tls={"h": "", "s": " ssl", "2": " ssl http2"}[downstream], reuseport=" reuseport" if threads > 1 else "",
            buffering="off" if peer == "nginx-unbuffered" else "on",
            buffer=buffers[0], buffers=buffers[1], busy=buffers[2], url=URL)
        (folder / "nginx.conf").write_text(text)
        return [bench.arguments.nginx, "-p", folder, "-c", folder / "nginx.conf"], environment
    if peer == "bare":
        return [bench.load, "bare", "--listen", listen, "--origin", bench.origin.plain, "--url", URL], environment
    port = bench.origin.address(upstream).split(":")[1]
    tls = f'[server.tls]\ncertificate = "{bench.keys}/tls.crt"\nprivate_key = "{bench.keys}/tls.key"'
    text = GSGATE.format(
        listen=listen, tls="" if downstream == "h" else tls, keys=bench.keys,
        endpoint=f"https://localhost:{port}" if upstream == "s" else f"http://127.0.0.1:{port}",
        level="warn" if peer == "gsgate-quiet" else "info")
    (folder / "gsgate.toml").write_text(text)
    environment["TOKIO_WORKER_THREADS"] = str(threads)
    return [bench.arguments.gsgate, "serve", "--config", folder / "gsgate.toml"], environment
