"""What lesson 04 promises to show: services and DNS."""

from dataclasses import replace

from tests.shows.breaking import breaks
from tests.shows.lesson_03 import the_api_server_validates_nothing as validate_nothing

WAY = r" +from a pod: True +from this machine: "
SHOWN = {
    "selector": r"Service web · ClusterIP · port 80 → http\n +└─ 3 × Pod · ready",
    "vip": r"^web +ClusterIP +10\.96\.[\s\S]+^web-\S+\n0\ncommand terminated with exit code 1",
    "churn": r"^60 of 60 questions answered\nby more than three pods: True[\s\S]+\+ 3 new, - 3 gone",
    "slice": r"^web-\S+ +IPv4 +8080 +10\.244[\d.]+,10\.244[\d.]+,10\.244[\d.]+ ",
    "readiness": r"^pods that answered: 2 · the lost one: False[\s\S]+selected, not ready: gets nothing",
    "spread": r"3 different among 60 answers",
    "affinity": r"^1$",
    "rules": r"^chain service-\S+-lab-04/web/tcp/http \{[\s\S]+numgen random mod 3 vmap[\s\S]+dnat to 10\.244\.\S+:8080"
    r"[\s\S]+^one rule for each endpoint: True",
    "search-list": r"^search lab-04\.svc\.cluster\.local svc\.cluster\.local cluster\.local\nnameserver 10\.96\.0\.10\n"
    r"options ndots:5",
    "a-record": r"(Name:\tweb\.lab-04\.svc\.cluster\.local\nAddress: 10\.96\.[\d.]+\n[\s\S]*){2}",
    "other-namespace": r"can't find web: NXDOMAIN[\s\S]+Name:\tweb\.lab-04\.svc\.cluster\.local\nAddress: 10\.96\.",
    "srv": r"_http\._tcp\.web\.lab-04\.svc\.cluster\.local\tservice = 0 100 80 web\.lab-04\.svc\.cluster\.local",
    "headless": r"(Name:\tpeers\.lab-04\.svc\.cluster\.local\nAddress: 10\.244\.[\d.]+\n){3}",
    "external-name": r"cluster-api\.lab-04\.svc\.cluster\.local\tcanonical name = kubernetes\.default\.svc",
    "name": r"The Service \"web\.shop\" is invalid: metadata\.name: Invalid value",
    "variables": r"client does not know it\nWEB_SERVICE_HOST=10\.96\.\S+\nWEB_SERVICE_PORT=80",
    "node-port": r"^door +NodePort +\S+ +<none> +80:3\d{4}/TCP",
    "who-reaches-what": rf"pod's IP{WAY}False\nClusterIP{WAY}False\nservice's name{WAY}False\n"
    rf"headless name{WAY}False\nNodePort{WAY}True",
}
START = ("1-apply", "1-service-applied")


@breaks("selector", "slice", after=("1-apply",))
def a_service_finds_no_pods():
    from labkit.glassbox.controllers import endpoints

    endpoints.members = lambda service, pods: []


@breaks("vip", "rules", after=START)
def kube_proxy_writes_no_rules():
    from labkit.glassbox.kube_proxy.nftables_proxier import NftablesProxier

    NftablesProxier.sync = lambda self, ports: None


@breaks("churn", after=START)
def a_slice_is_written_once_and_never_again():
    from labkit.glassbox.controllers import endpointslice

    honest = endpointslice.plan
    endpointslice.plan = lambda service, pods, slices, zones: [] if slices else honest(service, pods, slices, zones)


@breaks("readiness", after=START)
def every_endpoint_counts_as_ready():
    from labkit.glassbox.controllers import endpointslice

    honest = endpointslice.endpoint

    def ready(service, pod, zones):
        entry = honest(service, pod, zones)
        entry["conditions"]["ready"] = True
        return entry

    endpointslice.endpoint = ready


@breaks("spread", after=(*START, "2-not-ready"))
def all_questions_go_to_the_first_endpoint():
    from labkit.glassbox.kube_proxy.services import ServicePort

    honest = ServicePort.usable
    ServicePort.usable = lambda self, node="": honest(self, node)[:1]


@breaks("affinity", after=START)
def kube_proxy_forgets_clients():
    from labkit.glassbox.kube_proxy import services

    honest = services._port
    services._port = lambda *given: replace(honest(*given), affinity=0)


@breaks("search-list", "a-record", after=START)
def a_pod_is_given_no_search_list():
    from labkit.glassbox.kubelet import naming

    honest = naming._by_policy
    naming._by_policy = lambda *given: replace(honest(*given), searches=())


@breaks("other-namespace", after=START)
def dns_looks_for_a_service_in_every_namespace():
    from labkit.glassbox.dns.zone import Zone

    honest = Zone._service

    def anywhere(self, namespace, name, **more):
        homes = [each["metadata"]["namespace"] for each in self.cache["services"].list()
                 if each["metadata"]["name"] == name]  # fmt: skip
        return honest(self, namespace if namespace in homes or not homes else homes[0], name, **more)

    Zone._service = anywhere


@breaks("srv", after=START)
def dns_tells_no_ports():
    from labkit.glassbox.dns import wire, zone

    honest = zone._records
    zone._records = lambda name, kind, targets: ([], []) if kind == wire.SRV else honest(name, kind, targets)


@breaks("headless", after=START)
def every_service_is_given_an_address():
    from labkit.glassbox.apiserver import allocation

    honest = allocation.on_create

    def give(request, obj, api):
        if request.resource.plural == "services" and obj["spec"].get("clusterIP") == "None":
            del obj["spec"]["clusterIP"]
            obj["spec"].pop("clusterIPs", None)
        honest(request, obj, api)

    allocation.on_create = give


@breaks("external-name", after=START)
def dns_follows_no_alias():
    from labkit.glassbox.dns import zone

    honest = zone._records
    zone._records = lambda name, kind, targets: honest(name, kind, [each for each in targets if not each.alias])


@breaks("name")
def the_api_server_validates_nothing():
    validate_nothing()


@breaks("variables", after=START)
def no_variables_are_made_of_services():
    from labkit.glassbox.kubelet import service_links

    service_links.variables = lambda pod, services: {}


@breaks("node-port", "who-reaches-what", after=(*START, "1-asked", "4-read", "5-kinds"))
def no_node_opens_a_port():
    from labkit.glassbox.apiserver import allocation

    honest = allocation.on_create

    def inside_only(request, obj, api):
        if request.resource.plural == "services" and obj["spec"].get("type") == "NodePort":
            obj["spec"]["type"] = "ClusterIP"
        honest(request, obj, api)

    allocation.on_create = inside_only
