"""The dashboard as a person gets it: opened from the disk in Chromium, every request and complaint recorded."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import trimesh
from conftest import SMALL
from made import HOSTILE, run, sound, status, sweep
from PIL import Image

from sinefield.report import dashboard

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None and "CI_OUTPUT" not in os.environ, reason="needs chromium: apt-get install chromium"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Eight made-up runs, a failed, a running, a damaged and a hostile one."""
    home = sweep(tmp_path_factory.mktemp("runs") / "sweep", side=300)
    status(run(home / "failed", {"loss": "value", "activation": "tanh", "seed": 0}), "failed", f"error: {HOSTILE}")
    status(run(home / "running", {"loss": "value", "activation": "tanh", "seed": 1}), "running")
    (run(home / "damaged", {"loss": "value", "activation": "tanh", "seed": 2}) / "metrics.json").write_text("{")
    overrides = {"loss": HOSTILE, "activation": '"><b onmouseover=alert(1)>', HOSTILE: "javascript:alert(1)", "seed": 7}
    # A slash is the one character that no file name can hold.
    hostile = run(home / HOSTILE.replace("/", "∕"), overrides, seed=99, side=300)
    (hostile / "config.yaml").write_text(f"'{HOSTILE}': '{HOSTILE}'\n__proto__: {{x: 1}}\nconstructor: 2\n")
    metrics = json.loads((hostile / "metrics.json").read_text())
    names = [{"key": key, "name": HOSTILE, "unit": HOSTILE} for key in (HOSTILE, "__proto__", "constructor")]
    metrics |= {HOSTILE: 1, "__proto__": 2, "constructor": 3, "shown": metrics["shown"] + names}
    (hostile / "metrics.json").write_text(json.dumps(metrics))
    shutil.copy(hostile / "error.png", hostile / (HOSTILE.replace("/", "∕") + ".png"))
    dashboard.build(home)
    return home


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> Path:
    """Four sounds, two pictures, and a picture of an older version, in one folder."""
    home = tmp_path_factory.mktemp("mixed")
    run(home / "old", {"signal": "image", "seed": 2}, seed=2, old=True)
    for seed in (0, 1):
        run(home / f"picture-{seed}", {"signal": "image", "seed": seed}, seed=seed)
    for number, (lr, width) in enumerate(((1e-3, 32), (1e-3, 64), (1e-4, 32), (1e-4, 64))):
        chosen = {"signal": "audio", "optimizer.lr": lr, "field.width": width}
        folder = sound(home / f"sound-{number}", chosen, mse=(2e-4, 1e-5, 3e-4, 4e-4)[number], seed=number)
    (folder / "turn_table.webm").write_bytes(b"no film")
    return home


@pytest.fixture(scope="module")
def browser() -> Iterator:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, folder) -> Iterator:
    """Opens a page; at the end nothing may have been complained about, and nothing asked of any network."""
    complaints, pages = [], []

    def open_page(path: Path = folder / "dashboard.html", **options):
        page = browser.new_page(viewport={"width": 1280, "height": 800}, **options)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url) if outside(request.url) else None)
        page.on("dialog", lambda dialog: complaints.append("a dialog"))
        page.goto(path.as_uri())
        pages.append(page)
        return page

    def outside(url: str) -> bool:
        return not url.startswith(("file:", "data:"))

    yield open_page
    for page in pages:
        page.wait_for_timeout(100)
        assert page.evaluate("window.hit") is None
        page.close()
    assert complaints == []


def column(page, name: str) -> list[str]:
    """The cells below a name in the run table."""
    place = page.locator("#table thead button").evaluate_all("nodes => nodes.map(n => n.dataset.column)").index(name)
    return page.locator(f"#table tbody td:nth-child({place + 2})").all_inner_texts()


