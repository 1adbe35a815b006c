"""``lookalike models ...``: which language models can play, and whether they do what they declare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lookalike.cli.options import JsonOption
from lookalike.cli.output import emit, emit_json, emit_table, say

if TYPE_CHECKING:
    from lookalike.models.checks import CapabilityCheck, ModelCheck

app = typer.Typer(no_args_is_help=True, help="List and try language models.")


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the language models and whether each can be used here. Loads none, and sends nothing.

    Any model behind an API can be named as it stands: openai:MODEL, anthropic:MODEL, google:MODEL, and
    openai:MODEL@http://127.0.0.1:8000/v1 for a server of one's own.
    """
    from lookalike.models import model_names, model_status
    from lookalike.models.prices import price_path
    from lookalike.models.remote.entries import models_path

    found = [model_status(name) for name in model_names()]
    if as_json:
        emit_json(found)
        return
    emit_table(
        "Language models",
        ("model", "ready", "what", "remedy"),
        [(m.name, "yes" if m.present else "no", m.detail, m.remedy) for m in found],
    )
    emit("Also openai:MODEL, anthropic:MODEL, google:MODEL (with @http://... for a server of one's own).")
    emit(f"Entries of one's own: {models_path()}; prices: {price_path()}")


@app.command("check")
def check(
    name: Annotated[str, typer.Argument(help="The model, as for --model: a listed name, or openai:MODEL …")],
    as_json: JsonOption = False,
) -> None:
    """Try a model: one tiny real call for each capability it declares, with its latency and price.

    This sends about ten short requests, and what they cost is paid. Exits with 2 where something that is
    declared does not work.
    """
    from lookalike.models.checks import check_model

    found = check_model(name)
    if as_json:
        emit_json({**vars(found), "works": found.works})
    else:
        _show(found)
    if not found.works:
        say(f"{name}: not everything that it declares works")
        raise typer.Exit(2)


def _show(found: ModelCheck) -> None:
    emit_table(
        f"{found.name} ({found.style})",
        ("capability", "works", "seconds", "tokens", f"cost, {found.currency}", "what came"),
        [_row(one, found) for one in found.checks],
    )
    usage = found.usage
    known = found.price_known and usage.unpriced_calls == 0
    emit(
        f"{usage.calls} calls, {usage.prompt_tokens} + {usage.completion_tokens} tokens, "
        f"{_cost(usage.cost, known)}{f' {found.currency}' if known else ''}"
    )
    if not found.price_known:
        from lookalike.models.prices import load_prices, price_path

        near = load_prices().nearest(found.name)
        hint = f" Did you mean its entry {near!r}?" if near else ""
        emit(f"The price of this model is not known: add it to {price_path()} (docs/models.md).{hint}")
    if found.remedy:
        emit(f"remedy: {found.remedy}")


def _row(one: CapabilityCheck, found: ModelCheck) -> tuple[object, ...]:
    word = "yes" if one.works else ("not tried" if one.declared else "not declared")
    if one.works is False:
        word = "no"
    if one.works is None:
        return one.capability, word, None, None, None, None
    tokens = f"{one.usage.prompt_tokens} + {one.usage.completion_tokens}"
    cost = _cost(one.usage.cost, found.price_known and one.usage.unpriced_calls == 0)
    return one.capability, word, f"{one.seconds:.2f}", tokens, cost, one.detail


def _cost(cost: float, known: bool) -> str:
    return f"{cost:.6f}" if known else "price not known"
