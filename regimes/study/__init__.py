"""The time machine: what settings would have said of the past, and which to choose."""

from regimes.study.player import Happened, Player
from regimes.study.replay import Replay, replay
from regimes.study.verdicts import Judged, Message, judge

__all__ = ["Happened", "Judged", "Message", "Player", "Replay", "judge", "replay"]
