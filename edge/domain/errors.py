"""Every kind of trouble this house expects, in one tree.

    EdgeError
    ├── ConfigurationError        what the operator wrote cannot be used
    ├── SecretError               a secret is missing, empty or readable by others
    ├── FormatError               bytes that are not what they claim to be
    │   └── UnsupportedError      well formed, but not for this build (a codec, a transfer syntax)
    ├── SeriesRejectedError       a series that is no volume: slices missing, mixed, doubled …
    ├── NotSelectedError          no pipeline is meant for this series
    ├── PictureRejectedError      a picture a preprocessing step cannot honestly work on
    ├── PixelsHeldBackError       a picture may not leave the box
    ├── SourceLostError           a live source gives no frames any more; it is opened again
    ├── BundleRejectedError       a bundle that is altered, incomplete or fails its golden check
    ├── InferenceError            the network did not give an answer
    │   └── DeadlineExceededError … in the time it was given
    ├── JournalError              the journal cannot be opened or written
    ├── StorageFullError          the disk reserve is reached; nothing was taken
    ├── DocumentRefusedError      what the fleet wants cannot be done here; with a code and a path
    └── DeliveryError             the far side has not taken an envelope; it is kept and tried again
        └── RefusedError          … and says that it never will

The message of each names the thing, what was seen and what was wanted; never a patient, never a secret.
Broken invariants are no member: they raise AssertionError and end the process.
"""


class EdgeError(Exception):
    """Expected trouble, with a message an engineer can act on."""


class ConfigurationError(EdgeError):
    """What the operator wrote cannot be used."""


class SecretError(EdgeError):
    """A secret is missing, empty or readable by others."""


class FormatError(EdgeError):
    """Bytes that are not what they claim to be."""


class UnsupportedError(FormatError):
    """Well formed, but not for this build: a codec, a transfer syntax, a kind of object."""


class SeriesRejectedError(EdgeError):
    """A series that is no volume; the message names the offending instances."""


class NotSelectedError(EdgeError):
    """No pipeline is meant for this series."""


class PictureRejectedError(EdgeError):
    """A picture a preprocessing step cannot honestly work on."""


class PixelsHeldBackError(EdgeError):
    """A picture may not leave the box; the message says why."""


class SourceLostError(EdgeError):
    """A live source gives no frames any more, or cannot be opened; the message says what was seen."""


class BundleRejectedError(EdgeError):
    """A bundle that is altered, incomplete or fails its golden check."""


class InferenceError(EdgeError):
    """The network did not give an answer."""


class DeadlineExceededError(InferenceError):
    """The network did not give an answer in the time it was given."""


class JournalError(EdgeError):
    """The journal cannot be opened or written."""


class StorageFullError(EdgeError):
    """The disk reserve is reached; nothing was taken."""


class DeliveryError(EdgeError):
    """The far side has not taken an envelope; it is kept and tried again."""


class RefusedError(DeliveryError):
    """The far side says that it will never take this envelope."""


class DocumentRefusedError(EdgeError):
    """What the fleet wants cannot be done here.

    Attributes:
        code: One word of the contract, such as `schema` or `local_lock`.
        path: What it is about, `pipelines.brain-mr.deadline_s`; "" for the whole document.
    """

    def __init__(self, code: str, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.path = path
