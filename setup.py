"""The part of the distribution's metadata that is computed; the rest is in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

# What JupyterLab finds by itself in the environment of a server.
LAB = Path("batchspawner/labextension")
LAB_FILES = [
    path for top in ("etc", "share") for path in (HERE / LAB / top).glob("**/*") if path.is_file()
]

EXTRAS = {
    "functions": ["cloudpickle>=2"],
    "kernels": ["jupyter_client>=7.4"],
    "magics": ["ipython>=7.34"],
    "clusters": ["ipyparallel>=8.4"],
}
EXTRAS["all"] = sorted({one for needs in EXTRAS.values() for one in needs})
EXTRAS["demo"] = ["ipykernel", "ipywidgets", "jupyterlab>=4", *EXTRAS["all"]]
EXTRAS["browser"] = [
    "axe-playwright-python",
    "jupyterlab-language-pack-de-DE",
    "notebook>=7",
    "playwright",
]
EXTRAS["docs"] = ["autodoc-traits", "furo", "myst-parser", "sphinx"]
EXTRAS["dev"] = [
    "bash_kernel",
    "build",
    "cloudpickle>=2",
    "coverage>=7.10",
    "hypothesis",
    "ipyparallel>=8.4",
    "ipykernel",
    "ipywidgets",
    "jupyter-resource-usage",
    "jupyterlab-server-timer",
    "mypy",
    "nbclient",
    "pexpect",
    "psutil",
    "pytest",
    "pytest-asyncio",
    "pytest-rerunfailures",
    "pytest-timeout",
    "pytest-xdist",
    "requests",
    "ruff",
    "tbump",
    "vermin",
]

SCHEDULERS = sorted(
    path.parent.name for path in (HERE / "batchspawner" / "schedulers").glob("*/scheduler.py")
)


def launchers(kind: str, word: str) -> list[str]:
    """Return ipyparallel's names for what starts controllers or engines as jobs."""
    module = "batchspawner.clusters"
    names = [f"batch-{name} = {module}.entry_points:{name}_{word}" for name in SCHEDULERS]
    general = f"{module}.launchers:Job{kind}Launcher"
    return [f"batch = {general}", f"batchspawner = {general}", *names]


setup(
    packages=[
        *find_packages(include=["batchspawner", "batchspawner.*", "wrapspawner", "wrapspawner.*"]),
        "batchspawner.templates",
    ],
    package_dir={"batchspawner.templates": "templates"},
    package_data={
        "batchspawner": ["py.typed"],
        "batchspawner.cli": ["*.ipynb"],
        "batchspawner.labextension": ["etc/**/*.json", "locale/**/*.json", "share/**/*"],
        "batchspawner.templates": ["*.j2", "forms/*.html", "hub/*.html", "locale/*.po"],
        "wrapspawner": ["py.typed"],
    },
    data_files=[
        (str(path.parent.relative_to(HERE / LAB)), [str(path.relative_to(HERE))])
        for path in sorted(LAB_FILES)
    ],
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": [
            "batchspawner = batchspawner.cli.__main__:main",
            "batchspawner-singleuser = batchspawner.singleuser:main",
            "batchspawner-queue = batchspawner.localqueue.__main__:main",
        ],
        "jupyterhub.spawners": [
            "condor = batchspawner:CondorSpawner",
            "gridengine = batchspawner:GridengineSpawner",
            "lsf = batchspawner:LsfSpawner",
            "moab = batchspawner:MoabSpawner",
            "multislurm = batchspawner:MultiSlurmSpawner",
            "oar = batchspawner:OarSpawner",
            "pbs = batchspawner:PBSSpawner",
            "slurm = batchspawner:SlurmSpawner",
            "torque = batchspawner:TorqueSpawner",
            "localqueue = batchspawner:LocalQueueSpawner",
        ],
        # JupyterLab reads `locale/` beside this module.
        "jupyterlab.locale": ["batchspawner = batchspawner.labextension"],
        "ipyparallel.controller_launchers": launchers("Controller", "controller"),
        "ipyparallel.engine_launchers": launchers("EngineSet", "engines"),
        "jupyter_client.kernel_provisioners": [
            "batch-provisioner = batchspawner.kernels:BatchProvisioner",
            "slurm-provisioner = batchspawner.kernels:SlurmProvisioner",
        ],
    },
    zip_safe=False,
)
