"""The widgets, driven as a browser drives them: by a button's click. What they show is what the cluster holds."""

import html
import queue
import signal
import threading

import pytest
import yaml

from labkit.api import Api
from labkit.errors import ClusterError
from labkit.verdict import State
from labkit.widgets.feed import Feed
from labkit.widgets.live import LiveView
from tests.lessons import kubectl

LESSON = "03"
SECONDS = 40


def until(shown, holds):
    """Wait until the words that a box of widgets shows are so; return them."""
    met = threading.Event()
    boxes = {}

    def look(*_):
        for each in inside(shown.box):
            if id(each) not in boxes:
                boxes[id(each)] = each
                each.observe(look)
        if holds(words(shown)):
            met.set()

    look()
    assert met.wait(SECONDS), words(shown)
    return words(shown)


def inside(box):
    return [box, *(each for child in getattr(box, "children", ()) for each in inside(child))]


def words(shown):
    texts = (str(getattr(each, "value", "") or getattr(each, "description", "")) for each in inside(shown.box))
    return html.unescape("\n".join(texts))


def click(shown, label, nth=0):
    """Click the nth button that says so."""
    found = [each for each in inside(shown.box) if hasattr(each, "click") and each.description.split()[-1] == label]
    assert not found[nth].disabled
    found[nth].click()


@pytest.fixture
def follow(request):
    """Follow resources of an API server; give the snapshots as they are shown."""

    def start(api, topics):
        shown = queue.SimpleQueue()
        feed = Feed(api, topics, shown.put)
        request.addfinalizer(feed.close)
        feed.start()
        return feed, shown

    return start


def names(snapshot, resource="configmaps"):
    return sorted(each["metadata"]["name"] for each in snapshot[resource])


def next_with(shown, holds):
    while not holds(snapshot := shown.get(timeout=SECONDS)):
        pass
    return snapshot


def put(api, name, namespace="default"):
    api.create("configmaps", {"metadata": {"name": name}}, namespace)


# --- the feed ---------------------------------------------------------------------


def test_a_feed_shows_what_is_there_then_what_comes_changes_and_goes(api_server, namespace, follow):
    api = Api(api_server.kubeconfig)
    put(api, "first", namespace)
    _, shown = follow(api, {"configmaps": namespace})
    assert names(shown.get(timeout=SECONDS)) == ["first"]
    put(api, "second", namespace)
    next_with(shown, lambda s: names(s) == ["first", "second"])
    api.delete("configmaps", "first", namespace)
    next_with(shown, lambda s: names(s) == ["second"])


def test_many_changes_are_shown_together(api_server, namespace, follow):
    api = Api(api_server.kubeconfig)
    _, shown = follow(api, {"configmaps": namespace})
    for number in range(40):
        put(api, f"c{number}", namespace)
    next_with(shown, lambda s: len(s["configmaps"]) == 40)
    assert shown.qsize() < 40


def test_a_feed_goes_on_after_the_api_server_was_killed(own_api_server, follow):
    api = Api(own_api_server.kubeconfig)
    _, shown = follow(api, {"configmaps": "default"})
    shown.get(timeout=SECONDS)
    own_api_server.stop(signal.SIGKILL)
    troubled = next_with(shown, lambda s: s.troubles)
    assert "no API server answers at" in troubled.troubles["configmaps"]
    own_api_server.start()
    put(api, "late")
    assert not next_with(shown, lambda s: names(s) == ["late"]).troubles


