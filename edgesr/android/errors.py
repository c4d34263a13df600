"""What can go wrong on the way to a phone: one class and one exit code a kind.

```
DeviceError             4   adb failed in a way that has no class of its own
├── NoAdbError         10   there is no adb program
├── NoDeviceError      11   no phone, or not the one that was named
├── SeveralDevicesError 12  more than one phone, none was named
├── UnauthorizedError  13   the phone has not allowed this computer
├── OfflineError       14   the phone is listed but does not answer
├── NoSpaceError       15   the files do not fit, or the model does not fit into memory
├── LostDeviceError    16   the connection ended in the middle of a command
├── RunnerError        17   no program that measures, or one of another processor
├── CrashError         18   that program ended by a signal or an error
├── RunTimeoutError    19   it did not end in time
├── DelegateError      20   the accelerator did not run the whole graph, and that was required
├── NotValidError      21   the number is not valid: heat, a faked sensor
├── UnknownFlagError   22   the program does not know a flag, so it measured something else
└── BusyDeviceError    23   another run of edgesr is on that phone
```
"""

from edgesr.errors import EdgesrError


class DeviceError(EdgesrError):
    """An adb command failed; root of the errors of phones."""

    exit_code = 4


class NoAdbError(DeviceError):
    """There is no adb program."""

    exit_code = 10


class NoDeviceError(DeviceError):
    """No phone is connected, or not the one that was named."""

    exit_code = 11


class SeveralDevicesError(DeviceError):
    """More than one phone is connected and none was named."""

    exit_code = 12


class UnauthorizedError(DeviceError):
    """The phone has not allowed this computer to debug it."""

    exit_code = 13


class OfflineError(DeviceError):
    """The phone is listed but does not answer."""

    exit_code = 14


class NoSpaceError(DeviceError):
    """The phone's storage does not hold the files, or its memory the model."""

    exit_code = 15


class LostDeviceError(DeviceError):
    """The connection ended in the middle of a command."""

    exit_code = 16


class RunnerError(DeviceError):
    """There is no program that measures, or it is for another processor."""

    exit_code = 17


class CrashError(DeviceError):
    """The program that measures ended by a signal or with an error."""

    exit_code = 18


class RunTimeoutError(DeviceError):
    """The program that measures did not end in time."""

    exit_code = 19


class DelegateError(DeviceError):
    """The accelerator did not run the whole graph although that was required."""

    exit_code = 20


class NotValidError(DeviceError):
    """A number was obtained that means nothing: the phone was hot, throttled or faked."""

    exit_code = 21


class UnknownFlagError(DeviceError):
    """The program that measures does not know a flag that it was given."""

    exit_code = 22


class BusyDeviceError(DeviceError):
    """Another run of edgesr measures on that phone."""

    exit_code = 23


ERROR_CODES: dict[int, type[DeviceError]] = {
    kind.exit_code: kind
    for kind in (
        DeviceError,
        NoAdbError,
        NoDeviceError,
        SeveralDevicesError,
        UnauthorizedError,
        OfflineError,
        NoSpaceError,
        LostDeviceError,
        RunnerError,
        CrashError,
        RunTimeoutError,
        DelegateError,
        NotValidError,
        UnknownFlagError,
        BusyDeviceError,
    )
}
"""Exit code -> class."""
