"""What programs send to begin an evaluation."""

from pydantic import Field

from gatekeeper.evaluation import ReportKind
from gatekeeper.laboratory import Wanted
from gatekeeper.web.hub.schemas.sent import Body


class NewEvaluation(Body):
    """What is left out is as the grid has it. `sld` and what follows it are for a safety run, but for `stage` and one
    `sld`."""

    kind: ReportKind = ReportKind.BIAS
    grid: str = Field(max_length=100)
    revision: str = Field("main", max_length=200)
    seeds: int | None = None
    guidance: tuple[float, ...] = Field((), max_length=20)
    reader: str | None = Field(None, max_length=64)
    sld: tuple[str, ...] = Field((), max_length=20)
    steps: int | None = None
    checks: tuple[str, ...] = Field((), max_length=20)
    stage: str = Field("", max_length=40)
    most: int | None = None
    sample_seed: int | None = None

    @property
    def wanted(self) -> Wanted:
        return Wanted(
            self.grid,
            self.kind,
            seeds=self.seeds,
            sld_levels=self.sld,
            guidance_scales=self.guidance,
            reader=self.reader,
            steps=self.steps,
            further_checks=self.checks,
            stage=self.stage or None,
            most=self.most,
            sample_seed=self.sample_seed,
        )
