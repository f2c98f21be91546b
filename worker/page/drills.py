"""The newest drill that was run with an output folder. Blocking: to be called in a thread."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from store.small_file import SmallFileFaultError, read_whole
from worker.page.seen import Drill

DRILLS_FOLDER = "drills"
RESULT_FILE = "result.json"
# A drill of 1 000 kills tells what happened when: some 200 KB.
RESULT_BYTES_MAX = 4_194_304
# A folder's name begins with its time, so the newest come first; one that has no result yet is passed over.
FOLDERS_LOOKED_AT_MAX = 20


def newest_drill(output_dir: Path) -> tuple[Path, Drill] | str | None:
    """The folder and what stands in it; a sentence when that cannot be read; None when there was no drill."""
    try:
        names = sorted(os.listdir(output_dir / DRILLS_FOLDER), reverse=True)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return f"{output_dir / DRILLS_FOLDER} cannot be read ({error.strerror})"
    for name in [name for name in names if name[:1].isdigit()][:FOLDERS_LOOKED_AT_MAX]:
        folder = output_dir / DRILLS_FOLDER / name
        try:
            found = read_whole(folder / RESULT_FILE, RESULT_BYTES_MAX)
            if found is not None:
                return folder, msgspec.json.decode(found[0], type=Drill)
        except SmallFileFaultError as error:
            return str(error)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return f"{folder / RESULT_FILE} tells of no drill ({error})"
    return None