def until(page, condition: str) -> None:
    """Waits for an expression to hold; Playwright's own way evaluates text in the page, which the policy forbids."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"never came true: {condition}")


def shown(page, section: str) -> None:
    page.locator(f"#{section}").scroll_into_view_if_needed()
    page.evaluate(f"document.querySelector('#{section}').scrollIntoView()")
    until(page, f"!!document.querySelector('#{section} svg, #{section} img')")


def test_the_table_sorts_both_ways_and_keeps_the_keyboard(opened) -> None:
    page = opened()
    assert len(column(page, "psnr")) == 12
    header = page.locator("#table button[data-column=psnr]")
    header.focus()
    page.keyboard.press("Enter")
    down = [float(text) for text in column(page, "psnr") if text != "–"]
    assert down == sorted(down, reverse=True)
    assert page.evaluate("document.activeElement.dataset.column") == "psnr"
    page.keyboard.press("Enter")
    up = [float(text) for text in column(page, "psnr") if text != "–"]
    assert up == down[::-1]
    assert page.locator("#table th[aria-sort=ascending]").count() == 1
    page.click("#table button[data-column='knob activation']")
    assert column(page, "knob activation")[-3:] == ["tanh"] * 3


FILTERS = {
    "relu": 4,
    "loss=gradient relu": 2,
    "-relu activation=sine": 4,
    "psnr>34.1 psnr<34.2": 2,
    "seed=1 loss=value": 3,
    "field.width=64": 11,
    "no such thing": 0,
    "onerror": 2,
    HOSTILE: 0,
}


def test_the_filter(opened) -> None:
    page = opened()
    for terms, rows in FILTERS.items():
        page.fill("#filter", terms)
        until(page, f"document.querySelector('#count').textContent.startsWith('{rows} of ')")
        assert page.locator("#table tbody tr").count() == rows, terms
        for section in ("curves", "parallel", "effects", "heatmap"):
            page.evaluate(f"document.querySelector('#{section}').scrollIntoView()")
            page.wait_for_timeout(50)


def test_states_are_marked_with_their_reasons(opened) -> None:
    page = opened()
    page.select_option("#status", "failed")
    assert page.locator("#table tbody tr").count() == 1
    assert HOSTILE in page.inner_text("#table tbody")
    page.select_option("#status", "damaged")
    assert "metrics.json is no whole JSON" in page.inner_text("#table tbody")
    page.select_option("#status", "running")
    assert page.locator("#table tbody tr").count() == 1


def test_seeds_become_a_mean_and_a_spread(opened) -> None:
    page = opened()
    page.fill("#filter", "loss=value activation=sine")
    page.check("#group")
    until(page, "document.querySelectorAll('#table tbody tr').length === 1")
    assert column(page, "psnr") == ["34.08 ± 0.07"]  # 20 + 5 + 10 lg 8 and 0.1 more: a deviation of 0.1 / √2
    shown(page, "curves")
    assert page.locator("#curves path.band").count() == 2


def test_curves_are_lines_through_the_history(opened) -> None:
    page = opened()
    shown(page, "curves")
    assert page.locator("#curves svg").count() == 2
    assert page.locator("#curves path.line").count() == 8  # four chosen, twice
    before = page.locator("#curves path.line").first.get_attribute("d")
    assert before.count("L") == 7
    page.check("#curves >> text=log across")
    assert page.locator("#curves path.line").first.get_attribute("d") != before
    page.select_option("#curves select >> nth=2", "seconds")
    assert "seconds" in page.inner_text("#curves .plots")
    box = page.locator("#curves svg").first.bounding_box()
    drawn = page.screenshot(clip=box)
    assert len(drawn) > 3000


def test_parallel_coordinates_are_drawn_and_a_drag_along_an_axis_filters(opened) -> None:
    page = opened()
    shown(page, "parallel")
    assert page.locator("#parallel path.line").count() == 4
    names = page.locator("#parallel g[data-axis]").evaluate_all("nodes => nodes.map(n => n.dataset.axis)")
    assert names[0] == "knob loss"
    assert names[-1] == "psnr_off_grid"
    area = page.locator("#parallel g[data-axis=psnr_off_grid] rect.brush-area").bounding_box()
    x = area["x"] + area["width"] / 2
    page.mouse.move(x, area["y"] + 1)
    page.mouse.down()
    page.mouse.move(x, area["y"] + 0.3 * area["height"], steps=4)
    page.mouse.up()
    until(page, "document.querySelectorAll('#table tbody tr').length < 8")
    assert page.locator("#parallel rect.brush").count() == 1
    page.click("text=clear 1 axis ranges")
    assert page.locator("#table tbody tr").count() == 12


def test_effects_find_the_knob_that_was_made_to_matter(opened) -> None:
    page = opened()
    page.fill("#filter", "-tanh -onerror")
    until(page, "document.querySelectorAll('#table tbody tr').length === 8")
    shown(page, "effects")
    first = page.locator("#effects .plot").first.inner_text()
    assert first.startswith("loss")
    assert "explains 100 %" in first
    shown(page, "heatmap")
    assert page.locator("#heatmap rect.cell").count() == 4
    assert page.locator("#heatmap rect.cell").evaluate_all("n => new Set(n.map(c => c.getAttribute('fill'))).size") == 2


def test_a_run_has_one_colour_in_all_parts(opened) -> None:
    page = opened()
    for section in ("curves", "parallel", "effects"):
        shown(page, section)
    colour = "nodes => nodes.map(n => getComputedStyle(n).stroke)"
    badge = page.locator("#chosen .badge.b1").evaluate("n => getComputedStyle(n).backgroundColor")
    assert set(page.locator("#curves path.s1").evaluate_all(colour)) == {badge}
    assert set(page.locator("#parallel path.s1").evaluate_all(colour)) == {badge}
    dots = page.locator("#effects circle.f1").evaluate_all("nodes => nodes.map(n => getComputedStyle(n).fill)")
    assert set(dots) == {badge}
    page.click("#chosen button >> nth=0")
    assert page.locator("#chosen .badge.b1").evaluate("n => getComputedStyle(n).backgroundColor") == badge


def test_pictures_share_one_zoom_and_open_the_whole_file(opened, folder) -> None:
    page = opened()
    shown(page, "pictures")
    until(page, "[...document.querySelectorAll('#grid img')].every(i => i.complete && i.naturalWidth)")
    assert page.locator("#grid img").count() == 21  # five of each of four runs, and what else the hostile one holds
    matrix = "nodes => [...new Set(nodes.map(n => getComputedStyle(n).transform.replace(/, [^,]*, [^,]*\\)$/, '')))]"
    page.locator("#grid .tile").first.dblclick(position={"x": 20, "y": 20})
    page.focus("#grid")
    page.keyboard.press("ArrowRight")
    assert page.locator("#grid img").evaluate_all(matrix) == ["matrix(2, 0, 0, 2"]
    until(page, "[...document.querySelectorAll('#grid img')].every(i => i.naturalWidth === 300)")
    assert page.locator("#grid .head strong").count() == 5  # the hostile run's pictures say something else
    link = page.locator("#grid a.open").first.evaluate("node => node.href")
    assert link.startswith(folder.as_uri())
    assert link.endswith("/ground_truth.png")
    page.keyboard.press("0")
    assert page.locator("#grid img").evaluate_all(matrix) == ["matrix(1, 0, 0, 1"]


def test_the_slider_uncovers_one_picture_from_the_other(opened) -> None:
    page = opened()
    shown(page, "pictures")
    page.locator("#slider").scroll_into_view_if_needed()
    clip = "document.querySelector('#compare .over-box').style.clipPath"
    assert page.evaluate(clip) == "inset(0px 50% 0px 0px)"
    page.focus("#slider")
    page.keyboard.press("Home")
    assert page.evaluate(clip) == "inset(0px 100% 0px 0px)"
    box = page.locator("#compare .tile").bounding_box()
    right_alone = page.screenshot(clip=box)
    low = box["y"] + box["height"] - 30  # the top may be below the page's header
    page.mouse.move(box["x"] + 5, low)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], low, steps=3)
    page.mouse.up()
    assert float(page.input_value("#slider")) == pytest.approx(80, abs=1)
    assert page.screenshot(clip=box) != right_alone


def test_details_show_the_command_the_environment_and_what_differs(opened) -> None:
    page = opened()
    page.select_option("#details select >> nth=0", label="0: loss=value activation=sine seed=0")
    assert page.inner_text("#command") == "python train.py loss=value activation=sine seed=0"
    assert "cpu (a test)" in page.inner_text("#environment")
    page.select_option("#details select >> nth=1", label="1: loss=value activation=sine seed=1")
    assert page.locator("#config tbody tr").count() == 1
    assert page.locator("#config tr.differs").inner_text().split() == ["seed", "0", "1"]
    page.check("text=also what is equal")
    assert page.locator("#config tbody tr").count() == 5


def test_a_page_of_pictures_and_sounds_has_the_columns_of_both(opened, mixed) -> None:
    page = opened(dashboard.build(mixed))
    assert page.input_value("#metric") == "mse"  # what most runs are judged by
    heads = page.locator("#table thead button").evaluate_all("nodes => nodes.map(n => n.dataset.column)")
    wanted = {"psnr", "psnr_off_grid", "psnr_off_grid_gain", "ssim", "mse", "snr", "snr_gain", "loss", "parameters"}
    assert wanted <= set(heads)
    assert column(page, "mse") == ["1.000e-5", "2.000e-4", "3.000e-4", "4.000e-4", "–", "–", "–"]
    assert column(page, "snr")[:2] == ["50.0", "37.0"]
    assert column(page, "psnr_off_grid")[:4] == ["–"] * 4
    assert column(page, "psnr_off_grid")[4] == "27.23"
    page.fill("#filter", "mse<0.00025 snr_gain>20")
    until(page, "document.querySelectorAll('#table tbody tr').length === 2")


def test_less_is_better_where_a_run_says_so(opened, mixed) -> None:
    """In the order of the table, what is bold, the first choice, the shades of the heat map; and more is, elsewhere."""
    page = opened(dashboard.build(mixed))
    assert column(page, "name")[:4] == ["sound-1", "sound-0", "sound-2", "sound-3"]
    assert page.locator("#table th[aria-sort=ascending]").count() == 1
    bold = page.locator("#table td.best").all_inner_texts()
    assert "1.000e-5" in bold
    assert "50.0" in bold
    assert page.locator("#chosen .name").all_inner_texts()[0].endswith("0.001 64")
    shown(page, "heatmap")
    assert "bright is better" in page.inner_text("#heatmap .plot")
    light = "nodes => nodes.map(n => n.getAttribute('fill').match(/\\d+/g).reduce((sum, c) => sum + Number(c), 0))"
    text = [float(number) for number in page.locator("#heatmap rect.cell + text").all_text_contents()]
    lightness = page.locator("#heatmap rect.cell").evaluate_all(light)
    assert len(text) == 4
    assert [value for _, value in sorted(zip(lightness, text, strict=True))] == sorted(text, reverse=True)
    page.click("#table button[data-column=mse]")
    assert column(page, "name")[:4] == ["sound-3", "sound-2", "sound-0", "sound-1"]
    page.select_option("#metric", "psnr")
    page.click("#table button[data-column=psnr]")
    assert column(page, "name")[:3] == ["old", "picture-1", "picture-0"]
    page.select_option("#metric", "snr")
    page.click("#table button[data-column=snr]")
    assert column(page, "name")[:4] == ["sound-1", "sound-0", "sound-2", "sound-3"]


def test_a_run_that_lacks_a_score_is_left_out_of_its_plots(opened, mixed) -> None:
    page = opened(dashboard.build(mixed))
    page.check("#table thead input")
    shown(page, "curves")
    assert page.locator("#curves .plot >> nth=0 >> path.line").count() == 4
    assert page.locator("#curves .plot >> nth=1 >> path.line").count() == 7
    page.select_option("#curves select >> nth=0", "psnr")
    assert page.locator("#curves .plot >> nth=0 >> path.line").count() == 3
    for section in ("parallel", "effects"):
        shown(page, section)
    assert page.locator("#parallel g[data-axis=mse], #parallel g[data-axis=psnr_off_grid]").count() == 2
    dots = page.locator("#effects .plot").first.locator("circle").count()
    assert dots == 4


@pytest.mark.parametrize("budget", [10**6, 0])
def test_sounds_are_heard_embedded_and_from_the_disk(opened, mixed, budget) -> None:
    page = opened(dashboard.build(mixed, budget=budget))
    page.check("#table thead input")
    shown(page, "pictures")
    assert page.locator("#grid audio[controls]").count() == 8
    assert page.locator("#grid video[controls]").count() == 1
    assert page.locator("#grid .head").inner_text().split("\n")[-4:] == [
        "waveform",
        "ground truth",
        "reconstruction",
        "turn table",
    ]
    sounds = page.locator("#grid audio")
    assert set(sounds.evaluate_all("nodes => nodes.map(n => n.preload)")) == {"none"}
    where = "nodes => nodes.map(n => new URL(n.src).protocol)"
    assert set(sounds.evaluate_all(where)) == {"data:" if budget else "file:"}
    length = """node => new Promise((resolve, reject) => {
        node.onloadedmetadata = () => resolve(node.duration);
        node.onerror = () => reject(new Error(node.error.message));
        node.preload = "auto";
        node.load();
    })"""
    assert sounds.first.evaluate(length) == pytest.approx(0.1)
    assert sounds.last.evaluate(length) == pytest.approx(0.1)
    assert page.locator("#grid .player a.open").first.evaluate("n => n.href").startswith(mixed.as_uri())


@pytest.fixture(scope="module")
def shapes(tmp_path_factory) -> Path:
    """Two runs with a mesh each: a ball with a bump, the better run of the two, and a box."""
    home = tmp_path_factory.mktemp("shapes")
    ball = trimesh.creation.icosphere(subdivisions=4)
    bump = trimesh.creation.icosphere(subdivisions=3, radius=0.4).apply_translation([0.9, 0, 0])
    for seed, mesh in enumerate((trimesh.creation.box((1, 2, 3)), trimesh.util.concatenate([ball, bump]))):
        folder = run(home / str(seed), {"signal": "shape", "seed": seed}, seed=seed)
        mesh.export(folder / "mesh.ply")
    return home


def painted(page) -> list[Image.Image]:
    """What the canvases hold, in RGBA."""
    urls = page.locator("#grid canvas").evaluate_all("nodes => nodes.map(n => n.toDataURL())")
    return [Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) for url in urls]


def test_meshes_turn_together_and_zoom(opened, shapes) -> None:
    page = opened(dashboard.build(shapes))
    page.check("#table thead input")
    shown(page, "pictures")
    canvases = page.locator("#grid canvas")
    until(page, "document.querySelectorAll('#grid canvas').length === 2")
    assert page.locator("#grid .head strong").count() == 0  # one scale of colours
    middle = "n.getContext('2d').getImageData(n.width / 2, n.height / 2, 1, 1).data[3]"
    until(page, f"[...document.querySelectorAll('#grid canvas')].every(n => {middle})")

    def drawn() -> list[np.ndarray]:
        page.wait_for_timeout(100)  # some frames
        return [np.asarray(image) for image in painted(page)]

    before = drawn()
    seen, radius = (before[0][..., 3] > 0).mean(), 0.62 / 2 / 1.15  # the bump makes the box wider than the ball
    assert seen == pytest.approx(np.pi * radius**2, rel=0.1)
    canvases.first.scroll_into_view_if_needed()
    page.evaluate("document.querySelector('#grid canvas').scrollIntoView({block: 'center'})")
    box = canvases.first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 70, y, steps=5)  # by 35 degrees
    page.mouse.up()
    turned = drawn()
    for one, other in zip(before, turned, strict=True):
        assert np.abs(one.astype(int) - other).max(axis=2).mean() > 5
    page.mouse.move(x, y)
    page.mouse.wheel(0, -200)
    larger = drawn()
    assert (larger[0][..., 3] > 0).mean() / (turned[0][..., 3] > 0).mean() == pytest.approx(2, rel=0.03)
    canvases.last.dblclick()
    for one, other in zip(before, drawn(), strict=True):
        assert np.array_equal(one, other)
    canvases.last.focus()
    page.keyboard.press("ArrowLeft")
    assert not np.array_equal(drawn()[0], before[0])


def test_a_mesh_looks_as_its_rendered_view(opened, tmp_path) -> None:
    """In the browser and in surface_pictures.views: two programs, one picture."""
    from sinefield.evaluation.surface_pictures import ANGLES, views

    mesh = trimesh.creation.annulus(0.3, 0.6, 0.4).subdivide().subdivide()
    folder = run(tmp_path / "0", {"signal": "shape"})
    mesh.export(folder / "mesh.ply")
    page = opened(dashboard.build(tmp_path))
    shown(page, "pictures")
    until(page, "[...document.querySelectorAll('#grid canvas')].length === 1")
    page.wait_for_timeout(200)
    (seen,) = painted(page)
    side = seen.width
    whole = Image.new("RGBA", seen.size, "white")
    whole.alpha_composite(seen)
    radius = np.linalg.norm(mesh.vertices, axis=1).max()
    scale = 0.96 * 0.6 / radius / 0.62  # of the viewer's pixels per unit to those of a view
    view = Image.open(io.BytesIO(views(mesh.vertices, mesh.faces, size=round(side / scale), angles=ANGLES[:1])))
    same = Image.new("RGB", seen.size, "white")
    same.paste(view, ((side - view.width) // 2, (side - view.height) // 2))
    difference = np.abs(np.asarray(whole.convert("RGB")).astype(int) - np.asarray(same))
    assert difference.mean() < 4
    assert np.abs(np.asarray(same).astype(int) - 255).mean() > 20


def test_sounds_of_nobody_else_are_played(browser, mixed) -> None:
    page, refused = browser.new_page(), []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(dashboard.build(mixed).as_uri())
    page.evaluate("Object.assign(new Audio(), {src: 'https://example.org/x.wav', preload: 'auto'}).load()")
    page.wait_for_timeout(100)
    assert sum("Content Security Policy" in text for text in refused) == 1
    page.close()


def test_hostile_text_stays_text(opened) -> None:
    page = opened()
    page.fill("#filter", "seed=7")
    until(page, "document.querySelectorAll('#table tbody tr').length === 1")
    page.click("#table tbody input")
    assert HOSTILE in page.inner_text("#table tbody")
    page.click("#table tbody a")
    assert HOSTILE in page.inner_text("#config")
    page.select_option("#details select >> nth=1", index=1)
    for section in ("curves", "parallel", "effects", "heatmap", "pictures", "details"):
        page.evaluate(f"document.querySelector('#{section}').scrollIntoView()")
        page.wait_for_timeout(150)
    assert HOSTILE[:10] in page.text_content("#parallel")
    assert page.locator("img[src=x], b[onmouseover], main script").count() == 0
    links = page.locator("a").evaluate_all("nodes => nodes.map(n => n.protocol)")
    assert set(links) == {"file:"}


def test_the_policy_stops_a_script_that_got_in(browser, folder) -> None:
    page = browser.new_page()
    refused = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto((folder / "dashboard.html").as_uri())
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.hit = 1'}))")
    page.evaluate("document.body.append(Object.assign(new Image(), {src: 'https://example.org/x.png'}))")
    page.wait_for_timeout(100)
    assert page.evaluate("window.hit") is None
    assert sum("Content Security Policy" in text for text in refused) == 2
    page.close()


def test_dark_is_dark(opened) -> None:
    light, dark = (opened(color_scheme=scheme) for scheme in ("light", "dark"))
    colour = "getComputedStyle(document.body).backgroundColor"
    assert sum(map(int, light.evaluate(colour)[4:-1].split(","))) > 700
    assert sum(map(int, dark.evaluate(colour)[4:-1].split(","))) < 100


def test_a_page_whose_folders_are_gone_still_shows_its_pictures(opened, folder, tmp_path) -> None:
    alone = tmp_path / "alone.html"
    shutil.copy(folder / "dashboard.html", alone)
    page = opened(alone)
    shown(page, "pictures")
    until(page, "[...document.querySelectorAll('#grid img')].every(i => i.naturalWidth === 256)")


def test_real_runs(opened, fit, tmp_path) -> None:
    """Runs of train() itself; CI keeps the picture that is taken here."""
    for number, loss in enumerate(("value", "gradient")):
        options = [*SMALL, "signal.size=32", "trainer.max_steps=6", "data.eval_every=2"]
        folder = fit(*options, f"loss={loss}", "logger=none", folder=f"sweep/{number}")["folder"]
        (folder / ".hydra").mkdir()
        (folder / ".hydra" / "overrides.yaml").write_text(f"- loss={loss}\n")
    page = opened(dashboard.build(tmp_path / "sweep"))
    assert column(page, "status") == ["finished"] * 2
    for section in ("curves", "parallel", "pictures"):
        shown(page, section)
    assert page.locator("#curves path.line").count() == 4
    assert page.locator("#grid img").count() == 10
    keep = Path(os.environ.get("CI_OUTPUT", tmp_path))
    page.screenshot(path=keep / "dashboard.png", full_page=True)
