"""No two processes get the same GPU, a killed one gives its own back, and nobody waits who need not."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from selfdistill.foundation.errors import UserError
from selfdistill.machine import gpu_locks, gpus
from selfdistill.machine.gpus import Gpu, parse_listing
from selfdistill.machine.leases import lease_gpus

ROOT = Path(__file__).resolve().parents[3]
HOLDER = """
import os, sys
from selfdistill.machine import gpu_locks, leases
gpu_locks.POLL_SECONDS = 0.05
if len(sys.argv) > 2:
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
lease = leases.lease_gpus(int(sys.argv[1]))
print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
sys.stdin.read()  # holds on until it is told to go
"""
NOBODY = "65534"
LISTING = """\
GPU 0: NVIDIA H200 (UUID: GPU-aaaa1111-0000-0000-0000-000000000000)
GPU 1: NVIDIA H200 (UUID: GPU-bbbb2222-0000-0000-0000-000000000000)
GPU 2: NVIDIA H200 (UUID: GPU-cccc3333-0000-0000-0000-000000000000)
  MIG 3g.71gb     Device  0: (UUID: MIG-dddd4444-0000-0000-0000-000000000000)
  MIG 3g.71gb     Device  1: (UUID: MIG-eeee5555-0000-0000-0000-000000000000)
"""


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of which nothing is known: no GPU, no Slurm, no driver, leases of its own. Its programs lie in bin."""
    for name in [name for name in os.environ if name.startswith(("SLURM_", "CUDA_"))]:
        monkeypatch.delenv(name)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("FORKLOCK_LEASES", str(tmp_path / "leases"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "workflow_scripts"))
    monkeypatch.setattr(gpus, "DRIVER_GPUS", tmp_path / "gpus")
    monkeypatch.setattr(gpu_locks, "POLL_SECONDS", 0.02)
    return tmp_path


