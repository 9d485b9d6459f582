"""Single spectra come in from every dialect of text, from JCAMP-DX and SPC, or are refused."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.domain.errors import FormatError, UnsupportedError
from edge.domain.spectral import Spectrum
from edge.formats.jcamp_packed import unpack
from edge.formats.spectrum_files import parse, read_spectrum
from edge.formats.spectrum_points import FILE_BYTES_MAX, Hints
from tests.builders.spectra import Form, jcamp, spc

RAMAN = Hints(kind="raman")
FORMS: list[Form] = ["AFFN", "PAC", "SQZ", "DIF", "SQZDUP", "DIFDUP"]


def read(content: str | bytes, folder: Path, hints: Hints | None = RAMAN) -> Spectrum:
    path = folder / "a.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_spectrum(path, hints=hints)


# ── text ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "lines",
    [
        ["400.5,1.5", "401.5,2.5", "402.5,-3e2"],
        ["400.5, 1.5", "401.5, 2.5", "402.5, -3e2"],
        ["400.5;1.5", "401.5;2.5", "402.5;-300"],
        ["400,5;1,5", "401,5;2,5", "402,5;-300"],
        ["400.5\t1.5", "401.5\t2.5", "402.5\t-300.0"],
        ["400,5\t1,5", "401,5\t2,5", "402,5\t-300,0"],
        ["  400.5   1.5", "  401.5   2.5", "  402.5  -3D+02 "],
        ["400,5 1,5", "401,5 2,5", "402,5 -3E2"],
        ['"400.5","1.5"', '"401.5","2.5"', '"402.5","-300"'],
        ["400.5,1.5,", "401.5,2.5,", "402.5,-300,"],
        ["402.5 -300", "401.5 2.5", "400.5 1.5"],
        ["#Wave\t\t#Intensity", "400.5\t1.5", "", "# half way", "401.5\t2.5", "402.5\t-300"],
        ["Date;2026-11-22", "points;3", "x;y", "400,5;1,5", "401,5;2,5", "402,5;-300"],
        ["400.5 1.5", "401.5 2.5", "402.5 -300", "", "Temperature of the detector: -69 C"],
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_two_columns_in_any_dialect(lines: list[str], end: str, encoding: str, tmp_path: Path) -> None:
    spectrum = read(end.join(lines).encode(encoding), tmp_path)
    assert spectrum.axis.tolist() == [400.5, 401.5, 402.5]
    assert spectrum.values.tolist() == [1.5, 2.5, -300]
    assert not spectrum.values.flags.writeable


THREE = "400 1\n500 2\n600 3\n"


@pytest.mark.parametrize(
    ("header", "hints", "kind", "unit", "factor"),
    [
        ("Raman shift (cm-1) Intensity", None, "raman", "cm-1", 1),
        ("XUNITS\t1/CM\nDATA TYPE\tRAMAN SPECTRUM\n", None, "raman", "cm-1", 1),
        ("Wavenumber / cm^-1 , Absorbance", None, "infrared", "cm-1", 1),
        ("FT-IR of a swab\nx axis: µm", None, "infrared", "nm", 1000),
        ("Wavelength (nm) Reflectance", None, "reflectance", "nm", 1),
        ("Laser 532 nm, Raman", None, "raman", "nm", 1),
        ("", Hints(kind="infrared", axis_unit="nm"), "infrared", "nm", 1),
        ("", Hints(kind="raman"), "raman", "cm-1", 1),
        ("Raman shift cm-1", Hints(kind="infrared", axis_unit="nm"), "raman", "cm-1", 1),
    ],
)
def test_what_the_header_says_goes_before_what_the_site_says(
    header: str, hints: Hints | None, kind: str, unit: str, factor: float, tmp_path: Path
) -> None:
    spectrum = read(f"{header}\n{THREE}", tmp_path, hints)
    assert (spectrum.kind, spectrum.axis_unit) == (kind, unit)
    assert spectrum.axis.tolist() == [400 * factor, 500 * factor, 600 * factor]


def test_windows_that_overlap_are_sorted_and_averaged_and_both_are_said(tmp_path: Path) -> None:
    spectrum = read("400 1\n500 2\n600 3\n500 4\n600 5\n700 6\n", tmp_path)
    assert spectrum.axis.tolist() == [400, 500, 600, 700]
    assert spectrum.values.tolist() == [1, 3, 4, 6]
    assert spectrum.notes[-2:] == (
        "windows of the axis overlap and were sorted",
        "2 points measured more than once were averaged",
    )


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (b"", FormatError, "no line holds two numbers"),
        (b"a spectrum\nof words\n", FormatError, "no line holds two numbers"),
        (b"400 1\n\0\0\n", FormatError, "bytes that are zero"),
        (b"\xff\xfe4", FormatError, "damaged utf-16"),
        (b"1 2 3\n4 5 6\n7 8 9\n", UnsupportedError, "a table of 3 columns, wanted two"),
        (b"400 1\n500 2\n", FormatError, "interrupted before line 1"),
        (b"400 1\n500 2\n600 3\nbroken\n700 4\n800 5\n900 6\n", FormatError, "interrupted before line 5"),
        (b"400 1\n500 2\n600 3\n70", FormatError, "line 4 has 1 numbers, the others 2: is it cut off"),
        (b"NPOINTS\t5\n400\t1\n500\t2\n600\t3\n", FormatError, "3 points, the header announces 5"),
        (b"400 1\n500 1e999\n600 3\n", FormatError, "no finite numbers"),
        (b"400 1\n500 nan\n600 3\n", FormatError, "interrupted|no line"),
        (b"1 1\n1 2\n1 3\n", FormatError, "1 different points"),
        (b"\n".join(b"%d %d" % (n % 2, n) for n in range(40)), FormatError, "turns 38 times, wanted an axis"),
    ],
)
def test_what_is_no_spectrum_is_refused(
    content: bytes, error: type[Exception], words: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        read(content, tmp_path)


def test_a_spectrum_of_which_nobody_knows_what_it_is_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="says nothing of what was measured"):
        read(THREE, tmp_path, None)


def test_a_wavelength_below_zero_is_refused_and_a_raman_shift_is_not(tmp_path: Path) -> None:
    assert read("-100 1\n0 2\n100 3\n", tmp_path).axis[0] == -100
    with pytest.raises(FormatError, match="wanted positive numbers"):
        read("-100 1\n0 2\n100 3\n", tmp_path, Hints(kind="infrared"))


def test_a_file_above_the_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with path.open("wb") as sparse:
        sparse.truncate(FILE_BYTES_MAX + 1)
    with pytest.raises(FormatError, match="wanted a spectrum of at most"):
        read_spectrum(path)


@pytest.mark.parametrize("piece", ["1", " ", "cm ", "1,", "1 ", "x\t", "#", "\n", "12.", "##A=\n", "S9"])
def test_a_megabyte_of_anything_is_refused_in_a_moment(piece: str) -> None:
    began = time.monotonic()
    for start in ("", "##TITLE=\n##XYDATA=(X++(Y..Y))\n1", "1 2\n"):
        with suppress(FormatError):
            parse((start + piece * (1_000_000 // len(piece))).encode())
    assert time.monotonic() - began < 20


# ── JCAMP-DX ──────────────────────────────────────────────────────────────────────────────────────

PAPER = [1, 2, 3, 3, 2, 1, 0, -1, -2, -3]


@pytest.mark.parametrize(
    "line",
    ["0 1 2 3 3 2 1 0 -1 -2 -3", "0+1+2+3+3+2+1+0-1-2-3", "0ABCCBA@abc", "0AJJ%jjjjjj", "0AJT%jX"],
)
def test_the_forms_of_the_paper_give_the_same_numbers(line: str) -> None:
    (unpacked,) = unpack([line], points_max=100)
    assert unpacked.values == PAPER


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.integers(-99999, 99999), min_size=3, max_size=60), per_line=st.integers(1, 12))
def test_what_is_packed_comes_out_again(form: Form, values: list[int], per_line: int, tmp_path: Path) -> None:
    spectrum = read(jcamp(values, form=form, per_line=per_line, y_factor=0.5), tmp_path, None)
    assert np.allclose(spectrum.values, np.array(values) * 0.5)
    assert np.allclose(spectrum.axis, 400 + np.arange(len(values)))
    assert (spectrum.kind, spectrum.axis_unit) == ("infrared", "cm-1")
    assert spectrum.notes == ("ordinate in absorbance",)


def test_a_jcamp_axis_may_descend(tmp_path: Path) -> None:
    spectrum = read(jcamp([1, 2, 3, 4], form="DIF", first=4000, last=400), tmp_path, None)
    assert spectrum.axis.tolist() == [400, 1600, 2800, 4000]
    assert spectrum.values.tolist() == [4, 3, 2, 1]


def test_pairs_and_exponents_are_read(tmp_path: Path) -> None:
    text = "##TITLE=x\n##DATA TYPE=RAMAN SPECTRUM\n##XUNITS=NANOMETERS\n##NPOINTS=3\n"
    text += "##XYPOINTS=(XY..XY)\n400,1.0E+02 $$ first\n500,2; 600,3.5E-01\n##END=\n"
    spectrum = read(text, tmp_path, None)
    assert spectrum.axis.tolist() == [400, 500, 600]
    assert spectrum.values.tolist() == [100, 2, 0.35]
    assert (spectrum.kind, spectrum.axis_unit) == ("raman", "nm")


WHOLE = jcamp([10, 20, 35, 35, 35, 20, 10, 5, 0, -5], form="DIF", per_line=4)


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (WHOLE.replace("##END=", ""), FormatError, "without ##END=; is it cut off"),
        (WHOLE.replace("NPOINTS=10", "NPOINTS=12"), FormatError, "10 points, NPOINTS announces 12"),
        (WHOLE.replace("FIRSTY=10", "FIRSTY=99"), FormatError, "FIRSTY announces 99"),
        (
            WHOLE.replace("\n403.000000C5", "\n403.000000C6"),
            FormatError,
            "begins with 36, the one before ended in 35",
        ),
        (WHOLE.replace("\n403.000000", "\n463.000000"), FormatError, "begins at 463, wanted 403: points are"),
        (WHOLE.replace("XUNITS=1/CM", "XUNITS=HZ"), UnsupportedError, "an axis in 'HZ'"),
        (WHOLE.replace("INFRARED", "NMR"), UnsupportedError, "wanted an infrared or Raman"),
        (
            WHOLE.replace("##XYDATA=", "##NTUPLES=x\n##XYDATA="),
            UnsupportedError,
            "several traces in one block",
        ),
        (WHOLE.replace("##XYDATA=(X++(Y..Y))", "##PEAK TABLE=(XY..XY)"), UnsupportedError, "a list of peaks"),
        (WHOLE + WHOLE, UnsupportedError, "several blocks"),
        ("##TITLE=l\n##DATA TYPE=LINK\n" + WHOLE, UnsupportedError, "several blocks"),
        (WHOLE.replace("##END=", WHOLE), UnsupportedError, "several blocks"),
        (WHOLE.replace("(X++(Y..Y))", "(T..T)"), UnsupportedError, r"data in the form '\(T..T\)'"),
        ("##TITLE=x\n##END=\n", FormatError, "without XYDATA"),
        (WHOLE.replace("##XYDATA=(X++(Y..Y))", "##XYDATA=(X++(Y..Y))\n400?"), FormatError, "holds '\\?'"),
        (WHOLE.replace("##FIRSTX=400.000000\n", ""), FormatError, "FIRSTX is '', wanted a number"),
    ],
)
def test_a_jcamp_file_that_fails_a_check_is_refused(
    content: str, error: type[Exception], words: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        read(content, tmp_path, None)


def test_a_repeat_count_cannot_fill_the_memory() -> None:
    with pytest.raises(FormatError, match="more than 1000 in all"):
        unpack(["0AZ999999999"], points_max=1000)
    with pytest.raises(FormatError, match="more than 1000 ordinates"):
        unpack([f"{n}AZ99" for n in range(50)], points_max=1000)


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, 5000), by=st.integers(1, 255), cut=st.integers(0, 5000), form=st.sampled_from(FORMS))
def test_a_damaged_jcamp_file_is_read_or_refused(at: int, by: int, cut: int, form: Form) -> None:
    whole = bytearray(jcamp(list(range(0, 900, 9)), form=form).encode())
    whole[at % len(whole)] ^= by
    for content in (bytes(whole), bytes(whole[: cut % len(whole)])):
        with suppress(FormatError):
            assert parse(content).axis.size >= 1


# ── SPC ───────────────────────────────────────────────────────────────────────────────────────────

Y = np.array([0.25, 0.5, 1.0, 0.75, 0.125])


@pytest.mark.parametrize(
    "options", [{}, {"exponent": 2}, {"exponent": 2, "flags": 1}, {"exponent": 20}, {"traces": 0}]
)
def test_an_evenly_spaced_spc_file(options: dict[str, int], tmp_path: Path) -> None:
    spectrum = read(spc(Y, **options), tmp_path, None)  # type: ignore[arg-type]  # options are whole numbers
    assert np.allclose(spectrum.values, Y, atol=1e-3)
    assert spectrum.axis.tolist() == [400, 750, 1100, 1450, 1800]
    assert (spectrum.kind, spectrum.axis_unit, spectrum.notes) == (
        "infrared",
        "cm-1",
        ("ordinate in absorbance",),
    )


def test_an_spc_file_with_its_own_axis(tmp_path: Path) -> None:
    axis = np.array([1700.0, 1500, 1200, 800, 300])
    spectrum = read(spc(Y, axis=axis, x_type=13, y_type=4, experiment=0), tmp_path, None)
    assert spectrum.axis.tolist() == axis[::-1].tolist()
    assert spectrum.values.tolist() == Y[::-1].tolist()
    assert spectrum.kind == "raman"


def test_an_spc_axis_in_micrometres_becomes_nanometres(tmp_path: Path) -> None:
    spectrum = read(spc(Y, first=2.5, last=25.0, x_type=2), tmp_path, None)
    assert (spectrum.axis[0], spectrum.axis[-1], spectrum.axis_unit) == (2500, 25000, "nm")


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (spc(Y, version=0x4C), UnsupportedError, "big-endian format"),
        (spc(Y, version=0x4D), UnsupportedError, "old format"),
        (spc(Y, flags=4, traces=3), UnsupportedError, "3 traces, wanted one"),
        (spc(Y, x_type=7), UnsupportedError, "axis of type 7"),
        (spc(Y, y_type=1), UnsupportedError, "interferogram"),
        (spc(Y)[:-1], FormatError, "563 bytes, its header announces 564"),
        (spc(Y)[:300], FormatError, "its header alone has 512"),
        (spc(Y, first=float("nan")), FormatError, "whose axis has no ends"),
        (spc(np.ones(1)), FormatError, "1 points, wanted 2 to 1000000"),
    ],
)
def test_an_spc_file_of_another_form_is_refused(
    content: bytes, error: type[Exception], words: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        read(content, tmp_path, None)


@settings(max_examples=300, deadline=None)
@given(
    at=st.integers(0, 600),
    by=st.integers(1, 255),
    cut=st.integers(0, 600),
    exponent=st.sampled_from([-128, 4]),
)
def test_a_damaged_spc_file_is_read_or_refused(at: int, by: int, cut: int, exponent: int) -> None:
    whole = bytearray(spc(Y, exponent=exponent))
    whole[at % len(whole)] ^= by
    for content in (bytes(whole), bytes(whole[: cut % len(whole)])):
        with suppress(FormatError):
            assert parse(content).axis.size >= 1


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=600) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with suppress(FormatError):
        assert parse(content).axis.size >= 1


# ── the corpus ────────────────────────────────────────────────────────────────────────────────────

CORPUS = {
    "docs/notebooks/data/LS4.txt": (3988, 580.2513),
    "docs/notebooks/data/NS4.txt": (3988, 580.4009),
    "examples/Iron_AmMin_paper/raw/VG175_.txt": (1015, 59.613281),
    "examples/Iron_AmMin_paper/raw/BD1473.txt": (2123, 25.061272),
} | {
    f"examples/Iron_AmMin_paper/raw/BD{n}.txt": (2122, 25.061272)
    for n in (1469, 1470, 1471, 1472, 1474, 1475, 1476, 1477, 1478)
}


@pytest.mark.corpus
@pytest.mark.parametrize("name", CORPUS)
def test_every_raman_spectrum_of_the_corpus_reads(name: str, corpus: Path) -> None:
    spectrum = read_spectrum(corpus / "rampy-spectra" / name, hints=RAMAN)
    assert (spectrum.axis.size, spectrum.axis[0]) == CORPUS[name]
    assert (spectrum.kind, spectrum.axis_unit) == ("raman", "cm-1")
