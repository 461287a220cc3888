"""Replaces in a terminal's text what must differ from run to run: names' random parts, addresses, ages, times."""

import platform
import re

SAFE = "bcdfghjklmnpqrstvwxz2456789"

RULES: list[tuple[str, str]] = [
    (re.escape(platform.release()), "<kernel>"),
    (r"Debian GNU/Linux \d+ \(\w+\)|Ubuntu \d+\.\d+(?:\.\d+)? LTS|Fedora Linux [^\n]*?\)", "<os>"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<uid>"),
    (rf"\b([a-z][a-z0-9-]*?)-[{SAFE}]{{6,10}}-[{SAFE}]{{5}}\b", r"\1-<hash>-<rand>"),
    (rf"\b(web|app|api)-[{SAFE}]{{6,10}}\b", r"\1-<hash>"),
    (rf"pod-template-hash=[{SAFE}]{{6,10}}", "pod-template-hash=<hash>"),
    (r"\b[a-z]+://[0-9a-f]{12,64}\b", "<container-id>"),
    (rf"\bkube-api-access-[{SAFE}]{{5}}\b", "kube-api-access-<rand>"),
    (r"sha256:[0-9a-f]{64}", "<digest>"),
    (r"\b10\.244\.\d+\.\d+\b", "<pod-ip>"),
    (r"\b10\.96\.\d+\.\d+\b", "<cluster-ip>"),
    (r"\bnode\d/172\.30\.0\.\d+\b", "<node>/<node-ip>"),
    (r"(?<!pod/)\bnode\d\b", "<node>"),
    (r"\b172\.30\.0\.\d+\b", "<node-ip>"),
    (r"it has: [\d., ]+\d", "it has: <versions>"),
    (r"\b127\.0\.0\.1:\d+\b", "127.0.0.1:<port>"),
    (r"\b(\w{3}, )?\d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} [+-]\d{4}", "<time>"),
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?", "<time>"),
    (r"\b\d{2}/\w{3}/\d{4} \d{2}:\d{2}:\d{2}", "<time>"),
    (r"resourceVersion: \"\d+\"", 'resourceVersion: "<rv>"'),
    (r"(?<![\w.<-])(?:\d+d)?(?:\d+h)?(?:\d+m)?\d+(?:ms|s|m|h|d)(?![\w.-])", "<age>"),
    (r"<invalid>", "<age>"),
    (r"\(x\d+ over <age>\)", "(xN over <age>)"),
    (r"[ \t]+", " "),
    (r" +\n", "\n"),
]


def normalise(text: str) -> str:
    for pattern, replacement in RULES:
        text = re.sub(pattern, replacement, text)
    return text.strip("\n")
