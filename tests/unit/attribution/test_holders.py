"""The holders of real processes, as if the driver listed these processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gpumodels.attribution import Share, processes
from gpumodels.lease.processes import INSTANCE_MARK
from tests.leftovers import ROOT

KERNEL = "/run/jupyter/kernel-0a1b2c3d-4e5f.json"
STRANGER = 47110
OTHERS = Share("others", "other users", None)
MODEL = Share("model", "ctpn", None, "/home/me/demo.ipynb", "ctpn-1a2b", "kernel-id")
#: A program that starts a child without the mark, prints the child's id and runs until it is killed.
WITH_CHILD = """
import subprocess, sys
child = subprocess.Popen(["/bin/sh", "-c", "read forever"], stdin=subprocess.PIPE, env={})
print(child.pid, flush=True)
sys.stdin.read()
child.kill()
"""


def test_a_model_is_recognised_by_the_mark_in_its_environment(process, record, holder):
    marked = process(**{INSTANCE_MARK: "ctpn-1a2b"})
    assert holder(marked.pid, record("other-9f"), record()) == MODEL


def test_a_model_over_its_limit_is_marked(process, record, holder):
    marked = process(**{INSTANCE_MARK: "ctpn-1a2b"})
    assert holder(marked.pid, record(over_since=1.0)) == replace(MODEL, over_limit=True)


def test_a_child_of_a_model_belongs_to_the_model_even_without_the_mark(process, record, holder):
    marked = process(code=WITH_CHILD, **{INSTANCE_MARK: "ctpn-1a2b"})
    assert holder(int(marked.first_line), record()) == MODEL


def test_the_mark_of_an_unknown_instance_is_ignored(process, record, holder):
    marked = process(**{INSTANCE_MARK: "gone-0000"})
    assert holder(marked.pid, record()).kind == "process"


def test_a_kernel_is_recognised_by_its_connection_file_and_its_notebook_by_its_environment(process, holder):
    kernel = process("-f", KERNEL, JPY_SESSION_NAME="/home/me/train.ipynb")
    expected = Share("kernel", "train.ipynb", None, "/home/me/train.ipynb", "", "0a1b2c3d-4e5f", (kernel.pid,))
    assert holder(kernel.pid) == expected


def test_a_child_of_a_kernel_belongs_to_the_kernel(process, holder):
    kernel = process("-f", KERNEL, code=WITH_CHILD)
    assert holder(int(kernel.first_line)) == holder(kernel.pid)


def test_a_kernel_without_a_known_notebook_is_named_by_its_id_and_directory(process, holder):
    kernel = process("-f", KERNEL)
    share = holder(kernel.pid)
    assert (share.name, share.notebook) == ("kernel 0a1b2c3d", str(Path.cwd()))


def test_a_kernel_has_the_notebook_that_is_in_the_record_of_its_model(process, record, holder):
    kernel = process("-f", KERNEL)
    assert holder(kernel.pid, record(owner=kernel.pid)).name == "demo.ipynb"


@pytest.mark.parametrize(
    ("words", "kernel_id"),
    [
        (["-f", "/x/kernel-12345.json"], "12345"),  # jupyter console
        (["-f", "/x/kernel-v2-99aXyz.json"], "v2-99aXyz"),  # VS Code
        (["IRkernel::main()", "--args", "/x/kernel-ab.json"], "ab"),
        (["--connection-file=/x/kernel-ab.json"], "ab"),
        (["ipykernel_launcher", "-f", "/tmp/tmp0q1w.json"], ""),
    ],
)
def test_kernels_of_all_languages_and_servers_are_recognised(process, holder, words, kernel_id):
    share = holder(process(*words).pid)
    assert (share.kind, share.kernel_id) == ("kernel", kernel_id)


@pytest.mark.parametrize("words", [["train.py", "settings.json"], ["kernel-x.json.bak"], ["--out", "my-kernel-1.json"]])
def test_other_commands_are_no_kernels(process, holder, words):
    assert holder(process(*words).pid).kind == "process"


def test_another_process_of_this_user_is_named_by_its_program_and_the_notebook_that_started_it(process, holder):
    left = process("secret", JPY_SESSION_NAME="/home/me/train.ipynb")
    program = Path(sys.executable).name
    expected = Share("process", f"{program} (pid {left.pid})", None, "/home/me/train.ipynb", pids=(left.pid,))
    assert holder(left.pid) == expected


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["python3.11", "-u", "-W", "error", "/home/me/train.py", "--token", "x"], "python3.11 train.py"),
        (["/usr/bin/python3", "-m", "torch.distributed.run", "x"], "python3 -m torch.distributed.run"),
        (["/opt/ollama/ollama", "runner", "--key", "x"], "ollama"),
        (["ray::IDLE", "", ""], "ray::IDLE"),
    ],
)
def test_a_program_is_named_by_its_script_without_words_that_may_be_secret(words, name):
    assert processes.program(words) == name


@pytest.mark.parametrize(
    "cgroup",
    [
        "0::/system.slice/docker-{id}.scope\n",
        "0::/docker/{id}\n",
        "0::/../../docker/{id}\n",  # as seen from a cgroup namespace beside it
        "12:memory:/docker/{id}\n4:cpu,cpuacct:/docker/{id}\n0::/\n",
        "4:memory:/system.slice/docker-{id}.scope\n0::/system.slice/docker-{id}.scope\n",
        "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{id}.scope/container\n",
        "0::/kubepods/burstable/pod1f-22/" + "ab" * 32 + "/docker/{id}\n",
    ],
)
def test_a_container_is_recognised_by_its_cgroup_of_any_version_and_driver(cgroup):
    wanted = "0123456789abcdef" * 4
    assert wanted in processes.containers_of(cgroup.format(id=wanted), user=1000)


def test_another_user_cannot_forge_a_container_by_the_name_of_a_cgroup():
    feigned = "0::/user.slice/user-1001.slice/user@1001.service/docker-" + "ab" * 32 + ".scope\n"
    assert processes.containers_of(feigned, user=1000) == frozenset()


@pytest.mark.root
def test_the_environment_and_command_line_of_other_users_are_ignored(process, record, holder):
    liar = process("-f", KERNEL, user=STRANGER, **{INSTANCE_MARK: "ctpn-1a2b"})
    assert holder(liar.pid, record()) == OTHERS


@pytest.mark.root
def test_a_child_that_runs_as_another_user_belongs_to_its_model_or_kernel(process, record, holder):
    code = WITH_CHILD.replace("env={}", f"env={{}}, user={STRANGER}")
    marked, kernel = process(code=code, **{INSTANCE_MARK: "ctpn-1a2b"}), process("-f", KERNEL, code=code)
    assert holder(int(marked.first_line), record()) == MODEL
    assert holder(int(kernel.first_line)) == holder(kernel.pid)


def test_a_process_that_has_ended_has_no_holder(process, holder):
    gone = process()
    gone.kill()
    gone.wait()
    assert holder(gone.pid) is None
    assert holder(2**40) is None
    assert holder(0) is None  # some drivers list processes with this id in place of the real one


def test_a_zombie_still_belongs_to_this_user(process, holder):
    dead = process()
    dead.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
    assert holder(dead.pid).kind == "process"


def _elsewhere(command, code):
    """Return the output of Python code that is started by `command`, such as `unshare`."""
    made = subprocess.run(
        [*command, sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd="/", capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return made.stdout.strip()


@pytest.mark.root
def test_hidden_processes_belong_to_other_users_and_own_processes_are_found():
    as_stranger = ["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups"]
    as_stranger += [
        "--inh-caps=+dac_read_search",
        "--ambient-caps=+dac_read_search",
    ]  # the interpreter is a file of root
    hide = 'mount -t proc -o hidepid=2 proc /proc && exec "$@"'
    code = (
        "import os; from gpumodels.attribution import Holders, Look; holders = Holders(Look(), [])\n"
        "assert not os.path.exists('/proc/1')\n"
        "print(*(holders.holder(pid).kind for pid in (1, os.getpid())), holders.holder(2**22 + 1))"
    )
    command = ["unshare", "--mount", "sh", "-c", hide, "sh", *as_stranger]
    assert _elsewhere(command, code) == "others process None"


@pytest.mark.root
def test_in_another_pid_namespace_no_holder_is_guessed():
    code = "import os; from gpumodels.attribution import Holders, Look; print(Holders(Look(), []).holder(os.getpid()))"
    assert _elsewhere(["unshare", "--pid", "--fork", "--mount-proc"], code) == "None"
    assert _elsewhere(["env"], code).startswith("Share(kind='process'")


def test_a_reused_process_id_is_another_process(process, monkeypatch):
    first = process("first")
    time.sleep(0.05)  # start times have a resolution of 1/100 s
    second = process("-f", KERNEL)
    look = processes.Look()
    assert look.process(first.pid).facts.kernel is None
    # Simulate that the second process has the id of the first.
    real = processes._content
    monkeypatch.setattr(processes, "_content", lambda pid, name: real(second.pid if pid == first.pid else pid, name))
    assert processes.Look(look).process(first.pid).facts.kernel == "0a1b2c3d-4e5f"


def test_the_facts_of_a_process_are_read_only_once(process, monkeypatch):
    known = process()
    look = processes.Look()
    list(look.lineage(known.pid))
    monkeypatch.setattr(processes, "_facts", None)
    assert [each.pid for each in processes.Look(look).lineage(known.pid)][:2] == [known.pid, os.getpid()]
