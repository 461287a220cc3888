"""What lesson 06 promises to show: the network model."""

SHOWN = {
    "localhost": r"^hello from the server",
    "shared": r"^a note\npair\npair",
    "inside": r"^ +lo\n +eth0\n[\s\S]+eth0\t00000000\t\w+\n(10\.\S+)\n\1$",
    "port": r"first,second +true,false\nhttpd: bind: Address already in use",
    "pause": r"one,two +1,1\nPod sandbox changed, it will be killed and re-created",
    "no-nat": r"db saw 10\.\S+ \| it is front's own: True",
    "two-nodes": r"^two pods, two nodes",
    "cut": r"^no answer\n.+\ndb +1/1 +Running.+\ndb$",
    "service": r"pod/db replaced[\s\S]+^db$",
    "open": r"front → db: db\nstranger → db: db",
    "deny-ingress": r"front → db: no answer\nstranger → db: no answer[\s\S]+deny-ingress · ingress: nobody",
    "allow-ingress": r"front → db: db\nstranger → db: no answer[\s\S]+\+ └─ \S+ front-to-db · ingress: TCP 8080",
    "outside": r"it sees the node's address: True",
    "egress": r"db:8080 → no answer\nhttp://outside\.example/ → no answer\n[\s\S]+"
    r"db:8080 → no answer\nhttp://outside\.example/ → outside\.example, beyond the cluster",
    "ingress": r"shop\.example → shop\nblog\.example → blog\nnobody\.example → .*404 Not Found",
}
