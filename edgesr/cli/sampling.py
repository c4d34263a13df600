"""What commands that sample denoisers have to say about a shipped one."""


def say_student(source: str, steps: int | None) -> None:
    """Say on stderr which network takes the one step that is asked of a shipped denoiser.

    Raises:
        CheckpointError: its card cannot be read, or names a student that is not shipped.
    """
    from edgesr.cli.console import say
    from edgesr.zoo.find import find_entry

    entry = find_entry(source, steps=steps)
    if entry is None or not entry.is_denoiser or steps != 1:
        return
    if entry.name != source:
        say(f"one step: by {entry.name}, the student of {source}")
    elif entry.read_card().get("teacher") is None:
        say(f"one step of {source} itself; no one-step student of it ships")
