"""What lesson 08 promises to show: the milestone, tried on the cluster."""

SHOWN = {
    "lost": r"^kept\nbuy milk\npod/store\n•.+\n✓ pods tier=store are 1, all Ready$(?!\nbuy milk)",
    "keeps": r"08\.1 .+: right[\s\S]+✓ it opens to the secret's password[\s\S]+✓ a note is there when the pod",
    "localhost": r"^The board, version 1, served by web-\S+\nwget: server returned error: HTTP/1\.1 502 Bad Gateway",
    "finds": r"08\.2 .+: right[\s\S]+✓ it finds the store by name[\s\S]+✓ it invents nothing while the store is away"
    r"[\s\S]+✓ a new password reaches the store from the secret[\s\S]+✓ a new title reaches the page from the settings",
    "gap": r"^failed, HTTP 503:\nfailed, connection lost:",
    "survives": r"08\.3 .+: right[\s\S]+✓ another pod takes the place of a killed one[\s\S]+✓ a pod that hangs"
    r"[\s\S]+✓ four of them serve when four are asked for",
    "loses": r"successfully rolled out[\s\S]+^failed, connection lost:",
    "rolls-out": r"08\.4 .+: right[\s\S]+✓ a rollout brings another version into every page[\s\S]+✓ no request is lost",
}
