"""Colours of holders: a holder has the same colour in `%gpus`, in the dashboard and in the sidebar."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.fakes.nvml import GB

LOAD = "%load_ext gpumodels\n" + "".join(
    f"%load_model echo --engine process --gpu {gpu} --as {name}\n" for name, gpu in (("first", 0), ("second", 1))
)

#: The background colour of each entry of a legend, by its text without spaces.
SWATCHES = """
entries => Object.fromEntries(entries.map(entry => [
  entry.textContent.replace(/\\s+/g, ''),
  getComputedStyle(entry.querySelector('[style*=background]')).backgroundColor
]))
"""


def test_a_holder_has_the_same_colour_in_every_view(open_notebook, lab):
    notebook, sidebar = open_notebook("signs.ipynb", LOAD, "%gpus", "%gpu_dashboard")
    notebook.run(0)
    hold_memory(lab)
    expect(sidebar.memory(0)).to_have_attribute("aria-label", "12.0 GB of 80.0 GB in use: echo · signs.ipynb 12.0 GB")
    expect(sidebar.memory(1)).to_have_attribute("aria-label", "5.0 GB of 40.0 GB in use: echo · signs.ipynb 5.0 GB")
    seen = colours(sidebar.region.locator(".gpumodels-Legend li"))
    assert seen.keys() == {"echo·signs.ipynb12.0GB", "echo·signs.ipynb5.0GB"}
    assert len(set(seen.values())) == 2
    picture = notebook.run(1)
    assert colours(picture.locator("span:has(> span[style*=background])")) == seen
    dashboard = notebook.run(2).locator(".gpumodels-legend li")
    expect(dashboard).to_have_count(2)
    assert colours(dashboard) == seen


def hold_memory(lab):
    """Let the first model hold 12 GB of GPU 0, the second 5 GB of GPU 1."""
    for model in lab.get("gpumodels/api/models")["models"]:
        gpu = int(model["device"].removeprefix("GPU "))
        lab.hold_by(model["id"], (12 * GB, 5 * GB)[gpu], gpu)


def colours(entries):
    return entries.evaluate_all(SWATCHES)
