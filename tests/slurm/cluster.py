"""A real Slurm on this machine: two nodes, a GPU partition, accounting; in a folder of its own, gone when it stops.

In: nothing but Debian's packages and root. Out: a configuration that Slurm's commands find through SLURM_CONF. Nothing
of the machine's own is read or written (no /etc/slurm, /var/lib/mysql, /run/munge), so any number of clusters stand
side by side. For people: python tests/slurm/cluster.py -- squeue
"""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

PACKAGES = "slurm-wlm slurmdbd munge mariadb-server"
PROGRAMS = ("munged", "mariadbd", "slurmdbd", "slurmctld", "slurmd", "sbatch", "sacct")
SYSTEM_FOLDERS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # daemons are not on every PATH
MARK = "FORKLOCK_CLUSTER"  # in the environment of every process of a cluster, its jobs' too
NODE = "FORKLOCK_NODE"  # in the environment of a node's daemon and of what it starts to watch over steps
PORTS = range(21000, 32000)  # below those that the kernel gives to outgoing connections
STEADY = 30.0  # seconds that a daemon may take to answer

SLURM_CONF = """\
ClusterName=forklock
SlurmctldHost=localhost
SlurmctldPort={ctld_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=8
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=100000
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=6
KillWait=3
FirstJobId={first_job}
MinJobAge={min_job_age}
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
GresTypes=gpu
{accounting}
NodeName=node1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={node1_port} CPUs=4 RealMemory=8000
NodeName=node2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={node2_port} CPUs=4 RealMemory=8000 Gres=gpu:lab:2
PartitionName=cpu Nodes=node1,node2 Default=YES MaxTime=1-0 State=UP PriorityTier=1
PartitionName=gpu Nodes=node2 MaxTime=1-0 State=UP PriorityTier=1
PartitionName=urgent Nodes=node1,node2 MaxTime=1-0 State=UP PriorityTier=9 PreemptMode=OFF
"""
WITH_ACCOUNTING = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort={dbd_port}
AccountingStoragePass={folder}/munge.socket
AccountingStorageTRES=gres/gpu,gres/gpu:lab
AccountingStoreFlags=job_comment"""
WITHOUT_ACCOUNTING = "AccountingStorageType=accounting_storage/none"
SLURMDBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdPort={dbd_port}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageLoc=accounting
StorageUser=root
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
"""
GRES_CONF = "NodeName=node2 Name=gpu Type=lab File=/dev/null\nNodeName=node2 Name=gpu Type=lab File=/dev/zero\n"


class ClusterError(RuntimeError):
    """A cluster that does not come up; the sentence holds the end of the log that says why."""


