"""Commands that join a running container, in a machine of the test's own."""

from tests.test_runtime import in_machine


def test_a_command_runs_among_the_containers_own_processes_files_and_restrictions():
    assert in_machine("""
        sandbox()
        start("a", "busybox", "sh", "-c", "echo here > /tmp/mark; exec sleep 1000", env={"COLOUR": "green"})
        until(lambda: latest("a"))
        ask = "until cat /tmp/mark 2> /dev/null; do sleep 0.1; done; echo $COLOUR; cat /proc/1/comm; hostname"
        done = runtime.exec("pod-1", "a", 0, ["sh", "-c", ask + "; grep CapBnd /proc/self/status"], timeout=20)
        print(done.exit_code, *done.output.decode().split())
    """).split() == ["0", "here", "green", "sleep", "web", "CapBnd:", "00000000a80425fb"]


def test_its_exit_code_and_both_its_outputs_are_told():
    assert (
        in_machine("""
        sandbox()
        start("a", "busybox", "sleep", "1000")
        print(runtime.exec("pod-1", "a", 0, ["sh", "-c", "echo out; echo err >&2; exit 3"], timeout=20))
        print(runtime.exec("pod-1", "a", 0, ["sh", "-c", "kill -9 $$"], timeout=20).exit_code)
    """)
        == "ExecResult(exit_code=3, output=b'out\\nerr\\n')\n137"
    )


def test_a_command_that_is_not_there_is_told_in_runcs_words():
    assert in_machine("""
        sandbox()
        start("a", "busybox", "sleep", "1000")
        try:
            runtime.exec("pod-1", "a", 0, ["nonesuch"], timeout=20)
        except Exception as error:
            print(type(error).__name__, error)
    """).endswith(
        "OCI runtime exec failed: exec failed: unable to start container process: "
        'exec: "nonesuch": executable file not found in $PATH'
    )


def test_a_command_that_takes_too_long_is_killed():
    assert in_machine("""
        sandbox()
        start("a", "busybox", "sleep", "1000")
        try:
            runtime.exec("pod-1", "a", 0, ["sleep", "500"], timeout=0.2)
        except Exception as error:
            print(error)
        left = "until ! ps ax | grep -q '[s]leep 500'; do sleep 0.05; done; echo none"
        print(runtime.exec("pod-1", "a", 0, ["timeout", "10", "sh", "-c", left], timeout=20).output.decode())
    """).splitlines() == ['command timed out: "sleep 500" timed out after 0.2s', "none"]


def test_a_command_ends_with_its_container():
    assert in_machine("""
        sandbox()
        start("a", "busybox", "sleep", "1000")
        threading.Timer(0.3, runtime.signal_container, ("pod-1", "a", 0, signal.SIGKILL)).start()
        print(runtime.exec("pod-1", "a", 0, ["sleep", "500"], timeout=20).exit_code)
        try:
            runtime.exec("pod-1", "a", 0, ["true"], timeout=20)
        except Exception as error:
            print(str(error).rpartition(": ")[2])
    """).splitlines() == ["137", "cannot exec in a stopped container"]


def test_a_container_that_has_ended_while_a_command_runs_is_reaped():
    assert (
        in_machine("""
        sandbox()
        start("a", "busybox", "sleep", "0.3")
        code = runtime.exec("pod-1", "a", 0, ["sleep", "500"], timeout=20).exit_code
        print(code, ended("a").exit_code)
    """)
        == "137 0"
    )
