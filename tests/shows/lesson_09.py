"""What lesson 09 promises to show: the comparative load test. Figures have stand-ins; what is said of them has none."""

SHOWN = {
    "two-clocks": r"percentile spectrum first\n +response: p50 ≈\S+ ms, p95 .+\n +service: p50 ≈\S+ ms, p95",
    "open": r"p99 computed: 960 ms, measured: ≈\S+ ms, near it: True",
    "closed": r"p99 ≈\S+ ms, below a quarter of a second: True\nthe longest is nearly a second: True",
    "warm-up": r"requests over time warm-up\n.+warm-up: ≈\S+ s",
    "noise": r"✓ 10 runs[\s\S]+no difference: True[\s\S]+A / B: ≈\S+ \[≈\S+, ≈\S+\]",
    "unit": r"over runs: ≈\S+ \[≈\S+, ≈\S+\] ms\n +over requests: ≈\S+ \[≈\S+, ≈\S+\] ms",
    "replicas": r"Service web-1 [\s\S]+web-2 .+\n +└─ 2 × Pod · ready\n +Service web-4 .+\n +└─ 4 × Pod · ready",
    "speed-up": r"four are within 10 % of linear: True[\s\S]+4 replicas: ≈\S+ \[",
    "usl-refused": r"not identifiable: three parameters[\s\S]+3 levels: 1, 2, 4",
    "knee": r"the knee lies below what the pods can take: True[\s\S]+knee: ≈\S+ requests a second",
    "spread": r"chance alone explains it: True\n27/25/25/23 would be seen in ≈\S+ % of such tests[\s\S]+4 pods, p ≈",
    "kept": r"at most two: True",
    "queue": r"(waited .+: replay .+, 4 × M/M/1 .+, M/M/4 .+\n +the replay is nearer than the loser: True\s*){2}",
    "usl": r"eight take ≈\S+ a second, less than 300: True[\s\S]+contention σ ≈\S+, coherency κ ≈\S+, peak N\* ≈",
    "update": r"requests lost: True · back to normal after ≈\S+ s[\s\S]+update",
    "graceful": r"requests lost in the update: 0, over kept connections: ≈",
    "report": r"cluster name url loop offered achieved requests errors kinds p50 p95 p99 .+ seed began void",
}
