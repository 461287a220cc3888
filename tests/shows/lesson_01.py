"""What lesson 01 promises to show: installation and cluster state."""

SHOWN = {
    "machine": r"microk8s enable dns\n- microk8s enable hostpath-storage\n- microk8s enable dashboard",
    "which": r"provider: glassbox \| version: v1\.\d+\nnode1 ≈\S+ processors, ≈\S+ GiB, 110 pods",
    "version": r"Client Version: v1\.\d+[\s\S]+Server Version: v1\.\d+",
    "cluster-info": r"control plane\S* is running at \S*https://",
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
