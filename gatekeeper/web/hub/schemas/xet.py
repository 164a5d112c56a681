"""What Xet clients read at the content-addressed endpoint."""

from collections.abc import Mapping, Sequence

from gatekeeper.repos import xet
from gatekeeper.web.hub.schemas.answers import Json


def reconstruction(plan: xet.Plan, fetches: Mapping[str, Sequence[tuple[str, Sequence[xet.Span]]]]) -> Json:
    """`GET .../v2/reconstructions/{file}`. Chunks end before `end`, bytes with it."""
    return _terms(plan) | {
        "xorbs": {
            name: [{"url": url, "ranges": [_span(span, "chunks", "bytes") for span in spans]} for url, spans in some]
            for name, some in fetches.items()
        }
    }


def first_reconstruction(plan: xet.Plan, fetches: Mapping[str, Sequence[tuple[str, xet.Span]]]) -> Json:
    """`GET .../v1/reconstructions/{file}`."""
    return _terms(plan) | {
        "fetch_info": {
            name: [{"url": url} | _span(span, "range", "url_range") for url, span in some]
            for name, some in fetches.items()
        }
    }


def _terms(plan: xet.Plan) -> Json:
    return {
        "offset_into_first_range": plan.skip,
        "terms": [
            {
                "hash": xet.printed(run.xorb_hash),
                "unpacked_length": run.raw_bytes,
                "range": {"start": run.first, "end": run.end},
            }
            for run in plan.runs
        ],
    }


def _span(span: xet.Span, chunks: str, stored: str) -> Json:
    return {
        chunks: {"start": span.first, "end": span.end},
        stored: {"start": span.first_byte, "end": span.end_byte - 1},
    }
