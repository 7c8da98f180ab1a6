"""The figures, for people."""

import statistics

GIB = 1 << 30


def median(found, figure):
    values = [value for value in map(figure, found) if value is not None]
    return statistics.median(values) if values else None


def rate(one):
    return one["requests"] / one["seconds"]


def speed(one):
    return one["bytes"] / one["seconds"] / GIB


def cpu_per_request(one):
    return one["cpu_nanos"] / 1000 / one["requests"] if one["requests"] else None


def cpu_per_gib(one):
    return one["cpu_nanos"] / 1e9 / (one["bytes"] / GIB) if one["bytes"] else None


def cpu(one):
    """Streams longer than the window are told apart by their bytes alone."""
    return cpu_per_gib(one) if one["bytes"] > 10 * GIB * one["requests"] / 100 else cpu_per_request(one)


def of_nginx(peers, figure, best):
    """nginx's better way of the two."""
    values = [median(found, figure) for peer, found in peers.items() if peer in ("nginx", "nginx-unbuffered")]
    values = [value for value in values if value is not None]
    return best(values) if values else None


def maximum(peers):
    """Requests a second that nginx can."""
    return of_nginx(peers, rate, max) or max(median(found, rate) for found in peers.values())


def number(value, digits=2, width=9):
    return f"{value:{width}.{digits}f}" if value is not None else " " * (width - 1) + "-"


def ratio(value, base):
    return value / base if value is not None and base else None


def show(results, scenarios):
    for scenario in scenarios:
        peers = results[scenario.name]
        print(f"\n{scenario.name}")
        if scenario.kind == "idle":
            show_idle(peers)
            continue
        print("  peer                     req/s    GiB/s   p50 ms   p99 ms   us/req    s/GiB peak MiB grew MiB   up/ask"
              "   | CPU/nginx  req/nginx  req/direct   (CPU of each round)")
        direct = median(peers["direct"], speed) if "direct" in peers else None
        for peer, found in sorted(peers.items()):
            base = of_nginx(peers, cpu, min)
            rounds = " ".join(f"{cpu(one):.3g}" for one in found if cpu(one) is not None)
            flow = speed if any(one["bytes"] for one in found) else rate
            print(f"  {peer:20}", number(median(found, rate), 0), number(median(found, speed), 2, 8),
                  number(median(found, lambda one: one["p50_us"] / 1000), 2, 8),
                  number(median(found, lambda one: one["p99_us"] / 1000), 2, 8),
                  number(median(found, cpu_per_request), 1, 8), number(median(found, cpu_per_gib), 3, 8),
                  number(median(found, lambda one: one["peak_kib"] / 1024), 1, 8),
                  number(median(found, lambda one: (one["peak_kib"] - one["idle_kib"]) / 1024), 1, 8),
                  number(median(found, lambda one: one["upstream"] / (one["objects"] or one["asked"])), 3, 8), "  |",
                  number(ratio(median(found, cpu), base)),
                  number(ratio(median(found, flow), of_nginx(peers, flow, max)), 2, 10),
                  number(ratio(median(found, speed), direct), 2, 11), f"  ({rounds})")
    summary(results, scenarios)


NOTE = """us/req, s/GiB: CPU of the proxy (for direct: of the origin). p50, p99: under full load, or from when a request was due
where the rate was fixed. up/ask: requests to the origin per request, or per object where they are asked for repeatedly.
peak, grew: resident memory at most, and how much more than before the load. CPU/nginx, req/nginx: against the better of nginx's two ways."""


def show_idle(peers):
    for peer, found in sorted(peers.items()):
        kib = median(found, lambda one: (one["after_kib"] - one["before_kib"]) / one["connections"])
        print(f"  {peer:20} {kib:8.1f} KiB a connection")


def summary(results, scenarios):
    print(f"\n{NOTE}\n\nCPU of gsgate as a ratio to nginx's better way\n  scenario          must    aim   seen")
    for scenario in scenarios:
        peers = results[scenario.name]
        if "gsgate" not in peers or scenario.kind == "idle":
            continue
        seen = ratio(median(peers["gsgate"], cpu), of_nginx(peers, cpu, min))
        print(f"  {scenario.name:15}", number(scenario.must or None, 2, 6), number(scenario.aim or None, 2, 6), number(seen, 2, 6))
