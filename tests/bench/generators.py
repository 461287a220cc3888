"""Our load generator beside wrk and hey, against one server that logs arrivals: how late, how long, how evenly.

Poisson arrivals have a gap CV (standard deviation over mean) of 1; a tool that sends in bursts has a higher one. hey
spreads a rate over fifty workers; wrk knows no rate: it is a closed loop, as fast as it can. Neither tells its lag.
"""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from statistics import mean, pstdev

from labkit.loadtest.plan import Plan
from labkit.loadtest.runner import Load
from labkit.loadtest.samples import quantile
from tests.known_server import known_server

RATES, SECONDS, CONNECTIONS = (1000, 2000, 5000), 4, 50


def measure() -> list[tuple[str, str]]:
    """Return rows of the table; a tool that is not installed has a row that says so."""
    rows = [(f"load generator at {rate:,}/s: labkit", measured(ours, rate)) for rate in RATES]
    rows += [(f"load generator at {rate:,}/s: hey", with_tool("hey", hey, rate)) for rate in RATES]
    return [*rows, (f"load generator, closed loop of {CONNECTIONS}: wrk", with_tool("wrk", wrk, 0))]


def with_tool(name: str, tool, rate: int) -> str:
    return measured(tool, rate) if shutil.which(name) else f"not installed (apt install {name})"


def measured(tool, rate: int) -> str:
    """Run a tool against a server of its own; its own words, and how evenly its requests came."""
    with tempfile.TemporaryDirectory(prefix="labkit-bench-") as folder, known_server(Path(folder)) as server:
        said = tool(server.url, rate)
        arrived = sorted(at for at, _ in server.stop())
    gaps = [later - earlier for earlier, later in zip(arrived, arrived[1:], strict=False)]
    return f"{said}, gap CV {pstdev(gaps) / mean(gaps):.1f}"


def ours(url: str, rate: int) -> str:
    (run,) = Load(tell=lambda line: None).run(Plan(url, ((rate, SECONDS),), keep=200))
    lag, response = ([1e3 * quantile(values, q) for q in (0.5, 0.99)] for values in (run.lag, run.response))
    void = f", void: {run.void[0]}" if run.void else ""
    return f"lag p50 {lag[0]:.2f}, p99 {lag[1]:.2f}; response p50 {response[0]:.1f}, p99 {response[1]:.1f} ms{void}"


def hey(url: str, rate: int) -> str:
    command = ["hey", "-z", f"{SECONDS}s", "-c", str(CONNECTIONS), "-q", str(rate // CONNECTIONS), url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    p50, p99 = (float(re.search(rf"{at}% in ([\d.]+) secs", said)[1]) * 1e3 for at in (50, 99))
    return f"service p50 {p50:.1f}, p99 {p99:.1f} ms"


def wrk(url: str, rate: int) -> str:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency", url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate_reached, p50, p99 = (re.search(rf"{what}\s+(\S+)", said)[1] for what in ("Requests/sec:", "50%", "99%"))
    return f"{float(rate_reached):,.0f}/s, service p50 {p50}, p99 {p99}"