def test_what_may_not_be_read_is_told_beside_what_may(api_server, namespace, follow):
    config = yaml.safe_load(api_server.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": "wrong"}
    path = api_server.directory / "stranger"
    path.write_text(yaml.safe_dump(config))
    _, shown = follow(Api(path), {"configmaps": namespace})
    assert shown.get(timeout=SECONDS).troubles["configmaps"] == "Unauthorized"


def test_a_closed_feed_leaves_no_thread_and_shows_nothing_more(api_server, namespace, follow):
    api = Api(api_server.kubeconfig)
    feed, shown = follow(api, {"configmaps": namespace, "pods": namespace})
    shown.get(timeout=SECONDS)
    feed.close()
    for thread in feed.threads:
        thread.join(SECONDS)
        assert not thread.is_alive()


# --- the live view ----------------------------------------------------------------


@pytest.fixture
def view(lab):
    kubectl("create deployment web --image=registry.k8s.io/pause:3.10 --replicas=2")
    lab.wait("deployment/web", "Available")
    live = lab.live()
    live.begin()
    until(live, lambda words: "2 of 2 ready" in words)
    return live


@pytest.mark.cluster
def test_the_live_view_scales_by_its_control(lab, view):
    click(view, "+")
    until(view, lambda words: "Deployment web · 3 of 3 ready" in words)
    assert lab.api.get("deployments", "web", lab.namespace)["spec"]["replicas"] == 3
    click(view, "−")
    until(view, lambda words: "2 pods, 2 ready" in words)


@pytest.mark.cluster
def test_the_live_view_kills_the_pod_chosen_and_another_comes(lab, view):
    victim = lab.api.items("pods", lab.namespace)[0]["metadata"]["name"]
    click(view, victim)
    until(view, lambda words: f"pod {victim} · Running" in words)
    click(view, "kill")
    told = (f"pod {victim} is gone", "2 pods, 2 ready", f"✓ kill pod {victim}", f"pod/{victim}  Killing")
    until(view, lambda words: all(each in words for each in told))


@pytest.mark.cluster
def test_what_the_api_server_refuses_stands_in_the_view(lab, view):
    kubectl("delete deployment web --wait=false")
    view.scale("deployments", "web", 5)
    said = until(view, lambda words: "✗ scale deployment/web to 5" in words)
    assert 'deployments.apps "web" not found' in said


@pytest.mark.cluster
def test_a_cell_that_is_run_again_ends_the_view_before(lab, view):
    again = lab.live()
    again.begin()
    assert "ended" in words(view)
    lab.cleanup()
    assert "ended" in words(again)


@pytest.mark.cluster
def test_as_text_a_view_is_one_line_that_never_changes(lab):
    view = LiveView(lab.api, "lab-03")
    shown = view._repr_mimebundle_()
    view.close()
    assert shown["text/plain"] == "live view of namespace lab-03: run this cell in JupyterLab to see it"
    assert shown["application/vnd.jupyter.widget-view+json"]["model_id"] == view.box.model_id


def test_a_run_that_only_stores_what_it_shows_gets_the_line_and_no_widget(api_server, monkeypatch):
    monkeypatch.setenv("LABKIT_PROGRESS", "off")
    view = LiveView(Api(api_server.kubeconfig), "lab-03")
    assert view._repr_mimebundle_() == {"text/plain": view.line}


# --- the check panel --------------------------------------------------------------


@pytest.mark.cluster
def test_the_check_panel_shows_verdicts_and_counts_what_passes(lab):
    kubectl("apply -f shop")
    lab.wait("pods app", "Ready")
    panel = lab.check_panel()
    panel.begin()
    click(panel, "check")
    until(panel, lambda words: "03.1 The backup" in words and "not tried" in words)
    kubectl("label pods -l 'environment,tier!=frontend' backup=tonight")
    click(panel, "all")
    said = until(panel, lambda words: "1 of 3 exercises" in words and words.count("labkit-verdict'") == 3)
    assert "03.1 The backup's pods: right" in said
    assert "hint:" in said


@pytest.mark.cluster
def test_what_converges_is_checked_again_when_something_changes(lab):
    kubectl("apply -f api.yaml")
    kubectl("delete pods -l app=api --wait=false")
    panel = lab.check_panel()
    panel.ask(["03.2"])
    until(panel, lambda words: "03.2" in words and "labkit-verdict" in words)
    lab.wait("deployment/api", "Available")
    pods = kubectl("get pods -l app=api -o name").split()
    kubectl(f"label {pods[0]} quarantine=yes app=odd --overwrite")
    lab.wait("deployment/api", "Available")
    panel.ask(["03.2"])
    until(panel, lambda words: panel.verdicts["03.2"].state is State.RIGHT)


# --- the component panel ----------------------------------------------------------


@pytest.mark.cluster
def test_the_component_panel_stops_and_starts_a_component(throwaway, monkeypatch):
    from labkit import cluster as clusters
    from labkit.widgets.panel import ComponentPanel

    throwaway.up("--nodes", "1")
    monkeypatch.setenv("LABKIT_HOME", str(throwaway.home))
    panel = ComponentPanel(clusters.connect("glassbox:test"))
    panel.begin()
    panel.change("stop", "scheduler")
    assert "scheduler · stopped" in words(panel)
    assert throwaway.component("scheduler")["state"] == "stopped"
    click(panel, "start")
    until(panel, lambda words: "scheduler · running" in words)
    panel.close()


@pytest.mark.cluster
def test_where_components_are_not_the_kits_the_panel_is_refused(lab):
    with pytest.raises(ClusterError, match="not the kit's to stop"):
        lab.panel()


def test_several_views_keep_their_connections_without_a_word(api_server, namespace, follow, caplog):
    api = Api(api_server.kubeconfig)
    topics = dict.fromkeys(("configmaps", "pods", "secrets", "services", "events"), namespace)
    feeds = [follow(api, topics) for _ in range(4)]
    for _, shown in feeds:
        shown.get(timeout=SECONDS)
    for feed, _ in feeds:
        feed.close()
    for thread in (thread for feed, _ in feeds for thread in feed.threads):
        thread.join(SECONDS)
    assert "Connection pool is full" not in caplog.text