@dataclass
class Cluster:
    """A running cluster. `environment` is what a process needs so that Slurm's commands mean this one."""

    folder: Path
    environment: dict[str, str]
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def run(self, *command: str) -> str:
        """The output of one of Slurm's commands."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=300)
        if done.returncode:
            raise ClusterError(f"`{' '.join(command)}` failed: {done.stdout}{done.stderr}")
        return done.stdout

    def start(self, name: str, *command: str, **more: str) -> None:
        """A daemon in the foreground, as our child: its end is seen, and it leaves no orphan."""
        with open(self.folder / f"{name}.out", "ab") as out:
            self.daemons[name] = subprocess.Popen(
                command, env=self.environment | more, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.folder,
                start_new_session=True,
            )  # fmt: skip

    def start_node(self, name: str) -> None:
        self.start(name, "slurmd", "-D", "-N", name, "-f", f"{self.folder}/slurm.conf", **{NODE: name})

    def wait_for_node(self, name: str) -> None:
        def idle() -> bool:
            return self.run("sinfo", "-h", "-N", "-n", name, "-p", "cpu", "-o", "%T").strip() in ("idle", "mixed")

        self.wait_until(idle, name)

    def wait_until(self, ready: Callable[[], bool], daemon: str) -> None:
        until = time.monotonic() + STEADY
        while True:
            with contextlib.suppress(ClusterError):
                if ready():
                    return
            ended = self.daemons[daemon].poll()
            if ended is not None or time.monotonic() > until:
                happened = f"{daemon} ended with status {ended}" if ended is not None else f"{daemon} does not answer"
                raise ClusterError(f"{happened}: {self.last_words(daemon)}")
            time.sleep(0.05)

    def last_words(self, daemon: str) -> str:
        logs = [self.folder / f"{daemon}.{kind}" for kind in ("log", "out")]
        logs.append(self.folder / f"slurmd-{daemon}.log")
        return " | ".join(log.read_text(errors="replace")[-600:] for log in logs if log.is_file())

    def lose_node(self, name: str) -> None:
        """What a power cut does to a node: its daemon, what watches over its steps, and their processes are gone."""
        self.daemons.pop(name).kill()
        # The watchers first, for they would tell the controller how the others ended.
        for variable in (NODE, "SLURMD_NODENAME"):
            for process in self.processes():
                if _environment(process).get(variable) == name:
                    _kill(process)

    def processes(self) -> list[int]:
        """Every process of this cluster and of its jobs, found by the mark that they all inherit."""
        mark = str(self.folder)
        found = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        return [pid for pid in found if pid != os.getpid() and _environment(pid).get(MARK) == mark]


@contextlib.contextmanager
def cluster(accounting: bool = True, min_job_age: int = 300) -> Iterator[Cluster]:
    """Starts a cluster, with or without slurmdbd; on the way out nothing of it is left, whatever happened inside."""
    folder = Path(tempfile.mkdtemp(prefix="forklock-slurm-"))
    folder.chmod(0o755)  # munge refuses a socket that others cannot reach
    environment = os.environ | {
        "PATH": f"{folder}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}:{SYSTEM_FOLDERS}",
        "SLURM_CONF": str(folder / "slurm.conf"),
        "MYSQL_UNIX_PORT": str(folder / "mariadb.socket"),  # how slurmdbd is told of a socket of its own
        MARK: str(folder),
    }
    for name in [name for name in environment if name.startswith(("SLURM_JOB", "SBATCH_", "SRUN_"))]:
        del environment[name]
    it = Cluster(folder, environment)
    try:
        _configure(it, accounting, min_job_age)
        _start(it, accounting)
        yield it
    finally:
        _stop(it)


def missing_programs() -> list[str]:
    """What a cluster needs and this machine does not have."""
    path = f"{os.environ['PATH']}:{SYSTEM_FOLDERS}"
    return [name for name in PROGRAMS if shutil.which(name, path=path) is None]


def _configure(it: Cluster, accounting: bool, min_job_age: int) -> None:
    names = ("ctld_port", "dbd_port", "node1_port", "node2_port")
    values = dict(zip(names, map(str, _free_ports(len(names))), strict=True)) | {
        "folder": str(it.folder),
        "first_job": str(random.SystemRandom().randrange(1000, 60000)),  # ports of trainings follow from job numbers
        "min_job_age": str(min_job_age),
    }
    values["accounting"] = (WITH_ACCOUNTING if accounting else WITHOUT_ACCOUNTING).format(**values)
    for name, text in (("slurm", SLURM_CONF), ("slurmdbd", SLURMDBD_CONF), ("gres", GRES_CONF)):
        path = it.folder / f"{name}.conf"
        path.write_text(text.format(**values))
        path.chmod(0o600 if name == "slurmdbd" else 0o644)  # slurmdbd insists
    # Snakemake clears SLURM_CONF before its srun, which on a site would find /etc/slurm.
    srun = it.folder / "bin/srun"
    srun.parent.mkdir()
    real = shutil.which("srun", path=SYSTEM_FOLDERS)
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={it.folder}/slurm.conf exec {real} "$@"\n')
    srun.chmod(0o755)
    key = it.folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    for name in ("state", "spool-node1", "spool-node2", "mariadb"):
        (it.folder / name).mkdir()


def _start(it: Cluster, accounting: bool) -> None:
    """Each daemon once those that it needs answer; slurmctld must find its cluster in the accounts."""
    folder = it.folder
    it.start(
        "munged", "munged", "--foreground", "--force", f"--key-file={folder}/munge.key", f"--socket={folder}/munge.socket",
        f"--pid-file={folder}/munged.pid", f"--seed-file={folder}/munge.seed", "--num-threads=2",
    )  # fmt: skip
    if accounting:
        # Without grant tables an empty folder is a whole database, and only who may enter the folder reaches its socket.
        it.start(
            "mariadbd", "mariadbd", "--no-defaults", "--user=root", f"--datadir={folder}/mariadb", "--skip-networking",
            f"--socket={folder}/mariadb.socket", f"--pid-file={folder}/mariadbd.pid", "--skip-grant-tables",
            "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M",
            "--lc-messages-dir=/usr/share/mysql/english", f"--tmpdir={folder}",
        )  # fmt: skip
        it.wait_until((folder / "mariadb.socket").exists, "mariadbd")
    it.wait_until((folder / "munge.socket").exists, "munged")
    if accounting:
        it.start("slurmdbd", "slurmdbd", "-D")
        it.wait_until(lambda: "forklock" in it.run("sacctmgr", "-i", "-n", "list", "cluster") or _enter(it), "slurmdbd")
    it.start("slurmctld", "slurmctld", "-D", "-f", f"{folder}/slurm.conf")
    for node in ("node1", "node2"):
        it.start_node(node)
    it.wait_until(lambda: it.run("sinfo", "-h", "-o", "%P") != "", "slurmctld")
    for node in ("node1", "node2"):
        it.wait_for_node(node)


def _enter(it: Cluster) -> bool:
    """Put the cluster, an account and its user into the accounts."""
    it.run("sacctmgr", "-i", "add", "cluster", "forklock")
    it.run("sacctmgr", "-i", "add", "account", "lab", "cluster=forklock")
    it.run("sacctmgr", "-i", "add", "user", "root", "account=lab", "cluster=forklock")
    return True


def _stop(it: Cluster) -> None:
    """Jobs first, while a controller is there to tell; then whatever is left, gently and then not."""
    with contextlib.suppress(ClusterError, subprocess.TimeoutExpired, OSError):
        it.run("scancel", "--full", "--signal=KILL", "--user=root")
    for name in ("node1", "node2", "slurmctld", "slurmdbd", "mariadbd", "munged"):
        daemon = it.daemons.get(name)
        if daemon is None:
            continue
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(timeout=10)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
    until = time.monotonic() + 10
    while (left := it.processes()) and time.monotonic() < until:
        for process in left:
            _kill(process)
        time.sleep(0.05)
    shutil.rmtree(it.folder, ignore_errors=True)
    if left or it.folder.exists():
        raise ClusterError(f"{it.folder}: the cluster was stopped, and left processes {left} or files.")


def _free_ports(count: int) -> list[int]:
    chosen: list[int] = []
    while len(chosen) < count:
        port = random.SystemRandom().choice(PORTS)
        with socket.socket() as asked, contextlib.suppress(OSError):
            asked.bind(("", port))
            chosen += [port] if port not in chosen else []
    return chosen


def _environment(pid: int) -> dict[str, str]:
    """A process's environment; empty when it is gone, or is a zombie that only waits for its parent."""
    try:
        data = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (entry.partition("=") for entry in data.decode(errors="replace").split("\0") if "=" in entry)
    return {name: value for name, _, value in pairs}


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def main(arguments: list[str]) -> int:
    command = arguments[arguments.index("--") + 1 :] if "--" in arguments else []
    if not command:
        print("usage: python tests/slurm/cluster.py [--no-accounting] -- command", file=sys.stderr)
        return 2
    if missing := missing_programs():
        print(f"error: {', '.join(missing)} is not installed: apt-get install {PACKAGES}", file=sys.stderr)
        return 1
    with cluster(accounting="--no-accounting" not in arguments[: arguments.index("--")]) as it:
        return subprocess.run(command, env=it.environment).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
