"""Packaging of rtcgw: `pip install .` brings the twistd plugin, the page and the default configuration.

The metadata lives here rather than in pyproject.toml because the plugin is a
module of Twisted's own `twisted.plugins` namespace, which only `py_modules`
and an explicit `package_dir` express without hiding it in an editable install.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+?)"', (HERE / "rtcgw/__init__.py").read_text())[1]  # type: ignore[index]

setup(
    name="rtcgw",
    version=VERSION,
    description="A gateway that gives web browsers the services of an IMS network",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_packages(include=["rtcgw", "rtcgw.*"]),
    py_modules=["twisted.plugins.rtcgw_plugin"],
    # The explicit root keeps an editable install from hiding the plugin (see above).
    package_dir={"": "."},
    package_data={"rtcgw": ["py.typed", "default.toml", "rtcweb/*.json", "web/softphone/*", "web/softphone/**/*"]},
    install_requires=[
        "aioice>=0.13",
        "attrs>=24.2",
        "autobahn>=25.10",
        "cryptography>=44",
        "msgspec>=0.20",
        "pyjwt[crypto]>=2.10",
        "pylibsrtp>=1.0",
        "pyopenssl>=25.1",
        "service-identity>=24.2",
        "twisted[conch,tls]>=25.5",
        "zope.interface>=7.2",
    ],
    extras_require={
        # Opus for phones that have none: FFmpeg's codecs, which the wheel brings along.
        "transcode": ["av>=14"],
        "test": [
            "av>=14",
            "build>=1.2",
            "hypothesis>=6.120",
            "jsonschema>=4.23",
            "mypy==2.4.1",
            "mypy-zope==1.0.17",
            "numpy>=2.0",
            "python-diameter>=0.9",
            "ruff==0.17.6",
            "setuptools>=75",
            "types-jsonschema",
        ],
    },
    classifiers=[
        "Framework :: Twisted",
        "License :: OSI Approved :: MIT License",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.11",
        "Topic :: Communications :: Internet Phone",
    ],
    zip_safe=False,
)
