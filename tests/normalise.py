"""Replaces in a terminal's text what must differ from run to run: names' random parts, addresses, ages, times.

And says what in a recording is the recorded cluster's own identity, which no other cluster can share.
"""

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

_SUFFIX = rf"(?:[{SAFE}]{{5}}\b|<rand-\d+>)"
RECORDED_IDENTITY: list[tuple[re.Pattern, str]] = [
    (re.compile(r"^(Endpoints: +)10\.97\.0\.1:16443$"), r"\g<1>172.30.0.1:6443"),  # the API server, as pods reach it
    (
        re.compile(r"\b(?:10\.97\.0\.1|127\.0\.0\.1):16443\b"),
        "127.0.0.1:<own>",
    ),  # the API server, as its clients reach it
    (re.compile(r"\b10\.97\.0\.1\b(?!:)"), "172.30.0.11"),  # node1
    (re.compile(r"\b10\.244\.4\.0/24\b"), "10.244.<own>.0/24"),  # of a node made by hand
    (re.compile(r"^( +Resource Version: +)\d+$"), r"\1<rv>"),  # which the recorder left as it was
    (re.compile(r"^26m$"), "<age>"),  # of the first service's address
    (re.compile(r"^6\.18\.44-fc-v669 "), f"{platform.release()} "),
    (re.compile(r"^containerd://2\S+$"), "glassbox://<own>"),
    (re.compile(r"\bcontainerd://(?=<)"), "glassbox://"),
    (re.compile(r"kube-api-access-[a-z0-9]{5}"), "kube-api-access-<own>"),
    (re.compile(r'(ReplicaSet \\*"[a-z0-9-]+-)[a-z0-9]{8,10}(?=\\*")'), r"\1<own>"),
    (re.compile(r"(?<=\.)18eae[0-9a-f]{11}$"), "<own>"),  # when an event was made
    (re.compile(rf'(^(?:Created|Deleted) pod: \S+-|pods \\*"\S+-|for pod \S+/\S+-){_SUFFIX}'), r"\1<suffix>"),
    (re.compile(r"(?<=\bcontinue: )\S+"), "<own>"),
    (re.compile(r"(?m)^(  - )\d+s$"), r"\1<age>"),  # in a Table's YAML
    (re.compile(rf"(\b(?:debugger|node-debugger-node1)-){_SUFFIX}"), r"\1<suffix>"),  # which kubectl makes up
    (re.compile(r"^(TargetPort: +)16443/TCP$"), r"\g<1>6443/TCP"),
    (re.compile(r"X509SHA256=[0-9a-f]{64}"), "X509SHA256=<own>"),
]
RECORDED_VERSION = {"compiler", "goVersion", "gitVersion", "gitCommit"}  # what the server was made with
_OWN_FIGURES = [  # of a node
    (re.compile(r"^( +(?:Kernel Version|Container Runtime Version|OS Image): ).*"), r"\1<own>"),
    (re.compile(r"^( +(?:cpu|memory|ephemeral-storage): )\S+$"), r"\1<own>"),
    (re.compile(r"^(PodCIDRs?: 10\.244\.)\d+"), r"\1<own>"),
    (re.compile(r"\(\d+ in total\)"), "(<own> in total)"),
    (re.compile(r"\(\d+%\)"), "(<own>%)"),
    (re.compile(r"^( +(?:cpu|memory)) \S+ (\S+) \S+ (\S+)$"), r"\1 <own> \2 <own> \3"),  # of all pods
    (re.compile(r"(?<=%\) )\d+[smh]$"), "<age>"),
]


def as_ours(text: str) -> str:
    """Return a recorded text with our identity for the recorded cluster's, `<own>` for what is anybody's own."""
    for pattern, replacement in RECORDED_IDENTITY:
        text = pattern.sub(replacement, text)
    return text


def of_any_server(lines: list[str]) -> list[str]:
    """Return a version without what the server was made with; what comes before it is the client's."""
    first = next((index for index, line in enumerate(lines) if line.strip(' "').startswith("serverVersion")), 0)
    told = re.compile(rf'("?(?:{"|".join(sorted(RECORDED_VERSION))})"?: )"?[^",]*"?')
    served = [re.sub(r"^(Server Version: \S+?)(\+\S+)?$", r"\1", told.sub(r"\1<own>", line)) for line in lines[first:]]
    return lines[:first] + served


def of_any_node(lines: list[str]) -> list[str]:
    """Return a node's description without its own figures, the pods of other namespaces, and how its kubelet started.

    The recorded node had started more than an hour ago: its events were gone.
    """
    found, of_pods = [], False
    for line in lines:
        if re.match(r"  Normal (Starting|NodeReady|NodeHas\w+) \S+ kubelet ", line):
            continue
        of_pods = line.startswith("Non-terminated Pods:") or (of_pods and line.startswith(" "))
        if not of_pods or re.match(r"\S|  (Namespace|---------|golden-k11) ", line):
            for pattern, own in _OWN_FIGURES:
                line = pattern.sub(own, line)
            found.append(line)
    return found


def normalise(text: str) -> str:
    for pattern, replacement in RULES:
        text = re.sub(pattern, replacement, text)
    return text.strip("\n")
