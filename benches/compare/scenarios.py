"""What is measured."""

import dataclasses

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    # Upstream and downstream: h plain text, s TLS, 2 HTTP/2 over TLS.
    way: str
    size: int
    connections: int = 64
    folder: str = "media"
    more: tuple = ()
    # Answers compared byte for byte before the first measurement.
    verify: int = 64
    # Seconds more of warming.
    warm: float = 0.0
    # Also measured at a fixed rate.
    paced: bool = True
    kind: str = "load"
    without: tuple = ()
    # What must be and what should be: CPU as a ratio to nginx.
    must: float = 0.0
    aim: float = 0.0

    def peers(self, wanted):
        return [peer for peer in wanted if peer not in self.without and (peer != "bare" or self.way == "hh")]

    def options(self, peer):
        prefix = f"/storage/v1/b/bench-{self.folder}/o/" if peer == "direct" else f"/{self.folder}/"
        http2 = ["--http2", "8"] if self.way[1] == "2" else []
        return ["--prefix", prefix, "--size", str(self.size), "--connections", str(self.connections), *http2, *self.more]


def streams(name, way, size, connections, must, aim):
    return Scenario(name, way, size, connections, verify=1, paced=False, must=must, aim=aim)


def alone(name, way):
    # For what it makes memory grow by.
    return Scenario(name, way, GIB, 1, verify=0, paced=False, more=("--small", "1000"))


def hot(name, way, must, aim):
    return Scenario(name, way, 100_000, folder="hot", more=("--zipf", "2000"),
                    without=("nginx-unbuffered", "bare"), must=must, aim=aim)


def idle(name, way):
    # One object for all: what is cached is no connection's.
    return Scenario(name, way, 4 * KIB, 10_000, kind="idle", more=("--rotate", "1"), paced=False, without=("nginx-unbuffered", "bare", "gsgate-quiet", "direct"))


SCENARIOS = [
    Scenario("100KB h>h", "hh", 100_000, must=1.00, aim=0.80),
    Scenario("100KB s>h", "sh", 100_000, must=0.80, aim=0.65),
    Scenario("100KB s>s", "ss", 100_000, must=0.70, aim=0.55),
    # As browsers ask; the origin has no HTTP/2.
    Scenario("100KB s>2", "s2", 100_000, without=("direct",)),
    Scenario("4KB h>h", "hh", 4 * KIB, must=1.00, aim=0.95),
    Scenario("4KB s>h", "sh", 4 * KIB, must=0.90, aim=0.70),
    Scenario("1MB s>h", "sh", 1_000_000, 32, must=0.75, aim=0.55),
    streams("1GiB h>h", "hh", GIB, 4, 0.75, 0.40),
    streams("1GiB s>h", "sh", GIB, 4, 0.70, 0.55),
    streams("1GiB s>s", "ss", GIB, 4, 0.60, 0.48),
    Scenario("ranges s>h", "sh", 16 * GIB, 32, more=("--range", str(MIB)), must=0.80, aim=0.60),
    Scenario("20ms s>h", "sh", 100_000, 1000, folder="far", warm=1.0, must=0.85, aim=0.70),
    streams("16x256MiB s>h", "sh", 256 * MIB, 16, 0.0, 0.0),
    alone("one 1GiB h>h", "hh"),
    alone("one 1GiB s>h", "sh"),
    alone("one 1GiB s>s", "ss"),
    hot("hot h", "hh", 1.00, 0.80),
    hot("hot s", "hs", 0.50, 0.40),
    Scenario("redirect", "hh", 100_000, folder="signed", more=("--rotate", "1000", "--status", "302"), verify=0,
             without=("nginx-unbuffered", "direct"), must=1.50, aim=1.15),
    idle("idle h", "hh"),
    idle("idle s", "hs"),
]