def nvidia_smi(machine: Path, listing: str, status: int = 0) -> None:
    program = machine / "bin/nvidia-smi"
    program.write_text(f"#!/bin/sh\n[ \"$1\" = -L ] && printf '%s' '{listing}'\nexit {status}\n")
    program.chmod(0o755)


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def start(count: int, *user: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", HOLDER, str(count), *user]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()  # type: ignore[union-attr]


def told(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait() == 0


def test_processes_get_different_gpus_and_a_killed_ones_goes_to_who_waits(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    holders = [start(1) for _ in range(3)]
    got = [told(process) for process in holders]
    assert sorted(got) == ["0", "1", "2"]
    fourth = start(1)
    assert fourth.stderr is not None
    said = fourth.stderr.readline()
    for process, device in zip(holders, got, strict=True):
        assert f"GPU {device} is held by process {process.pid}" in said
    time.sleep(0.3)
    assert fourth.poll() is None  # still waiting
    holders[1].send_signal(signal.SIGKILL)
    assert told(fourth) == got[1]
    end(fourth)
    assert fourth.stderr.read() == ""  # it said once what it waits for


def test_two_that_each_want_two_of_three_take_turns(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    both = [start(2), start(2)]
    said: dict[int, str] = {}
    for process in both:  # whichever is first: the one that holds is ended, so that the other can go on
        os.set_blocking(process.stdout.fileno(), False)  # type: ignore[union-attr]
    until = time.monotonic() + 120
    while len(said) < 2 and time.monotonic() < until:
        for number, process in enumerate(both):
            if number not in said and (line := told(process)):
                said[number] = line
                assert len(set(line.split(","))) == 2
                end(process)
        time.sleep(0.02)
    assert len(said) == 2


def test_who_waits_for_two_holds_none_meanwhile(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert told(start(1)) == "0"
    waiting = start(2)
    assert waiting.stderr is not None
    assert "GPU 1" not in waiting.stderr.readline()
    assert told(start(1)) == "1"


def test_a_lease_that_does_not_come_in_time_names_who_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with lease_gpus(1), pytest.raises(UserError, match=f"within 0.1 s: GPU 0 is held by process {os.getpid()}"):
        lease_gpus(1, timeout=0.1)
    with lease_gpus(1, timeout=0.1):
        pass


def test_no_gpu_asked_for_hides_them_all_and_needs_no_lease(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    with lease_gpus(0) as lease:
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "" and lease.devices == []
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"
    assert not (machine / "leases").exists()


def test_a_machine_without_a_gpu_is_told_so(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"nvidia-smi is not installed.*set sampling.gpus or training.gpus to 0"):
        lease_gpus(1)
    nvidia_smi(machine, "Failed to initialize NVML: Driver/library version mismatch", status=18)
    with pytest.raises(UserError, match="Driver/library version mismatch"):
        lease_gpus(1)
    for hidden in ("", "-1", "NoDevFiles"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        with pytest.raises(UserError, match="hides them"):
            lease_gpus(1)


# Names of one card


def test_the_listing_of_nvidia_smi_is_read_with_its_slices(machine: Path) -> None:
    gpus = parse_listing(LISTING)
    assert [gpu.index for gpu in gpus] == [0, 1, 2]
    assert gpus[0] == Gpu(0, "GPU-aaaa1111-0000-0000-0000-000000000000")
    assert [name[:8] for name in gpus[2].slices] == ["MIG-dddd", "MIG-eeee"]


def test_every_card_and_every_slice_is_leased_once(start: Start, machine: Path) -> None:
    nvidia_smi(machine, LISTING)
    got = [told(start(1)) for _ in range(4)]
    assert [name[:8] for name in got] == ["0", "1", "MIG-dddd", "MIG-eeee"]
    with pytest.raises(UserError, match="GPU MIG-eeee"):
        lease_gpus(1, timeout=0)
    with pytest.raises(UserError, match=r"3 GPUs are asked for and this machine, without MIG slices.*shows 2 GPUs"):
        lease_gpus(3)


def test_small_processes_share_cards_that_their_user_says_may_be_shared(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("FORKLOCK_PROCESSES_PER_GPU", "2")
    assert [told(start(1)) for _ in range(4)] == ["0", "1", "0", "1"]
    with pytest.raises(UserError, match=r"GPU 0 is held by process \d+, GPU 1 is held"):
        lease_gpus(1, timeout=0)
    monkeypatch.setenv("FORKLOCK_PROCESSES_PER_GPU", "some")
    with pytest.raises(UserError, match="FORKLOCK_PROCESSES_PER_GPU='some'"):
        lease_gpus(1)


def test_an_index_and_a_uuid_are_one_card(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(machine, LISTING)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    by_index = lease_gpus(1)
    assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"  # the order that nvidia-smi counts in
    for name in ("GPU-bbbb2222-0000-0000-0000-000000000000", "GPU-bbbb"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", name)
        with pytest.raises(UserError, match="GPU 1 is held"):
            lease_gpus(1, timeout=0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-bbbb,0,GPU-aaaa,1,-1,2")
    with lease_gpus(1) as lease:
        assert lease.devices == ["0"] and os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    with pytest.raises(UserError, match="3 GPUs are asked for and CUDA_VISIBLE_DEVICES=.* shows 2 GPUs"):
        lease_gpus(3)
    by_index.release()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    with pytest.raises(UserError, match=r"names '7', which nvidia-smi -L does not list"):
        lease_gpus(1)


def test_without_nvidia_smi_the_driver_is_asked(machine: Path) -> None:
    for address, uuid in (("0000:81:00.0", "GPU-bbbb2222-0000"), ("0000:19:00.0", "GPU-????????-????")):
        (machine / "gpus" / address).mkdir(parents=True)
        (machine / "gpus" / address / "information").write_text(f"Model: \t NVIDIA\nGPU UUID: \t {uuid}\nIRQ: 1\n")
    with lease_gpus(2) as lease:
        assert lease.devices == ["0", "1"]
        assert {path.name for path in (machine / "leases").iterdir()} == {
            "0000-19-00.0.lock",
            "GPU-bbbb2222-0000.lock",
        }


# Slurm


def test_what_slurm_gave_is_used_as_it_is_and_without_locks(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    first, second = lease_gpus(1), lease_gpus(1)  # in two jobs, index 0 would be two cards
    assert first.devices == second.devices == ["0"]
    assert not (machine / "leases").exists() and "CUDA_DEVICE_ORDER" not in os.environ
    with pytest.raises(UserError, match=r"Slurm gave job 7 1 GPU and 2 GPUs are asked for.*--gres=gpu:2"):
        lease_gpus(2)
    for nothing in (None, "NoDevFiles"):
        if nothing is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", nothing)
        with pytest.raises(UserError, match="Slurm gave job 7 0 GPUs"):
            lease_gpus(1)


def test_a_workflow_inside_one_allocation_shares_out_its_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    def lease(job: str) -> list[str]:
        monkeypatch.setenv("SLURM_JOB_ID", job)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
        return lease_gpus(1, timeout=0).devices

    assert [lease("7"), lease("7"), lease("8")] == [["0"], ["1"], ["0"]]
    with pytest.raises(UserError, match="did not become free"):
        lease("7")


# The folder that all users share


def test_locks_are_for_every_user_and_no_link_is_followed(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    before = os.umask(0o077)
    try:
        lease_gpus(1).release()
    finally:
        os.umask(before)
    lock = machine / "leases/0.lock"
    assert stat.S_IMODE((machine / "leases").stat().st_mode) == 0o1777
    assert stat.S_IMODE(lock.stat().st_mode) == 0o666
    lock.unlink()
    (machine / "precious").write_text("kept")
    lock.symlink_to(machine / "precious")
    with pytest.raises(UserError, match="0.lock: GPU leases cannot be kept there.*FORKLOCK_LEASES"):
        lease_gpus(1)
    lock.unlink()
    os.link(machine / "precious", lock)
    with pytest.raises(UserError, match="not a plain file"):
        lease_gpus(1)
    assert (machine / "precious").read_text() == "kept"
    (machine / "elsewhere").mkdir()
    (machine / "link").symlink_to(machine / "elsewhere")
    monkeypatch.setenv("FORKLOCK_LEASES", str(machine / "link"))
    with pytest.raises(UserError, match="link: GPU leases cannot be kept there"):
        lease_gpus(1)
    assert list((machine / "elsewhere").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_users_lock_can_be_taken_and_respected(
    start: Start, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    lease = lease_gpus(1)
    folder = machine
    while folder != Path("/tmp") and folder != folder.parent and folder.stat().st_uid == os.geteuid():
        folder.chmod(0o755)
        folder = folder.parent
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    nobody = start(1, NOBODY)
    assert nobody.stderr is not None
    assert f"held by process {os.getpid()}" in nobody.stderr.readline()
    lease.release()
    assert told(nobody) == "0"
    with pytest.raises(UserError, match=f"held by process {nobody.pid}"):
        lease_gpus(1, timeout=0)


def test_a_lock_that_a_cleaner_removed_is_not_leased_twice_by_mistake(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    lease_gpus(1).release()
    really_open = os.open
    swept: list[str] = []

    def open_and_sweep(path: str, *arguments: int, **options: int) -> int:
        opened = really_open(path, *arguments, **options)
        if path == "0.lock" and not swept:
            (machine / "leases/0.lock").unlink()  # between the opening and the lock
            swept.append(path)
        return opened

    monkeypatch.setattr(os, "open", open_and_sweep)
    with lease_gpus(1):
        assert (machine / "leases/0.lock").read_text() == f"{os.getpid()}\n"
        with pytest.raises(UserError):
            lease_gpus(1, timeout=0)
