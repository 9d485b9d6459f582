"""What an operator may say about every folder in which files of studies or measurements appear."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edge.config.fields import Name, Place, Section

After = Literal["keep", "remove"]
SettleS = Annotated[float, Field(ge=0.05, le=3600)]


class FolderOptions(Section):
    """A folder that is watched; each kind of it says what its files are."""

    kind: str
    name: Name = Field(description="Names this source in health, topics and logs; unique.")
    path: Place = Field(description="The folder; made when it is not there.")
    settle_s: SettleS = Field(
        default=2.0,
        description="A file is taken when it has not grown or changed for this many seconds.",
    )
    after: After = Field(
        default="keep",
        description="What becomes of a file once it is safely ours: it stays, or it is removed.",
    )
