"""Builds the package: the messages of the API are made of proto/ here, by generate.py with grpc_tools (python3-grpc-tools, grpcio-tools).

There is no pyproject.toml, so that pip takes the machine's setuptools and grpc_tools instead of fetching some: it builds without a network.
"""

import os
import sys

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.develop import develop
from setuptools.command.sdist import sdist

HERE = os.path.dirname(os.path.abspath(__file__))
PROTOS = os.path.normpath(os.path.join(HERE, "..", "..", "proto"))
# An sdist has the messages made, and no protos.
FROM_TREE = os.path.exists(os.path.join(PROTOS, "bebr", "v1", "types.proto"))


def make_messages(package: str) -> None:
    if not FROM_TREE:
        return
    sys.path.insert(0, HERE)
    import generate  # needs protobuf, which an sdist's metadata do not

    os.makedirs(package, exist_ok=True)
    generate.generate(PROTOS, package)


class BuildPy(build_py):
    def run(self) -> None:
        super().run()
        in_place = getattr(self, "editable_mode", False)
        make_messages(os.path.join(HERE if in_place else self.build_lib, "bebr"))


class Develop(develop):
    def run(self) -> None:
        make_messages(os.path.join(HERE, "bebr"))
        super().run()


class Sdist(sdist):
    def make_release_tree(self, base_dir: str, files: list) -> None:
        super().make_release_tree(base_dir, files)
        package = os.path.join(base_dir, "bebr")
        for name in os.listdir(package):  # those of the tree may be hard links to it
            if name.startswith(("v1.py", "_details.py")):
                os.unlink(os.path.join(package, name))
        make_messages(package)


setup(cmdclass={"build_py": BuildPy, "develop": Develop, "sdist": Sdist},
      setup_requires=["grpcio-tools", "protobuf"] if FROM_TREE else [])
