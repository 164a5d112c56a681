"""Where an error came from, told without anything that it holds."""


def place(error: BaseException, *, frames: int = 6) -> str:
    """The last frames of the error's way up, as `module:line > module:line`."""
    trace, found = error.__traceback__, []
    while trace is not None:
        found.append(f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " > ".join(found[-frames:])
