"""What lesson 07 promises to show: the cluster taken apart."""

SHOWN = {
    "components": r"api-server +running[\s\S]+controller-manager +running[\s\S]+scheduler +running"
    r"[\s\S]+kubelet@node2 +running[\s\S]+kube-proxy@node2 +running[\s\S]+dns +running",
    "timeline": r"kubectl +creates Deployment web\n +deployment controller +creates a ReplicaSet\n"
    r" +replica set controller +creates 2 Pods\n +scheduler +gives 2 Pods a node\n +kubelet +runs 2 Pods",
    "no-scheduler": r"scheduler is stopped[\s\S]+lost +0/1 +Pending[\s\S]+No resources found",
    "by-hand": r"by-hand +gives Pod by-hand a node\n +kubelet +runs Pod by-hand",
    "no-controller-manager": r"controller-manager is stopped[\s\S]+web +2/2[\s\S]+0 of 2 ready[\s\S]+2 × Pod",
    "reconcile": r"missing, surplus = plan\(rs, pods\)[\s\S]+def plan[\s\S]+\(3, \[\]\)",
    "api-server": r"api-server is stopped[\s\S]+gets no answer[\s\S]+api-server is running[\s\S]+^0 failures",
    "no-kubelet": r"kubelet@node2 is stopped[\s\S]+node2 +Ready[\s\S]+node2 +NotReady[\s\S]+^0 failures",
    "evicted": r"\+ └─ Pod web-\S+ · Running\n~ Node node2 · NotReady\n~ └─ Pod web-\S+ · Terminating",
    "no-kube-proxy": r"pod: answers \| service: wget: download timed out",
    "no-dns": r"name: wget: bad address 'web' \| address: answers",
    "quota": r"forbidden: exceeded quota: small, requested: requests\.cpu=200m, used: requests\.cpu=200m, limited",
}
