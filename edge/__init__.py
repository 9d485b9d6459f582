"""An inference appliance for hospitals: studies come in by DICOM, findings go out over MQTT.

The map of the house, from the top floor down; a room may use the floors below it, never those above:

    cli          what an operator types
    demo         what `make run` shows: a broker, the daemon, real studies, an independent subscriber
    daemon       the composition root: the only file that knows everybody
    pipelines    the path, top to bottom        config     what an operator may say
    sources      doors in                       studies    from objects to volumes
    inference    the engine                     findings   what we say, and how we write it
    sinks        doors out                      ops        keeping it alive
    formats      bytes to domain types          preprocess pure functions on pictures
    bundles      models on disk
    kit          machinery without a domain
    domain       nouns
"""

import os

__version__ = "0.1.0"

# Before anybody imports ONNX Runtime: from then on it would keep a number of this device, and tell its maker
# of the machine (seen with 1.31.1 on Linux, in ~/.cache/Microsoft); what its interface has comes too late.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
