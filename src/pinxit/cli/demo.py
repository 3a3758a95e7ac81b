"""`pinxit demo`: three systems on the bundled images, and a page that shows them side by side."""

from __future__ import annotations

from pinxit import systems
from pinxit.cli import console, options
from pinxit.cli.compose import Plan
from pinxit.core.config import Settings

SYSTEMS = ("gan", "dcgan", "vae")


def demo(chosen: options.Demo) -> None:
    """Train each system in its own folder, go on where a former demo stopped, and write one self-contained page."""
    plans = [_plan(system, chosen) for system in SYSTEMS]
    from pinxit.cli.train import fit

    for plan in plans:
        fit(plan)
    if console.rank():
        return
    from pinxit import viz
    from pinxit.core import files

    page = chosen.run / "report.html"
    files.write(page, viz.report([plan.folder for plan in plans], title="pinxit: a GAN, a DCGAN and a VAE"))
    console.say(f"report   {page}")
    console.say(f"next     {console.command('sample', plans[0].folder)}")
    console.say(f"         {console.command('train', SYSTEMS[0], '--help')}")


def _plan(system: str, chosen: options.Demo) -> Plan:
    config = systems.preset(system, chosen.preset)
    run = options.Run(preset=chosen.preset, run=chosen.run / system, seed=chosen.seed)
    return Plan(system, run, options.Source(), config, Settings())
