"""What lesson 01 promises to show: installation and cluster state."""

import shutil

from tests.shows.breaking import breaks, kubectl_stand_in, stand_in

SHOWN = {
    "machine": r"microk8s enable dns\n- microk8s enable hostpath-storage\n- microk8s enable dashboard",
    "which": r"provider: glassbox \| version: v1\.\d+\nnode1 ≈\S+ processors, ≈\S+ GiB, 110 pods",
    "version": r"Client Version: v1\.\d+[\s\S]+Server Version: v1\.\d+",
    "cluster-info": r"control plane\S* is running at \S*https://.*\n.*CoreDNS\S* is running at \S*https://",
    "nodes": r"INTERNAL-IP +EXTERNAL-IP +OS-IMAGE +\S+ +CONTAINER-RUNTIME[\s\S]+node1 +Ready .*172\.30\.0\.11",
    "readyz": r"^ok[\s\S]+\[\+\]\S+ ok[\s\S]+readyz check passed",
    "kube-system": r"No resources found in kube-system namespace",
    "components": r"api-server\ncontroller-manager\ndns\n[\s\S]*kube-proxy\nkubelet\n[\s\S]*scheduler",
    "dns": r"Address: 10\.96\.0\.1",
    "dns-service": r"kube-dns +ClusterIP[\s\S]+Service kube-dns",
    "dashboard": r"live view of namespace lab-01",
    "kubeconfig": r"clusters:[\s\S]+contexts:[\s\S]+current-context: \S+[\s\S]+users:[\s\S]+token: REDACTED",
    "contexts": r"^labkit[\s\S]+system:authenticated",
}


@breaks("machine", at_the_students=True)
def the_machines_file_turns_nothing_on(folder, environment):
    stand_in(folder, environment, "sed", f'{shutil.which("sed")} "$@" | grep -v "microk8s enable"')


@breaks("version", "which")
def the_api_server_does_not_say_its_version():
    from labkit.glassbox.apiserver import discovery

    discovery.VERSION["gitVersion"] = "unknown"


@breaks("cluster-info", "dns-service", "dns", after=("3-solution",))
def dns_tells_nobody_where_it_answers():
    import labkit.glassbox.dns.__main__ as dns

    dns.publish = lambda *_: None


@breaks("nodes")
def a_kubelet_does_not_tell_its_nodes_address():
    from labkit.glassbox.kubelet import node_status

    honest = node_status.status_of
    node_status.status_of = lambda *given: {**honest(*given), "addresses": []}


@breaks("readyz")
def the_api_server_looks_at_nothing():
    from labkit.glassbox.apiserver import discovery

    discovery.CHECKS = ()


@breaks("kube-system", at_the_students=True)
def kubectl_looks_in_its_own_namespace_only(folder, environment):
    script = """for word; do shift; case "$word" in -n|kube-system) ;; *) set -- "$@" "$word";; esac; done"""
    kubectl_stand_in(folder, environment, f'{script}\nexec $kubectl "$@"')


@breaks("components")
def there_is_no_scheduler():
    from labkit.glassbox import cluster

    honest = cluster.boot_order
    cluster.boot_order = lambda *given: [each for each in honest(*given) if each.name != "scheduler"]


@breaks("dashboard", at_the_students=True)
def there_are_no_widgets(folder, environment):
    (folder / "ipywidgets.py").write_text("raise ImportError('no widgets')\n")
    environment["PYTHONPATH"] = str(folder)


@breaks("kubeconfig", at_the_students=True)
def kubectl_shows_the_secret(folder, environment):
    kubectl_stand_in(folder, environment, '[ "$1 $2" != "config view" ] || set -- "$@" --raw\nexec $kubectl "$@"')


@breaks("contexts")
def nobody_is_told_who_they_are():
    from labkit.glassbox.apiserver import reviews

    reviews.user_info = lambda user: {"username": "somebody"}
