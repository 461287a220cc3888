"""Who counts as using the cluster."""

from labkit.glassbox.apiserver.usage import LastUse


class At:
    def __init__(self, now):
        self.time = now

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.time += seconds


def test_a_user_s_request_touches_the_file(tmp_path):
    LastUse(tmp_path, At(1000)).note("kubernetes-admin")
    assert (tmp_path / "last-use").exists()


def test_the_cluster_s_own_components_are_not_users(tmp_path):
    LastUse(tmp_path, At(1000)).note("system:node:node1")
    assert not (tmp_path / "last-use").exists()


def test_one_touch_a_minute_is_enough(tmp_path):
    clock = At(1000)
    use = LastUse(tmp_path, clock)
    use.note("kubernetes-admin")
    (tmp_path / "last-use").unlink()
    clock.sleep(59)
    use.note("kubernetes-admin")
    assert not (tmp_path / "last-use").exists()
    clock.sleep(1)
    use.note("kubernetes-admin")
    assert (tmp_path / "last-use").exists()


def test_a_directory_that_is_gone_fails_no_request(tmp_path):
    LastUse(tmp_path / "gone", At(1000)).note("kubernetes-admin")
