"""Every error that edgesr raises on purpose.

A message says where, what came, what was wanted, and the next step, on one line. The command line
prints it without a traceback and exits with the class's ``exit_code``.

```
EdgesrError                     3
├── GateError                   1   a check failed: the work was done, the result is refused
├── UsageError                  2   flags that contradict each other
├── ConfigError                 3   a config file or recipe with a wrong key, type or value
├── DataError                   3   an input is missing, damaged or does not fit
│   ├── ImageError              3   one image file
│   ├── DatasetError            3   a folder of images
│   ├── CheckpointError         3   a weights file, run folder or .tflite
│   └── DivergenceError         3   a training that went astray
├── GraphError                  3   a network that cannot be captured, quantized or written
├── DiffusionError              3   a diffusion path, sampler or network that does not fit or fails
├── OutputError                 3   a path that cannot be written
├── MissingDependencyError      4   an optional package, device or network is not there
└── DeviceError                 4   a phone; its kinds, 10 to 23, are in edgesr/android/errors.py
```
"""


class EdgesrError(Exception):
    """Root of the tree; never raised itself."""

    exit_code = 3


class GateError(EdgesrError):
    """A check failed: the work was done and its result is refused."""

    exit_code = 1


class UsageError(EdgesrError):
    """Arguments that contradict each other or miss a needed one."""

    exit_code = 2


class ConfigError(EdgesrError):
    """A config file or recipe has an unknown key, a wrong type or a value out of range."""


class DataError(EdgesrError):
    """An input is missing, damaged or does not fit."""


class ImageError(DataError):
    """One image file is missing, damaged or of a kind that is not accepted."""


class DatasetError(DataError):
    """A folder of images is empty, incomplete or its pairs do not match."""


class CheckpointError(DataError):
    """A weights file, run folder or .tflite is missing, damaged or of another network."""


class DivergenceError(DataError):
    """A training left the finite numbers, or fell far below its best."""


class GraphError(EdgesrError):
    """A network holds something that cannot be captured, quantized or written."""


class DiffusionError(EdgesrError):
    """A diffusion path, sampler and network do not fit, or sampling left the finite numbers."""


class OutputError(EdgesrError):
    """A path that cannot be written."""


class MissingDependencyError(EdgesrError):
    """An optional package, a device or a network connection is not there."""

    exit_code = 4
