"""What benchmarks in Python share: this project's client, a server of their own, and figures of processes and of the machine."""
import atexit
import ctypes
import gzip
import os
import pathlib
import platform
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import numpy

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def install_client(build):
    """An environment in `build` with client/python as its users install it; returns its interpreter."""
    environment = pathlib.Path(build) / "env"
    # A copy: a build leaves files in the tree.
    with tempfile.TemporaryDirectory() as copy:
        for part in ("client/python", "proto"):
            shutil.copytree(ROOT / part, pathlib.Path(copy) / part, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
        subprocess.run(["/usr/bin/python3", "-m", "venv", "--system-site-packages", environment], check=True)
        subprocess.run([environment / "bin/pip", "install", "--quiet", "--no-index", "--no-build-isolation", "--force-reinstall", "--no-deps",
                        f"{copy}/client/python"], check=True)
    return str(environment / "bin/python3")


def start_server(programs, data_dir, *flags):
    """bebr-server on a free port: (its process, a client of it). It ends with this process."""
    import bebr
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    die = lambda: ctypes.CDLL("libc.so.6").prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    server = subprocess.Popen([os.path.join(programs, "bebr-server"), "--listen", address, "--metrics_listen", "", "--data_dir", data_dir,
                               "--log_level", "error", *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die)
    atexit.register(server.kill)
    client = bebr.Client(address)
    for _ in range(600):
        try:
            client.collections()
            return server, client
        except bebr.Error:
            time.sleep(0.1)
    raise SystemExit("bebr-server does not answer")


def fit_model(programs, docs, model, *flags):
    """Runs bebr-train without training."""
    subprocess.run([os.path.join(programs, "bebr-train"), "--input", docs, "--steps", "0", "--output", model, *flags], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def read_vectors(path, limit=None):
    """The rows of a .npy file or of images as MNIST is published."""
    if path.endswith(".npy"):
        return numpy.load(path)[:limit].astype(numpy.float32)
    with gzip.open(path) as file:
        pixels = numpy.frombuffer(file.read(), dtype=numpy.uint8, offset=16)
    return pixels.reshape(-1, 784)[:limit].astype(numpy.float32)


def unit(rows):
    return rows / numpy.maximum(numpy.linalg.norm(rows, axis=1, keepdims=True), 1e-30)


def anonymous_bytes(pid="self"):
    """What a process has in memory that is no file's."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon:")) * 1024


def disk_bytes(directory):
    """Allocated blocks; files come and go meanwhile, and some have several names."""
    total = 0
    for path, _, names in os.walk(directory):
        for name in names:
            try:
                status = os.lstat(os.path.join(path, name))
                total += status.st_blocks * 512 / status.st_nlink
            except FileNotFoundError:
                pass
    return int(total)


def machine():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return {"processor": next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine()),
            "cores": len(os.sched_getaffinity(0)), "memory_gib": memory, "kernel": platform.release()}
