"""Put a finished file under its name: whole, on disk, and never over another one unasked."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

__all__ = ["publish", "temporary_beside"]

# What a file system without hard links answers (exFAT, some network and FUSE mounts, sandboxes).
_NO_LINKS = {
    errno.EPERM,
    errno.EACCES,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
    errno.EMLINK,
    errno.EXDEV,
}


def temporary_beside(final: str | Path) -> Path:
    """Return a fresh hidden name in the folder of `final`, so that a later rename stays inside one file system.

    Nothing is created. The name ends in `.part`, which no reader takes for a finished clip.
    """
    final = Path(final)
    # 255 bytes is the limit of a name nearly everywhere; the random part and the dots need 15 of them.
    stem = os.fsdecode(os.fsencode(final.name)[:200])
    return final.with_name(f".{stem}.{secrets.token_hex(4)}.part")


def publish(temporary: str | Path, final: str | Path, *, overwrite: bool = False) -> Path:
    """Sync `temporary` to disk and give it the name `final`, in one step; both must lie on one file system.

    Of several publishers of one name exactly one succeeds unless they ask to overwrite. A reader sees the whole file or
    none (only where hard links do not exist may it see an empty one, for the moment between claiming and renaming).
    When this raises, `temporary` is still there.

    Args:
        temporary: a finished, closed file.
        final: the name to give it.
        overwrite: replace a file of that name.

    Returns:
        `final`, as a Path.

    Raises:
        FileExistsError: `final` exists and `overwrite` is False.
        OSError: the disk said no.
    """
    temporary, final = Path(temporary), Path(final)
    _sync(temporary)
    if overwrite:
        temporary.replace(final)
    elif os.name == "nt":
        temporary.rename(final)  # on Windows this refuses an existing name, atomically
    else:
        _rename_if_free(temporary, final)
    _sync_folder(final.parent)
    return final


def _rename_if_free(temporary: Path, final: Path) -> None:
    try:
        os.link(temporary, final, follow_symlinks=False)
    except FileExistsError:
        raise _taken(final) from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    else:
        temporary.unlink()
        return
    try:
        os.close(os.open(final, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # claims the name
    except FileExistsError:
        raise _taken(final) from None
    try:
        temporary.replace(final)
    except BaseException:
        final.unlink()  # the claim is ours and empty
        raise


def _taken(final: Path) -> FileExistsError:
    return FileExistsError(errno.EEXIST, "exists already; pass overwrite=True to replace it", str(final))


def _sync(path: Path) -> None:
    # Windows syncs only what is open for writing.
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable. File systems that cannot sync a folder are left as they are."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}:
            raise
    finally:
        os.close(descriptor)
